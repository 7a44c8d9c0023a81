/* SPDX-License-Identifier: Apache-2.0 */
/* A whole program around one model, for measuring what it costs to ship: code size
 * (`size` of it minus `size` of the same built with -DEMPTY), peak memory, and the
 * time from nothing to the first result.
 *
 *   cc -O2 -DHEADER='"foo.h"' -DLOWER=foo -DUPPER=FOO -I bundle footprint.c libfoo.a
 *   ./a.out foo.weights
 *
 * Inputs and outputs are one zeroed block each: what is measured does not depend on
 * their contents.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef EMPTY
#include HEADER
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)

enum { MAX_POINTERS = 64 };

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static long peak_rss_kb(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[200];
    long kb = 0;

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %ld", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb;
}

static void *zeroed(size_t n_bytes)
{
    return mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

int main(int argc, char **argv)
{
    const double begin = now_us();
    struct stat st;
    const int fd = open(argc > 1 ? argv[1] : "", O_RDONLY);

    if (fd < 0 || fstat(fd, &st) != 0)
        return 1;
    void *weights = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE,
                         fd, 0);
    void *io[MAX_POINTERS];

    for (int i = 0; i < MAX_POINTERS; i++)
        io[i] = zeroed(IO_BYTES);
#ifdef EMPTY
    const double opened = now_us();
    const double first = now_us();
    void *workspace = zeroed(4096);

    (void)workspace;
    (void)weights;
#else
    static struct LOWER context;
    void *workspace = zeroed(JOIN(UPPER, _WORKSPACE_BYTES));
    const int status = (int)JOIN(LOWER, _open)(&context, weights, (size_t)st.st_size,
                                               workspace, JOIN(UPPER, _WORKSPACE_BYTES), 0);

    if (status) {
        fprintf(stderr, "open: %s\n", JOIN(LOWER, _strerror)(status));
        return 1;
    }
    const double opened = now_us();

    JOIN(LOWER, _run)(&context, (const void *)io, (const void *)(io + MAX_POINTERS / 2));
    const double first = now_us();
#endif
    double best = 1e30;

    for (int i = 0; i < 20; i++) {
        const double t = now_us();

#ifndef EMPTY
        JOIN(LOWER, _run)(&context, (const void *)io, (const void *)(io + MAX_POINTERS / 2));
#endif
        const double took = now_us() - t;

        best = took < best ? took : best;
    }
    printf("{\"open_us\": %.1f, \"first_us\": %.1f, \"best_us\": %.1f, \"peak_rss_kb\": %ld}\n",
           opened - begin, first - opened, best, peak_rss_kb());
    return 0;
}
