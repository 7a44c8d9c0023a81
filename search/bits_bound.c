/* SPDX-License-Identifier: Apache-2.0 */
/* Shortest paths through a chain of units, and the Lagrangian bound on its optimum:
 *
 *     L(u, v) = min over paths of (kl + u (ns - max_ns) + v (bytes - max_bytes))
 *
 * is at most the optimum for every u, v >= 0.  Its best u, v are looked for by
 * subgradient steps with Polyak's length; paths met on the way that keep the budgets
 * are candidates for the best known plan.
 */
#include <math.h>
#include <string.h>

#include "search/bits_chain.h"

enum { ROUNDS = 200 };

static double weighted(const struct bits_chain *c, struct bits_weights w, int i, int l)
{
    const int at = i * c->levels + l;

    if (isinf(c->kl[at]))
        return INFINITY;
    return w.kl * c->kl[at] + w.ns * c->ns[at] + w.bytes * c->bytes[at];
}

static double conversion(const struct bits_chain *c, int i, int from, int to)
{
    return c->conversion[(i * c->levels + from) * c->levels + to];
}

/* Least cost of unit i and those after it, coming from level `from`; which level. */
static double best_next(const struct bits_chain *c, struct bits_weights w,
                        const double *after, int i, int from, int *level)
{
    double least = INFINITY;

    *level = -1;
    for (int l = 0; l < c->levels; l++) {
        const double change = i > 0 ? w.ns * conversion(c, i, from, l) : 0;
        const double cost = change + weighted(c, w, i, l) + after[i * c->levels + l];

        if (cost < least) {
            least = cost;
            *level = l;
        }
    }
    return least;
}

void bits_costs_after(const struct bits_chain *c, struct bits_weights w, double *after)
{
    int level;

    for (int l = 0; l < c->levels; l++)
        after[(c->n - 1) * c->levels + l] = 0;
    for (int i = c->n - 2; i >= 0; i--)
        for (int l = 0; l < c->levels; l++)
            after[i * c->levels + l] = best_next(c, w, after, i + 1, l, &level);
}

static bool follow(const struct bits_chain *c, struct bits_weights w,
                   const double *after, int *path)
{
    for (int i = 0; i < c->n; i++) {
        best_next(c, w, after, i, i ? path[i - 1] : 0, &path[i]);
        if (path[i] < 0)
            return false;
    }
    return true;
}

bool bits_shortest(const struct bits_chain *c, struct bits_weights w, int *path)
{
    struct arena *scratch = arena_create();
    double *after = arena_new_array(scratch, double, c->n * c->levels);

    bits_costs_after(c, w, after);

    const bool found = follow(c, w, after, path);

    arena_destroy(scratch);
    return found;
}

/* ---- the best known plan -------------------------------------------------------- */

struct totals {
    double kl, ns, bytes;
};

static struct totals add_up(const struct bits_chain *c, const int *path)
{
    struct totals t = {0};

    for (int i = 0; i < c->n; i++) {
        const int at = i * c->levels + path[i];

        t.kl += c->kl[at];
        t.ns += c->ns[at] + (i ? conversion(c, i, path[i - 1], path[i]) : 0);
        t.bytes += c->bytes[at];
    }
    return t;
}

static void consider(const struct bits_chain *c, const int *path, struct totals t,
                     struct bits_incumbent *best)
{
    if (t.ns > c->max_ns || t.bytes > c->max_bytes || !(t.kl < best->kl))
        return;
    best->kl = t.kl;
    memcpy(best->path, path, (size_t)c->n * sizeof *path);
}

/* How far over its budget, as a share of it; 0 without one. */
static double excess(double cost, double budget)
{
    return isinf(budget) ? 0 : cost / budget - 1;
}

/* A plan that meets each budget alone, for a first upper bound. */
static void consider_cheapest(const struct bits_chain *c, int *path,
                              struct bits_incumbent *best)
{
    const struct bits_weights cheapest[] = {{0, 1, 0}, {0, 0, 1}, {1, 0, 0}};

    for (int i = 0; i < 3; i++)
        if (bits_shortest(c, cheapest[i], path))
            consider(c, path, add_up(c, path), best);
}

/* Multipliers u, v of the relative excesses. */
static void ascend(const struct bits_chain *c, int *path, struct bits_incumbent *best)
{
    const bool has_ns = isfinite(c->max_ns), has_bytes = isfinite(c->max_bytes);
    double u = 0, v = 0, best_bound = -INFINITY;

    for (int round = 0; round < ROUNDS; round++) {
        const struct bits_weights w = {1, has_ns ? u / c->max_ns : 0,
                                       has_bytes ? v / c->max_bytes : 0};

        if (!bits_shortest(c, w, path))
            return;

        const struct totals t = add_up(c, path);
        const double du = excess(t.ns, c->max_ns), dv = excess(t.bytes, c->max_bytes);
        const double bound = t.kl + u * du + v * dv, length = du * du + dv * dv;

        consider(c, path, t, best);
        if (bound > best_bound) {
            best_bound = bound;
            best->per_ns = w.ns;
            best->per_bytes = w.bytes;
        }

        const double aim = isfinite(best->kl) ? best->kl : 2 * fabs(bound) + 1;
        const double step = (aim - bound) / (1 + round / 20.0);

        if (length == 0 || step <= 0)
            return;
        u = fmax(0, u + step * du / length);
        v = fmax(0, v + step * dv / length);
    }
}

void bits_find_incumbent(struct arena *a, const struct bits_chain *c,
                         struct bits_incumbent *out)
{
    struct arena *scratch = arena_create();
    int *path = arena_new_array(scratch, int, c->n);

    *out =
        (struct bits_incumbent){.kl = INFINITY, .path = arena_new_array(a, int, c->n)};
    consider_cheapest(c, path, out);
    ascend(c, path, out);
    arena_destroy(scratch);
}
