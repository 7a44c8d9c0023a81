/* SPDX-License-Identifier: Apache-2.0 */
/* The programme over bits: see bits_programme.h.  Bounds and fronts are in bits_bound.c
 * and bits_front.c; here is what is asked of them, and how problems without a solution
 * are answered. */
#include "search/bits_programme.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "search/bits_chain.h"

enum { MAX_STATES = 1 << 20, FIRST_SHARE = 1 << 16 };

#define MAX_COST (INT64_C(1) << BITS_MAX_COST_LOG2)

static int n_cells(const struct bits_problem *p)
{
    return p->n_units * p->n_levels;
}

static void check(const struct bits_problem *p)
{
    assert(p->n_units >= 1 && p->n_units <= BITS_MAX_UNITS);
    assert(p->n_levels >= 1 && p->n_levels <= BITS_MAX_LEVELS);
    assert(p->max_ns >= 1 && p->max_bytes >= 1 && p->max_ram >= 1);
    for (int i = 0; i < n_cells(p); i++) {
        assert(p->kl[i] >= 0);
        assert(p->ns[i] >= 0 && p->ns[i] <= MAX_COST);
        assert(p->bytes[i] >= 0 && p->bytes[i] <= MAX_COST);
    }
    for (int i = 0; p->conversion_ns && i < n_cells(p) * p->n_levels; i++)
        assert(p->conversion_ns[i] >= 0 && p->conversion_ns[i] <= MAX_COST);
}

/* ---- chains -----------------------------------------------------------------------
 */

struct rounding {
    int64_t ns, bytes; /* costs become multiples of it */
};

static double budget_of(int64_t most)
{
    return most == BITS_NO_BUDGET ? INFINITY : (double)most;
}

/* Costs rounded up; `from` NULL or without budget: zeros. */
static const double *rounded(struct arena *a, const int64_t *from, int n, bool wanted,
                             int64_t step)
{
    double *out = arena_new_array(a, double, n);

    for (int i = 0; from && wanted && i < n; i++)
        out[i] = (double)((from[i] + step - 1) / step * step);
    return out;
}

/* `ignore_kl`: only costs count; levels that are not allowed stay so. */
static struct bits_chain make_chain(struct arena *a, const struct bits_problem *p,
                                    struct rounding step, bool ignore_kl)
{
    const bool has_ns = p->max_ns != BITS_NO_BUDGET,
               has_bytes = p->max_bytes != BITS_NO_BUDGET;
    double *kl = arena_new_array(a, double, n_cells(p));

    for (int i = 0; i < n_cells(p); i++)
        kl[i] = p->ram && p->ram[i] > p->max_ram  ? INFINITY
                : ignore_kl && isfinite(p->kl[i]) ? 0
                                                  : p->kl[i];
    return (struct bits_chain){
        .n = p->n_units,
        .levels = p->n_levels,
        .kl = kl,
        .ns = rounded(a, p->ns, n_cells(p), has_ns, step.ns),
        .bytes = rounded(a, p->bytes, n_cells(p), has_bytes, step.bytes),
        .conversion =
            rounded(a, p->conversion_ns, n_cells(p) * p->n_levels, has_ns, step.ns),
        .max_ns = budget_of(p->max_ns),
        .max_bytes = budget_of(p->max_bytes),
    };
}

/* Fronts with the smallest rounding for which they have room; `step` is where to start
 * and what was used. */
static void fronts(struct arena *scratch, const struct bits_problem *p, bool ignore_kl,
                   const struct bits_incumbent *best, struct rounding *step,
                   struct bits_layers *out)
{
    const int64_t most = p->max_states ? p->max_states : MAX_STATES;

    for (;;) {
        const struct bits_chain c = make_chain(scratch, p, *step, ignore_kl);

        if (bits_fronts(scratch, &c, best, most, out))
            return;
        if (p->max_ns != BITS_NO_BUDGET)
            step->ns = step->ns == 1 ? p->max_ns / FIRST_SHARE + 2 : 2 * step->ns;
        if (p->max_bytes != BITS_NO_BUDGET)
            step->bytes =
                step->bytes == 1 ? p->max_bytes / FIRST_SHARE + 2 : 2 * step->bytes;
    }
}

/* ---- the answer -------------------------------------------------------------------
 */

static int64_t conversion_ns(const struct bits_problem *p, int i, int from, int to)
{
    return p->conversion_ns
               ? p->conversion_ns[((int64_t)i * p->n_levels + from) * p->n_levels + to]
               : 0;
}

