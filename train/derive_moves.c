/* SPDX-License-Identifier: Apache-2.0 */
/* Operators whose results are elements of their operands in another place, and Gather
 * with computed indices. */
#include <string.h>

#include "train/derivatives.h"
#include "train/probe.h"

/* `n` elements in a row, from an operand to a result. */
struct run {
    int64_t from, to, n;
};

struct runs {
    int64_t n;
    struct run *at;
};

struct moves {
    struct runs *runs; /* [operand][output] */
    const real **fill; /* by output: constants around; NULL: none */
};

static struct runs runs_of(struct arena *a, const int64_t *from, int64_t n)
{
    struct runs r = {0};

    for (int64_t i = 0; i < n; i++)
        r.n += from[i] >= 0 && !(i && from[i - 1] >= 0 && from[i] == from[i - 1] + 1);
    r.at = arena_new_array(a, struct run, r.n);
    r.n = 0;
    for (int64_t i = 0; i < n; i++) {
        if (from[i] < 0)
            continue;
        if (i && from[i - 1] >= 0 && from[i] == from[i - 1] + 1)
            r.at[r.n - 1].n++;
        else
            r.at[r.n++] = (struct run){from[i], i, 1};
    }
    return r;
}

/* The constant parts of output i. */
static const real *fill_of(struct arena *a, const struct ir_node *n, int i,
                           const int64_t *from, const float *fill)
{
    const int64_t count = ir_count(n->out[i]);
    bool any = false;

    for (int64_t j = 0; j < count; j++)
        any |= from[j] < 0;
    if (!any)
        return NULL;
    real *out = arena_new_array(a, real, count);

    for (int64_t j = 0; j < count; j++)
        out[j] = from[j] < 0 ? fill[j] : 0;
    return out;
}

static int n_operands(const struct ir_node *n)
{
    return n->op == OP_Concat ? n->n_in : 1;
}

/* A value that is an operand before has been found at all its places. */
static bool is_repeated(const struct ir_node *n, int k)
{
    for (int i = 0; i < k; i++)
        if (n->in[i] == n->in[k])
            return true;
    return false;
}

static struct status *plan_moves(struct arena *a, struct arena *scratch,
                                 const struct ir_node *n, struct moves *m)
{
    const int64_t **from = arena_new_array(scratch, const int64_t *, n->n_out);
    const float **fill = arena_new_array(scratch, const float *, n->n_out);

    m->runs = arena_new_array(a, struct runs, n_operands(n) * n->n_out);
    m->fill = arena_new_array(a, const real *, n->n_out);
    for (int k = 0; k < n_operands(n); k++) {
        if (n->in[k]->data)
            return FAIL_AT(n, UNSUPPORTED, "training wants computed operands");
        if (is_repeated(n, k))
            continue;
        RETURN_IF_FAIL(probe_moves(scratch, n, k, from, fill));
        for (int i = 0; i < n->n_out; i++) {
            if (!n->out[i])
                continue;
            m->runs[k * n->n_out + i] = runs_of(a, from[i], ir_count(n->out[i]));
            if (n->op != OP_Concat)
                m->fill[i] = fill_of(a, n, i, from[i], fill[i]);
        }
    }
    return OK;
}

struct status *prepare_Moves(struct tape *t, struct tape_step *s)
{
    struct arena *scratch = arena_create();
    struct moves *m = arena_new(t->a, struct moves);
    struct status *why = plan_moves(t->a, scratch, s->node, m);

    s->plan = m;
    arena_destroy(scratch);
    return why;
}

static void move(const struct tape_call *c, int64_t s, int k, int i)
{
    const struct moves *m = c->step->plan;
    const struct runs *r = &m->runs[k * c->step->node->n_out + i];
    const real *x = call_in(c, k, s);
    real *y = call_out(c, i, s);

    for (int64_t j = 0; j < r->n; j++) {
        const struct run run = r->at[j];

        for (int64_t e = 0; e < run.n; e++)
            y[run.to + e] = x[run.from + e];
    }
}

