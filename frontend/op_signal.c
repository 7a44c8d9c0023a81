/* SPDX-License-Identifier: Apache-2.0 */
/* DFT, STFT, HannWindow, HammingWindow, BlackmanWindow, MelWeightMatrix,
 * TfIdfVectorizer.  What decides shapes becomes an attribute:
 *
 *     y = DFT(x) {axis length inverse onesided}         x [.., n, .., 1 or 2]
 *     y = STFT(x[, window]) {step length onesided}      x [batch, n, 1 or 2]
 *     y = HannWindow() {size periodic output_datatype}
 *     y = MelWeightMatrix() {bins length rate low high output_datatype}
 *     y = TfIdfVectorizer(x, pool, grams[, weights]) {...}   k_signal.c has the tables
 */
#include <string.h>

#include "frontend/op_help.h"

/* Transforms take n * odd part of n steps. */
enum { MAX_LENGTH = 1 << 24, MAX_ODD = 1 << 14 };

/* Input i as one constant integer, `otherwise` when it is left out. */
static struct status *const_int(struct ir_node *n, int i, const char *what,
                                int64_t otherwise, int64_t *out)
{
    const int64_t *v;
    int count;

    *out = otherwise;
    if (!ir_in(n, i))
        return OK;
    RETURN_IF_FAIL(op_const_ints(n, i, what, &v, &count));
    if (count != 1)
        return FAIL_AT(n, INVALID, "its %s has %d entries", what, count);
    *out = v[0];
    return OK;
}

static int64_t odd_part(int64_t n)
{
    while (n % 2 == 0)
        n /= 2;
    return n;
}

static struct status *check_length(const struct ir_node *n, int64_t length)
{
    if (length < 1 || length > MAX_LENGTH)
        return FAIL_AT(n, INVALID, "length is %lld", (long long)length);
    if (odd_part(length) > MAX_ODD)
        return FAIL_AT(n, UNSUPPORTED, "length %lld has an odd factor of %lld",
                       (long long)length, (long long)odd_part(length));
    return OK;
}

/* The table of twiddle factors, then the transforms. */
static struct kcall *call_dft(struct lowering *lw, struct k_dft *p, struct ir_value *in,
                              struct ir_value *window, struct ir_value *out)
{
    const int table = lower_temp(lw, p->length * 2 * (int64_t)sizeof(float));

    p->odd = odd_part(p->length);
    p->has_window = window != NULL;
    lower_out_temp(lower_call(lw, "dft_table", p, p->length), table);
    struct kcall *call = lower_call(lw, "dft_f32", p, p->outer * p->inner);
    lower_in(call, in);
    if (window)
        lower_in(call, window);
    lower_in_temp(call, table);
    lower_out(call, out);
    lower_scratch(call, 4 * p->length * (int64_t)sizeof(float));
    return call;
}

/* ---- DFT -------------------------------------------------------------------- */

struct status *import_DFT(struct ir_node *n, int opset)
{
    const struct ir_value *x = n->in[0];
    const bool half = ir_attr_int(n, "inverse", 0) && ir_attr_int(n, "onesided", 0);
    int64_t given = ir_attr_int(n, "axis", 1), length;
    int axis;

    if (opset >= 20)
        RETURN_IF_FAIL(const_int(n, 2, "axis", -2, &given));
    RETURN_IF_FAIL(op_axis(n, given, x->rank, &axis));
    RETURN_IF_FAIL(const_int(n, 1, "length",
                             half ? 2 * (x->dim[axis] - 1) : x->dim[axis], &length));
    op_keep_inputs(n, 1);
    ir_set_attr_int(n, "axis", axis);
    ir_set_attr_int(n, "length", length);
    return OK;
}

static struct status *check_complex(const struct ir_node *n, const struct ir_value *x)
{
    const int64_t parts = x->rank ? x->dim[x->rank - 1] : 0;

    if (parts != 1 && parts != 2)
        return FAIL_AT(n, INVALID, "the last dim of '%s' is %lld, not 1 or 2", x->name,
                       (long long)parts);
    return OK;
}

