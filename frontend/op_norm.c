/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax and its kin, normalizations, likelihood losses.
 *
 *     y = Softmax(x) {axis}                       LogSoftmax, Hardmax alike
 *     y = LayerNormalization(x, scale[, bias]) {axis epsilon}     scale, bias: the shape
 *                                                 of x from axis on
 *     y = InstanceNormalization(x, scale, bias) {epsilon}
 *     y = GroupNormalization(x, scale, bias) {epsilon num_groups} scale, bias: [C]
 *     y = RMSNormalization(x, scale) {axis epsilon}
 *     y = BatchNormalization(x, scale, bias, mean, variance) {epsilon}
 *     y = LRN(x) {size alpha beta bias}
 *     y = NegativeLogLikelihoodLoss(x, target[, weight]) {ignore_index reduction}
 *
 * LpNormalization, MeanVarianceNormalization, SoftmaxCrossEntropyLoss and the training
 * form of BatchNormalization are imported as several nodes. */
#include <stdio.h>
#include <string.h>

#include "frontend/op_norm.h"

enum { X, SCALE, BIAS, MEAN, VARIANCE };

/* ---- Softmax, LogSoftmax, Hardmax --------------------------------------------------------- */

/* Before opset 13 the axis cut the shape into a matrix and rows were normalized. */
static struct status *as_matrix(struct ir_node *n, int axis)
{
    struct ir_value *x = n->in[X], *matrix, *result, *y;
    const int64_t dim[2] = {op_product(axis, x->dim),
                            op_product(x->rank - axis, x->dim + axis)};

    RETURN_IF_FAIL(op_reshaped(n, x, 2, dim, &matrix));
    RETURN_IF_FAIL(ir_emit(n->graph, n, n->op, n->name, 1, &matrix, "axis=1", &result));
    RETURN_IF_FAIL(op_reshaped(n, result, x->rank, x->dim, &y));
    ir_replace_uses(n->graph, n->out[0], y);
    ir_remove(n);
    return OK;
}

struct status *import_Softmax(struct ir_node *n, int opset)
{
    const struct ir_value *x = n->in[X];
    int64_t axis = ir_attr_int(n, "axis", opset < 13 ? 1 : -1);
    int at;

    if (opset < 13 && x->rank == 1 && axis == 1)
        axis = 0; /* a matrix of one column */
    if (opset < 13 && axis == x->rank && x->rank > 0)
        axis = x->rank - 1;
    RETURN_IF_FAIL(op_axis(n, axis, x->rank, &at));
    ir_set_attr_int(n, "axis", at);
    if (opset < 13 && op_product(x->rank - at - 1, x->dim + at + 1) != 1)
        return as_matrix(n, at);
    return OK;
}

struct status *lower_Softmax(struct lowering *lw, const struct ir_node *n)
{
    return op_call_rows(lw, n, n->op == OP_Softmax ? "softmax"
                               : n->op == OP_LogSoftmax ? "log_softmax" : "hardmax");
}

/* ---- LayerNormalization, RMSNormalization --------------------------------------------------- */

/* Input i gets the shape of x from `axis` on. */
static struct status *expand_to_row(struct ir_node *n, int i, int axis)
{
    struct ir_value *v = ir_in(n, i), *out;
    const struct ir_value *x = n->in[X];
    char attr[32 * IR_MAX_RANK] = "shape=[";
    size_t len = strlen(attr);

    if (!v || (v->rank == x->rank - axis && ir_count(v) == op_product(v->rank, x->dim + axis)))
        return OK;
    for (int d = axis; d < x->rank; d++)
        len += (size_t)snprintf(attr + len, sizeof attr - len, "%s%lld", d > axis ? "," : "",
                                (long long)x->dim[d]);
    snprintf(attr + len, sizeof attr - len, "]");
    RETURN_IF_FAIL(ir_emit(n->graph, n, OP_Expand, NULL, 1, &v, attr, &out));
    ir_set_input(n, i, out);
    return OK;
}

struct status *import_LayerNormalization(struct ir_node *n, int opset)
{
    int axis;

    (void)opset;
    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", -1), n->in[X]->rank, &axis));
    ir_set_attr_int(n, "axis", axis);
    ir_remove_attr(n, "stash_type");
    if (n->op == OP_SimplifiedLayerNormalization)
        n->op = OP_RMSNormalization;
    for (int i = SCALE; i < n->n_in; i++)
        RETURN_IF_FAIL(expand_to_row(n, i, axis));
    return OK;
}

