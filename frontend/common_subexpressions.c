/* SPDX-License-Identifier: Apache-2.0 */
/* Compute once what is computed twice, and keep equal constants once.
 *
 *     same operator, operands, attributes   ->  the first node serves both
 *     same type, shape and bytes            ->  one constant
 *
 * Constants are compared by a hash of their bytes first, so every weight is read
 * once.  Nodes with bodies are left alone.
 *
 * needs:     nothing
 * keeps:     bytes of every result
 * breaks:    nothing
 */
#include <string.h>

#include "frontend/pass.h"

/* Open hashing over pointers; the tables live in scratch memory. */
struct entry {
    uint64_t hash;
    void *at; /* struct ir_value: a constant; or struct ir_node */
    struct entry *next;
};

enum { N_BUCKETS = 1 << 12 };

struct table {
    struct arena *arena;
    struct entry *bucket[N_BUCKETS];
};

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static uint64_t hash_bytes(uint64_t h, const void *from, int64_t n_bytes)
{
    const unsigned char *at = from;

    for (; n_bytes >= 8; n_bytes -= 8, at += 8) {
        uint64_t word;

        memcpy(&word, at, 8);
        h = mix(h, word);
    }
    for (; n_bytes > 0; n_bytes--)
        h = mix(h, *at++);
    return h;
}

static void add(struct table *t, uint64_t hash, void *at)
{
    struct entry *e = arena_new(t->arena, struct entry);

    *e = (struct entry){hash, at, t->bucket[hash % N_BUCKETS]};
    t->bucket[hash % N_BUCKETS] = e;
}

/* ---- constants ------------------------------------------------------- */

static uint64_t hash_const(const struct ir_value *v)
{
    uint64_t h = mix(v->dtype, v->rank);

    for (int i = 0; i < v->rank; i++)
        h = mix(h, v->dim[i]);
    return hash_bytes(h, v->data, ir_bytes(v));
}

static bool equal_consts(const struct ir_value *a, const struct ir_value *b)
{
    return a->dtype == b->dtype && ir_same_shape(a, b)
           && (a->data == b->data || !memcmp(a->data, b->data, (size_t)ir_bytes(a)));
}

static struct ir_value *first_equal_const(struct table *t, struct ir_value *v)
{
    const uint64_t hash = hash_const(v);

    for (struct entry *e = t->bucket[hash % N_BUCKETS]; e; e = e->next)
        if (e->hash == hash && equal_consts(e->at, v))
            return e->at;
    add(t, hash, v);
    return v;
}

struct seen { /* by value id: a big constant is hashed once */
    int n;
    struct ir_value **at;
};

static void share_consts(struct table *t, struct seen *seen, struct ir_graph *g)
{
    for (struct ir_node *n = g->first; n; n = n->next) {
        for (int i = 0; i < n->n_in; i++) {
            struct ir_value *v = n->in[i];

            if (!v || !v->data)
                continue;
            if (!seen->at[v->id])
                seen->at[v->id] = first_equal_const(t, v);
            if (seen->at[v->id] != v)
                ir_set_input(n, i, seen->at[v->id]);
        }
        for (int b = 0; b < IR_MAX_BODIES; b++)
            if (n->body[b])
                share_consts(t, seen, n->body[b]);
    }
}

/* ---- nodes ----------------------------------------------------------- */

static bool equal_strings(const struct ir_attr *a, const struct ir_attr *b)
{
    for (int i = 0; i < a->n; i++)
        if (strcmp(a->strings[i], b->strings[i]) != 0)
            return false;
    return true;
}

static bool equal_attrs(const struct ir_attr *a, const struct ir_attr *b)
{
    if (a->kind != b->kind || a->n != b->n)
        return false;
    switch (a->kind) {
    case ATTR_INT:
        return a->i == b->i;
    case ATTR_FLOAT:
        return !memcmp(&a->f, &b->f, sizeof a->f);
    case ATTR_STRING:
        return !strcmp(a->s, b->s);
    case ATTR_INTS:
        return !a->n || !memcmp(a->ints, b->ints, (size_t)a->n * 8);
    case ATTR_FLOATS:
        return !a->n || !memcmp(a->floats, b->floats, (size_t)a->n * 4);
    case ATTR_TENSOR:
        return equal_consts(a->tensor, b->tensor);
    case ATTR_STRINGS:
        return equal_strings(a, b);
    }
    return false;
}

static bool has_attrs_of(const struct ir_node *a, const struct ir_node *b)
{
    for (const struct ir_attr *at = a->attrs; at; at = at->next) {
        const struct ir_attr *other = ir_attr(b, at->name);

        if (!other || !equal_attrs(at, other))
            return false;
    }
    return true;
}

static bool equal_nodes(const struct ir_node *a, const struct ir_node *b)
{
    if (a->op != b->op || a->n_in != b->n_in || a->n_out != b->n_out)
        return false;
    for (int i = 0; i < a->n_in; i++)
        if (a->in[i] != b->in[i])
            return false;
    for (int i = 0; i < a->n_out; i++)
        if (!a->out[i] != !b->out[i])
            return false;
    return has_attrs_of(a, b) && has_attrs_of(b, a);
}

static uint64_t hash_node(const struct ir_node *n)
{
    uint64_t h = mix(n->op, n->n_in);

    for (int i = 0; i < n->n_in; i++)
        h = mix(h, n->in[i] ? (uint64_t)n->in[i]->id + 1 : 0);
    return h;
}

static bool may_share(const struct ir_graph *g, const struct ir_node *n)
{
    if (op_info[n->op].traits & (OPT_CONTROL | OPT_NO_FOLD) || n->op == OP_Identity)
        return false;
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && (n->out[i]->is_sequence || ir_is_graph_output(g, n->out[i])))
            return false;
    return true;
}

static void share_nodes(struct table *t, struct ir_graph *g)
{
    for (struct ir_node *n = g->first, *next; n; n = next) {
        struct entry *e;

        next = n->next;
        if (op_info[n->op].traits & (OPT_CONTROL | OPT_NO_FOLD))
            continue;

        const uint64_t hash = hash_node(n);

        for (e = t->bucket[hash % N_BUCKETS]; e; e = e->next)
            if (e->hash == hash && equal_nodes(e->at, n))
                break;
        if (!e) {
            add(t, hash, n);
            continue;
        }
        if (!may_share(g, n))
            continue;

        const struct ir_node *first = e->at;

        for (int i = 0; i < n->n_out; i++)
            if (n->out[i])
                ir_replace_uses(g, n->out[i], first->out[i]);
        ir_remove(n);
    }
}

struct status *pass_common_subexpressions(struct compile *c, struct ir_graph *g)
{
    struct table *consts = arena_new(c->scratch, struct table);
    struct table *nodes = arena_new(c->scratch, struct table);
    struct seen seen = {.n = c->n_values};

    consts->arena = nodes->arena = c->scratch;
    seen.at = arena_new_array(c->scratch, struct ir_value *, seen.n);
    share_consts(consts, &seen, g);
    share_nodes(nodes, g);
    return OK;
}