/* What the levels cost, unrounded. */
static void add_up(const struct bits_problem *p, const int *levels,
                   struct bits_answer *out)
{
    out->kl = 0;
    out->ns = out->bytes = 0;
    for (int i = 0; i < p->n_units; i++) {
        const int at = i * p->n_levels + levels[i];

        out->kl += p->kl[at];
        out->ns += p->ns[at];
        out->ns += i ? conversion_ns(p, i, levels[i - 1], levels[i]) : 0;
        out->bytes += p->bytes[at];
    }
    out->levels = levels;
}

/* The optimum of a problem that may have none; false: none was found. */
static bool solve(struct arena *a, const struct bits_problem *p,
                  struct bits_answer *out)
{
    struct arena *scratch = arena_create();
    struct rounding step = {1, 1};
    const struct bits_chain exact = make_chain(scratch, p, step, false);
    struct bits_incumbent best;
    struct bits_layers layers;
    int at = -1;

    bits_find_incumbent(a, &exact, &best);
    fronts(scratch, p, false, &best, &step, &layers);
    for (int i = 0; i < layers.count[layers.n - 1]; i++)
        if (layers.at[layers.n - 1][i].kl < best.kl) {
            at = i;
            best.kl = layers.at[layers.n - 1][i].kl;
        }
    if (at >= 0)
        bits_trace(&layers, at, best.path);
    out->step_ns = step.ns;
    out->step_bytes = step.bytes;
    out->n_states += layers.n_states;
    arena_destroy(scratch);
    if (isinf(best.kl))
        return false;
    add_up(p, best.path, out);
    return true;
}

/* ---- problems without a solution --------------------------------------------------
 */

/* Cost to budget, as a fraction. */
struct ratio {
    int64_t cost, budget;
};

static int compare_ratios(struct ratio a, struct ratio b)
{
    const __int128 left = (__int128)a.cost * b.budget,
                   right = (__int128)b.cost * a.budget;

    return (left > right) - (left < right);
}

struct closeness {
    struct ratio worse, better;
    int64_t ns;
};

static struct closeness measure(const struct bits_problem *p, int64_t ns, int64_t bytes)
{
    const struct ratio none = {0, 1};
    const struct ratio r = p->max_ns == BITS_NO_BUDGET ? none
                                                       : (struct ratio){ns, p->max_ns},
                       s = p->max_bytes == BITS_NO_BUDGET
                               ? none
                               : (struct ratio){bytes, p->max_bytes};

    return compare_ratios(r, s) >= 0 ? (struct closeness){r, s, ns}
                                     : (struct closeness){s, r, ns};
}

static bool is_closer(struct closeness a, struct closeness b)
{
    int order = compare_ratios(a.worse, b.worse);

    if (!order)
        order = compare_ratios(a.better, b.better);
    return order < 0 || (order == 0 && a.ns < b.ns);
}

static int64_t raised(int64_t budget, int64_t cost)
{
    return budget != BITS_NO_BUDGET && cost > budget ? cost : budget;
}

static void raise_budgets(struct bits_problem *p, const struct bits_answer *to)
{
    p->max_ns = raised(p->max_ns, to->ns);
    p->max_bytes = raised(p->max_bytes, to->bytes);
}

/* The path of least time, or of least bytes; false: a unit has no level. */
static bool cheapest(struct arena *a, const struct bits_problem *p,
                     struct bits_weights w, struct bits_answer *out)
{
    struct arena *scratch = arena_create();
    struct bits_problem all = *p; /* costs count even without budgets */
    int *path = arena_new_array(a, int, p->n_units);

    all.max_ns = all.max_bytes = INT64_MAX - 1;

    const struct bits_chain c =
        make_chain(scratch, &all, (struct rounding){1, 1}, false);
    const bool found = bits_shortest(&c, w, path);

    arena_destroy(scratch);
    if (found)
        add_up(p, path, out);
    return found;
}

/* Of all plans the closest to the budgets, kl aside.  A plan that is as close as the
 * two cheapest ones stays within the budgets raised to the closer one's worse ratio. */
