/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks as processes of this machine, a pair of sockets each: see ranks.h. */
#include "search/ranks.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static bool send_all(int to, const char *bytes, size_t n)
{
    while (n) {
        const ssize_t done = send(to, bytes, n, MSG_NOSIGNAL);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        bytes += done;
        n -= (size_t)done;
    }
    return true;
}

static bool receive_all(int from, char *bytes, size_t n)
{
    while (n) {
        const ssize_t done = recv(from, bytes, n, 0);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        bytes += done;
        n -= (size_t)done;
    }
    return true;
}

/* Without rank 0 there is nothing left to do. */
static struct status *lost(const struct ranks *r, int rank)
{
    if (r->rank)
        _exit(1);
    return FAIL(IO_ERROR,
                "worker process %d of %d has ended; --resume goes on from what was "
                "evaluated",
                rank, r->n - 1);
}

static struct status *broadcast(struct ranks *r, void *bytes, size_t n)
{
    if (r->rank)
        return receive_all(r->sockets[0], bytes, n) ? OK : lost(r, 0);
    for (int i = 1; i < r->n; i++)
        if (!send_all(r->sockets[i], bytes, n))
            return lost(r, i);
    return OK;
}

static struct status *gather(struct ranks *r, const void *own, size_t n, void *all)
{
    if (r->rank)
        return send_all(r->sockets[0], own, n) ? OK : lost(r, 0);
    memcpy(all, own, n);
    for (int i = 1; i < r->n; i++)
        if (!receive_all(r->sockets[i], (char *)all + (size_t)i * n, n))
            return lost(r, i);
    return OK;
}

static void close_all(struct ranks *r)
{
    if (r->rank)
        _exit(0);
    for (int i = 1; i < r->n; i++)
        close(r->sockets[i]);
    for (int i = 1; i < r->n; i++)
        while (waitpid(-1, NULL, 0) < 0 && errno == EINTR)
            ;
    free(r->sockets);
    r->n = 1;
}

/* The new process keeps its own socket alone. */
static void become_worker(struct ranks *r, int rank, int socket)
{
    for (int i = 1; i < rank; i++)
        close(r->sockets[i]);
    r->rank = rank;
    r->sockets[0] = socket;
}

static struct status *fork_one(struct ranks *r, int rank)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return FAIL(IO_ERROR, "cannot make a pair of sockets: %s", strerror(errno));

    const pid_t child = fork();

    if (child < 0) {
        close(pair[0]);
        close(pair[1]);
        return FAIL(IO_ERROR, "cannot start a process: %s", strerror(errno));
    }
    close(pair[child ? 1 : 0]);
    if (child)
        r->sockets[rank] = pair[0];
    else
        become_worker(r, rank, pair[1]);
    return OK;
}

struct status *ranks_fork(int n, struct ranks *out)
{
    struct status *s = OK;

    *out = (struct ranks){.n = 1,
                          .broadcast = broadcast,
                          .gather = gather,
                          .close = close_all,
                          .sockets = calloc((size_t)n, sizeof(int))};
    if (!out->sockets)
        return FAIL(IO_ERROR, "no memory for %d processes", n);
    fflush(NULL); /* or each would write it */
    while (!s && out->n < n && !out->rank) {
        s = fork_one(out, out->n);
        out->n += !s;
    }
    if (s)
        close_all(out);
    else
        out->n = n;
    return s;
}
