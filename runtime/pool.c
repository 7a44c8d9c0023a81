/* SPDX-License-Identifier: Apache-2.0 */
/* Thread pool for hadm_run: steps last microseconds, so workers wait by spinning
 * first and sleep on a condition variable only when nothing comes.
 *
 * A loop is over when its units are done, not when every worker has heard of it: a
 * worker that the system has not let run in time finds the door closed and waits for
 * the next loop.  The caller waits only for those that are inside. */
#include "runtime/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

enum { SPIN_NS = 50 * 1000, CHUNKS_PER_WORKER = 4 };

static const unsigned DOOR_CLOSED = 1u << 31;

/* A worker's part of a loop: the same part of every loop, because what it has made
 * lies in the caches of its core.  Others help once their own is done. */
struct share {
    atomic_int_fast64_t next; /* first unit nobody has taken yet */
    int64_t end;
    uint8_t apart[112];       /* in cache lines of its own */
};

struct hadm_pool {
    int n_workers;
    int n_started;
    pthread_t *threads;
    pthread_mutex_t lock;
    pthread_cond_t wake;

    /* The current loop; written by the caller while the door is closed and nobody is
     * inside. */
    hadm_body *body;
    void *arg;
    int64_t chunk;
    struct share *shares;         /* one a worker                        */

    atomic_uint generation;       /* counts loops                        */
    atomic_uint door;             /* workers inside, and DOOR_CLOSED     */
    atomic_bool stop;
};

struct worker {
    struct hadm_pool *pool;
    int index;
};

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void take_from(struct hadm_pool *p, struct share *s, int64_t worker)
{
    for (;;) {
        const int64_t begin = atomic_fetch_add(&s->next, p->chunk);

        if (begin >= s->end)
            return;
        const int64_t end = s->end - begin < p->chunk ? s->end : begin + p->chunk;

        p->body(p->arg, begin, end, worker);
    }
}

static void take_chunks(struct hadm_pool *p, int64_t worker)
{
    for (int i = 0; i < p->n_workers; i++)
        take_from(p, &p->shares[(worker + i) % p->n_workers], worker);
}

/* Returns when the generation differs from `seen`. */
static unsigned wait_for_loop(struct hadm_pool *p, unsigned seen)
{
    const int64_t give_up = now_ns() + SPIN_NS;

    for (int i = 1;; i++) {
        const unsigned now = atomic_load_explicit(&p->generation, memory_order_acquire);

        if (now != seen)
            return now;
        relax();
        if (i % 64 == 0 && now_ns() > give_up)
            break;
    }
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->generation) == seen)
        pthread_cond_wait(&p->wake, &p->lock);
    pthread_mutex_unlock(&p->lock);
    return atomic_load(&p->generation);
}

static bool enter(struct hadm_pool *p)
{
    unsigned door = atomic_load(&p->door);

    while (!(door & DOOR_CLOSED))
        if (atomic_compare_exchange_weak(&p->door, &door, door + 1))
            return true;
    return false;
}

static void leave(struct hadm_pool *p)
{
    atomic_fetch_sub_explicit(&p->door, 1, memory_order_release);
}

/* Units are taken; waits until they are done.  With fewer processors than workers one
 * of those inside may be waiting for ours. */
static void close_door(struct hadm_pool *p)
{
    const int64_t give_up = now_ns() + SPIN_NS;

    atomic_fetch_or(&p->door, DOOR_CLOSED);
    for (int i = 1; atomic_load_explicit(&p->door, memory_order_acquire) != DOOR_CLOSED;
         i++) {
        relax();
        if (i % 64 == 0 && now_ns() > give_up)
            sched_yield();
    }
}

static void *work(void *arg)
{
    const struct worker w = *(struct worker *)arg;
    unsigned seen = 0;

    free(arg);
    for (;;) {
        seen = wait_for_loop(w.pool, seen);
        if (atomic_load(&w.pool->stop))
            return NULL;
        if (enter(w.pool)) {
            take_chunks(w.pool, w.index);
            leave(w.pool);
        }
    }
}

static void start_loop(struct hadm_pool *p)
{
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add_explicit(&p->generation, 1, memory_order_release);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

struct hadm_pool *hadm_pool_create(int n_workers)
{
    struct hadm_pool *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->n_workers = n_workers;
    atomic_store(&p->door, DOOR_CLOSED);
    p->threads = calloc((size_t)n_workers, sizeof *p->threads);
    p->shares = calloc((size_t)n_workers, sizeof *p->shares);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    for (int i = 1; p->threads && p->shares && i < n_workers; i++) {
        struct worker *w = malloc(sizeof *w);

        if (w)
            *w = (struct worker){p, i};
        if (!w || pthread_create(&p->threads[i], NULL, work, w) != 0) {
            free(w);
            break;
        }
        p->n_started++;
    }
    if (!p->shares || p->n_started != n_workers - 1) {
        hadm_pool_destroy(p);
        return NULL;
    }
    return p;
}

void hadm_pool_destroy(struct hadm_pool *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, true);
    start_loop(p);
    for (int i = 1; i <= p->n_started; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->threads);
    free(p->shares);
    free(p);
}

/* n units, in chunks of at least `grain`, to all workers alike. */
static void share_out(struct hadm_pool *p, int64_t n, int64_t grain)
{
    const int64_t part = n / (p->n_workers * CHUNKS_PER_WORKER);

    p->chunk = part > grain ? part : grain;
    const int64_t n_chunks = (n + p->chunk - 1) / p->chunk;

    for (int64_t i = 0; i < p->n_workers; i++) {
        const int64_t end = (i + 1) * n_chunks / p->n_workers * p->chunk;

        atomic_store(&p->shares[i].next, i * n_chunks / p->n_workers * p->chunk);
        p->shares[i].end = end < n ? end : n;
    }
}

void hadm_pool_for(void *pool, hadm_body *body, void *arg, int64_t n, int64_t grain)
{
    struct hadm_pool *p = pool;

    if (n <= grain || p->n_workers == 1) {
        body(arg, 0, n, 0);
        return;
    }

    p->body = body;
    p->arg = arg;
    share_out(p, n, grain > 0 ? grain : 1);
    atomic_store(&p->door, 0);
    start_loop(p);
    take_chunks(p, 0);
    close_door(p);
}
