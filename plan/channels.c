/* SPDX-License-Identifier: Apache-2.0 */
/* Classes of channels by union and find: see channels.h. */
#include "plan/channels.h"

#include <string.h>

enum { MOST_INDICES = 1 << 26, NO_GROUP = -1 };

/* A Reshape's choice: see ties_carrier. */
struct carrier {
    int at;                     /* the dim of the block that carries */
    int n;                      /* dims of the block; 0: there is none */
    const struct ir_value *one; /* whose dim d the block is */
    int d;
};

struct ties {
    struct arena *arena;
    int n_values;
    int **first; /* by value id: number of the first index of every dim */
    const struct ir_value **value;
    int n_indices;
    int *parent;
    bool *fixed;             /* of a root */
    struct carrier *carrier; /* by id of a Reshape's result */
};

/* ---- union and find -------------------------------------------------------------- */

static int root_of(struct ties *t, int i)
{
    while (t->parent[i] != i) {
        t->parent[i] = t->parent[t->parent[i]];
        i = t->parent[i];
    }
    return i;
}

static int index_of(const struct ties *t, const struct ir_value *v, int d, int64_t i)
{
    return t->first[v->id][d] + (int)i;
}

void ties_join(struct ties *t, const struct ir_value *a, int da, int64_t i,
               const struct ir_value *b, int db, int64_t k)
{
    const int ra = root_of(t, index_of(t, a, da, i)),
              rb = root_of(t, index_of(t, b, db, k));

    t->parent[rb] = ra;
    t->fixed[ra] |= t->fixed[rb];
}

void ties_fix(struct ties *t, const struct ir_value *v, int d)
{
    for (int64_t i = 0; i < v->dim[d]; i++)
        t->fixed[root_of(t, index_of(t, v, d, i))] = true;
}

void ties_fix_all(struct ties *t, const struct ir_value *v)
{
    for (int d = 0; v && d < v->rank; d++)
        ties_fix(t, v, d);
}

int ties_carrier(struct ties *t, const struct ir_value *y, const struct ir_value *one,
                 int d, int n)
{
    struct carrier *c = &t->carrier[y->id];

    if (n > c->n) {
        c->one = one;
        c->d = d;
        c->n = n;
    }
    return c->at < n ? c->at : n - 1;
}

/* ---- numbering ------------------------------------------------------------------- */

/* False when there are too many. */
static bool number(struct ties *t, const struct ir_value *v)
{
    if (!v || t->first[v->id])
        return true;
    t->first[v->id] = arena_new_array(t->arena, int, v->rank + 1);
    t->value[v->id] = v;
    for (int d = 0; d < v->rank; d++) {
        if (v->dim[d] > MOST_INDICES - t->n_indices)
            return false;
        t->first[v->id][d] = t->n_indices;
        t->n_indices += (int)v->dim[d];
    }
    return true;
}

static bool number_all(struct ties *t, const struct ir_graph *g)
{
    for (int i = 0; i < g->n_in; i++)
        if (!number(t, g->in[i]))
            return false;
    for (const struct ir_node *n = g->first; n; n = n->next) {
        for (int i = 0; i < n->n_in; i++)
            if (!number(t, n->in[i]))
                return false;
        for (int i = 0; i < n->n_out; i++)
            if (!number(t, n->out[i]))
                return false;
        for (int b = 0; b < IR_MAX_BODIES; b++)
            if (n->body[b] && !number_all(t, n->body[b]))
                return false;
    }
    for (int i = 0; i < g->n_out; i++)
        if (!number(t, g->out[i]))
            return false;
    return true;
}

static void tie_all(struct ties *t, const struct ir_graph *g)
{
    for (int i = 0; i < t->n_indices; i++) {
        t->parent[i] = i;
        t->fixed[i] = false;
    }
    for (int i = 0; i < g->n_in; i++)
        ties_fix_all(t, g->in[i]);
    for (int i = 0; i < g->n_out; i++)
        ties_fix_all(t, g->out[i]);
    for (const struct ir_node *n = g->first; n; n = n->next)
        ties_of_node(t, n);
}

static bool all_fixed(struct ties *t, const struct ir_value *v, int d)
{
    for (int64_t i = 0; i < v->dim[d]; i++)
        if (!t->fixed[root_of(t, index_of(t, v, d, i))])
            return false;
    return true;
}

/* Where nothing can go with the first dim of a Reshape's block, the next ones are
 * tried. */
static void choose_carriers(struct ties *t, const struct ir_graph *g)
{
    for (const struct ir_node *n = g->first; n; n = n->next) {
        struct carrier *c = n->op == OP_Reshape ? &t->carrier[n->out[0]->id] : NULL;

        if (!c || c->n < 2)
            continue;
        while (all_fixed(t, c->one, c->d) && ++c->at < c->n)
            tie_all(t, g);
        if (c->at == c->n) {
            c->at = 0;
            tie_all(t, g);
        }
    }
}

/* ---- groups ---------------------------------------------------------------------- */