struct status *shape_DFT(struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    const bool onesided = ir_attr_int(n, "onesided", 0) != 0;
    const bool inverse = ir_attr_int(n, "inverse", 0) != 0;
    const int64_t length = ir_attr_int(n, "length", 0);
    int64_t dim[IR_MAX_RANK];
    int axis;

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_check_rank(n, 0, 2, IR_MAX_RANK));
    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", 1), x->rank, &axis));
    RETURN_IF_FAIL(check_complex(n, x));
    if (axis == x->rank - 1)
        return FAIL_AT(n, INVALID, "transforms along the real and imaginary parts");
    RETURN_IF_FAIL(check_length(n, length));
    memcpy(dim, x->dim, sizeof dim);
    dim[axis] = onesided && !inverse ? length / 2 + 1 : length;
    dim[x->rank - 1] = onesided && inverse ? 1 : 2;
    op_set_out(n, 0, x->dtype, x->rank, dim);
    return OK;
}

struct status *lower_DFT(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *y = n->out[0];
    const int axis = (int)ir_attr_int(n, "axis", 1);
    const int64_t in_parts = x->dim[x->rank - 1], out_parts = y->dim[x->rank - 1];
    const int64_t inner = op_product(x->rank - axis - 2, x->dim + axis + 1);

    RETURN_IF_FAIL(op_only_f32(n, x->dtype));
    struct k_dft p = {
        .outer = op_product(axis, x->dim),
        .inner = inner,
        .length = ir_attr_int(n, "length", 1),
        .in_outer = x->dim[axis] * inner * in_parts,
        .in_inner = in_parts,
        .in_step = inner * in_parts,
        .in_complex = in_parts == 2,
        .n_out = y->dim[axis],
        .out_outer = y->dim[axis] * inner * out_parts,
        .out_inner = out_parts,
        .out_step = inner * out_parts,
        .out_complex = out_parts == 2,
        .inverse = ir_attr_int(n, "inverse", 0) != 0,
    };
    p.hermitian = p.inverse && ir_attr_int(n, "onesided", 0) != 0;
    const int64_t most = p.hermitian ? p.length / 2 + 1 : p.length;
    p.n_in = x->dim[axis] < most ? x->dim[axis] : most;
    call_dft(lw, &p, n->in[0], NULL, n->out[0]);
    return OK;
}

/* ---- STFT ------------------------------------------------------------------- */

struct status *import_STFT(struct ir_node *n, int opset)
{
    const struct ir_value *window = ir_in(n, 2);
    int64_t step, length;

    (void)opset;
    RETURN_IF_FAIL(const_int(n, 1, "frame step", 0, &step));
    RETURN_IF_FAIL(const_int(n, 3, "frame length",
                             window && window->rank ? window->dim[0] : 0, &length));
    ir_set_input(n, 1, ir_in(n, 2));
    op_keep_inputs(n, window ? 2 : 1);
    ir_set_attr_int(n, "step", step);
    ir_set_attr_int(n, "length", length);
    return OK;
}

struct status *shape_STFT(struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *window = ir_in(n, 1);
    const int64_t step = ir_attr_int(n, "step", 0),
                  length = ir_attr_int(n, "length", 0);

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_check_rank(n, 0, 2, 3));
    if (x->rank == 3)
        RETURN_IF_FAIL(check_complex(n, x));
    RETURN_IF_FAIL(op_same_dtype(n, 0, 1));
    RETURN_IF_FAIL(check_length(n, length));
    if (step < 1 || length > x->dim[1])
        return FAIL_AT(n, INVALID, "frames of %lld every %lld in %lld elements",
                       (long long)length, (long long)step, (long long)x->dim[1]);
    if (window && (window->rank != 1 || window->dim[0] != length))
        return FAIL_AT(n, INVALID, "window '%s' does not have %lld elements",
                       window->name, (long long)length);
    const int64_t bins = ir_attr_int(n, "onesided", 1) ? length / 2 + 1 : length;
    op_set_out(n, 0, x->dtype, 4,
               (int64_t[]){x->dim[0], (x->dim[1] - length) / step + 1, bins, 2});
    return OK;
}

