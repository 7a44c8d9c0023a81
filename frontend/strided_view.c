/* SPDX-License-Identifier: Apache-2.0 */
/* Composing view operators into windows, and windows back into operators. */
#include "frontend/strided_view.h"

#include <string.h>

struct strided_view view_whole(struct ir_value *v)
{
    struct strided_view w = {.source = v, .rank = v->rank};
    int64_t stride = 1;

    for (int i = v->rank - 1; i >= 0; i--) {
        w.dim[i] = v->dim[i];
        w.stride[i] = stride;
        stride *= v->dim[i];
    }
    return w;
}

bool view_is_view_op(const struct ir_node *n)
{
    switch (n->op) {
    case OP_Reshape:
    case OP_Transpose:
    case OP_Slice:
    case OP_Split:
    case OP_Gather:
        return true;
    default:
        return false;
    }
}

/* ---- through one operator -------------------------------------------- */

/* Drop dims of size 1 and merge neighbours that are walked as one. */
static int merge_dims(const struct strided_view *v, int64_t dim[], int64_t stride[])
{
    int n = 0;

    for (int i = 0; i < v->rank; i++) {
        if (v->dim[i] == 1)
            continue;
        if (n && stride[n - 1] == v->stride[i] * v->dim[i]) {
            dim[n - 1] *= v->dim[i];
            stride[n - 1] = v->stride[i];
            continue;
        }
        dim[n] = v->dim[i];
        stride[n++] = v->stride[i];
    }
    return n;
}

static bool through_reshape(const struct ir_value *to, struct strided_view *v)
{
    int64_t dim[IR_MAX_RANK], stride[IR_MAX_RANK], new_stride[IR_MAX_RANK];
    int last = merge_dims(v, dim, stride) - 1;
    int64_t left = last >= 0 ? dim[last] : 1; /* of merged dim `last`, still to split */
    int64_t at = last >= 0 ? stride[last] : 1;

    for (int i = to->rank - 1; i >= 0; i--) {
        new_stride[i] = at;
        if (to->dim[i] == 1)
            continue;
        if (left == 1) {
            if (--last < 0)
                return false;
            left = dim[last];
            new_stride[i] = at = stride[last];
        }
        if (left % to->dim[i])
            return false;
        left /= to->dim[i];
        at *= to->dim[i];
    }
    if (last > 0 || left != 1)
        return false;
    v->rank = to->rank;
    memcpy(v->dim, to->dim, sizeof v->dim);
    memcpy(v->stride, new_stride, sizeof v->stride);
    return true;
}

static bool through_transpose(const struct ir_node *n, struct strided_view *v)
{
    const struct strided_view from = *v;
    int n_perm;
    const int64_t *perm = ir_attr_ints(n, "perm", &n_perm);

    for (int i = 0; i < v->rank; i++) {
        v->dim[i] = from.dim[perm[i]];
        v->stride[i] = from.stride[perm[i]];
    }
    return true;
}

static bool through_slice(const struct ir_node *n, struct strided_view *v)
{
    int count;
    const int64_t *start = ir_attr_ints(n, "starts", &count);
    const int64_t *step = ir_attr_ints(n, "steps", &count);
    struct strided_view w = *v;

    for (int d = 0; d < v->rank; d++) {
        if (step[d] <= 0)
            return false;
        w.offset += start[d] * w.stride[d];
        w.stride[d] *= step[d];
        w.dim[d] = n->out[0]->dim[d];
    }
    *v = w;
    return true;
}

static bool through_split(const struct ir_node *n, int which, struct strided_view *v)
{
    const int64_t axis = ir_attr_int(n, "axis", 0);
    int64_t start = 0;
    int count;
    const int64_t *split = ir_attr_ints(n, "split", &count);

    for (int i = 0; i < which; i++)
        start += split[i];
    v->offset += start * v->stride[axis];
    v->dim[axis] = n->out[which]->dim[axis];
    return true;
}

/* One constant index, or constant indices at equal distances. */
static bool through_gather(const struct ir_node *n, struct strided_view *v)
{
    const struct ir_value *index = n->in[1];
    const int64_t axis = ir_attr_int(n, "axis", 0);
    int64_t step = 1;
    int n_at;
    const int64_t *at = ir_const_ints(n->graph->compile, index, &n_at);

    if (!at || index->rank > 1 || n_at < 1)
        return false;

    const int64_t d = v->dim[axis], first = at[0] < 0 ? at[0] + d : at[0];

    for (int i = 0; i < n_at; i++) {
        const int64_t here = at[i] < 0 ? at[i] + d : at[i];

        if (i == 1)
            step = here - first;
        if (here != first + i * step || here < 0 || here >= d || step <= 0)
            return false;
    }
    v->offset += first * v->stride[axis];
    v->stride[axis] *= step;
    v->dim[axis] = n_at;
    if (index->rank == 1)
        return true;
    for (int i = (int)axis; i + 1 < v->rank; i++) {
        v->dim[i] = v->dim[i + 1];
        v->stride[i] = v->stride[i + 1];
    }
    v->rank--;
    return true;
}