void forward_Moves(const struct tape_call *c)
{
    const struct moves *m = c->step->plan;
    const struct ir_node *n = c->step->node;

    for (int64_t s = 0; s < c->n; s++)
        for (int i = 0; i < n->n_out; i++) {
            if (!n->out[i])
                continue;
            if (m->fill[i])
                memcpy(call_out(c, i, s), m->fill[i],
                       (size_t)ir_count(n->out[i]) * sizeof(real));
            for (int k = 0; k < n_operands(n); k++)
                move(c, s, k, i);
        }
}

static void move_back(const struct tape_call *c, int64_t s, int k, int i)
{
    const struct moves *m = c->step->plan;
    const struct runs *r = &m->runs[k * c->step->node->n_out + i];
    const real *dy = call_d_out(c, i, s);
    real *dx = call_d_in(c, k, s);

    for (int64_t j = 0; j < r->n; j++) {
        const struct run run = r->at[j];

        for (int64_t e = 0; e < run.n; e++)
            dx[run.from + e] += dy[run.to + e];
    }
}

void backward_Moves(const struct tape_call *c)
{
    const struct ir_node *n = c->step->node;

    for (int64_t s = 0; s < c->n; s++)
        for (int i = 0; i < n->n_out; i++)
            for (int k = 0; c->d_out[i] && k < n_operands(n); k++)
                if (c->d_in[k])
                    move_back(c, s, k, i);
}

/* ---- Gather --------------------------------------------------------------------- */

enum { DATA, INDICES };

struct gather {
    int64_t outer, n, inner, n_indices;
};

struct status *prepare_Gather(struct tape *t, struct tape_step *s)
{
    const struct ir_value *x = s->node->in[DATA], *index = s->node->in[INDICES];
    struct gather *g = arena_new(t->a, struct gather);
    int axis = (int)ir_attr_int(s->node, "axis", 0);

    if (index->dtype != DT_i64 && index->dtype != DT_i32)
        return FAIL_AT(s->node, UNSUPPORTED, "training wants i32 or i64 indices");
    axis = axis < 0 ? axis + x->rank : axis;
    *g = (struct gather){1, x->dim[axis], 1, ir_count(index)};
    for (int d = 0; d < axis; d++)
        g->outer *= x->dim[d];
    for (int d = axis + 1; d < x->rank; d++)
        g->inner *= x->dim[d];
    s->plan = g;
    return OK;
}

/* As the kernel does it: negative ones count from the end, then they are clamped. */
static int64_t index_at(const struct tape_call *c, int64_t s, int64_t i)
{
    const struct gather *g = c->step->plan;
    const int64_t at = s * c->in_count[INDICES] + i;
    int64_t k = c->step->node->in[INDICES]->dtype == DT_i64
                    ? ((const int64_t *)c->in[INDICES])[at]
                    : ((const int32_t *)c->in[INDICES])[at];

    k = k < 0 ? k + g->n : k;
    return k < 0 ? 0 : k < g->n ? k : g->n - 1;
}

void forward_Gather(const struct tape_call *c)
{
    const struct gather *g = c->step->plan;

    for (int64_t s = 0; s < c->n; s++)
        for (int64_t o = 0; o < g->outer; o++)
            for (int64_t i = 0; i < g->n_indices; i++)
                memcpy(call_out(c, 0, s) + (o * g->n_indices + i) * g->inner,
                       call_in(c, DATA, s) + (o * g->n + index_at(c, s, i)) * g->inner,
                       (size_t)g->inner * sizeof(real));
}

void backward_Gather(const struct tape_call *c)
{
    const struct gather *g = c->step->plan;

    for (int64_t s = 0; s < c->n; s++)
        for (int64_t o = 0; o < g->outer; o++)
            for (int64_t i = 0; i < g->n_indices; i++) {
                const real *dy =
                    call_d_out(c, 0, s) + (o * g->n_indices + i) * g->inner;
                real *dx =
                    call_d_in(c, DATA, s) + (o * g->n + index_at(c, s, i)) * g->inner;

                for (int64_t e = 0; e < g->inner; e++)
                    dx[e] += dy[e];
            }
}
