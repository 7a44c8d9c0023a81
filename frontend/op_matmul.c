/* SPDX-License-Identifier: Apache-2.0 */
/* MatMul, Gemm and their integer forms MatMulInteger and QLinearMatMul.
 *
 *     y = MatMul(a, b)                       numpy's rules: 1-D operands, broadcasting
 *     y = Gemm(a, b[, c]) {alpha beta transA transB}
 *
 * The integer forms keep their ONNX operands; QLinearMatMul has two more: a bias i32 [n]
 * in steps of both scales, and limits i32[2], as QLinearConv (op_conv.c).
 */
#include <stdio.h>
#include <string.h>

#include "frontend/op_help.h"

enum { A, B, C };
/* QLinearMatMul */
enum { QA, QA_SCALE, QA_ZERO, QB, QB_SCALE, QB_ZERO, QY_SCALE, QY_ZERO, QBIAS, QLIMITS };

enum { MAX_BATCH = 6 };

/* A product of stacks of matrices, right-aligned batch dims. */
struct product {
    int64_t m, n, k;
    int n_batch;
    int64_t batch[MAX_BATCH], a_batch[MAX_BATCH], b_batch[MAX_BATCH];
    bool a_is_row, b_is_column; /* 1-D operands: their dim vanishes from the result */
};

/* Batch strides of one operand whose matrix has `matrix` elements. */
static void batch_strides(const struct ir_value *v, int64_t matrix, int64_t *stride)
{
    int64_t step = matrix;

    for (int i = 0; i < MAX_BATCH; i++) {
        const int d = v->rank - 3 - i; /* innermost batch dim first */
        const int64_t dim = d >= 0 ? v->dim[d] : 1;
        stride[MAX_BATCH - 1 - i] = dim == 1 ? 0 : step;
        step *= dim;
    }
}

static struct status *read_product(const struct ir_node *n, const struct ir_value *a,
                                   const struct ir_value *b, struct product *p)
{
    *p = (struct product){.a_is_row = a->rank == 1, .b_is_column = b->rank == 1};
    if (!a->rank || !b->rank)
        return FAIL_AT(n, INVALID, "cannot multiply a scalar");
    p->m = p->a_is_row ? 1 : a->dim[a->rank - 2];
    p->k = a->dim[a->rank - 1];
    p->n = p->b_is_column ? 1 : b->dim[b->rank - 1];
    const int64_t rows = b->dim[p->b_is_column ? 0 : b->rank - 2];
    if (rows != p->k)
        return FAIL_AT(n, INVALID, "'%s' has %lld columns but '%s' has %lld rows",
                       a->name, (long long)p->k, b->name, (long long)rows);
    for (int i = 0; i < MAX_BATCH; i++) {
        const int64_t x = a->rank - 3 - i >= 0 ? a->dim[a->rank - 3 - i] : 1;
        const int64_t y = b->rank - 3 - i >= 0 ? b->dim[b->rank - 3 - i] : 1;
        if (x != y && x != 1 && y != 1)
            return FAIL_AT(n, INVALID,
                           "stacks of %lld and %lld matrices do not broadcast",
                           (long long)x, (long long)y);
        p->batch[MAX_BATCH - 1 - i] = x == 1 ? y : x;
    }
    const int longer = a->rank > b->rank ? a->rank : b->rank;
    p->n_batch = longer > 2 ? longer - 2 : 0;
    batch_strides(a, p->m * p->k, p->a_batch);
    batch_strides(b, p->k * p->n, p->b_batch);
    return OK;
}

static void set_product(struct ir_node *n, enum dtype dtype, const struct product *p)
{
    int64_t dim[IR_MAX_RANK];
    int rank = 0;

    for (int i = MAX_BATCH - p->n_batch; i < MAX_BATCH; i++)
        dim[rank++] = p->batch[i];
    if (!p->a_is_row)
        dim[rank++] = p->m;
    if (!p->b_is_column)
        dim[rank++] = p->n;
    op_set_out(n, 0, dtype, rank, dim);
}

/* Integers of one size multiply alike, signed or not. */
static enum dtype kernel_dtype(enum dtype dtype)
{
    return dtype == DT_u32 ? DT_i32 : dtype == DT_u64 ? DT_i64 : dtype;
}

