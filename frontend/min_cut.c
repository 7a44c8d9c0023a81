/* SPDX-License-Identifier: Apache-2.0 */
/* Minimum cut by maximum flow.  See min_cut.h.
 *
 * Variables on the source's side of the cut are yes.  An arc u -> v is paid for when
 * u is yes and v is no.
 *
 * source: Dinic 1970; groups as in Lawler 1973 (two helpers a group); pairs as in
 *         Kolmogorov and Zabih 2004, "What energy functions can be minimized via
 *         graph cuts?"
 */
#include "frontend/min_cut.h"

#include <string.h>

enum { SOURCE, SINK };

struct arc {
    int to, next; /* next arc that leaves the same node, -1 at the end */
    int64_t left; /* capacity that is not used */
};

struct cut {
    struct arena *arena;
    int n_nodes, cap_first;
    int *first; /* [n_nodes] first arc or -1 */
    int n_arcs, cap_arcs;
    struct arc *arcs; /* pairs: 2i and its reverse 2i + 1 */
    int *level, *current;
};

struct cut *cut_create(struct arena *a)
{
    struct cut *k = arena_new(a, struct cut);

    k->arena = a;
    cut_variable(k); /* SOURCE */
    cut_variable(k); /* SINK */
    return k;
}

int cut_variable(struct cut *k)
{
    k->first =
        arena_grow(k->arena, k->first, sizeof *k->first, k->n_nodes, &k->cap_first);
    k->first[k->n_nodes] = -1;
    return k->n_nodes++;
}

int cut_constant(const struct cut *k __attribute__((unused)), bool label)
{
    return label ? SOURCE : SINK;
}

static void add_half(struct cut *k, int from, int to, int64_t capacity)
{
    k->arcs = arena_grow(k->arena, k->arcs, sizeof *k->arcs, k->n_arcs, &k->cap_arcs);
    k->arcs[k->n_arcs] = (struct arc){to, k->first[from], capacity};
    k->first[from] = k->n_arcs++;
}

static void add_arc(struct cut *k, int from, int to, int64_t capacity)
{
    if (capacity <= 0 || from == to)
        return;
    add_half(k, from, to, capacity);
    add_half(k, to, from, 0);
}

void cut_price(struct cut *k, int variable, int64_t if_no, int64_t if_yes)
{
    add_arc(k, SOURCE, variable, if_no);
    add_arc(k, variable, SINK, if_yes);
}

void cut_group(struct cut *k, int64_t cost, int n, const int *variable)
{
    const int some_yes = cut_variable(k), all_yes = cut_variable(k);

    add_arc(k, some_yes, all_yes, cost);
    for (int i = 0; i < n; i++) {
        add_arc(k, variable[i], some_yes, CUT_FORBIDDEN);
        add_arc(k, all_yes, variable[i], CUT_FORBIDDEN);
    }
}

static void add_linear(struct cut *k, int variable, int64_t yes_minus_no)
{
    if (yes_minus_no > 0)
        cut_price(k, variable, 0, yes_minus_no);
    else
        cut_price(k, variable, -yes_minus_no, 0);
}

bool cut_pair(struct cut *k, int x, int y, int64_t cost[2][2])
{
    const int64_t mixed = cost[0][1] + cost[1][0] - cost[0][0] - cost[1][1];

    if (mixed < 0)
        return false;
    add_linear(k, x, cost[1][0] - cost[0][0]);
    add_linear(k, y, cost[1][1] - cost[1][0]);
    add_arc(k, y, x, mixed); /* paid when y is yes and x is no */
    return true;
}

/* ---- flow ------------------------------------------------------------ */

/* Distances from the source over arcs with room; can the sink be reached? */
static bool find_levels(struct cut *k, int *queue)
{
    int n_queue = 0;

    memset(k->level, -1, (size_t)k->n_nodes * sizeof *k->level);
    k->level[SOURCE] = 0;
    queue[n_queue++] = SOURCE;
    for (int i = 0; i < n_queue; i++)
        for (int e = k->first[queue[i]]; e >= 0; e = k->arcs[e].next)
            if (k->arcs[e].left && k->level[k->arcs[e].to] < 0) {
                k->level[k->arcs[e].to] = k->level[queue[i]] + 1;
                queue[n_queue++] = k->arcs[e].to;
            }
    return k->level[SINK] >= 0;
}

/* One path from the source to the sink that climbs the levels; `path` holds its arcs.
 * Returns its length, 0 when there is none left. */
static int find_path(struct cut *k, int *path)
{
    int n = 0, at = SOURCE;

    while (at != SINK) {
        const int e = k->current[at];

        if (e < 0) { /* dead end: step back and give up the arc that led here */
            if (!n)
                return 0;
            at = k->arcs[path[--n] ^ 1].to;
            k->current[at] = k->arcs[k->current[at]].next;
        } else if (k->arcs[e].left && k->level[k->arcs[e].to] == k->level[at] + 1) {
            path[n++] = e;
            at = k->arcs[e].to;
        } else {
            k->current[at] = k->arcs[e].next;
        }
    }
    return n;
}

static void push(struct cut *k, const int *path, int n)
{
    int64_t room = INT64_MAX;

    for (int i = 0; i < n; i++)
        if (k->arcs[path[i]].left < room)
            room = k->arcs[path[i]].left;
    for (int i = 0; i < n; i++) {
        k->arcs[path[i]].left -= room;
        k->arcs[path[i] ^ 1].left += room;
    }
}

void cut_solve(struct cut *k)
{
    int *queue = arena_new_array(k->arena, int, k->n_nodes);
    int *path = arena_new_array(k->arena, int, k->n_nodes);

    k->level = arena_new_array(k->arena, int, k->n_nodes);
    k->current = arena_new_array(k->arena, int, k->n_nodes);
    while (find_levels(k, queue)) {
        memcpy(k->current, k->first, (size_t)k->n_nodes * sizeof *k->first);
        for (int n = find_path(k, path); n; n = find_path(k, path))
            push(k, path, n);
    }
}

bool cut_label(const struct cut *k, int variable)
{
    return k->level[variable] >= 0; /* still reached from the source */
}
