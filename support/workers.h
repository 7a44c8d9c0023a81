/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that share the tasks of a loop; they sleep between loops.
 *
 *     struct workers *w = workers_create(4);
 *     workers_run(w, work, &job, n_tasks);     work(&job, task, worker) for every task
 *     workers_destroy(w);
 *
 * Which worker takes which task is not determined; results must not depend on it.
 */
#ifndef HADMC_SUPPORT_WORKERS_H
#define HADMC_SUPPORT_WORKERS_H

#include <stdint.h>

struct workers;

/* n_workers >= 1, the caller of workers_run included: fewer when the system refuses
 * more threads.  0: one for each processor that this process may use. */
struct workers *workers_create(int n_workers);
void workers_destroy(struct workers *w); /* NULL is fine */
int workers_count(const struct workers *w);

/* Returns when all tasks 0 ... n_tasks - 1 are done.  One loop at a time. */
void workers_run(struct workers *w, void (*work)(void *arg, int64_t task, int worker),
                 void *arg, int64_t n_tasks);

#endif /* HADMC_SUPPORT_WORKERS_H */