static struct status *check_row(const struct ir_node *n, int i, int axis)
{
    const struct ir_value *v = ir_in(n, i), *x = n->in[X];

    if (v && ir_count(v) != op_product(x->rank - axis, x->dim + axis))
        return FAIL_AT(n, INVALID, "'%s' does not have one entry per element of a row",
                       v->name);
    return OK;
}

struct status *shape_LayerNormalization(struct ir_node *n)
{
    const struct ir_value *x = n->in[X];
    int64_t rows[IR_MAX_RANK];
    int axis;

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", -1), x->rank, &axis));
    for (int i = SCALE; i <= BIAS; i++) {
        RETURN_IF_FAIL(op_same_dtype(n, X, i));
        RETURN_IF_FAIL(check_row(n, i, axis));
    }
    op_set_out(n, 0, x->dtype, x->rank, x->dim);
    for (int d = 0; d < x->rank; d++)
        rows[d] = d < axis ? x->dim[d] : 1;
    for (int i = 1; i < 3; i++)
        op_set_out(n, i, x->dtype == DT_f64 ? DT_f64 : DT_f32, x->rank, rows);
    return OK;
}

/* x, scale, bias, y, means, deviations of norm_f32; n_in of them are inputs. */
static struct status *call_norm(struct lowering *lw, const struct ir_node *n, int64_t rows,
                                struct k_norm p)
{
    static const char *const kernel = "norm";

    p.eps = ir_attr_float(n, "epsilon", 1e-5f);
    p.has_scale = ir_in(n, SCALE) != NULL;
    p.has_bias = ir_in(n, BIAS) != NULL;
    p.want_mean = n->n_out > 1 && n->out[1];
    p.want_inv = n->n_out > 2 && n->out[2];
    struct kcall *call = lower_call_typed(lw, kernel, n->in[X]->dtype, &p, p.n ? rows : 0);
    if (!call)
        return op_no_kernel(n, n->in[X]->dtype);
    for (int i = X; i <= BIAS; i++)
        lower_in(call, ir_in(n, i));
    for (int i = 0; i < 3; i++)
        lower_out(call, i < n->n_out ? n->out[i] : NULL);
    return OK;
}

struct status *lower_LayerNormalization(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[X];
    int axis;

    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", -1), x->rank, &axis));

    const int64_t row = op_product(x->rank - axis, x->dim + axis);

    return call_norm(lw, n, op_product(axis, x->dim),
                     (struct k_norm){.n = row, .cycle = 1, .per_row = 0, .run = 1});
}

struct status *lower_RMSNormalization(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[X];
    int axis;

    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", -1), x->rank, &axis));

    const struct k_norm p = {.n = op_product(x->rank - axis, x->dim + axis), .cycle = 1,
                             .run = 1, .has_scale = 1,
                             .eps = ir_attr_float(n, "epsilon", 1e-5f)};
    struct kcall *call = lower_call_typed(lw, "rms_norm", x->dtype, &p,
                                          p.n ? op_product(axis, x->dim) : 0);

    if (!call)
        return op_no_kernel(n, x->dtype);
    lower_in(call, n->in[X]);
    lower_in(call, n->in[SCALE]);
    lower_out(call, n->out[0]);
    return OK;
}

/* ---- statistics per channel: Instance, Group, Batch ------------------------------------------ */

static int64_t channels_of(const struct ir_value *x)
{
    return x->rank > 1 ? x->dim[1] : 1;
}

static int64_t inner_of(const struct ir_value *x)
{
    return x->rank > 2 ? op_product(x->rank - 2, x->dim + 2) : 1;
}

static struct status *check_per_channel(const struct ir_node *n, int last)
{
    const struct ir_value *x = n->in[X];

    for (int i = SCALE; i <= last; i++) {
        if (ir_count(n->in[i]) != channels_of(x))
            return FAIL_AT(n, INVALID, "'%s' has %lld entries for %lld channels",
                           n->in[i]->name, (long long)ir_count(n->in[i]),
                           (long long)channels_of(x));
        RETURN_IF_FAIL(op_same_dtype(n, X, i));
    }
    return OK;
}

