/* SPDX-License-Identifier: Apache-2.0 */
/* Several processes that work on one search: rank 0 leads, the others evaluate.
 *
 *     struct ranks r;
 *     RETURN_IF_FAIL(ranks_fork(4, &r));        all four go on from here
 *     r.broadcast(&r, bytes, n);                what rank 0 has in bytes[n], all have
 *     r.gather(&r, own, n, all);                rank 0 gets all[rank][n]
 *     r.close(&r);                              rank 0 waits for the others
 *
 * cli/ranks_mpi.c has the same on several machines.  A rank that is lost is an error
 * for rank 0, and the end of the process for the others.
 */
#ifndef HADMC_SEARCH_RANKS_H
#define HADMC_SEARCH_RANKS_H

#include <stddef.h>

#include "support/status.h"

enum { RANKS_MOST = 1024 };

struct ranks {
    int rank, n;
    struct status *(*broadcast)(struct ranks *r, void *bytes, size_t n);
    struct status *(*gather)(struct ranks *r, const void *own, size_t n, void *all);
    void (*close)(struct ranks *r);
    int *sockets; /* of ranks_fork: to each other rank, or to rank 0 */
};

/* Copies of this process as ranks 1 to n - 1, n from 1 to RANKS_MOST; each has all that
 * was in memory.  No other thread may run.  They leave by _exit. */
struct status *ranks_fork(int n, struct ranks *out);

#endif /* HADMC_SEARCH_RANKS_H */
