/* SPDX-License-Identifier: Apache-2.0 */
/* The Pareto fronts of the programme over bits.  One layer a unit; in it, for each
 * level, the partial plans that no other one beats or equals in divergence, time and
 * bytes.  The level is what the next conversion depends on, so fronts of different
 * levels are not compared.
 *
 * A sort by time and a prefix minimum of divergence over the ranks of bytes (a Fenwick
 * tree) find the front of n candidates in O(n log n).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "search/bits_chain.h"

/* What a state is measured against; [unit][level] each. */
struct bounds {
    const double *ns_after, *bytes_after, *kl_after, *bound_after;
    struct bits_weights lagrange;
    double slack; /* max_ns and max_bytes times their multipliers */
    double most;  /* a bound above it cannot beat the best known plan */
};

static const double *costs_after(struct arena *a, const struct bits_chain *c,
                                 struct bits_weights w)
{
    double *after = arena_new_array(a, double, c->n * c->levels);

    bits_costs_after(c, w, after);
    return after;
}

static double times_budget(double multiplier, double budget)
{
    return isinf(budget) ? 0 : multiplier * budget;
}

static void set_bounds(struct arena *a, const struct bits_chain *c,
                       const struct bits_incumbent *best, struct bounds *out)
{
    const struct bits_weights lagrange = {1, best->per_ns, best->per_bytes};

    *out = (struct bounds){
        .ns_after = costs_after(a, c, (struct bits_weights){0, 1, 0}),
        .bytes_after = costs_after(a, c, (struct bits_weights){0, 0, 1}),
        .kl_after = costs_after(a, c, (struct bits_weights){1, 0, 0}),
        .bound_after = costs_after(a, c, lagrange),
        .lagrange = lagrange,
        .slack = times_budget(best->per_ns, c->max_ns)
                 + times_budget(best->per_bytes, c->max_bytes),
    };
    /* Far above rounding errors of the sums, far below a difference that matters. */
    out->most = best->kl + 1e-9 * (best->kl + out->slack);
}

static bool is_hopeless(const struct bits_chain *c, const struct bounds *b, int unit,
                        const struct bits_state *s)
{
    const int at = unit * c->levels + s->level;
    const double bound = s->kl + b->lagrange.ns * s->ns + b->lagrange.bytes * s->bytes
                         + b->bound_after[at] - b->slack;

    return s->ns + b->ns_after[at] > c->max_ns
           || s->bytes + b->bytes_after[at] > c->max_bytes
           || s->kl + b->kl_after[at] > b->most || bound > b->most;
}

/* ---- dominance --------------------------------------------------------------------
 */

static int compare_numbers(double a, double b)
{
    return (a > b) - (a < b);
}

/* By time, bytes, divergence; then as they were made. */
static int compare_states(const void *left, const void *right)
{
    const struct bits_state *a = left, *b = right;
    int order = compare_numbers(a->ns, b->ns);

    if (!order)
        order = compare_numbers(a->bytes, b->bytes);
    if (!order)
        order = compare_numbers(a->kl, b->kl);
    return order ? order : compare_numbers(a->before, b->before);
}

static int compare_doubles(const void *left, const void *right)
{
    return compare_numbers(*(const double *)left, *(const double *)right);
}

static int rank_of(const double *sorted, int n, double value)
{
    int low = 0, high = n;

    while (low < high) {
        const int middle = low + (high - low) / 2;

        if (sorted[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Keeps the front of s[n], in place; returns how many. */
static int keep_front(struct arena *scratch, struct bits_state *s, int n)
{
    double *bytes = arena_new_array(scratch, double, n + 1);
    double *least = arena_new_array(scratch, double, n + 2); /* Fenwick, from 1 */
    int kept = 0;

    qsort(s, (size_t)n, sizeof *s, compare_states);
    for (int i = 0; i < n; i++) {
        bytes[i] = s[i].bytes;
        least[i + 1] = INFINITY;
    }
    qsort(bytes, (size_t)n, sizeof *bytes, compare_doubles);
    for (int i = 0; i < n; i++) {
        const int rank = rank_of(bytes, n, s[i].bytes) + 1;
        double before = INFINITY;

        for (int r = rank; r > 0; r -= r & -r)
            before = fmin(before, least[r]);
        if (before <= s[i].kl)
            continue;
        for (int r = rank; r <= n; r += r & -r)
            least[r] = fmin(least[r], s[i].kl);
        s[kept++] = s[i];
    }
    return kept;
}

/* ---- layers -----------------------------------------------------------------------
 */

/* The plan s for the units before `unit`, with `level` for it. */
static struct bits_state extend(const struct bits_chain *c, int unit, int level,
                                const struct bits_state *s, int index)
{
    const int at = unit * c->levels + level;
    struct bits_state next = {.kl = c->kl[at],
                              .ns = c->ns[at],
                              .bytes = c->bytes[at],
                              .before = -1,
                              .level = level};

    if (s) {
        next.kl = s->kl + c->kl[at];
        next.ns = s->ns + c->ns[at]
                  + c->conversion[(unit * c->levels + s->level) * c->levels + level];
        next.bytes = s->bytes + c->bytes[at];
        next.before = index;
    }
    return next;
}

/* Front of one level, appended to out[]; -1: more than `room` states. */
static int add_level(struct arena *scratch, const struct bits_chain *c,
                     const struct bounds *b, int unit, int level,
                     const struct bits_state *before, int n_before, int64_t room,
                     struct bits_state *out)
{
    int n = 0;

    if (isinf(c->kl[unit * c->levels + level]))
        return 0;
    for (int i = 0; i < (before ? n_before : 1); i++) {
        const struct bits_state next =
            extend(c, unit, level, before ? &before[i] : NULL, i);

        if (!is_hopeless(c, b, unit, &next))
            out[n++] = next;
    }
    n = keep_front(scratch, out, n);
    return n > room ? -1 : n;
}

bool bits_fronts(struct arena *scratch, const struct bits_chain *c,
                 const struct bits_incumbent *best, int64_t max_states,
                 struct bits_layers *out)
{
    struct arena *sorting = arena_create();
    struct bounds bounds;
    bool fits = true;

    set_bounds(scratch, c, best, &bounds);
    *out =
        (struct bits_layers){.n = c->n,
                             .at = arena_new_array(scratch, struct bits_state *, c->n),
                             .count = arena_new_array(scratch, int, c->n)};
    for (int i = 0; i < c->n && fits; i++) {
        const struct bits_state *before = i ? out->at[i - 1] : NULL;
        const int n_before = i ? out->count[i - 1] : 1;
        struct bits_state *layer = arena_new_array(sorting, struct bits_state,
                                                   (int64_t)n_before * c->levels + 1);
        int n = 0;

        for (int l = 0; l < c->levels && fits; l++) {
            const int more = add_level(sorting, c, &bounds, i, l, before, n_before,
                                       max_states - out->n_states - n, layer + n);

            fits = more >= 0;
            n += fits ? more : 0;
        }
        out->at[i] = arena_copy(scratch, layer, (size_t)n * sizeof *layer + 1);
        out->count[i] = n;
        out->n_states += n;
        arena_reset(sorting);
    }
    arena_destroy(sorting);
    return fits;
}

void bits_trace(const struct bits_layers *l, int index, int *path)
{
    for (int i = l->n - 1; i >= 0; i--) {
        path[i] = l->at[i][index].level;
        index = l->at[i][index].before;
    }
}