static void find_closest(struct arena *a, const struct bits_problem *p,
                         const struct bits_answer *least_ns,
                         const struct bits_answer *least_bytes, struct bits_answer *out)
{
    struct arena *scratch = arena_create();
    struct rounding step = {1, 1};
    struct bits_layers layers;
    int *path = arena_new_array(a, int, p->n_units);
    const struct closeness of_ns = measure(p, least_ns->ns, least_ns->bytes),
                           of_bytes = measure(p, least_bytes->ns, least_bytes->bytes);
    const bool ns_is_closer = is_closer(of_ns, of_bytes);
    struct closeness least = ns_is_closer ? of_ns : of_bytes;
    struct bits_problem wide = *p;
    const struct bits_incumbent none = {.kl = INFINITY};

    *out = ns_is_closer ? *least_ns : *least_bytes;
    if (p->max_ns != BITS_NO_BUDGET)
        wide.max_ns =
            (int64_t)((__int128)least.worse.cost * p->max_ns / least.worse.budget);
    if (p->max_bytes != BITS_NO_BUDGET)
        wide.max_bytes =
            (int64_t)((__int128)least.worse.cost * p->max_bytes / least.worse.budget);
    fronts(scratch, &wide, true, &none, &step, &layers);
    for (int i = 0; i < layers.count[layers.n - 1]; i++) {
        struct bits_answer one;

        bits_trace(&layers, i, path);
        add_up(p, path, &one);
        if (is_closer(measure(p, one.ns, one.bytes), least)) {
            least = measure(p, one.ns, one.bytes);
            *out = one;
            out->levels = arena_copy(a, path, (size_t)p->n_units * sizeof *path);
        }
    }
    arena_destroy(scratch);
}

static enum bits_blocked find_blocked(const struct bits_problem *p, int64_t least_ns,
                                      int64_t least_bytes)
{
    const bool ns = least_ns > p->max_ns, bytes = least_bytes > p->max_bytes;

    return ns == bytes ? BITS_BLOCKED_BY_BOTH
           : ns        ? BITS_BLOCKED_BY_NS
                       : BITS_BLOCKED_BY_BYTES;
}

/* Raises the budgets that have to be raised; then there is a plan. */
static void solve_closest(struct arena *a, const struct bits_problem *p,
                          struct bits_answer *out)
{
    struct bits_problem wide = *p;
    struct bits_answer ns, bytes, closest;

    if (solve(a, p, out))
        return;
    if (!cheapest(a, p, (struct bits_weights){0, 1, 0}, &ns)
        || !cheapest(a, p, (struct bits_weights){0, 0, 1}, &bytes)) {
        out->blocked = BITS_NO_LEVEL;
        return;
    }
    out->blocked = find_blocked(p, ns.ns, bytes.bytes);
    find_closest(a, p, &ns, &bytes, &closest);
    raise_budgets(&wide, &closest);
    if (!solve(a, &wide, out)) /* rounding hides even the closest plan */
        add_up(p, closest.levels, out);
}

/* ---------------------------------------------------------------------------------- */

/* Some unit has levels, but none within max_ram. */
static bool is_blocked_by_ram(const struct bits_problem *p)
{
    bool blocked = false;

    for (int i = 0; p->ram && i < p->n_units && !blocked; i++) {
        bool fits = false;

        for (int l = 0; l < p->n_levels; l++) {
            const int at = i * p->n_levels + l;

            fits |= isfinite(p->kl[at]) && p->ram[at] <= p->max_ram;
        }
        blocked = !fits;
    }
    return blocked;
}

struct bits_answer bits_programme(struct arena *a, const struct bits_problem *p)
{
    struct bits_answer out = {.step_ns = 1, .step_bytes = 1}, least;
    struct bits_problem q = *p;

    check(p);

    const bool ram = is_blocked_by_ram(p);

    if (ram)
        q.ram = NULL;
    solve_closest(a, &q, &out);
    if (out.blocked == BITS_NO_LEVEL)
        return out;
    if (ram)
        out.blocked = BITS_BLOCKED_BY_RAM;
    cheapest(a, &q, (struct bits_weights){0, 1, 0}, &least);
    out.least_ns = least.ns;
    cheapest(a, &q, (struct bits_weights){0, 0, 1}, &least);
    out.least_bytes = least.bytes;
    return out;
}

const char *bits_blocked_text(enum bits_blocked blocked)
{
    static const char *const words[] = {
        [BITS_FITS] = "",
        [BITS_BLOCKED_BY_NS] = "no choice of bits is as fast as the time budget asks",
        [BITS_BLOCKED_BY_BYTES] =
            "no choice of bits is as small as the byte budget asks",
        [BITS_BLOCKED_BY_BOTH] = "no choice of bits meets both budgets at once",
        [BITS_BLOCKED_BY_RAM] =
            "a unit needs more memory than the budget in all widths",
        [BITS_NO_LEVEL] = "a unit has no width that the target can compute in",
    };

    return words[blocked];
}
