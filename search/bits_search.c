/* SPDX-License-Identifier: Apache-2.0 */
/* See bits_search.h. */
#include "search/bits_search.h"

#include <math.h>

static const double KL_FLOOR = 1e-5; /* allowances below are those of the float plan */

static struct bits_problem problem_of(const struct bits_search *s)
{
    struct bits_problem p = sensitivity_problem(s->table);

    p.conversion_ns = s->conversion_ns;
    return p;
}

static struct bits_point point_of(const struct bits_answer *answer)
{
    return (struct bits_point){.levels = answer->levels,
                               .kl = answer->kl,
                               .ns = answer->ns,
                               .bytes = answer->bytes};
}

static double milliseconds(double ns)
{
    return ns / 1e6;
}

/* ---- within budgets -------------------------------------------------------------- */

static struct status *blocked(const struct bits_answer *answer)
{
    return FAIL(NO_FIT,
                "%s: the closest plan takes %.3f ms and has %lld bytes of weights; "
                "%.3f ms and %lld bytes are the least there are",
                bits_blocked_text(answer->blocked), milliseconds((double)answer->ns),
                (long long)answer->bytes, milliseconds((double)answer->least_ns),
                (long long)answer->least_bytes);
}

struct status *bits_search_check(struct arena *a, const struct bits_search *s)
{
    struct bits_problem p = problem_of(s);

    p.max_ns = s->max_ns;
    p.max_bytes = s->max_bytes;
    const struct bits_answer answer = bits_programme(a, &p);

    return answer.blocked == BITS_FITS ? OK : blocked(&answer);
}

/* The measured cost is above the budget: by how much the programme's must shrink. */
static bool tighten(int64_t *budget, int64_t wanted, double measured, int64_t modelled)
{
    if (wanted == BITS_NO_BUDGET || measured <= (double)wanted)
        return false;
    const double next = (double)modelled * (double)wanted / measured;

    *budget = next < 1.0 ? 1 : (int64_t)next;
    return true;
}

static struct status *too_lossy(const struct bits_search *s, const struct bits_point *p)
{
    return FAIL(NO_FIT,
                "the most accurate plan within the budgets loses %.2f points on "
                "validation samples; %.2f are allowed. It has %lld bytes of weights",
                p->drop, s->max_drop, (long long)p->file_bytes);
}

static struct status *within_budgets(struct arena *a, const struct bits_search *s,
                                     struct bits_point *out)
{
    struct bits_problem p = problem_of(s);

    p.max_ns = s->max_ns;
    p.max_bytes = s->max_bytes;
    for (int i = 0; i < BITS_SEARCH_MOST; i++) {
        const struct bits_answer answer = bits_programme(a, &p);

        if (answer.blocked != BITS_FITS)
            return blocked(&answer);
        *out = point_of(&answer);
        RETURN_IF_FAIL(s->measure(out, s->arg));

        const bool slow = tighten(&p.max_ns, s->max_ns, out->run_ns, out->ns);
        const bool large =
            tighten(&p.max_bytes, s->max_bytes, (double)out->file_bytes, out->bytes);

        if (!slow && !large)
            return out->drop <= s->max_drop ? OK : too_lossy(s, out);
    }
    return FAIL(NO_FIT,
                "no plan was found within the budgets: the last one has %lld bytes of "
                "weights and takes %.3f ms",
                (long long)out->file_bytes, milliseconds(out->run_ns));
}

/* ---- the fastest that is accurate enough ----------------------------------------- */

/* The least time for which a sum of KL within `allowed` is possible. */
static struct bits_answer fastest(struct arena *a, const struct bits_search *s,
                                  double allowed)
{
    struct bits_problem p = problem_of(s);
    struct bits_answer best = bits_programme(a, &p);
    int64_t low, high;

    p.max_ns = 1;
    low = bits_programme(a, &p).least_ns;
    high = best.ns;
    while (low < high) {
        p.max_ns = low + (high - low) / 2;
        const struct bits_answer middle = bits_programme(a, &p);

        if (middle.blocked == BITS_FITS && middle.kl <= allowed) {
            best = middle;
            high = middle.ns;
        } else {
            low = p.max_ns + 1;
        }
    }
    return best;
}

static bool same_plan(const struct bits_search *s, const int *a, const int *b)
{
    for (int i = 0; i < s->table->n_units; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

static struct status *accurate_enough(struct arena *a, const struct bits_search *s,
                                      struct bits_point *out)
{
    double low = KL_FLOOR, high = 0.0;
    struct bits_answer answer = fastest(a, s, INFINITY);
    struct bits_point p = point_of(&answer);
    const int *last = NULL;

    high = p.kl;
    for (int i = 0; i < BITS_SEARCH_MOST; i++) {
        if (!last || !same_plan(s, last, p.levels))
            RETURN_IF_FAIL(s->measure(&p, s->arg));
        last = p.levels;
        if (p.drop <= s->max_drop) {
            *out = p;
            low = p.kl;
        } else {
            high = p.kl;
        }
        if (!(low < 0.9 * high))
            break;
        const double drop = p.drop;

        answer = fastest(a, s, sqrt(low * high));
        p = point_of(&answer);
        p.drop = drop;
    }
    if (out->levels)
        return OK;
    answer = fastest(a, s, 0.0); /* the original's own bits */
    *out = point_of(&answer);
    return s->measure(out, s->arg);
}

struct status *bits_search(struct arena *a, const struct bits_search *s,
                           struct bits_point *out)
{
    *out = (struct bits_point){0};
    return s->max_ns == BITS_NO_BUDGET && s->max_bytes == BITS_NO_BUDGET
               ? accurate_enough(a, s, out)
               : within_budgets(a, s, out);
}
