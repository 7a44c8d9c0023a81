/* SPDX-License-Identifier: Apache-2.0 */
/* Plans evaluated before they are asked for: see ahead.h. */
#include "search/ahead.h"

#include <string.h>

/* A plan on its way: this, then its units. */
struct sent {
    double temperature, alpha;
    int32_t update;
};

struct answer {
    struct search_result result;
    bool failed;
};

struct ahead {
    struct arena *arena;
    const struct search_problem *p;
    struct ranks *ranks;
    int n, cap; /* results that nobody has asked for yet */
    struct known {
        struct choices *choices;
        struct search_result result;
    } *known;
};

struct ahead *ahead_create(struct arena *a, const struct search_problem *p,
                           struct ranks *r)
{
    struct ahead *h = arena_new(a, struct ahead);

    *h = (struct ahead){.arena = a, .p = p, .ranks = r};
    return h;
}

/* ---- messages -------------------------------------------------------------------- */

static size_t plan_bytes(const struct ahead *h)
{
    return sizeof(struct sent) + (size_t)h->p->n_units * sizeof(struct choice);
}

static void pack(const struct choices *c, char *to)
{
    const struct sent s = {c->temperature, c->alpha, c->update};

    memcpy(to, &s, sizeof s);
    memcpy(to + sizeof s, c->units, (size_t)c->n_units * sizeof *c->units);
}

static void unpack(const char *from, struct choices *c)
{
    struct sent s;

    memcpy(&s, from, sizeof s);
    memcpy(c->units, from + sizeof s, (size_t)c->n_units * sizeof *c->units);
    c->temperature = s.temperature;
    c->alpha = s.alpha;
    c->update = s.update;
}

/* ---- sharing --------------------------------------------------------------------- */

/* Neighbours go to one rank: they have most in common. */
static int first_of(const struct ahead *h, int rank, int n)
{
    return (int)((int64_t)n * rank / h->ranks->n);
}

static int most_of_a_rank(const struct ahead *h, int n)
{
    return (n + h->ranks->n - 1) / h->ranks->n;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

/* Plans are packed one after the other, `all` is [ranks][most_of_a_rank]. */
static struct status *evaluate_share(struct ahead *h, const char *plans, int n,
                                     bool (*failed)(void *arg), void *arg,
                                     struct answer *all)
{
    const int rank = h->ranks->rank, first = first_of(h, rank, n),
              end = first_of(h, rank + 1, n), most = most_of_a_rank(h, n);
    struct arena *a = arena_create();
    struct choices *c = choices_create(a, h->p->n_units);
    struct answer *own = arena_new_array(a, struct answer, most);

    for (int i = first; i < end; i++) {
        unpack(plans + (size_t)i * plan_bytes(h), c);
        h->p->evaluate(h->p->self, c, &own[i - first].result);
        own[i - first].failed = failed(arg);
    }

    struct status *s = h->ranks->gather(h->ranks, own, (size_t)most * sizeof *own, all);

    arena_destroy(a);
    return s;
}

static void keep(struct ahead *h, const struct choices *c, const struct answer *answer)
{
    struct known *k;

    if (answer->failed)
        return;
    h->known = arena_grow(h->arena, h->known, sizeof *h->known, h->n, &h->cap);
    k = &h->known[h->n++];
    k->choices = choices_create(h->arena, c->n_units);
    choices_copy(k->choices, c);
    k->result = answer->result;
}

struct status *ahead_run(struct ahead *h, const struct choices *const *plans, int n)
{
    struct arena *a = arena_create();
    const int most = most_of_a_rank(h, n);
    const size_t size = plan_bytes(h) * (size_t)n;
    char *bytes = arena_alloc(a, size);
    struct answer *all = arena_new_array(a, struct answer, (int64_t)most * h->ranks->n);
    int32_t count = n;

    for (int i = 0; i < n; i++)
        pack(plans[i], bytes + (size_t)i * plan_bytes(h));

    struct status *s = h->ranks->broadcast(h->ranks, &count, sizeof count);

    if (!s)
        s = h->ranks->broadcast(h->ranks, bytes, size);
    if (!s)
        s = evaluate_share(h, bytes, n, never, NULL, all);
    for (int rank = 0; !s && rank < h->ranks->n; rank++)
        for (int i = first_of(h, rank, n); i < first_of(h, rank + 1, n); i++)
            keep(h, plans[i], &all[rank * most + i - first_of(h, rank, n)]);
    arena_destroy(a);
    return s;
}

bool ahead_take(struct ahead *h, const struct choices *c, struct search_result *out)
{
    for (int i = 0; i < h->n; i++)
        if (choices_equal(h->known[i].choices, c)) {
            *out = h->known[i].result;
            h->known[i] = h->known[--h->n];
            return true;
        }
    return false;
}

struct status *ahead_serve(struct ahead *h, bool (*failed)(void *arg), void *arg)
{
    for (;;) {
        struct arena *a = arena_create();
        int32_t n = 0;
        struct status *s = h->ranks->broadcast(h->ranks, &n, sizeof n);

        if (!s && n) {
            char *bytes = arena_alloc(a, plan_bytes(h) * (size_t)n);

            s = h->ranks->broadcast(h->ranks, bytes, plan_bytes(h) * (size_t)n);
            if (!s)
                s = evaluate_share(h, bytes, n, failed, arg, NULL);
        }
        arena_destroy(a);
        if (s || !n)
            return s;
    }
}

struct status *ahead_end(struct ahead *h)
{
    int32_t none = 0;

    return h->ranks->broadcast(h->ranks, &none, sizeof none);
}
