/* SPDX-License-Identifier: Apache-2.0 */
/* A ready-made parallel_for for systems with POSIX threads.  Optional: models run
 * on the calling thread without it, and any other pool with the same signature
 * (hadm_parallel_for) works as well.
 *
 *     struct hadm_pool *pool = hadm_pool_create(4);
 *     foo_use_workers(&foo, hadm_pool_for, pool, 4);
 *
 * Workers spin for about 50 microseconds between steps, then sleep.  One pool
 * serves one running model at a time.
 */
#ifndef HADMC_RUNTIME_POOL_H
#define HADMC_RUNTIME_POOL_H

#include "runtime/hadm.h"

struct hadm_pool;

/* n_workers counts the calling thread.  NULL when threads cannot be made. */
struct hadm_pool *hadm_pool_create(int n_workers);
void hadm_pool_destroy(struct hadm_pool *p);

/* A hadm_parallel_for: a worker begins with its own part of the units, in chunks of at
 * least `grain`, and then helps the others. */
void hadm_pool_for(void *pool, hadm_body *body, void *arg, int64_t n, int64_t grain);

#endif /* HADMC_RUNTIME_POOL_H */