struct status *lower_STFT(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *y = n->out[0];
    const int64_t parts = x->rank == 3 ? x->dim[2] : 1;

    RETURN_IF_FAIL(op_only_f32(n, x->dtype));
    struct k_dft p = {
        .outer = x->dim[0],
        .inner = y->dim[1],
        .length = ir_attr_int(n, "length", 1),
        .n_in = ir_attr_int(n, "length", 1),
        .n_out = y->dim[2],
        .in_outer = x->dim[1] * parts,
        .in_inner = ir_attr_int(n, "step", 1) * parts,
        .in_step = parts,
        .in_complex = parts == 2,
        .out_outer = y->dim[1] * y->dim[2] * 2,
        .out_inner = y->dim[2] * 2,
        .out_step = 2,
        .out_complex = 1,
    };
    call_dft(lw, &p, n->in[0], ir_in(n, 1), n->out[0]);
    return OK;
}

/* ---- windows ---------------------------------------------------------------- */

static enum dtype output_dtype(const struct ir_node *n)
{
    return dtype_from_onnx((int)ir_attr_int(n, "output_datatype", 1));
}

struct status *import_HannWindow(struct ir_node *n, int opset)
{
    int64_t size;

    (void)opset;
    RETURN_IF_FAIL(const_int(n, 0, "size", 0, &size));
    op_keep_inputs(n, 0);
    ir_set_attr_int(n, "size", size);
    return OK;
}

struct status *shape_HannWindow(struct ir_node *n)
{
    const int64_t size = ir_attr_int(n, "size", -1);
    const enum dtype dtype = output_dtype(n);

    if (size < 0 || size > MAX_LENGTH)
        return FAIL_AT(n, INVALID, "size is %lld", (long long)size);
    if (dtype != DT_f32 && dtype != DT_f64 && dtype != DT_f16 && dtype != DT_bf16)
        return FAIL_AT(n, UNSUPPORTED, "output_datatype is %lld",
                       (long long)ir_attr_int(n, "output_datatype", 1));
    op_set_out(n, 0, dtype, 1, &size);
    return OK;
}

struct status *lower_HannWindow(struct lowering *lw, const struct ir_node *n)
{
    const int64_t size = ir_attr_int(n, "size", 0);
    struct k_window p = {.n = ir_attr_int(n, "periodic", 1) ? size : size - 1};

    if (n->op == OP_HannWindow)
        p.a0 = p.a1 = 0.5f;
    else if (n->op == OP_HammingWindow) {
        p.a0 = 25.0f / 46.0f;
        p.a1 = 1.0f - 25.0f / 46.0f;
    } else {
        p.a0 = 0.42f;
        p.a1 = 0.5f;
        p.a2 = 0.08f;
    }
    struct kcall *call = lower_call_typed(lw, "window", n->out[0]->dtype, &p, size);
    if (!call)
        return op_no_kernel(n, n->out[0]->dtype);
    lower_out(call, n->out[0]);
    return OK;
}

/* ---- MelWeightMatrix -------------------------------------------------------- */

struct status *import_MelWeightMatrix(struct ir_node *n, int opset)
{
    int64_t bins, length, rate;
    double edge[2] = {0, 0};

    (void)opset;
    if (n->n_in < 5)
        return FAIL_AT(n, INVALID, "has %d inputs but needs 5", n->n_in);
    RETURN_IF_FAIL(const_int(n, 0, "number of bins", 0, &bins));
    RETURN_IF_FAIL(const_int(n, 1, "length", 0, &length));
    RETURN_IF_FAIL(const_int(n, 2, "sample rate", 0, &rate));
    for (int i = 0; i < 2; i++)
        if (!ir_const_scalar(n->in[3 + i], &edge[i]))
            return FAIL_AT(
                n, UNSUPPORTED,
                "its band edges must be known when compiling (--freeze sets them)");
    op_keep_inputs(n, 0);
    ir_set_attr_int(n, "bins", bins);
    ir_set_attr_int(n, "length", length);
    ir_set_attr_int(n, "rate", rate);
    ir_set_attr_float(n, "low", (float)edge[0]);
    ir_set_attr_float(n, "high", (float)edge[1]);
    return OK;
}

struct status *shape_MelWeightMatrix(struct ir_node *n)
{
    const int64_t bins = ir_attr_int(n, "bins", 0),
                  length = ir_attr_int(n, "length", 0);
    const int64_t rate = ir_attr_int(n, "rate", 0);
    const float low = ir_attr_float(n, "low", 0), high = ir_attr_float(n, "high", 0);