bool view_through(const struct ir_node *n, int which, struct strided_view *v)
{
    const struct ir_value *in = n->in[0], *out = n->out[which];

    if (!view_is_view_op(n) || in->is_sequence || in->dynamic || !out || out->dynamic
        || !ir_count(out) || !ir_count(in))
        return false;
    switch (n->op) {
    case OP_Transpose:
        return through_transpose(n, v);
    case OP_Slice:
        return through_slice(n, v);
    case OP_Split:
        return through_split(n, which, v);
    case OP_Gather:
        return through_gather(n, v);
    default:
        return through_reshape(out, v);
    }
}

struct strided_view view_resolve(struct ir_value *v)
{
    struct ir_value *chain[64];
    int n = 0;

    /* Up as far as operators can be views, then down again: a link that is not
     * affine restarts the window below it. */
    for (struct ir_value *at = v; n < 64; at = at->def->in[0]) {
        chain[n++] = at;
        if (!at->def || !view_is_view_op(at->def))
            break;
    }

    struct strided_view w = view_whole(chain[--n]);

    while (n--)
        if (!view_through(chain[n]->def, chain[n]->def_index, &w))
            w = view_whole(chain[n]);
    return w;
}

bool view_is_dense(const struct strided_view *v)
{
    int64_t dim[IR_MAX_RANK], stride[IR_MAX_RANK];
    const int n = merge_dims(v, dim, stride);

    return !n || (n == 1 && stride[0] == 1);
}

/* ---- back into operators --------------------------------------------- */

/* A run of elements of one source dim that is one dim of the window, or part of it. */
struct piece {
    int64_t size;
    int out;   /* dim of the window */
    int minor; /* position among the pieces of that dim, innermost 0 */
};

struct factoring {
    int n;
    struct piece piece[2 * IR_MAX_RANK]; /* innermost first */
    int axis_of[2 * IR_MAX_RANK];
};

