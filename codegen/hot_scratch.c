/* SPDX-License-Identifier: Apache-2.0 */
/* How much scratch a convolution may take without raising the model's peak.
 *
 * The peak is where tensors are largest; elsewhere the arena has room.  Both are
 * estimated from the graph alone, before anything is built, so that every variant of
 * a program decides alike: what is computed and still needed at a node counts there,
 * inputs and outputs of the model (the caller's memory) and constants do not.
 */
#include "codegen/hot.h"

/* The estimate is taken this much (percent) of the peak, short of what others call
 * the best possible times 1.15. */
enum { SHARE_OF_PEAK = 105 };

/* From node `first` on until node `last`. */
struct life {
    int64_t bytes;
    int first, last;
    int root; /* the value whose memory this one is; itself */
};

struct lives {
    struct life *of; /* by value id */
    int n_nodes;
    int64_t *at; /* bytes at a node, at most: places of a Concat exist from the start */
    int64_t peak; /* bytes at some node, at least */
};

static bool in_arena(const struct ir_graph *g, const struct ir_value *v)
{
    if (!v || v->data || v->is_input)
        return false;
    for (int i = 0; i < g->n_out; i++)
        if (g->out[i] == v)
            return false;
    return true;
}

static struct life *root_of(const struct lives *l, const struct ir_value *v)
{
    struct life *life = &l->of[v->id];

    while (life->root != (int)(life - l->of))
        life = &l->of[life->root];
    return life;
}

static void note_node(struct lives *l, const struct ir_graph *g,
                      const struct ir_node *n, int i)
{
    for (int k = 0; k < n->n_in; k++)
        if (in_arena(g, n->in[k]))
            root_of(l, n->in[k])->last = i;
    for (int k = 0; k < n->n_out; k++) {
        const struct ir_value *v = n->out[k];

        if (!in_arena(g, v))
            continue;
        l->of[v->id] = (struct life){ir_bytes(v), i, i, v->id};
        if (build_is_view(n) && in_arena(g, n->in[0]))
            l->of[v->id].root = (int)(root_of(l, n->in[0]) - l->of);
    }
}

/* What a convolution or pool reads and what it writes are different memory; more may
 * not be needed, as a residual that ends here is overwritten in place. */
static void find_peak(struct lives *l, const struct ir_graph *g)
{
    for (const struct ir_node *n = g->first; n; n = n->next) {
        int64_t sum = 0;

        if (n->op != OP_Conv && n->op != OP_MaxPool)
            continue;
        if (in_arena(g, n->in[0]))
            sum += ir_bytes(n->in[0]);
        if (in_arena(g, n->out[0]))
            sum += ir_bytes(n->out[0]);
        if (sum > l->peak)
            l->peak = sum;
    }
}

/* The parts of a Concat are written into it, so it lives from the first one on. */
static void join_parts(struct lives *l, const struct ir_graph *g)
{
    for (const struct ir_node *n = g->first; n; n = n->next) {
        if (n->op != OP_Concat || !in_arena(g, n->out[0]))
            continue;
        struct life *whole = root_of(l, n->out[0]);

        for (int k = 0; k < n->n_in; k++)
            if (in_arena(g, n->in[k]) && root_of(l, n->in[k])->first < whole->first)
                whole->first = root_of(l, n->in[k])->first;
    }
}

static struct lives *find_lives(struct builder *b, const struct ir_graph *g)
{
    const int n_values = b->compile->n_values;
    struct lives *l = arena_new(b->arena, struct lives);

    l->of = arena_new_array(b->arena, struct life, n_values);
    for (int v = 0; v < n_values; v++)
        l->of[v] = (struct life){0, 1, 0, v};
    for (const struct ir_node *n = g->first; n; n = n->next)
        note_node(l, g, n, l->n_nodes++);
    find_peak(l, g);
    join_parts(l, g);
    l->at = arena_new_array(b->arena, int64_t, l->n_nodes);
    for (int v = 0; v < n_values; v++)
        for (int i = l->of[v].first; i <= l->of[v].last && l->of[v].root == v; i++)
            l->at[i] += l->of[v].bytes;
    return l;
}

/* Loops and branches keep more alive than the order of nodes says. */
static bool has_bodies(const struct ir_graph *g)
{
    for (const struct ir_node *n = g->first; n; n = n->next)
        if (n->body[0])
            return true;
    return false;
}

int64_t hot_scratch_room(struct builder *b, const struct ir_node *main)
{
    const struct ir_graph *g = b->graph;
    int i = 0;

    if (main->graph != g || has_bodies(g))
        return 0;
    if (!b->lives)
        b->lives = find_lives(b, g);
    for (const struct ir_node *n = g->first; n != main; n = n->next)
        i++;
    const int64_t room = b->lives->peak / 100 * SHARE_OF_PEAK - b->lives->at[i];

    return room > 0 ? room / b->program->max_workers : 0;
}