    if (bins < 1 || bins > MAX_LENGTH || length < 1 || length > MAX_LENGTH || rate < 1)
        return FAIL_AT(n, INVALID, "has %lld bins, length %lld, rate %lld",
                       (long long)bins, (long long)length, (long long)rate);
    if (!(low >= 0) || !(high > low) || !(high < 1e9f))
        return FAIL_AT(n, INVALID, "band is %g to %g Hz", (double)low, (double)high);
    op_set_out(n, 0, output_dtype(n), 2, (int64_t[]){length / 2 + 1, bins});
    if (output_dtype(n) != DT_f32 && output_dtype(n) != DT_f16
        && output_dtype(n) != DT_bf16)
        return FAIL_AT(n, UNSUPPORTED, "output_datatype is %lld",
                       (long long)ir_attr_int(n, "output_datatype", 1));
    return OK;
}

struct status *lower_MelWeightMatrix(struct lowering *lw, const struct ir_node *n)
{
    const struct k_mel p = {.bins = n->out[0]->dim[1],
                            .spectrum = n->out[0]->dim[0],
                            .length = ir_attr_int(n, "length", 1),
                            .rate = ir_attr_int(n, "rate", 1),
                            .low = ir_attr_float(n, "low", 0),
                            .high = ir_attr_float(n, "high", 0)};

    RETURN_IF_FAIL(op_only_f32(n, n->out[0]->dtype));
    lower_out(lower_call(lw, "mel_weights_f32", &p, p.bins), n->out[0]);
    return OK;
}

/* ---- TfIdfVectorizer -------------------------------------------------------- */

enum { WORDS, POOL, GRAMS, WEIGHTS };

/* (first in pool, length, column) of every n-gram. */
static struct status *read_grams(const struct ir_node *n, int64_t n_pool,
                                 int64_t *grams, int *n_grams)
{
    int n_counts, n_columns, at = 0;
    const int64_t *counts = ir_attr_ints(n, "ngram_counts", &n_counts);
    const int64_t *columns = ir_attr_ints(n, "ngram_indexes", &n_columns);

    for (int length = 1; length <= n_counts; length++) {
        const int64_t first = counts[length - 1];
        const int64_t end = length < n_counts ? counts[length] : n_pool;
        if (first < 0 || end < first || end > n_pool || (end - first) % length)
            return FAIL_AT(n, INVALID, "ngram_counts do not cut the pool");
        for (int64_t i = first; i < end; i += length) {
            if (at == n_columns || columns[at] < 0 || columns[at] > MAX_LENGTH)
                return FAIL_AT(n, INVALID, "ngram_indexes do not fit the pool");
            grams[3 * at] = i;
            grams[3 * at + 1] = length;
            grams[3 * at + 2] = columns[at];
            at++;
        }
    }
    *n_grams = at;
    return OK;
}

struct status *import_TfIdfVectorizer(struct ir_node *n, int opset)
{
    struct compile *c = n->graph->compile;
    const struct ir_attr *weights = ir_attr(n, "weights");
    int n_pool, n_columns, n_grams;
    const int64_t *pool = ir_attr_ints(n, "pool_int64s", &n_pool);

    (void)opset;
    if (!pool)
        return FAIL_AT(n, UNSUPPORTED, "works on strings");
    ir_attr_ints(n, "ngram_indexes", &n_columns);
    int64_t *grams = arena_new_array(c->perm, int64_t, 3 * n_columns);
    RETURN_IF_FAIL(read_grams(n, n_pool, grams, &n_grams));
    int64_t n_out = 0;
    for (int i = 0; i < n_grams; i++)
        n_out = grams[3 * i + 2] >= n_out ? grams[3 * i + 2] + 1 : n_out;
    RETURN_IF_FAIL(op_cast_input(n, WORDS, DT_i64));
    ir_set_input(n, POOL, ir_const_i64s(c, n_pool, pool));
    ir_set_input(n, GRAMS,
                 ir_const_ref(c, NULL, DT_i64, 2, (int64_t[]){n_grams, 3}, grams));
    if (weights && weights->kind == ATTR_FLOATS && weights->n)
        ir_set_input(
            n, WEIGHTS,
            ir_const(c, NULL, DT_f32, 1, (int64_t[]){weights->n}, weights->floats));
    ir_remove_attr(n, "pool_int64s");
    ir_remove_attr(n, "ngram_counts");
    ir_remove_attr(n, "ngram_indexes");
    ir_remove_attr(n, "weights");
    ir_set_attr_int(n, "size", n_out);
    return OK;
}

