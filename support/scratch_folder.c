/* SPDX-License-Identifier: Apache-2.0 */
/* See scratch_folder.h.  The second process reads a message for every folder: '+' and
 * its path before it is made, '-' and its path when it is gone, "." at the end.  A
 * socket of packets keeps messages of several processes apart, and ends with the last
 * one. */
#define _GNU_SOURCE
#include "support/scratch_folder.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/text.h"

#define PLACES "XXXXXXXXXXXX" /* of what tells folders apart */

enum { MADE = '+', GONE = '-', END = '.' };

static struct {
    pid_t pid;
    int socket; /* -1: nobody watches */
} watcher = {.socket = -1};

static int remove_files(const char *path)
{
    DIR *dir = opendir(path);
    int failed = 0;

    if (!dir)
        return errno;
    for (const struct dirent *e; (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0
            && unlinkat(dirfd(dir), e->d_name, 0) != 0)
            failed = errno;
    closedir(dir);
    if (failed)
        return failed;
    return rmdir(path) == 0 ? 0 : errno;
}

/* ---- the process that watches ---------------------------------------------------- */

struct watched {
    struct arena *arena;
    int n, cap;
    const char **paths;
};

static void note(struct watched *w, char what, const char *path)
{
    if (what == MADE) {
        w->paths = arena_grow(w->arena, w->paths, sizeof *w->paths, w->n, &w->cap);
        w->paths[w->n++] = arena_strdup(w->arena, path);
        return;
    }
    for (int i = w->n; i-- > 0;)
        if (strcmp(w->paths[i], path) == 0) {
            w->paths[i] = w->paths[--w->n];
            return;
        }
}

/* Messages are read until the end, which is also that of all who could write some. */
static void read_messages(struct watched *w)
{
    char message[PATH_MAX + 2];

    for (;;) {
        const ssize_t n = recv(STDIN_FILENO, message, sizeof message - 1, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || message[0] == END)
            return;
        message[n] = '\0';
        note(w, message[0], message + 1);
    }
}

/* Signals for the others, of a terminal or a scheduler, are not for this one. */
static void stand_apart(int socket)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};

    setsid();
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        signal(signals[i], SIG_IGN);
    dup2(socket, STDIN_FILENO);
    close_range(STDIN_FILENO + 1, ~0U, 0); /* or readers of a pipe would wait for us */
    prctl(PR_SET_NAME, "hadmcc-tidy");
}

_Noreturn static void watch(int socket)
{
    struct watched w = {.arena = arena_create()};

    stand_apart(socket);
    read_messages(&w);
    for (int i = 0; i < w.n; i++)
        remove_files(w.paths[i]);
    _exit(0);
}

void scratch_folders_watch(void)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return;
    if (ends[0] > STDERR_FILENO) { /* not one that was closed: results go there */
        watcher.pid = fork();
        if (watcher.pid == 0)
            watch(ends[1]);
        watcher.socket = ends[0];
    } else {
        close(ends[0]);
    }
    close(ends[1]);
}

/* ---- the others ------------------------------------------------------------------ */

static void tell(char what, const char *path)
{
    struct text t = {0};

    if (watcher.socket < 0)
        return;
    text_printf(&t, "%c%s", what, path);
    send(watcher.socket, t.bytes, t.len, MSG_NOSIGNAL);
    text_free(&t);
}

void scratch_folders_end(void)
{
    tell(END, "");
    if (watcher.socket >= 0)
        close(watcher.socket);
    if (watcher.pid > 0)
        waitpid(watcher.pid, NULL, 0);
    watcher.socket = -1;
}

/* Letters that nobody else has chosen. */
static bool choose(char *letters, int n)
{
    static const char of[] = "abcdefghijklmnopqrstuvwxyz234567";

    if (getrandom(letters, (size_t)n, 0) != n)
        return false;
    for (int i = 0; i < n; i++)
        letters[i] = of[(uint8_t)letters[i] % 32];
    return true;
}

/* Told first: not even SIGKILL leaves a folder that nobody knows of.  `path` ends with
 * PLACES. */
static bool tell_and_make(char *path)
{
    enum { TRIES = 100 };
    const int n = (int)strlen(PLACES);

    for (int i = 0; i < TRIES && choose(path + strlen(path) - n, n); i++) {
        tell(MADE, path);
        if (mkdir(path, 0700) == 0)
            return true;
        const int why = errno;

        tell(GONE, path);
        errno = why;
        if (why != EEXIST)
            return false;
    }
    return false;
}

struct status *scratch_folder_make(struct arena *a, char **out)
{
    const char *place = getenv("TMPDIR");

    place = place && *place ? place : "/tmp";
    *out = arena_printf(a, "%s/hadmcc-" PLACES, place);
    if (tell_and_make(*out))
        return OK;
    *out = NULL;
    return FAIL(IO_ERROR, "cannot make a folder in '%s': %s", place, strerror(errno));
}

struct status *scratch_folder_make_beside(struct arena *a, const char *path, char **out)
{
    *out = arena_printf(a, "%s.new-" PLACES, path);
    if (tell_and_make(*out))
        return OK;
    *out = NULL;
    return FAIL(IO_ERROR, "cannot make a folder beside '%s': %s", path,
                strerror(errno));
}

int scratch_folder_remove(const char *path)
{
    const int failed = path ? remove_files(path) : 0;

    if (path)
        tell(GONE, path);
    return failed;
}

void scratch_folder_keep(const char *path)
{
    tell(GONE, path);
}