static bool can_multiply(enum dtype dtype)
{
    switch (dtype) {
    case DT_f32:
    case DT_f64:
    case DT_f16:
    case DT_bf16:
    case DT_i32:
    case DT_u32:
    case DT_i64:
    case DT_u64:
        return true;
    default:
        return false;
    }
}

static struct status *check_dtypes(const struct ir_node *n)
{
    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_same_dtype(n, A, B));
    if (!can_multiply(n->in[A]->dtype))
        return FAIL_AT(n, INVALID, "cannot multiply matrices of %s",
                       dtype_info[n->in[A]->dtype].name);
    return OK;
}

/* A stack times one matrix is one tall matrix times it. */
static void fold_batch(struct k_matmul *p, int64_t a_matrix)
{
    int64_t stack = 1;

    for (int i = MAX_BATCH - 1; i >= 0; i--) {
        if (p->b_batch[i] || p->c_batch[i]
            || (p->batch[i] != 1 && p->a_batch[i] != a_matrix * stack))
            return;
        stack *= p->batch[i];
    }
    for (int i = 0; i < MAX_BATCH; i++) {
        p->batch[i] = 1;
        p->a_batch[i] = 0;
    }
    p->m *= stack;
}

static struct k_matmul params_of(const struct product *q)
{
    struct k_matmul p = {.m = q->m,
                         .n = q->n,
                         .k = q->k,
                         .a_row = q->k,
                         .a_col = 1,
                         .b_row = q->n,
                         .b_col = 1,
                         .alpha = 1,
                         .beta = 1};

    memcpy(p.batch, q->batch, sizeof p.batch);
    memcpy(p.a_batch, q->a_batch, sizeof p.a_batch);
    memcpy(p.b_batch, q->b_batch, sizeof p.b_batch);
    return p;
}

static struct status *call_matmul(struct lowering *lw, const struct ir_node *n,
                                  const struct k_matmul *p)
{
    const enum dtype dtype = kernel_dtype(n->in[A]->dtype);
    const int64_t units = op_product(MAX_BATCH, p->batch) * ((p->m + 3) / 4);
    struct kcall *call = lower_call_typed(lw, "matmul", dtype, p, units);

    if (!call)
        return op_no_kernel(n, n->in[A]->dtype);
    lower_in(call, n->in[A]);
    lower_in(call, n->in[B]);
    if (p->has_bias)
        lower_in(call, n->in[C]);
    lower_out(call, n->out[0]);
    return OK;
}

/* ---- MatMul ----------------------------------------------------------------- */

struct status *shape_MatMul(struct ir_node *n)
{
    struct product p;

    RETURN_IF_FAIL(check_dtypes(n));
    RETURN_IF_FAIL(read_product(n, n->in[A], n->in[B], &p));
    set_product(n, n->in[A]->dtype, &p);
    return OK;
}

struct status *lower_MatMul(struct lowering *lw, const struct ir_node *n)
{
    struct product q;

    RETURN_IF_FAIL(read_product(n, n->in[A], n->in[B], &q));
    struct k_matmul p = params_of(&q);
    fold_batch(&p, q.m * q.k);
    return call_matmul(lw, n, &p);
}

/* ---- Gemm ------------------------------------------------------------------- */

static bool transposed(const struct ir_node *n, int i)
{
    return ir_attr_int(n, i == A ? "transA" : "transB", 0) != 0;
}

struct status *import_Gemm(struct ir_node *n, int opset)
{
    (void)opset;
    ir_remove_attr(n, "broadcast"); /* before opset 7; C always broadcasts now */
    return OK;
}

struct status *shape_Gemm(struct ir_node *n)
{
    const struct ir_value *a = n->in[A], *b = n->in[B], *c = ir_in(n, C);