static int tfidf_mode(const struct ir_node *n)
{
    const char *mode = ir_attr_str(n, "mode", "TF");

    return !strcmp(mode, "TF")      ? 0
           : !strcmp(mode, "IDF")   ? 1
           : !strcmp(mode, "TFIDF") ? 2
                                    : -1;
}

/* The table of n-grams is trusted by the kernel, so it must be constant and sound. */
static struct status *check_grams(const struct ir_node *n, int64_t size)
{
    const struct ir_value *pool = n->in[POOL], *grams = n->in[GRAMS];

    if (!grams->data || grams->dtype != DT_i64 || grams->rank != 2 || grams->dim[1] != 3
        || pool->dtype != DT_i64)
        return FAIL_AT(n, INVALID, "its n-grams are not a constant table");
    const int64_t *g = grams->data;
    for (int64_t i = 0; i < grams->dim[0]; i++, g += 3)
        if (g[0] < 0 || g[1] < 1 || g[1] > ir_count(pool)
            || g[0] > ir_count(pool) - g[1] || g[2] < 0 || g[2] >= size)
            return FAIL_AT(n, INVALID, "n-gram %lld is malformed", (long long)i);
    return OK;
}

struct status *shape_TfIdfVectorizer(struct ir_node *n)
{
    const struct ir_value *x = n->in[WORDS], *weights = ir_in(n, WEIGHTS);
    const int64_t size = ir_attr_int(n, "size", -1);
    int64_t dim[2];

    if (!ir_in(n, POOL) || !ir_in(n, GRAMS))
        return FAIL_AT(n, INVALID, "has no n-grams");
    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_check_rank(n, WORDS, 1, 2));
    if (x->dtype != DT_i64 || tfidf_mode(n) < 0)
        return FAIL_AT(n, INVALID, "mode is '%s', words are %s",
                       ir_attr_str(n, "mode", "TF"), dtype_info[x->dtype].name);
    if (size < 0 || size > MAX_LENGTH + 1)
        return FAIL_AT(n, INVALID, "size is %lld", (long long)size);
    RETURN_IF_FAIL(check_grams(n, size));
    if (weights
        && (weights->rank != 1 || weights->dim[0] < size || weights->dtype != DT_f32))
        return FAIL_AT(n, INVALID, "does not have one weight per n-gram");
    if (ir_attr_int(n, "max_skip_count", 0) < 0
        || ir_attr_int(n, "max_skip_count", 0) > MAX_LENGTH)
        return FAIL_AT(n, INVALID, "max_skip_count is out of range");
    dim[0] = x->dim[0];
    dim[x->rank - 1] = size;
    op_set_out(n, 0, DT_f32, x->rank, dim);
    return OK;
}

struct status *lower_TfIdfVectorizer(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[WORDS];
    const int64_t columns = x->dim[x->rank - 1];
    const int64_t skips = ir_attr_int(n, "max_skip_count", 0);
    const struct k_tfidf p = {.columns = columns,
                              .n_grams = n->in[GRAMS]->dim[0],
                              .n_out = ir_attr_int(n, "size", 0),
                              .shortest = ir_attr_int(n, "min_gram_length", 1),
                              .longest = ir_attr_int(n, "max_gram_length", 1),
                              .skips = skips < columns ? skips : columns,
                              .mode = tfidf_mode(n),
                              .has_weights = ir_in(n, WEIGHTS) != NULL};
    struct kcall *call = lower_call(lw, "tfidf", &p, x->rank == 2 ? x->dim[0] : 1);

    for (int i = WORDS; i <= WEIGHTS; i++)
        if (ir_in(n, i))
            lower_in(call, n->in[i]);
    lower_out(call, n->out[0]);
    return OK;
}