struct status *shape_InstanceNormalization(struct ir_node *n)
{
    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_check_rank(n, X, 2, IR_MAX_RANK));
    RETURN_IF_FAIL(check_per_channel(n, BIAS));
    op_set_out(n, 0, n->in[X]->dtype, n->in[X]->rank, n->in[X]->dim);
    return OK;
}

struct status *lower_InstanceNormalization(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[X];
    const int64_t inner = inner_of(x);

    return call_norm(lw, n, x->dim[0] * x->dim[1],
                     (struct k_norm){.n = inner, .cycle = x->dim[1] ? x->dim[1] : 1,
                                     .per_row = 1, .run = inner ? inner : 1});
}

/* Before opset 21 scale and bias had one entry per group. */
static struct status *repeat_per_group(struct ir_node *n, int i, int64_t groups)
{
    struct ir_value *v = n->in[i], *column, *wide, *out;
    const int64_t c = channels_of(n->in[X]);
    char attr[80];

    if (ir_count(v) != groups || groups == c)
        return OK;
    snprintf(attr, sizeof attr, "shape=[%lld,%lld]", (long long)groups, (long long)(c / groups));
    RETURN_IF_FAIL(op_reshaped(n, v, 2, (int64_t[]){groups, 1}, &column));
    RETURN_IF_FAIL(ir_emit(n->graph, n, OP_Expand, NULL, 1, &column, attr, &wide));
    RETURN_IF_FAIL(op_reshaped(n, wide, 1, &c, &out));
    ir_set_input(n, i, out);
    return OK;
}

static struct status *check_groups(const struct ir_node *n, int64_t *groups)
{
    *groups = ir_attr_int(n, "num_groups", 0);
    if (*groups < 1 || channels_of(n->in[X]) % *groups)
        return FAIL_AT(n, INVALID, "cannot cut %lld channels into %lld groups",
                       (long long)channels_of(n->in[X]), (long long)*groups);
    return OK;
}

struct status *import_GroupNormalization(struct ir_node *n, int opset)
{
    int64_t groups;

    ir_remove_attr(n, "stash_type");
    RETURN_IF_FAIL(check_groups(n, &groups));
    for (int i = SCALE; opset < 21 && i < n->n_in; i++)
        RETURN_IF_FAIL(repeat_per_group(n, i, groups));
    return OK;
}

struct status *shape_GroupNormalization(struct ir_node *n)
{
    int64_t groups;

    RETURN_IF_FAIL(check_groups(n, &groups));
    return shape_InstanceNormalization(n);
}

struct status *lower_GroupNormalization(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[X];
    const int64_t groups = ir_attr_int(n, "num_groups", 1), inner = inner_of(x);
    const int64_t per_group = x->dim[1] / groups;

    return call_norm(lw, n, x->dim[0] * groups,
                     (struct k_norm){.n = per_group * inner, .cycle = groups,
                                     .per_row = per_group, .run = inner ? inner : 1});
}

/* ---- BatchNormalization ------------------------------------------------------------------------ */

/* A vector per channel as [C, 1, 1 ...], to be stretched over x. */
static struct status *per_channel(struct ir_node *n, struct ir_value *v, struct ir_value **out)
{
    const int rank = n->in[X]->rank > 1 ? n->in[X]->rank - 1 : 1;
    int64_t dim[IR_MAX_RANK];

    for (int d = 0; d < rank; d++)
        dim[d] = d == 0 ? ir_count(v) : 1;
    return op_reshaped(n, v, rank, dim, out);
}

static struct status *binary(struct ir_node *n, enum ir_op op, struct ir_value *a,
                             struct ir_value *b, struct ir_value **out)
{
    return ir_emit(n->graph, n, op, NULL, 2, (struct ir_value *[]){a, b}, NULL, out);
}

static struct status *scalar(struct ir_node *n, float value, struct ir_value **out)
{
    struct ir_value *c = ir_const_f32(n->graph->compile, value);
    char attr[32];

    *out = c;
    if (n->in[X]->dtype == DT_f32)
        return OK;
    snprintf(attr, sizeof attr, "to=%d", dtype_info[n->in[X]->dtype].onnx);
    return ir_emit(n->graph, n, OP_Cast, NULL, 1, &c, attr, out);
}

/* old * momentum + current * (1 - momentum), as output i. */
static struct status *running(struct ir_node *n, int i, struct ir_value *old,
                              struct ir_value *current, float momentum)
{
    struct ir_value *keep, *take, *a, *b, *sum;