    RETURN_IF_FAIL(check_dtypes(n));
    RETURN_IF_FAIL(op_same_dtype(n, A, C));
    RETURN_IF_FAIL(op_check_rank(n, A, 2, 2));
    RETURN_IF_FAIL(op_check_rank(n, B, 2, 2));
    const int64_t m = a->dim[transposed(n, A) ? 1 : 0],
                  k = a->dim[transposed(n, A) ? 0 : 1];
    const int64_t rows = b->dim[transposed(n, B) ? 1 : 0];
    const int64_t dim[2] = {m, b->dim[transposed(n, B) ? 0 : 1]};
    if (rows != k)
        return FAIL_AT(n, INVALID, "'%s' has %lld columns but '%s' has %lld rows",
                       a->name, (long long)k, b->name, (long long)rows);
    if (c && c->rank > 2)
        return FAIL_AT(n, INVALID, "its third input '%s' has rank %d", c->name,
                       c->rank);
    for (int i = 0; c && i < c->rank; i++)
        if (c->dim[c->rank - 1 - i] != 1 && c->dim[c->rank - 1 - i] != dim[1 - i])
            return FAIL_AT(n, INVALID,
                           "its third input '%s' does not broadcast to the result",
                           c->name);
    const bool integer = a->dtype == DT_i32 || a->dtype == DT_i64 || a->dtype == DT_u32
                         || a->dtype == DT_u64;
    if (integer
        && (ir_attr_float(n, "alpha", 1) != 1.0f
            || ir_attr_float(n, "beta", 1) != 1.0f))
        return FAIL_AT(n, UNSUPPORTED, "scales integers by alpha or beta");
    op_set_out(n, 0, a->dtype, 2, dim);
    return OK;
}

struct status *lower_Gemm(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *a = n->in[A], *b = n->in[B], *c = ir_in(n, C),
                          *y = n->out[0];
    struct k_matmul p = {.m = y->dim[0],
                         .n = y->dim[1],
                         .has_bias = c != NULL,
                         .alpha = ir_attr_float(n, "alpha", 1),
                         .beta = ir_attr_float(n, "beta", 1)};

    for (int i = 0; i < MAX_BATCH; i++)
        p.batch[i] = 1;
    p.k = a->dim[transposed(n, A) ? 0 : 1];
    p.a_row = transposed(n, A) ? 1 : a->dim[1];
    p.a_col = transposed(n, A) ? a->dim[1] : 1;
    p.b_row = transposed(n, B) ? 1 : b->dim[1];
    p.b_col = transposed(n, B) ? b->dim[1] : 1;
    if (c) {
        p.c_col = c->rank >= 1 && c->dim[c->rank - 1] != 1;
        p.c_row = c->rank == 2 && c->dim[0] != 1 ? c->dim[1] : 0;
    }
    return call_matmul(lw, n, &p);
}

/* ---- integers --------------------------------------------------------------- */

/* Scale or zero point i: one number, or one per row (column) of the product, with
 * dims of 1 allowed around it. */
static struct status *check_vector(const struct ir_node *n, int i, enum dtype dtype,
                                   int64_t count)
{
    const struct ir_value *v = ir_in(n, i);

    if (!v)
        return OK;
    RETURN_IF_FAIL(op_check_dtype(n, i, dtype));
    if (ir_count(v) == 1 || ir_count(v) == count)
        return OK;
    return FAIL_AT(n, UNSUPPORTED, "input '%s' is neither one number nor %lld", v->name,
                   (long long)count);
}

static bool is_many(const struct ir_value *v)
{
    return v && ir_count(v) != 1;
}

struct status *shape_MatMulInteger(struct ir_node *n)
{
    struct product p;

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    if (!op_is_byte(n->in[A]->dtype) || !op_is_byte(n->in[B]->dtype))
        return FAIL_AT(n, INVALID, "its matrices are not 8-bit integers");
    RETURN_IF_FAIL(read_product(n, n->in[A], n->in[B], &p));
    RETURN_IF_FAIL(check_vector(n, 2, n->in[A]->dtype, p.m));
    RETURN_IF_FAIL(check_vector(n, 3, n->in[B]->dtype, p.n));
    set_product(n, DT_i32, &p);
    return OK;
}

struct status *lower_MatMulInteger(struct lowering *lw, const struct ir_node *n)
{
    struct ir_value *a_zero = ir_in(n, 2), *b_zero = ir_in(n, 3);
    struct product q;
    char name[32];