int channels_dim(const struct unit *u)
{
    const struct ir_value *y = u->node->out[0];

    switch (u->node->op) {
    case OP_Conv:
    case OP_ConvTranspose:
        return 1;
    case OP_MatMul:
        return u->weight_operand == 1 ? y->rank - 1 : y->rank - 2;
    default:
        return y->rank - 1;
    }
}

/* Units that make each class, as sorted lists. */
struct makers {
    int n, cap;
    int *units;
};

static bool same_makers(const struct makers *a, const struct makers *b)
{
    return a->n == b->n && !memcmp(a->units, b->units, (size_t)a->n * sizeof *a->units);
}

static void add_maker(struct arena *a, struct makers *m, int unit)
{
    if (m->n && m->units[m->n - 1] == unit)
        return;
    m->units = arena_grow(a, m->units, sizeof *m->units, m->n, &m->cap);
    m->units[m->n++] = unit;
}

/* Class numbers by root, in the order of the units that make them: what no unit makes
 * has nothing to decide. */
static struct makers *find_classes(struct ties *t, const struct unit *units,
                                   int n_units, int *class_of, int *n_classes)
{
    struct makers *m = NULL;
    int cap = 0;

    *n_classes = 0;
    for (int i = 0; i < t->n_indices; i++)
        class_of[i] = CHANNEL_FIXED;
    for (int u = 0; u < n_units; u++) {
        const struct ir_value *y = units[u].node->out[0];
        const int d = channels_dim(&units[u]);

        if (y->id >= t->n_values || !t->first[y->id] || d < 0)
            continue;
        for (int64_t i = 0; i < y->dim[d]; i++) {
            const int root = root_of(t, index_of(t, y, d, i));

            if (t->fixed[root])
                continue;
            if (class_of[root] < 0) {
                m = arena_grow(t->arena, m, sizeof *m, *n_classes, &cap);
                m[*n_classes] = (struct makers){0};
                class_of[root] = (*n_classes)++;
            }
            add_maker(t->arena, &m[class_of[root]], u);
        }
    }
    return m;
}

static void find_groups(struct arena *a, struct channels *ch, const struct makers *m)
{
    int *group_of = arena_new_array(a, int, ch->n_classes);
    struct channel_group *groups =
        arena_new_array(a, struct channel_group, ch->n_classes);

    for (int c = 0; c < ch->n_classes; c++)
        group_of[c] = NO_GROUP;
    for (int c = 0; c < ch->n_classes; c++) {
        struct channel_group *g = &groups[ch->n_groups];
        int *classes = arena_new_array(a, int, ch->n_classes - c);

        if (group_of[c] != NO_GROUP)
            continue;
        for (int k = c; k < ch->n_classes; k++)
            if (group_of[k] == NO_GROUP && same_makers(&m[k], &m[c])) {
                group_of[k] = ch->n_groups;
                classes[g->n++] = k;
            }
        g->classes = classes;
        g->n_units = m[c].n;
        g->units = m[c].units;
        ch->n_groups++;
    }
    ch->group_of = group_of;
    ch->groups = groups;
}

/* Class numbers by value, dim and index. */
static void spread(struct ties *t, struct channels *ch, const int *class_of)
{
    const int *const **of = arena_new_array(t->arena, const int *const *, t->n_values);

    for (int id = 0; id < t->n_values; id++) {
        const struct ir_value *v = t->value[id];

        if (!v)
            continue;
        const int **dims = arena_new_array(t->arena, const int *, v->rank + 1);

        for (int d = 0; d < v->rank; d++) {
            int *to = arena_new_array(t->arena, int, v->dim[d] + 1);

            for (int64_t i = 0; i < v->dim[d]; i++)
                to[i] = class_of[root_of(t, index_of(t, v, d, i))];
            dims[d] = to;
        }
        of[id] = dims;
    }
    ch->of = of;
}

struct channels *channels_find(const struct ir_graph *g, const struct unit *units,
                               int n_units)
{
    struct arena *a = g->compile->perm;
    struct ties t = {.arena = a, .n_values = g->compile->n_values};
    struct channels *ch = arena_new(a, struct channels);

    ch->n_values = t.n_values;
    t.first = arena_new_array(a, int *, t.n_values);
    t.value = arena_new_array(a, const struct ir_value *, t.n_values);
    if (!number_all(&t, g)) {
        ch->of = arena_new_array(a, const int *const *, t.n_values);
        return ch;
    }
    t.parent = arena_new_array(a, int, t.n_indices + 1);
    t.fixed = arena_new_array(a, bool, t.n_indices + 1);
    t.carrier = arena_new_array(a, struct carrier, t.n_values);
    tie_all(&t, g);
    choose_carriers(&t, g);

    int *class_of = arena_new_array(a, int, t.n_indices + 1);
    const struct makers *m = find_classes(&t, units, n_units, class_of, &ch->n_classes);

    find_groups(a, ch, m);
    spread(&t, ch, class_of);
    return ch;
}

int64_t channels_kept(const struct channels *ch, const bool *removed,
                      const struct ir_value *v, int d)
{
    const int *class = ch->of[v->id][d];
    int64_t n = 0;

    for (int64_t i = 0; i < v->dim[d]; i++)
        n += class[i] == CHANNEL_FIXED || !removed[class[i]];
    return n;
}
