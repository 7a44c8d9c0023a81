/* SPDX-License-Identifier: Apache-2.0 */
/* Fronts: see pareto.h.  They have some hundred points of four objectives. */
#include "search/pareto.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool pareto_dominates(int n, const double *a, const double *b)
{
    bool better = false;

    for (int k = 0; k < n; k++) {
        if (a[k] > b[k])
            return false;
        better |= a[k] < b[k];
    }
    return better;
}

struct pareto pareto_create(struct arena *a, int n_objectives)
{
    assert(n_objectives >= 1 && n_objectives <= PARETO_MAX);
    return (struct pareto){.n_objectives = n_objectives, .arena = a};
}

static bool as_good(int n, const double *a, const double *b)
{
    for (int k = 0; k < n; k++)
        if (a[k] > b[k])
            return false;
    return true;
}

bool pareto_add(struct pareto *p, const double *at, int id)
{
    int n = 0;

    for (int i = 0; i < p->n; i++)
        if (as_good(p->n_objectives, p->points[i].at, at))
            return false;
    for (int i = 0; i < p->n; i++)
        if (!pareto_dominates(p->n_objectives, at, p->points[i].at))
            p->points[n++] = p->points[i];
    p->points = arena_grow(p->arena, p->points, sizeof *p->points, n, &p->cap);
    p->points[n] = (struct pareto_point){.id = id};
    memcpy(p->points[n].at, at, (size_t)p->n_objectives * sizeof *at);
    p->n = n + 1;
    return true;
}

/* ---- hypervolume ------------------------------------------------------------------
 */

static int compare_last(const void *left, const void *right)
{
    const struct pareto_point *a = left, *b = right;

    for (int k = PARETO_MAX - 1; k >= 0; k--)
        if (a->at[k] != b->at[k])
            return a->at[k] > b->at[k] ? -1 : 1;
    return 0;
}

static double box(int n, const double *at, const double *reference)
{
    double volume = 1;

    for (int k = 0; k < n; k++)
        volume *= reference[k] - at[k];
    return volume;
}

/* Points without the dominated ones and without copies, in place; returns how many. */
static int filter(int n_objectives, struct pareto_point *points, int n)
{
    int kept = 0;

    for (int i = 0; i < n; i++) {
        bool beaten = false;

        for (int k = 0; k < n && !beaten; k++)
            beaten =
                pareto_dominates(n_objectives, points[k].at, points[i].at)
                || (k < i && !memcmp(points[k].at, points[i].at, sizeof points[i].at));
        if (!beaten)
            points[kept++] = points[i];
    }
    return kept;
}

/* Each point's box less what the points after it have of it. */
static double volume(struct arena *scratch, int n_objectives,
                     struct pareto_point *points, int n, const double *reference)
{
    double sum = 0;

    qsort(points, (size_t)n, sizeof *points, compare_last);
    for (int i = 0; i < n; i++) {
        struct pareto_point *rest =
            arena_new_array(scratch, struct pareto_point, n - i - 1);

        for (int k = i + 1; k < n; k++)
            for (int o = 0; o < n_objectives; o++)
                rest[k - i - 1].at[o] = fmax(points[k].at[o], points[i].at[o]);

        const int n_rest = filter(n_objectives, rest, n - i - 1);

        sum += box(n_objectives, points[i].at, reference);
        if (n_rest)
            sum -= volume(scratch, n_objectives, rest, n_rest, reference);
    }
    return sum;
}

double pareto_hypervolume(const struct pareto *p, const double *reference)
{
    struct arena *scratch = arena_create();
    struct pareto_point *points = arena_new_array(scratch, struct pareto_point, p->n);
    int n = 0;

    for (int i = 0; i < p->n; i++) {
        bool inside = true;

        for (int k = 0; k < p->n_objectives; k++)
            inside &= p->points[i].at[k] < reference[k];
        if (inside) {
            memset(&points[n], 0, sizeof points[n]);
            memcpy(points[n].at, p->points[i].at,
                   (size_t)p->n_objectives * sizeof points[n].at[0]);
            n++;
        }
    }

    const double result = volume(scratch, p->n_objectives, points, n, reference);

    arena_destroy(scratch);
    return result;
}

int pareto_knee(const struct pareto *p)
{
    double nearest = INFINITY;
    int knee = -1;

    for (int i = 0; i < p->n; i++) {
        double distance = 0;

        for (int k = 0; k < p->n_objectives; k++) {
            double least = INFINITY, most = -INFINITY;

            for (int m = 0; m < p->n; m++) {
                least = fmin(least, p->points[m].at[k]);
                most = fmax(most, p->points[m].at[k]);
            }

            const double share =
                most > least ? (p->points[i].at[k] - least) / (most - least) : 0;

            distance += share * share;
        }
        if (distance < nearest) {
            nearest = distance;
            knee = i;
        }
    }
    return knee;
}