/* Dims of the window that are not 1, smallest stride first. */
static int sorted_dims(const struct strided_view *v, int order[])
{
    int n = 0;

    for (int i = 0; i < v->rank; i++) {
        int at = n;

        if (v->dim[i] == 1)
            continue;
        if (v->stride[i] <= 0)
            return -1;
        for (; at && v->stride[order[at - 1]] > v->stride[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
        n++;
    }
    return n;
}

/* What is left of the window's dims while the source's are consumed. */
struct pending {
    int n, at;
    int order[IR_MAX_RANK];
    int64_t size[IR_MAX_RANK], stride[IR_MAX_RANK];
    int minor[IR_MAX_RANK];
};

/* Take what lies inside source dim `axis` (stride s, size d), from `start` on. */
static bool take_axis(struct pending *q, struct factoring *f, int axis, int64_t s,
                      int64_t d, int64_t start, struct view_plan *p)
{
    int64_t count = 1, step = 1;

    while (q->at < q->n && q->stride[q->at] < s * d) {
        int64_t size = q->size[q->at], outer = 1;

        if (count == 1 && q->stride[q->at] % s == 0)
            step = q->stride[q->at] / s;
        if (q->stride[q->at] != s * step * count)
            return false;
        if (start == 0 && step == 1 && count * size > d) { /* goes on in outer dims */
            if (d % count || size % (d / count) || d == count)
                return false;
            outer = size / (d / count);
            size = d / count;
        }
        if (f->n == 2 * IR_MAX_RANK)
            return false;
        f->axis_of[f->n] = axis;
        f->piece[f->n++] = (struct piece){size, q->order[q->at], q->minor[q->at]};
        count *= size;
        if (outer == 1) {
            q->at++;
            continue;
        }
        q->size[q->at] = outer;
        q->stride[q->at] *= size;
        q->minor[q->at]++;
        break;
    }
    p->start[axis] = start;
    p->step[axis] = step;
    p->count[axis] = count;
    return start + (count - 1) * step < d;
}

static bool factorize(const struct strided_view *v, struct factoring *f,
                      struct view_plan *p)
{
    const struct strided_view whole = view_whole(v->source);
    struct pending q = {0};
    int64_t offset = v->offset;

    q.n = sorted_dims(v, q.order);
    if (q.n < 0)
        return false;
    for (int i = 0; i < q.n; i++) {
        q.size[i] = v->dim[q.order[i]];
        q.stride[i] = v->stride[q.order[i]];
    }
    for (int a = 0; a < whole.rank; a++) {
        p->start[a] = offset / whole.stride[a];
        offset %= whole.stride[a];
    }
    for (int a = whole.rank - 1; a >= 0; a--)
        if (!take_axis(&q, f, a, whole.stride[a], whole.dim[a], p->start[a], p))
            return false;
    return q.at == q.n;
}

/* Does x stand before y in the window (row-major)? */
static bool piece_before(const struct piece *x, const struct piece *y)
{
    return x->out != y->out ? x->out < y->out : x->minor > y->minor;
}

/* One Transpose of the sliced source is enough when dims correspond one to one;
 * dims of size 1 take the places that are left, in order. */
static bool plan_plain_transpose(const struct strided_view *v,
                                 const struct factoring *f, struct view_plan *p)
{
    const int rank = v->source->rank;
    bool taken[IR_MAX_RANK] = {false};
    int from[IR_MAX_RANK];

    if (v->rank != rank)
        return false;
    for (int i = 0; i < rank; i++)
        from[i] = -1;
    for (int k = 0; k < f->n; k++) {
        if (from[f->piece[k].out] >= 0 || taken[f->axis_of[k]]
            || f->piece[k].size != v->dim[f->piece[k].out])
            return false;
        from[f->piece[k].out] = f->axis_of[k];
        taken[f->axis_of[k]] = true;
    }
    for (int i = 0, a = 0; i < rank; i++) {
        if (from[i] >= 0)
            continue;
        while (taken[a])
            a++;
        from[i] = a;
        taken[a] = true;
    }
    p->n_factors = rank;
    for (int i = 0; i < rank; i++) {
        p->perm[i] = from[i];
        p->factor[i] = p->count[i];
    }
    p->transposes = true;
    return true;
}

/* Merge pieces that stay together, then Reshape, Transpose, Reshape. */
static bool plan_general(const struct factoring *f, struct view_plan *p)
{
    struct piece piece[2 * IR_MAX_RANK];
    int rank_of[2 * IR_MAX_RANK], n = 0;

    for (int k = f->n - 1; k >= 0; k--) /* outermost first */
        piece[n++] = f->piece[k];
    for (int i = 0; i < n; i++) {
        rank_of[i] = 0;
        for (int k = 0; k < n; k++)
            rank_of[i] += piece_before(&piece[k], &piece[i]);
    }

    int n_merged = 0, first[2 * IR_MAX_RANK];

    for (int i = 0; i < n; i++) {
        if (i && rank_of[i] == rank_of[i - 1] + 1) {
            piece[n_merged - 1].size *= piece[i].size;
            continue;
        }
        first[n_merged] = rank_of[i];
        piece[n_merged++] = piece[i];
    }
    if (n_merged > IR_MAX_RANK)
        return false;
    p->n_factors = n_merged;
    p->transposes = n_merged > 1;
    for (int i = 0; i < n_merged; i++) {
        int place = 0;

        for (int k = 0; k < n_merged; k++)
            place += first[k] < first[i];
        p->factor[i] = piece[i].size;
        p->perm[place] = i;
    }
    return true;
}

static bool same_dims(int n, const int64_t *a, int m, const int64_t *b)
{
    return n == m && (!n || !memcmp(a, b, (size_t)n * sizeof *a));
}

/* A box of the source is one dense block when every dim outside the first one
 * that is cut has count 1, and it is cut without steps. */
static bool slice_is_dense(int rank, const int64_t *dim, const int64_t *count,
                           const int64_t *step)
{
    bool inside = true; /* all dims so far, from the innermost, are whole */

    for (int a = rank - 1; a >= 0; a--) {
        if (!inside && count[a] != 1)
            return false;
        if (count[a] != dim[a]) {
            if (count[a] != 1 && step[a] != 1)
                return false;
            inside = false;
        }
    }
    return true;
}

/* What is sliced off the source, and the factors of the rest.  Dims of the window may
 * cut those of the source anywhere (Reshape) as long as they are walked as one; but
 * rows that are cut out alike (Slice) look so too, and are better taken apart. */
static bool find_factors(const struct strided_view *v, struct factoring *f,
                         struct view_plan *p)
{
    struct strided_view merged = *v;

    if (factorize(v, f, p))
        return true;
    *f = (struct factoring){0};
    merged.rank = merge_dims(v, merged.dim, merged.stride);
    return factorize(&merged, f, p);
}

static void plan_reshapes(const struct strided_view *v, struct view_plan *p)
{
    int64_t moved[IR_MAX_RANK];

    if (!p->transposes) {
        p->reshapes_last = !same_dims(v->source->rank, p->count, p->rank, p->dim);
        return;
    }
    for (int i = 0; i < p->n_factors; i++)
        moved[i] = p->factor[p->perm[i]];
    p->reshapes_first = !same_dims(v->source->rank, p->count, p->n_factors, p->factor);
    p->reshapes_last = !same_dims(p->n_factors, moved, p->rank, p->dim);
}

bool view_plan_make(const struct strided_view *v, struct view_plan *out)
{
    struct factoring f = {0};
    struct view_plan p = {.rank = v->rank}, plain = p;
    const int source_rank = v->source->rank;

    if (ir_count(v->source) == 0) /* no strides to speak of */
        return false;
    if (!find_factors(v, &f, &p) || !plan_general(&f, &p))
        return false;
    f = (struct factoring){0};
    if (p.transposes && factorize(v, &f, &plain) && plan_plain_transpose(v, &f, &plain))
        p = plain;
    memcpy(p.dim, v->dim, sizeof p.dim);
    for (int a = 0; a < source_rank; a++)
        p.slices |= p.count[a] != v->source->dim[a];
    p.slice_copies = !slice_is_dense(source_rank, v->source->dim, p.count, p.step);
    plan_reshapes(v, &p);
    *out = p;
    return true;
}

static int64_t product(int n, const int64_t *dim)
{
    int64_t count = 1;

    for (int i = 0; i < n; i++)
        count *= dim[i];
    return count;
}

int64_t view_plan_copies(const struct view_plan *p)
{
    const int64_t count = product(p->rank, p->dim);

    return (p->slice_copies ? count : 0) + (p->transposes ? count : 0);
}

int view_plan_nodes(const struct view_plan *p)
{
    return 2 * p->slices + p->reshapes_first + 2 * p->transposes + p->reshapes_last;
}

static struct status *emit_slice(struct ir_graph *g, struct ir_node *at,
                                 const char *name, const struct view_plan *p,
                                 struct ir_value **v)
{
    const int rank = (*v)->rank;
    struct ir_node *n = ir_node_create(g, at, OP_Slice, name, 1, 1);

    ir_set_input(n, 0, *v);
    ir_set_attr_ints(n, "starts", rank, p->start);
    ir_set_attr_ints(n, "steps", rank, p->step);
    ir_set_attr_ints(n, "sizes", rank, p->count);
    *v = ir_new_output(n, 0, name);
    return ir_infer(n);
}

static struct status *emit_reshape(struct ir_graph *g, struct ir_node *at,
                                   const char *name, int rank, const int64_t *dim,
                                   struct ir_value **v)
{
    struct ir_node *n = ir_node_create(g, at, OP_Reshape, name, 1, 1);

    ir_set_input(n, 0, *v);
    ir_set_attr_ints(n, "shape", rank, dim);
    *v = ir_new_output(n, 0, name);
    return ir_infer(n);
}

struct status *view_reshape(struct ir_graph *g, struct ir_node *at, struct ir_value *v,
                            int rank, const int64_t *dim, struct ir_value **out)
{
    *out = v;
    return same_dims(v->rank, v->dim, rank, dim)
               ? OK
               : emit_reshape(g, at, NULL, rank, dim, out);
}

static struct status *emit_transpose(struct ir_graph *g, struct ir_node *at,
                                     const char *name, int rank, const int *perm,
                                     struct ir_value **v)
{
    struct ir_node *n = ir_node_create(g, at, OP_Transpose, name, 1, 1);
    int64_t wide[IR_MAX_RANK];

    for (int i = 0; i < rank; i++)
        wide[i] = perm[i];
    ir_set_input(n, 0, *v);
    ir_set_attr_ints(n, "perm", rank, wide);
    *v = ir_new_output(n, 0, name);
    return ir_infer(n);
}

struct status *view_plan_emit(struct ir_graph *g, struct ir_node *at, const char *name,
                              struct ir_value *source, const struct view_plan *p,
                              struct ir_value **out)
{
    struct ir_value *v = source;

    if (p->slices)
        RETURN_IF_FAIL(emit_slice(g, at, name, p, &v));
    if (p->reshapes_first)
        RETURN_IF_FAIL(emit_reshape(g, at, name, p->n_factors, p->factor, &v));
    if (p->transposes)
        RETURN_IF_FAIL(emit_transpose(g, at, name, p->n_factors, p->perm, &v));
    if (p->reshapes_last)
        RETURN_IF_FAIL(emit_reshape(g, at, name, p->rank, p->dim, &v));
    *out = v;
    return OK;
}

int64_t view_node_copies(const struct ir_node *n, int which)
{
    struct strided_view w = view_whole(n->in[0]);

    if (view_through(n, which, &w) && view_is_dense(&w))
        return 0;
    return ir_count(n->out[which]);
}
