/* SPDX-License-Identifier: Apache-2.0 */
/* Independent tasks on several threads. */
#ifndef HADMC_SEARCH_AGENTS_PARALLEL_H
#define HADMC_SEARCH_AGENTS_PARALLEL_H

typedef void parallel_task(void *arg, int i);

/* task(arg, i) for i in 0 ... n - 1, each once, on at most n_threads threads, of which
 * the caller's is one.  Tasks share nothing that they write.  Where threads cannot be
 * had, fewer do the work. */
void parallel_run(int n_threads, parallel_task *task, void *arg, int n);

#endif /* HADMC_SEARCH_AGENTS_PARALLEL_H */
