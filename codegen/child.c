/* SPDX-License-Identifier: Apache-2.0 */
/* Children: fork, three anonymous files (result, status, stderr), wait with a
 * deadline.  Files instead of pipes: nobody has to drain them, results may be
 * hundreds of megabytes, and the parent is free to sleep. */
#define _GNU_SOURCE
#include "codegen/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_STATUS = 113, EXIT_NO_EXEC = 114, MAX_STDERR = 4000 };

struct child {
    int out, report, err; /* memory files: result, a failed status, stderr */
    pid_t pid;
    bool timed_out;
};

/* ---- memory files ---------------------------------------------------------- */

static struct status *read_file(struct arena *a, int fd, size_t limit,
                                struct bytes *out)
{
    const off_t end = lseek(fd, 0, SEEK_END);
    const size_t len = end < 0 ? 0 : (size_t)end > limit ? limit : (size_t)end;
    char *at = arena_alloc(a, len + 1);

    for (size_t done = 0; done < len;) {
        const ssize_t n = pread(fd, at + done, len - done, (off_t)done);

        if (n <= 0)
            return FAIL(IO_ERROR, "cannot read a child's result: %s", strerror(errno));
        done += (size_t)n;
    }
    *out = (struct bytes){.at = at, .len = len};
    return OK;
}

static void close_files(struct child *c)
{
    if (c->out >= 0)
        close(c->out);
    if (c->report >= 0)
        close(c->report);
    if (c->err >= 0)
        close(c->err);
}

static struct status *open_files(struct child *c)
{
    c->out = memfd_create("result", MFD_CLOEXEC);
    c->report = memfd_create("status", MFD_CLOEXEC);
    c->err = memfd_create("stderr", MFD_CLOEXEC);
    if (c->out < 0 || c->report < 0 || c->err < 0)
        return FAIL(IO_ERROR, "cannot make a memory file: %s", strerror(errno));
    return OK;
}

/* ---- statuses over the fence ----------------------------------------------- */

/* code, then message and notes, each ended by a NUL */
static void send_status(const struct status *s, int fd)
{
    const int code = (int)status_code(s);
    FILE *to = fdopen(fd, "wb");

    if (!to)
        return;
    fwrite(&code, sizeof code, 1, to);
    fwrite(status_message(s), 1, strlen(status_message(s)) + 1, to);
    for (int i = 0; i < status_n_notes(s); i++)
        fwrite(status_note_at(s, i), 1, strlen(status_note_at(s, i)) + 1, to);
    fflush(to);
}

static struct status *receive_status(struct arena *a, int fd)
{
    struct bytes b;
    int code;

    RETURN_IF_FAIL(read_file(a, fd, SIZE_MAX / 2, &b));
    if (b.len <= sizeof code)
        return FAIL(INTERNAL, "a child ended without saying why");
    memcpy(&code, b.at, sizeof code);

    const char *text = (const char *)b.at + sizeof code;
    const char *end = (const char *)b.at + b.len;
    struct status *s = FAIL((enum status_code)code, "%s", text);

    for (text += strlen(text) + 1; text < end; text += strlen(text) + 1)
        s = status_note(s, "%s", text);
    return s;
}

/* ---- waiting --------------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The wait status of the child; polls only when there is a deadline. */
static int wait_for(struct child *c, int timeout_s)
{
    const int64_t deadline = now_ms() + (int64_t)timeout_s * 1000;
    int status = 0;

    for (int64_t pause_us = 200;;) {
        const pid_t got = waitpid(c->pid, &status, timeout_s ? WNOHANG : 0);

        if (got == c->pid || (got < 0 && errno != EINTR))
            return status;
        if (!timeout_s || got < 0)
            continue;
        if (now_ms() >= deadline && !c->timed_out) {
            c->timed_out = true;
            kill(c->pid, SIGKILL);
        }
        usleep((useconds_t)pause_us);
        pause_us = pause_us < 10000 ? pause_us * 2 : pause_us;
    }
}

static const char *stderr_text(struct arena *a, const struct child *c, size_t limit)
{
    struct bytes b = {.at = "", .len = 0};
    struct status *s = read_file(a, c->err, limit, &b);

    status_free(s);

    char *text = arena_strndup(a, b.at, b.len);
    size_t n = strlen(text);

    while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
        text[--n] = '\0';
    return text;
}

/* What a signal says that the system sends where a limit is met; NULL: it is none. */
static const char *limit_of(int sig)
{
    return sig == SIGKILL   ? "SIGKILL; out of memory?"
           : sig == SIGXFSZ ? "SIGXFSZ: a file is larger than the limit"
           : sig == SIGXCPU ? "SIGXCPU: more CPU time than the limit"
                            : NULL;
}