    RETURN_IF_FAIL(read_product(n, n->in[A], n->in[B], &q));
    struct k_matmul p = params_of(&q);
    p.has_a_zero = a_zero != NULL;
    p.has_b_zero = b_zero != NULL;
    p.row_zero = is_many(a_zero);
    p.col_zero = is_many(b_zero);
    if (!p.row_zero)
        fold_batch(&p, q.m * q.k);
    snprintf(name, sizeof name, "matmul_int_%s%s", dtype_info[n->in[A]->dtype].name,
             dtype_info[n->in[B]->dtype].name);
    struct kcall *call = lower_call(lw, name, &p, op_product(MAX_BATCH, p.batch) * p.m);
    lower_in(call, n->in[A]);
    lower_in(call, n->in[B]);
    if (a_zero)
        lower_in(call, a_zero);
    if (b_zero)
        lower_in(call, b_zero);
    lower_out(call, n->out[0]);
    return OK;
}

/* Since opset 21 scales may be 16-bit floats. */
struct status *import_QLinearMatMul(struct ir_node *n, int opset)
{
    static const int scales[] = {QA_SCALE, QB_SCALE, QY_SCALE};

    (void)opset;
    for (int i = 0; i < 3; i++)
        RETURN_IF_FAIL(op_cast_input(n, scales[i], DT_f32));
    return OK;
}

struct status *shape_QLinearMatMul(struct ir_node *n)
{
    struct product p;

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    if (!op_is_byte(n->in[QA]->dtype) || !op_is_byte(n->in[QB]->dtype)
        || !op_is_byte(n->in[QY_ZERO]->dtype))
        return FAIL_AT(n, INVALID, "its matrices are not 8-bit integers");
    RETURN_IF_FAIL(read_product(n, n->in[QA], n->in[QB], &p));
    RETURN_IF_FAIL(check_vector(n, QA_SCALE, DT_f32, p.m));
    RETURN_IF_FAIL(check_vector(n, QA_ZERO, n->in[QA]->dtype, p.m));
    RETURN_IF_FAIL(check_vector(n, QB_SCALE, DT_f32, p.n));
    RETURN_IF_FAIL(check_vector(n, QB_ZERO, n->in[QB]->dtype, p.n));
    RETURN_IF_FAIL(check_vector(n, QY_SCALE, DT_f32, 1));
    RETURN_IF_FAIL(check_vector(n, QY_ZERO, n->in[QY_ZERO]->dtype, 1));
    if (ir_count(n->in[QA_SCALE]) != ir_count(n->in[QA_ZERO])
        || ir_count(n->in[QB_SCALE]) != ir_count(n->in[QB_ZERO]))
        return FAIL_AT(n, INVALID, "has scales and zero points of different lengths");
    RETURN_IF_FAIL(check_vector(n, QBIAS, DT_i32, p.n));
    RETURN_IF_FAIL(op_check_limits(n, QLIMITS));
    set_product(n, n->in[QY_ZERO]->dtype, &p);
    return OK;
}

struct status *lower_QLinearMatMul(struct lowering *lw, const struct ir_node *n)
{
    struct product q;
    char name[40];

    RETURN_IF_FAIL(read_product(n, n->in[QA], n->in[QB], &q));
    struct k_matmul p = params_of(&q);
    p.row_zero = is_many(n->in[QA_SCALE]);
    p.col_zero = is_many(n->in[QB_SCALE]);
    p.has_bias = ir_in(n, QBIAS) != NULL;
    p.c_col = is_many(ir_in(n, QBIAS));
    p.has_limits = ir_in(n, QLIMITS) != NULL;
    if (!p.row_zero)
        fold_batch(&p, q.m * q.k);
    snprintf(name, sizeof name, "matmul_quant_%s%s_%s",
             dtype_info[n->in[QA]->dtype].name, dtype_info[n->in[QB]->dtype].name,
             dtype_info[n->out[0]->dtype].name);
    struct kcall *call = lower_call(lw, name, &p, op_product(MAX_BATCH, p.batch) * p.m);
    for (int i = 0; i <= QLIMITS; i++)
        if (ir_in(n, i))
            lower_in(call, n->in[i]);
    lower_out(call, n->out[0]);
    lower_scratch(call, p.n * (int64_t)sizeof(int32_t));
    return OK;
}
