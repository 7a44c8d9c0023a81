/* SPDX-License-Identifier: Apache-2.0 */
/* See workers.h.  Tasks last milliseconds, so a lock around each is nothing. */
#define _GNU_SOURCE
#include "support/workers.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct workers {
    int n;
    pthread_t *thread; /* n - 1 */
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    bool ending;
    /* The loop in progress. */
    void (*work)(void *arg, int64_t task, int worker);
    void *arg;
    int64_t next, n_tasks, n_open; /* not begun yet; in all; not finished yet */
};

struct start {
    struct workers *w;
    int worker;
};

/* Takes tasks until there are none; the lock is held before and after. */
static void take_tasks(struct workers *w, int worker)
{
    while (w->next < w->n_tasks) {
        const int64_t task = w->next++;

        pthread_mutex_unlock(&w->lock);
        w->work(w->arg, task, worker);
        pthread_mutex_lock(&w->lock);
        if (--w->n_open == 0)
            pthread_cond_signal(&w->done);
    }
}

static void *live(void *arg)
{
    const struct start start = *(struct start *)arg;
    struct workers *w = start.w;

    free(arg);
    pthread_mutex_lock(&w->lock);
    while (!w->ending) {
        take_tasks(w, start.worker);
        if (!w->ending)
            pthread_cond_wait(&w->wake, &w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void *must(void *memory)
{
    if (memory)
        return memory;
    fputs("hadmcc: out of memory\n", stderr);
    exit(1);
}

static int processors(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

struct workers *workers_create(int n_workers)
{
    const int wanted = n_workers > 0 ? n_workers : processors();
    struct workers *w = must(calloc(1, sizeof *w));

    w->thread = must(calloc((size_t)wanted, sizeof *w->thread));
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    pthread_cond_init(&w->done, NULL);
    for (w->n = 1; w->n < wanted; w->n++) {
        struct start *start = must(malloc(sizeof *start));

        *start = (struct start){w, w->n};
        if (pthread_create(&w->thread[w->n - 1], NULL, live, start) != 0) {
            free(start);
            break;
        }
    }
    return w;
}

void workers_destroy(struct workers *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i + 1 < w->n; i++)
        pthread_join(w->thread[i], NULL);
    pthread_cond_destroy(&w->done);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w->thread);
    free(w);
}

int workers_count(const struct workers *w)
{
    return w->n;
}

void workers_run(struct workers *w, void (*work)(void *arg, int64_t task, int worker),
                 void *arg, int64_t n_tasks)
{
    pthread_mutex_lock(&w->lock);
    w->work = work;
    w->arg = arg;
    w->next = 0;
    w->n_tasks = w->n_open = n_tasks;
    if (n_tasks > 1 && w->n > 1)
        pthread_cond_broadcast(&w->wake);
    take_tasks(w, 0);
    while (w->n_open)
        pthread_cond_wait(&w->done, &w->lock);
    pthread_mutex_unlock(&w->lock);
}
