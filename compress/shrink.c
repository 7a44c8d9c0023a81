/* SPDX-License-Identifier: Apache-2.0 */
/* See shrink.h.  Node by node in the order in which they run; shapes follow by
 * inference and have to be what the classes say. */
#include "compress/shrink.h"

#include <string.h>

struct shrink {
    struct compile *c;
    const struct channels *ch;
    const bool *removed;
    int64_t (*dim)[IR_MAX_RANK]; /* by value id: before anything changed */
};

static bool stays(const struct shrink *s, const struct ir_value *v, int d, int64_t i)
{
    const int class = s->ch->of[v->id][d][i];

    return class == CHANNEL_FIXED || !s->removed[class];
}

/* Of the first `end` indices of a dim, as it was. */
static int64_t kept_before(const struct shrink *s, const struct ir_value *v, int d,
                           int64_t end)
{
    int64_t n = 0;

    for (int64_t i = 0; i < end; i++)
        n += stays(s, v, d, i);
    return n;
}

static int64_t kept(const struct shrink *s, const struct ir_value *v, int d)
{
    return kept_before(s, v, d, s->dim[v->id][d]);
}

/* ---- constants ------------------------------------------------------------------ */

/* Every element of `from` whose indices all stay. */
static void gather(const struct shrink *s, const struct ir_value *v, uint8_t *to)
{
    const size_t size = (size_t)dtype_info[v->dtype].bytes;
    const uint8_t *from = v->data;
    int64_t at[IR_MAX_RANK] = {0};

    for (int64_t i = 0, n = ir_count(v); i < n; i++, from += size) {
        bool all = true;

        for (int d = 0; d < v->rank; d++)
            all &= stays(s, v, d, at[d]);
        if (all) {
            memcpy(to, from, size);
            to += size;
        }
        for (int d = v->rank - 1; d >= 0 && ++at[d] == v->dim[d]; d--)
            at[d] = 0;
    }
}

static void shrink_constant(struct shrink *s, struct ir_node *n, int i)
{
    const struct ir_value *v = n->in[i];
    int64_t dim[IR_MAX_RANK], count = 1;
    bool same = true;

    for (int d = 0; d < v->rank; d++) {
        dim[d] = kept(s, v, d);
        count *= dim[d];
        same &= dim[d] == v->dim[d];
    }
    if (same)
        return;
    uint8_t *data = arena_alloc_array(s->c->perm, (size_t)count,
                                      (size_t)dtype_info[v->dtype].bytes);

    gather(s, v, data);
    ir_set_input(n, i, ir_const_ref(s->c, v->name, v->dtype, v->rank, dim, data));
}

/* ---- attributes ----------------------------------------------------------------- */

static void kept_dims(const struct shrink *s, const struct ir_value *v, int64_t *out)
{
    for (int d = 0; d < v->rank; d++)
        out[d] = kept(s, v, d);
}

static void shrink_slice(const struct shrink *s, struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *y = n->out[0];
    int count;
    const int64_t *from = ir_attr_ints(n, "starts", &count);
    const int64_t *step = ir_attr_ints(n, "steps", &count);
    int64_t start[IR_MAX_RANK], size[IR_MAX_RANK];

    for (int d = 0; d < x->rank; d++)
        start[d] = step[d] > 0 ? kept_before(s, x, d, from[d] - from[d] % step[d])
                                     + from[d] % step[d]
                               : from[d];
    kept_dims(s, y, size);
    ir_set_attr_ints(n, "starts", y->rank, start);
    ir_set_attr_ints(n, "sizes", y->rank, size);
}

static void shrink_split(const struct shrink *s, struct ir_node *n)
{
    const int rank = n->in[0]->rank;
    const int64_t axis = ir_attr_int(n, "axis", 0);
    int64_t *split = arena_new_array(s->c->perm, int64_t, n->n_out);

    for (int i = 0; i < n->n_out; i++)
        split[i] = kept(s, n->out[i], (int)(axis < 0 ? axis + rank : axis));
    ir_set_attr_ints(n, "split", n->n_out, split);
}

static void shrink_pad(const struct shrink *s, struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *y = n->out[0];
    int count;
    const int64_t *from = ir_attr_ints(n, "pads", &count);
    int64_t pads[2 * IR_MAX_RANK];

    for (int d = 0; d < x->rank; d++) {
        const int64_t before = from[d], after = from[x->rank + d];

        pads[d] = before;
        pads[x->rank + d] = after;
        if (before < 0 || after < 0)
            continue; /* such dims are fixed */
        pads[d] = kept_before(s, y, d, before);
        pads[x->rank + d] =
            kept(s, y, d) - kept_before(s, y, d, before + s->dim[x->id][d]);
    }
    ir_set_attr_ints(n, "pads", 2 * x->rank, pads);
}

