/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines with what they must print, byte for byte.
 *
 *     transcript HADMCC FILE [--update]
 *
 * FILE is a session: a line "$ hadmcc ARGS" starts a command (words end at spaces,
 * 'quotes' keep them together), what follows is its stdout, then its stderr with
 * "! " before each line, then "exit N".  Lines before the first command and between
 * "#" and the line's end in column 1 are comments.  Commands run in FILE's folder;
 * the word @TMP stands for an empty folder that is removed at the end, in the output
 * as well.  --update writes what was seen into FILE.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/arena.h"
#include "support/text.h"

enum { MAX_WORDS = 64 };

struct session {
    struct arena *arena;
    const char *hadmcc;
    char tmp[32];
    struct text seen;
};

static void die(const char *what)
{
    perror(what);
    exit(2);
}

/* ---- texts ----------------------------------------------------------------- */

static char *read_fd(struct arena *a, int fd)
{
    const off_t len = lseek(fd, 0, SEEK_END);
    char *text = arena_alloc(a, (size_t)len + 1);

    if (len > 0 && pread(fd, text, (size_t)len, 0) != len)
        die("pread");
    return text;
}

static char *read_path(struct arena *a, const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text;

    if (!f)
        die(path);
    text = read_fd(a, fileno(f));
    fclose(f);
    return text;
}

static char *replace(struct arena *a, const char *text, const char *from,
                     const char *to)
{
    struct text out = {0};
    char *copy;

    for (const char *hit; (hit = strstr(text, from)); text = hit + strlen(from)) {
        text_append(&out, text, (size_t)(hit - text));
        text_puts(&out, to);
    }
    text_puts(&out, text);
    copy = arena_strdup(a, out.bytes);
    text_free(&out);
    return copy;
}

static void put_lines(struct text *out, const char *text, const char *before)
{
    for (const char *end; *text; text = end) {
        end = strchrnul(text, '\n');
        text_puts(out, before);
        text_append(out, text, (size_t)(end - text));
        text_puts(out, *end ? "\n" : " [no newline]\n");
        end += *end == '\n';
    }
}

/* ---- one command ----------------------------------------------------------- */

static int split(struct session *s, const char *line, char *words[MAX_WORDS + 1])
{
    int n = 0;

    while (*line && n < MAX_WORDS) {
        const char *end;

        line += strspn(line, " ");
        if (!*line)
            break;
        if (*line == '\'') {
            end = strchrnul(++line, '\'');
            words[n++] = arena_strndup(s->arena, line, (size_t)(end - line));
            line = end + (*end == '\'');
            continue;
        }
        end = strchrnul(line, ' ');
        words[n++] = arena_strndup(s->arena, line, (size_t)(end - line));
        line = end;
    }
    for (int i = 0; i < n; i++)
        words[i] = replace(s->arena, words[i], "@TMP", s->tmp);
    words[n] = NULL;
    return n;
}

static void run(struct session *s, const char *line)
{
    char *words[MAX_WORDS + 1];
    const int out = memfd_create("stdout", 0), err = memfd_create("stderr", 0);
    int status = 0;

    if (split(s, line, words) == 0 || strcmp(words[0], "hadmcc") != 0) {
        fprintf(stderr, "transcript: '%s' is not a command\n", line);
        exit(2);
    }

    const pid_t pid = fork();

    if (pid == 0) {
        dup2(out, STDOUT_FILENO);
        dup2(err, STDERR_FILENO);
        execv(s->hadmcc, words);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        die("fork");
    text_printf(&s->seen, "$ %s\n", line);
    put_lines(&s->seen, replace(s->arena, read_fd(s->arena, out), s->tmp, "@TMP"), "");
    put_lines(&s->seen, replace(s->arena, read_fd(s->arena, err), s->tmp, "@TMP"),
              "! ");
    if (WIFEXITED(status))
        text_printf(&s->seen, "exit %d\n", WEXITSTATUS(status));
    else
        text_printf(&s->seen, "signal %d\n", WTERMSIG(status));
    close(out);
    close(err);
}

/* ---- a session ------------------------------------------------------------- */

/* "exit 0": --help has a line that begins with "exit status". */
static bool is_end(const char *line)
{
    int number, used = 0;

    return (sscanf(line, "exit %d%n", &number, &used) == 1
            || sscanf(line, "signal %d%n", &number, &used) == 1)
           && !line[used];
}

/* Comments stay, commands are run, what they printed last time is skipped. */
static void play(struct session *s, const char *wanted)
{
    bool in_output = false;

    for (const char *end; *wanted; wanted = end) {
        end = strchrnul(wanted, '\n');

        char *line = arena_strndup(s->arena, wanted, (size_t)(end - wanted));

        end += *end == '\n';
        if (strncmp(line, "$ ", 2) == 0) {
            run(s, line + 2);
            in_output = true;
        } else if (!in_output) {
            text_printf(&s->seen, "%s\n", line);
        } else if (is_end(line)) {
            in_output = false;
        }
    }
}

static void show_difference(const char *seen, const char *wanted)
{
    int line = 1;

    while (*seen && *seen == *wanted) {
        line += *seen == '\n';
        seen++;
        wanted++;
    }
    fprintf(stderr,
            "line %d: seen and wanted differ from here on:\n--- seen\n%.600s\n"
            "--- wanted\n%.600s\n",
            line, seen, wanted);
}

static void remove_folder(char *folder)
{
    char *argv[] = {(char[]){"rm"}, (char[]){"-r"}, folder, NULL};

    if (fork() == 0)
        execvp("rm", argv);
    wait(NULL);
}

/* Plays FILE in its own folder and compares or updates it. */
static int play_file(struct session *s, const char *path, bool update)
{
    char *wanted = read_path(s->arena, path);
    const char *slash = strrchr(path, '/');

    if (chdir(arena_strndup(s->arena, path, (size_t)(slash - path))) != 0)
        die("chdir");
    play(s, wanted);
    if (update) {
        FILE *f = fopen(path, "wb");

        if (!f || fputs(s->seen.bytes, f) < 0 || fclose(f) != 0)
            die(path);
        return 0;
    }
    if (strcmp(s->seen.bytes, wanted) == 0)
        return 0;
    show_difference(s->seen.bytes, wanted);
    return 1;
}

int main(int argc, char **argv)
{
    struct session s = {.arena = arena_create(), .tmp = "/tmp/transcript-XXXXXX"};

    if (argc < 3)
        return 2;

    char *hadmcc = realpath(argv[1], NULL), *path = realpath(argv[2], NULL);

    if (!hadmcc || !path || !mkdtemp(s.tmp))
        die(argv[2]);
    s.hadmcc = hadmcc;

    const int code = play_file(&s, path, argc > 3 && strcmp(argv[3], "--update") == 0);

    remove_folder(s.tmp);
    text_free(&s.seen);
    free(hadmcc);
    free(path);
    arena_destroy(s.arena);
    return code;
}
