/* SPDX-License-Identifier: Apache-2.0 */
/* See product.h. */
#include "compress/product.h"

#include <string.h>

#include "frontend/match.h"
#include "support/blas.h"

enum { X, W, B };

int product_axis(const struct ir_node *n)
{
    if ((n->op != OP_Conv && n->op != OP_Gemm && n->op != OP_MatMul)
        || !match_const_f32(ir_in(n, W)) || n->in[X]->data || n->in[X]->dynamic
        || !ir_count(n->in[W]))
        return -1;
    if (ir_in(n, B) && !match_const_f32(n->in[B]))
        return -1;
    if (n->op == OP_Conv)
        return 0;
    if (n->op == OP_MatMul)
        return n->in[W]->rank == 2 && n->in[X]->rank >= 2 ? 1 : -1;
    if (ir_attr_float(n, "alpha", 1.0f) != 1.0f || ir_attr_int(n, "transA", 0)
        || (ir_in(n, B) && ir_attr_float(n, "beta", 1.0f) != 1.0f))
        return -1;
    return ir_attr_int(n, "transB", 0) ? 0 : 1;
}

/* ---- shapes ---------------------------------------------------------------------- */

static bool is_pointwise(const struct window *w, const int64_t *out)
{
    for (int d = 0; d < 3; d++)
        if (w->kernel[d] != 1 || w->stride[d] != 1 || w->pad[d] || w->in[d] != out[d])
            return false;
    return true;
}

static bool read_conv(struct product *p)
{
    const struct ir_node *n = p->node;
    const struct ir_value *w = n->in[W], *y = n->out[0];
    struct status *s = window_read(n, n->in[X], w->dim + 2, &p->window);

    if (s) {
        status_free(s);
        return false;
    }
    if (p->window.channels_last)
        return false;
    for (int d = 0; d < 3; d++) {
        const int at = d - (3 - p->window.n_spatial);

        p->out[d] = at < 0 ? 1 : y->dim[at + 2];
    }
    p->groups = ir_attr_int(n, "group", 1);
    p->rows = p->window.batch * p->out[0] * p->out[1] * p->out[2];
    p->is_pointwise = p->window.batch == 1 && is_pointwise(&p->window, p->out);
    return true;
}

static bool bias_is_per_channel(const struct ir_value *b, int64_t channels)
{
    return !b || ir_count(b) == 1
           || (ir_count(b) == channels && b->dim[b->rank - 1] == channels);
}

bool product_of(const struct ir_node *n, struct product *out)
{
    *out = (struct product){.node = n, .axis = product_axis(n), .groups = 1};
    if (out->axis < 0 || n->in[X]->dtype != DT_f32 || !ir_count(n->out[0]))
        return false;
    out->channels = n->in[W]->dim[out->axis];
    out->k = ir_count(n->in[W]) / out->channels;
    if (n->op == OP_Conv)
        return read_conv(out);
    out->by_rows = true;
    out->rows = ir_count(n->out[0]) / out->channels;
    return bias_is_per_channel(ir_in(n, B), out->channels);
}

/* ---- weights --------------------------------------------------------------------- */

int64_t product_taps(const struct product *p)
{
    const int64_t *kernel = p->window.kernel;

    return p->by_rows ? 1 : kernel[0] * kernel[1] * kernel[2];
}

int64_t product_place(const struct product *p, int64_t channel, int64_t i)
{
    return p->axis == 0 ? channel * p->k + i : i * p->channels + channel;
}

void product_weights(const struct product *p, float *out)
{
    const float *w = p->node->in[W]->data;

    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t i = 0; i < p->k; i++)
            out[c * p->k + i] = w[product_place(p, c, i)];
}

void product_bias(const struct product *p, float *out)
{
    const struct ir_value *b = ir_in(p->node, B);

    for (int64_t c = 0; c < p->channels; c++)
        out[c] = b ? ((const float *)b->data)[ir_count(b) == 1 ? 0 : c] : 0.0f;
}

/* ---- windows --------------------------------------------------------------------- */

int64_t product_scratch(const struct product *p)
{
    return p->by_rows || p->is_pointwise ? 0 : p->k * p->rows;
}

/* Outputs o whose input o * stride + shift is inside. */
static void inside(int64_t n_out, int64_t n_in, int64_t stride, int64_t shift,
                   int64_t *first, int64_t *end)
{
    *first = shift < 0 ? (-shift + stride - 1) / stride : 0;
    *end = shift < n_in ? (n_in - shift + stride - 1) / stride : 0;
    *end = *end < n_out ? *end : n_out;
    *first = *first < *end ? *first : *end;
}

