/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target once on every file of the folders and files given: the corpus as
 * an ordinary test, with any compiler. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int n_run;

static void run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat about;

    if (!f || fstat(fileno(f), &about)) {
        perror(path);
        exit(1);
    }

    uint8_t *bytes = malloc((size_t)about.st_size + 1);
    const size_t n = bytes ? fread(bytes, 1, (size_t)about.st_size, f) : 0;

    fclose(f);
    printf("%s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(bytes, n);
    free(bytes);
    n_run++;
}

static void run_folder(const char *path)
{
    DIR *dir = opendir(path);
    char file[4096];

    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] != '.'
            && snprintf(file, sizeof file, "%s/%s", path, e->d_name) < (int)sizeof file)
            run_file(file);
    if (dir)
        closedir(dir);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct stat about;

        if (stat(argv[i], &about) == 0 && S_ISDIR(about.st_mode))
            run_folder(argv[i]);
        else
            run_file(argv[i]);
    }
    printf("%d inputs\n", n_run);
    return n_run ? 0 : 1;
}
