/* SPDX-License-Identifier: Apache-2.0 */
/* Independent tasks on several threads: see parallel.h.  Tasks take milliseconds, so
 * that threads are made for each run. */
#include "search/agents/parallel.h"

#include <pthread.h>
#include <stdatomic.h>

enum { MAX_THREADS = 64 };

struct crew {
    parallel_task *task;
    void *arg;
    int n;
    atomic_int next;
};

static void *work(void *arg)
{
    struct crew *c = arg;

    for (int i = atomic_fetch_add(&c->next, 1); i < c->n;
         i = atomic_fetch_add(&c->next, 1))
        c->task(c->arg, i);
    return NULL;
}

void parallel_run(int n_threads, parallel_task *task, void *arg, int n)
{
    struct crew c = {.task = task, .arg = arg, .n = n};
    pthread_t threads[MAX_THREADS];
    int made = 0;

    while (made + 1 < n_threads && made + 1 < n && made < MAX_THREADS
           && !pthread_create(&threads[made], NULL, work, &c))
        made++;
    work(&c);
    for (int i = 0; i < made; i++)
        pthread_join(threads[i], NULL);
}