/* One row of a plane's windows: out[o] = in[o * stride + shift], 0 outside. */
static void gather_line(const float *in, int64_t n_in, int64_t stride, int64_t shift,
                        int64_t n_out, float *out)
{
    int64_t first, end;

    inside(n_out, n_in, stride, shift, &first, &end);
    memset(out, 0, (size_t)first * sizeof *out);
    if (stride == 1 && end > first)
        memcpy(out + first, in + first + shift, (size_t)(end - first) * sizeof *out);
    else
        for (int64_t o = first; o < end; o++)
            out[o] = in[o * stride + shift];
    memset(out + end, 0, (size_t)(n_out - end) * sizeof *out);
}

/* One kernel position over a channel [in0, in1, in2] -> [out0, out1, out2]. */
static void gather_plane(const struct product *p, const float *in, const int64_t *tap,
                         float *out)
{
    const struct window *w = &p->window;
    int64_t shift[3];

    for (int d = 0; d < 3; d++)
        shift[d] = tap[d] * w->dilation[d] - w->pad[d];
    for (int64_t z = 0; z < p->out[0]; z++)
        for (int64_t y = 0; y < p->out[1]; y++) {
            const int64_t iz = z * w->stride[0] + shift[0];
            const int64_t iy = y * w->stride[1] + shift[1];
            float *line = out + (z * p->out[1] + y) * p->out[2];

            if (iz < 0 || iz >= w->in[0] || iy < 0 || iy >= w->in[1])
                memset(line, 0, (size_t)p->out[2] * sizeof *line);
            else
                gather_line(in + (iz * w->in[1] + iy) * w->in[2], w->in[2],
                            w->stride[2], shift[2], p->out[2], line);
        }
}

static int64_t volume(const int64_t *dim)
{
    return dim[0] * dim[1] * dim[2];
}

/* [k][rows], k being channel, then kernel position. */
static void gather(const struct product *p, const float *x, int64_t group, float *out)
{
    const struct window *w = &p->window;
    const int64_t taps = volume(w->kernel), c_in = p->k / taps;
    const int64_t plane = volume(w->in), pixels = volume(p->out);

    for (int64_t i = 0; i < p->k; i++) {
        const int64_t at = i % taps;
        const int64_t tap[] = {at / (w->kernel[1] * w->kernel[2]),
                               at / w->kernel[2] % w->kernel[1], at % w->kernel[2]};
        const int64_t channel = group * c_in + i / taps;

        for (int64_t b = 0; b < w->batch; b++)
            gather_plane(p, x + (b * w->channels + channel) * plane, tap,
                         out + i * p->rows + b * pixels);
    }
}

const float *product_windows(const struct product *p, const float *x, int64_t group,
                             float *scratch, int64_t *ld)
{
    *ld = p->by_rows ? p->k : p->rows;
    if (p->by_rows)
        return x;
    if (p->is_pointwise)
        return x + group * p->k * p->rows;
    gather(p, x, group, scratch);
    return scratch;
}

/* ---- the product ----------------------------------------------------------------- */

static void add_bias(const struct product *p, const float *bias, float *y)
{
    const int64_t inner = p->by_rows ? 1 : volume(p->out);

    for (int64_t i = 0; i < p->rows * p->channels; i += inner) {
        const float b = bias[i / inner % p->channels];

        for (int64_t j = 0; j < inner; j++)
            y[i + j] += b;
    }
}

/* With one sample in the batch a group's result is one matrix; with more, one each. */
static void apply_conv(const struct product *p, const float *weights, const float *x,
                       float *scratch, float *y)
{
    const int64_t m = p->channels / p->groups, pixels = volume(p->out);

    for (int64_t g = 0; g < p->groups; g++) {
        int64_t ld;
        const float *windows = product_windows(p, x, g, scratch, &ld);

        for (int64_t b = 0; b < p->window.batch; b++)
            blas_sgemm(BLAS_PLAIN, BLAS_PLAIN, m, pixels, p->k, 1.0f,
                       weights + g * m * p->k, p->k, windows + b * pixels, ld, 0.0f,
                       y + (b * p->channels + g * m) * pixels, pixels);
    }
}

void product_apply(const struct product *p, const float *weights, const float *bias,
                   const float *x, float *scratch, float *y)
{
    if (p->by_rows)
        blas_sgemm(BLAS_PLAIN, BLAS_TRANSPOSED, p->rows, p->channels, p->k, 1.0f, x,
                   p->k, weights, p->k, 0.0f, y, p->channels);
    else
        apply_conv(p, weights, x, scratch, y);
    add_bias(p, bias, y);
}

double product_energy(const struct product *p, const float *y)
{
    const int64_t n = ir_count(p->node->out[0]);
    double sum = 0.0;

    for (int64_t i = 0; i < n; i++)
        sum += (double)y[i] * (double)y[i];
    return sum / (double)n;
}