    if (i >= n->n_out || !n->out[i])
        return OK;
    RETURN_IF_FAIL(scalar(n, momentum, &keep));
    RETURN_IF_FAIL(scalar(n, 1.0f - momentum, &take));
    RETURN_IF_FAIL(binary(n, OP_Mul, old, keep, &a));
    RETURN_IF_FAIL(binary(n, OP_Mul, current, take, &b));
    RETURN_IF_FAIL(binary(n, OP_Add, a, b, &sum));
    ir_replace_uses(n->graph, n->out[i], sum);
    ir_set_output(n, i, NULL);
    return OK;
}

/* Mean and variance of x itself, per channel, take the place of the given ones. */
static struct status *use_own_statistics(struct ir_node *n)
{
    const float momentum = ir_attr_float(n, "momentum", 0.9f);
    struct ir_value *mean, *wide, *d, *square, *variance;
    char axes[64] = "keepdims=0 axes=[0";
    size_t len = strlen(axes);

    for (int a = 2; a < n->in[X]->rank; a++)
        len += (size_t)snprintf(axes + len, sizeof axes - len, ",%d", a);
    snprintf(axes + len, sizeof axes - len, "]");
    RETURN_IF_FAIL(ir_emit(n->graph, n, OP_ReduceMean, NULL, 1, &n->in[X], axes, &mean));
    RETURN_IF_FAIL(per_channel(n, mean, &wide));
    RETURN_IF_FAIL(binary(n, OP_Sub, n->in[X], wide, &d));
    RETURN_IF_FAIL(binary(n, OP_Mul, d, d, &square));
    RETURN_IF_FAIL(ir_emit(n->graph, n, OP_ReduceMean, NULL, 1, &square, axes, &variance));
    RETURN_IF_FAIL(running(n, 1, n->in[MEAN], mean, momentum));
    RETURN_IF_FAIL(running(n, 2, n->in[VARIANCE], variance, momentum));
    ir_set_input(n, MEAN, mean);
    ir_set_input(n, VARIANCE, variance);
    return OK;
}

struct status *import_BatchNormalization(struct ir_node *n, int opset)
{
    if (n->n_in != 5 || n->in[X]->rank < 1)
        return FAIL_AT(n, INVALID, "needs a tensor and four vectors");
    if (opset < 9 && !ir_attr_int(n, "spatial", 1))
        return FAIL_AT(n, UNSUPPORTED, "normalizes every activation apart (spatial=0)");
    if (opset >= 14 && ir_attr_int(n, "training_mode", 0))
        RETURN_IF_FAIL(use_own_statistics(n));
    for (int i = 1; i < n->n_out; i++)
        if (n->out[i] && n->out[i]->n_uses)
            return FAIL_AT(n, UNSUPPORTED, "is asked for statistics that only training makes");
    n->n_out = 1;
    static const char *const gone[] = {"spatial", "is_test", "training_mode", "momentum",
                                       "consumed_inputs"};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        ir_remove_attr(n, gone[i]);
    return OK;
}

struct status *shape_BatchNormalization(struct ir_node *n)
{
    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_check_rank(n, X, 1, IR_MAX_RANK));
    RETURN_IF_FAIL(check_per_channel(n, VARIANCE));
    op_set_out(n, 0, n->in[X]->dtype, n->in[X]->rank, n->in[X]->dim);
    return OK;
}

struct status *lower_BatchNormalization(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[X];
    const struct k_norm p = {.n = inner_of(x), .cycle = channels_of(x) ? channels_of(x) : 1,
                             .eps = ir_attr_float(n, "epsilon", 1e-5f)};
    struct kcall *call = lower_call_typed(lw, "batch_norm", x->dtype, &p,
                                          p.n ? ir_count(x) / p.n : 0);

    if (!call)
        return op_no_kernel(n, x->dtype);
    for (int i = X; i <= VARIANCE; i++)
        lower_in(call, n->in[i]);
    lower_out(call, n->out[0]);
    return OK;
}

/* ---- made of other nodes ------------------------------------------------------------------------- */

/* x / norm(x), zero where the norm is. */
struct status *import_LpNormalization(struct ir_node *n, int opset)
{
    const int64_t p = ir_attr_int(n, "p", 2);
    struct ir_value *norm;
    char attr[64];
    int axis;