/* What became of the child, as a status. */
static struct status *judge(struct arena *a, const struct child *c, int wait_status,
                            const char *what, const struct child_options *o)
{
    const enum status_code crash = o && o->foreign ? IO_ERROR : INTERNAL;

    if (c->timed_out)
        return FAIL(NO_FIT, "%s took longer than %d s", what, o->timeout_s);
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0)
        return OK;

    const char *said = stderr_text(a, c, MAX_STDERR);
    const char *colon = *said ? ": " : "";

    if (WIFSIGNALED(wait_status) && limit_of(WTERMSIG(wait_status)))
        return FAIL(NO_FIT, "%s was killed (%s)", what,
                    limit_of(WTERMSIG(wait_status)));
    if (WIFSIGNALED(wait_status))
        return FAIL(crash, "%s crashed (%s)%s%s", what,
                    strsignal(WTERMSIG(wait_status)), colon, said);
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == EXIT_STATUS)
        return receive_status(a, c->report);
    return FAIL(crash, "%s ended with exit code %d%s%s", what, WEXITSTATUS(wait_status),
                colon, said);
}

static struct status *finish(struct arena *a, struct child *c, const char *what,
                             const struct child_options *o, struct bytes *out)
{
    const int wait_status = wait_for(c, o ? o->timeout_s : 0);

    RETURN_IF_FAIL(judge(a, c, wait_status, what, o));

    const char *said = stderr_text(a, c, SIZE_MAX / 2);

    if (*said)
        fprintf(stderr, "%s\n", said);
    return out ? read_file(a, c->out, SIZE_MAX / 2, out) : OK;
}

/* ---- the two kinds of children --------------------------------------------- */

static struct status *fork_child(struct child *c)
{
    fflush(NULL);

    const pid_t parent = getpid();

    c->pid = fork();
    if (c->pid < 0)
        return FAIL(IO_ERROR, "cannot start a child process: %s", strerror(errno));
    if (c->pid > 0)
        return OK;

    static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    const struct rlimit no_core = {0, 0};

    /* A crash shall end the child, not run the parent's handlers. */
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++)
        signal(crashes[i], SIG_DFL);
    setrlimit(RLIMIT_CORE, &no_core);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    dup2(c->err, STDERR_FILENO);
    return OK;
}

_Noreturn static void run_function(const struct child *c, child_fn *fn, void *arg)
{
    FILE *out = fdopen(c->out, "wb");
    struct status *s = out ? fn(arg, out) : FAIL(IO_ERROR, "no memory for a result");

    if (!s && (fflush(out) != 0 || ferror(out)))
        s = FAIL(NO_FIT, "no memory for a result");
    if (s)
        send_status(s, c->report);
    fflush(stderr);
    _exit(s ? EXIT_STATUS : 0); /* no atexit handlers: they are the parent's */
}

struct status *child_run(struct arena *a, const char *what, child_fn *fn, void *arg,
                         const struct child_options *o, struct bytes *out)
{
    struct child c = {.out = -1, .report = -1, .err = -1};
    struct status *s = open_files(&c);

    if (!s)
        s = fork_child(&c);
    if (!s && c.pid == 0)
        run_function(&c, fn, arg);
    if (!s)
        s = finish(a, &c, what, o, out);
    close_files(&c);
    return s;
}

_Noreturn static void run_program(const struct child *c, char *const argv[])
{
    dup2(c->out, STDOUT_FILENO);
    execvp(argv[0], argv);
    fprintf(stderr, "cannot run '%s': %s\n", argv[0], strerror(errno));
    fflush(stderr);
    _exit(EXIT_NO_EXEC);
}

struct status *child_exec(struct arena *a, const char *what, char *const argv[],
                          const struct child_options *o, struct bytes *out)
{
    struct child c = {.out = -1, .report = -1, .err = -1};
    struct status *s = open_files(&c);

    if (!s)
        s = fork_child(&c);
    if (!s && c.pid == 0)
        run_program(&c, argv);
    if (!s)
        s = finish(a, &c, what, o, out);
    close_files(&c);
    return s;
}

const char *child_find_program(const char *const *names)
{
    const char *path = getenv("PATH");

    for (; path && *names; names++)
        for (const char *dir = path; *dir;) {
            const size_t n = strcspn(dir, ":");
            char full[4096];

            if (n + strlen(*names) + 2 <= sizeof full) {
                snprintf(full, sizeof full, "%.*s/%s", (int)n, dir, *names);
                if (access(full, X_OK) == 0)
                    return *names;
            }
            dir += n + (dir[n] == ':');
        }
    return NULL;
}
