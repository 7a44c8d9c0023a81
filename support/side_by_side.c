/* SPDX-License-Identifier: Apache-2.0 */
/* Copies by fork, with a page of shared memory: see side_by_side.h. */
#include "support/side_by_side.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NO_MORE = 1 << 30 };

struct board {
    atomic_int next;    /* piece */
    atomic_bool failed; /* the first to say so writes what follows */
    enum status_code code;
    char message[2000];
};

void *side_by_side_memory(size_t bytes)
{
    void *const p =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        fprintf(stderr, "hadmcc: out of memory\n");
        exit(1);
    }
    return p;
}

static struct status *take_pieces(struct board *b, int n,
                                  struct status *(*work)(void *, int), void *arg)
{
    struct status *s = OK;

    for (int i;
         !s && !atomic_load(&b->failed) && (i = atomic_fetch_add(&b->next, 1)) < n;)
        s = work(arg, i);
    return s;
}

/* Does not return.  It ends with the process that waits for it. */
static void be_copy(struct board *b, int n, struct status *(*work)(void *, int),
                    void *arg)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);

    struct status *s = take_pieces(b, n, work, arg);

    if (s && !atomic_exchange(&b->failed, true)) {
        b->code = status_code(s);
        strncpy(b->message, status_message(s), sizeof b->message - 1);
    }
    _exit(s ? 1 : 0);
}

/* How a copy ended: OK if it has taken all it could, or has told what failed. */
static struct status *judge(int how, const struct board *b)
{
    if (WIFSIGNALED(how))
        return FAIL(IO_ERROR,
                    "a process was ended by signal %d (%s)%s; the same command goes on "
                    "from what is finished",
                    WTERMSIG(how), strsignal(WTERMSIG(how)),
                    WTERMSIG(how) == SIGKILL ? ", perhaps for want of memory" : "");
    if (WEXITSTATUS(how) && !atomic_load(&b->failed))
        return FAIL(IO_ERROR,
                    "a process has ended early; the same command goes on from "
                    "what is finished");
    return OK;
}

/* Until all copies have ended. */
static struct status *wait_for(int n_copies, struct board *b, void (*watch)(void *),
                               void *arg)
{
    const struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};
    struct status *s = OK;

    while (n_copies) {
        int how;
        const pid_t ended = waitpid(-1, &how, WNOHANG);

        if (ended <= 0) {
            watch(arg);
            nanosleep(&pause, NULL);
            continue;
        }
        n_copies--;
        if (!s && (s = judge(how, b)))
            atomic_store(&b->next, NO_MORE);
    }
    return s;
}

struct status *side_by_side(int jobs, int n, struct status *(*work)(void *, int),
                            void (*watch)(void *), void *arg)
{
    struct board *b = side_by_side_memory(sizeof *b);
    struct status *s = OK, *lost;
    int n_copies = 0;

    if (jobs == 1)
        return take_pieces(b, n, work, arg);
    fflush(NULL); /* or each would write it */
    while (!s && n_copies < jobs && n_copies < n) {
        const pid_t copy = fork();

        if (copy == 0)
            be_copy(b, n, work, arg);
        if (copy < 0)
            s = FAIL(IO_ERROR, "cannot start a process: %s", strerror(errno));
        else
            n_copies++;
    }
    if (s)
        atomic_store(&b->next, NO_MORE);
    lost = wait_for(n_copies, b, watch, arg);
    if (!s && !lost && atomic_load(&b->failed))
        s = status_new(b->code, NULL, __FILE__, __LINE__, "%s", b->message);
    if (!s)
        return lost;
    status_free(lost);
    return s;
}