    (void)opset;
    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", -1), n->in[X]->rank, &axis));
    if (p != 1 && p != 2)
        return FAIL_AT(n, INVALID, "norm %lld is neither 1 nor 2", (long long)p);
    snprintf(attr, sizeof attr, "keepdims=1 axes=[%d]", axis);
    RETURN_IF_FAIL(ir_emit(n->graph, n, p == 1 ? OP_ReduceL1 : OP_ReduceL2, NULL, 1, n->in,
                           attr, &norm));
    n->op = OP_Div;
    n->attrs = NULL;
    ir_set_input(n, 1, norm);
    return OK;
}

/* (x - mean) / (deviation + 1e-9). */
struct status *import_MeanVarianceNormalization(struct ir_node *n, int opset)
{
    struct ir_value *mean, *d, *square, *variance, *root, *tiny, *below;
    const int64_t *axis, usual[3] = {0, 2, 3};
    int n_axes, at[IR_MAX_RANK];
    char attr[80] = "keepdims=1 axes=[";
    size_t len = strlen(attr);

    (void)opset;
    axis = ir_attr_ints(n, "axes", &n_axes);
    if (!ir_attr(n, "axes")) {
        axis = usual;
        n_axes = 3;
    }
    RETURN_IF_FAIL(op_axes(n, n_axes, axis, n->in[X]->rank, at));
    for (int d_at = 0, listed = 0; d_at < n->in[X]->rank; d_at++)
        for (int i = 0; i < n_axes; i++)
            if (at[i] == d_at)
                len += (size_t)snprintf(attr + len, sizeof attr - len, "%s%d",
                                        listed++ ? "," : "", d_at);
    snprintf(attr + len, sizeof attr - len, "]");
    RETURN_IF_FAIL(ir_emit(n->graph, n, OP_ReduceMean, NULL, 1, n->in, attr, &mean));
    RETURN_IF_FAIL(binary(n, OP_Sub, n->in[X], mean, &d));
    RETURN_IF_FAIL(binary(n, OP_Mul, d, d, &square));
    RETURN_IF_FAIL(ir_emit(n->graph, n, OP_ReduceMean, NULL, 1, &square, attr, &variance));
    RETURN_IF_FAIL(ir_emit(n->graph, n, OP_Sqrt, NULL, 1, &variance, NULL, &root));
    RETURN_IF_FAIL(scalar(n, 1e-9f, &tiny));
    RETURN_IF_FAIL(binary(n, OP_Add, root, tiny, &below));
    n->op = OP_Div;
    n->attrs = NULL;
    ir_set_input(n, 0, d);
    ir_set_input(n, 1, below);
    return OK;
}

/* ---- LRN ------------------------------------------------------------------------------------------- */

struct status *shape_LRN(struct ir_node *n)
{
    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_check_rank(n, X, 2, IR_MAX_RANK));
    if (ir_attr_int(n, "size", 0) < 1)
        return FAIL_AT(n, INVALID, "size %lld is not positive",
                       (long long)ir_attr_int(n, "size", 0));
    op_set_out(n, 0, n->in[X]->dtype, n->in[X]->rank, n->in[X]->dim);
    return OK;
}

struct status *lower_LRN(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[X];
    const struct k_lrn p = {.c = x->dim[1], .inner = inner_of(x),
                            .size = ir_attr_int(n, "size", 1),
                            .alpha = ir_attr_float(n, "alpha", 1e-4f),
                            .beta = ir_attr_float(n, "beta", 0.75f),
                            .bias = ir_attr_float(n, "bias", 1.0f)};
    struct kcall *call = lower_call_typed(lw, "lrn", x->dtype, &p,
                                          x->dim[0] * x->dim[1]);

    if (!call)
        return op_no_kernel(n, x->dtype);
    lower_in(call, n->in[X]);
    lower_out(call, n->out[0]);
    return OK;
}

/* ---- losses ------------------------------------------------------------------------------------------ */

enum { TARGET = 1, WEIGHT = 2 };

static bool reduces(const struct ir_node *n, const char *how)
{
    return !strcmp(ir_attr_str(n, "reduction", "mean"), how);
}

/* x [N, C, d...], target [N, d...]. */
static bool targets_fit(const struct ir_value *target, const struct ir_value *x)
{
    if (target->rank != x->rank - 1 || target->dim[0] != x->dim[0] || !x->dim[1])
        return false;
    for (int d = 1; d < target->rank; d++)
        if (target->dim[d] != x->dim[d + 1])
            return false;
    return true;
}