/* Groups go as a whole. */
static void shrink_groups(const struct shrink *s, struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    const int64_t group = ir_attr_int(n, "group", 1);

    if (group > 1)
        ir_set_attr_int(n, "group", group * kept(s, x, 1) / s->dim[x->id][1]);
}

static void shrink_attributes(const struct shrink *s, struct ir_node *n)
{
    int64_t dim[IR_MAX_RANK];

    switch (n->op) {
    case OP_Conv:
    case OP_ConvTranspose:
        shrink_groups(s, n);
        return;
    case OP_Expand:
    case OP_Reshape:
        kept_dims(s, n->out[0], dim);
        ir_set_attr_ints(n, "shape", n->out[0]->rank, dim);
        return;
    case OP_Slice:
        shrink_slice(s, n);
        return;
    case OP_Split:
        shrink_split(s, n);
        return;
    case OP_Pad:
        shrink_pad(s, n);
        return;
    case OP_Resize:
        kept_dims(s, n->out[0], dim);
        ir_set_attr_ints(n, "sizes", n->out[0]->rank, dim);
        return;
    default:
        return;
    }
}

/* ---- all ------------------------------------------------------------------------ */

static void note_dims(struct shrink *s, const struct ir_value *v)
{
    if (v)
        memcpy(s->dim[v->id], v->dim, sizeof v->dim);
}

/* A node that anything is removed from. */
static bool is_touched(const struct shrink *s, const struct ir_node *n)
{
    for (int k = 0; k < n->n_in + n->n_out; k++) {
        const struct ir_value *v = k < n->n_in ? n->in[k] : n->out[k - n->n_in];

        for (int d = 0; v && d < v->rank; d++)
            if (kept(s, v, d) != s->dim[v->id][d])
                return true;
    }
    return false;
}

static struct status *check_result(const struct shrink *s, const struct ir_node *n,
                                   const struct ir_value *y)
{
    for (int d = 0; d < y->rank; d++)
        if (y->dim[d] != kept(s, y, d))
            return FAIL_AT(n, INTERNAL,
                           "dim %d of its result has %lld elements, not the %lld that "
                           "are kept",
                           d, (long long)y->dim[d], (long long)kept(s, y, d));
    return OK;
}

static struct status *shrink_node(struct shrink *s, struct ir_node *n)
{
    if (!is_touched(s, n))
        return OK;
    shrink_attributes(s, n);
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && n->in[i]->data)
            shrink_constant(s, n, i);
    RETURN_IF_FAIL(ir_infer(n));
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i])
            RETURN_IF_FAIL(check_result(s, n, n->out[i]));
    return OK;
}

struct status *shrink_graph(struct compile *c, struct ir_graph *g,
                            const struct channels *ch, const bool *removed)
{
    struct shrink s = {.c = c, .ch = ch, .removed = removed};

    s.dim = arena_alloc_array(c->scratch, (size_t)ch->n_values, sizeof *s.dim);
    for (const struct ir_node *n = g->first; n; n = n->next) {
        for (int i = 0; i < n->n_in; i++)
            note_dims(&s, n->in[i]);
        for (int i = 0; i < n->n_out; i++)
            note_dims(&s, n->out[i]);
    }
    for (struct ir_node *n = g->first; n; n = n->next)
        RETURN_IF_FAIL(shrink_node(&s, n));
    return ir_verify(g);
}

static bool keeps_dims(const struct channels *ch, const bool *removed,
                       const struct ir_value *v)
{
    for (int d = 0; v && d < v->rank; d++)
        if (v->dim[d] && !channels_kept(ch, removed, v, d))
            return false;
    return true;
}

bool shrink_keeps_all_dims(const struct ir_graph *g, const struct channels *ch,
                           const bool *removed)
{
    for (const struct ir_node *n = g->first; n; n = n->next) {
        for (int i = 0; i < n->n_in; i++)
            if (!keeps_dims(ch, removed, n->in[i]))
                return false;
        for (int i = 0; i < n->n_out; i++)
            if (!keeps_dims(ch, removed, n->out[i]))
                return false;
    }
    return true;
}