struct status *shape_NegativeLogLikelihoodLoss(struct ir_node *n)
{
    const struct ir_value *x = n->in[X], *target = n->in[TARGET], *weight = ir_in(n, WEIGHT);

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_check_rank(n, X, 2, IR_MAX_RANK));
    if (target->dtype != DT_i32 && target->dtype != DT_i64)
        return FAIL_AT(n, INVALID, "classes '%s' are not integers", target->name);
    if (!targets_fit(target, x))
        return FAIL_AT(n, INVALID, "classes '%s' do not fit to '%s'", target->name, x->name);
    if (weight && ir_count(weight) != x->dim[1])
        return FAIL_AT(n, INVALID, "'%s' does not have one weight per class", weight->name);
    RETURN_IF_FAIL(op_same_dtype(n, X, WEIGHT));
    if (!reduces(n, "none") && !reduces(n, "sum") && !reduces(n, "mean"))
        return FAIL_AT(n, INVALID, "reduction is '%s'", ir_attr_str(n, "reduction", ""));
    op_set_out(n, 0, x->dtype, reduces(n, "none") ? target->rank : 0, target->dim);
    return OK;
}

static struct kcall *call_sum(struct lowering *lw, int64_t count)
{
    struct k_reduce p = {.count = count};

    for (int d = 0; d < K_MAX_RANK; d++)
        p.kept[d] = p.red[d] = 1;
    p.red[K_MAX_RANK - 1] = count;
    p.red_stride[K_MAX_RANK - 1] = 1;
    return lower_call(lw, "reduce_sum_f32", &p, 1);
}

/* Losses and their weights per target; then the sum, divided by the sum of weights. */
struct status *lower_NegativeLogLikelihoodLoss(struct lowering *lw, const struct ir_node *n)
{
    struct ir_value *x = n->in[X], *y = n->out[0], *target = n->in[TARGET];
    const struct ir_attr *ignore = ir_attr(n, "ignore_index");
    const int64_t count = ir_count(target);
    const struct k_nll p = {.c = x->dim[1], .inner = inner_of(x),
                            .ignore = ignore ? ignore->i : 0, .has_ignore = ignore != NULL,
                            .has_weight = ir_in(n, WEIGHT) != NULL};

    if (x->dtype != DT_f32)
        return op_no_kernel(n, x->dtype);
    const int weights = lower_temp(lw, count * (int64_t)sizeof(float));
    const int losses = reduces(n, "none") ? -1 : lower_temp(lw, count * (int64_t)sizeof(float));
    struct kcall *call = lower_call_typed(lw, "nll", target->dtype, &p, count);
    lower_in(call, x);
    lower_in(call, target);
    lower_in(call, ir_in(n, WEIGHT));
    if (losses < 0)
        lower_out(call, y);
    else
        lower_out_temp(call, losses);
    lower_out_temp(call, weights);
    if (losses < 0)
        return OK;

    call = call_sum(lw, count);
    lower_in_temp(call, losses);
    lower_out(call, y);
    if (!reduces(n, "mean"))
        return OK;

    const int total = lower_temp(lw, sizeof(float));
    call = call_sum(lw, count);
    lower_in_temp(call, weights);
    lower_out_temp(call, total);
    struct k_eltwise one = {.dim = {1, 1, 1, 1, 1, 1, 1, 1}};
    call = lower_call(lw, "div_f32", &one, 1);
    lower_in(call, y);
    lower_in_temp(call, total);
    lower_out(call, y);
    return OK;
}

/* LogSoftmax over the classes (also an output of its own), then the likelihood. */
struct status *import_SoftmaxCrossEntropyLoss(struct ir_node *n, int opset)
{
    struct ir_value *log_prob;

    (void)opset;
    if (n->in[X]->rank < 2)
        return FAIL_AT(n, INVALID, "needs [N, C, ...]");
    RETURN_IF_FAIL(ir_emit(n->graph, n, OP_LogSoftmax, NULL, 1, n->in, "axis=1", &log_prob));
    if (n->n_out > 1 && n->out[1]) {
        ir_replace_uses(n->graph, n->out[1], log_prob);
        ir_set_output(n, 1, NULL);
    }
    n->n_out = 1;
    n->op = OP_NegativeLogLikelihoodLoss;
    ir_set_input(n, X, log_prob);
    return OK;
}
