/* SPDX-License-Identifier: Apache-2.0 */
/* ConvTranspose, and Conv of three spatial dims: products by OpenBLAS over columns that
 * are written out (im2col: Chellapilla, Puri and Simard 2006).
 *
 * Both tie a small side, the results of a Conv, to a large one, its input:
 *
 *     place[t][p]    position of the large side that tap t of small position p touches
 *     col[i, t][p] = large[i][place[t][p]]
 *
 *                    Conv                  ConvTranspose
 *     results        small = W col         large = sum of W^T small at its places
 *     dx             large, from dsmall    small, from dlarge
 *     dW             += dsmall col^T       += small dcol^T
 *
 * Weights are [small channels][large channels / groups][taps] for both.
 */
#include <string.h>

#include "frontend/op_window.h"
#include "train/derivatives.h"

enum { X, W, B };

struct columns {
    int64_t groups, n_small, n_large, taps; /* channels are those of a group */
    int64_t small, large;                   /* positions */
    const int64_t *place;                   /* [taps][small]; -1: in the padding */
};

/* ---- geometry ------------------------------------------------------------------- */

static void spatial_of(const struct ir_value *v, int64_t out[3])
{
    const int n = v->rank - 2;

    for (int d = 0; d < 3; d++)
        out[d] = d < 3 - n ? 1 : v->dim[2 + d - (3 - n)];
}

/* Of tap `tap` and small position `at`, both counted in row-major order. */
static int64_t place_of(const struct window *w, const int64_t *small,
                        const int64_t *large, int64_t tap, int64_t at)
{
    int64_t place = 0, step = 1;

    for (int d = 2; d >= 0; d--) {
        const int64_t x = at % small[d] * w->stride[d]
                          + tap % w->kernel[d] * w->dilation[d] - w->pad[d];

        if (x < 0 || x >= large[d])
            return -1;
        place += x * step;
        step *= large[d];
        at /= small[d];
        tap /= w->kernel[d];
    }
    return place;
}

struct status *prepare_columns(struct tape *t, struct tape_step *s)
{
    const struct ir_node *n = s->node;
    const bool transposed = n->op == OP_ConvTranspose;
    const struct ir_value *low = transposed ? n->in[X] : n->out[0];
    const struct ir_value *high = transposed ? n->out[0] : n->in[X];
    struct columns *p = arena_new(t->a, struct columns);
    int64_t small[3], large[3], *place;
    struct window w;

    if (!tape_is_fixed(t, n->in[W]) || (ir_in(n, B) && !tape_is_fixed(t, n->in[B])))
        return FAIL_AT(n, UNSUPPORTED, "training wants constant weights");
    RETURN_IF_FAIL(window_read(n, n->in[X], n->in[W]->dim + 2, &w));
    if (w.channels_last || w.batch != 1)
        return FAIL_AT(n, UNSUPPORTED, "training wants [1, C, ...]");
    spatial_of(low, small);
    spatial_of(high, large);
    p->groups = ir_attr_int(n, "group", 1);
    p->n_small = low->dim[1] / p->groups;
    p->n_large = high->dim[1] / p->groups;
    p->taps = w.kernel[0] * w.kernel[1] * w.kernel[2];
    p->small = small[0] * small[1] * small[2];
    p->large = large[0] * large[1] * large[2];
    p->place = place = arena_new_array(t->a, int64_t, p->taps * p->small);
    for (int64_t tap = 0; tap < p->taps; tap++)
        for (int64_t at = 0; at < p->small; at++)
            *place++ = place_of(&w, small, large, tap, at);
    s->scratch_bytes = (size_t)(p->n_large * p->taps * p->small) * sizeof(real);
    s->plan = p;
    return OK;
}

/* ---- the three products of a group ---------------------------------------------- */

static void gather(const struct columns *p, const real *large, real *col)
{
    for (int64_t i = 0; i < p->n_large; i++, large += p->large)
        for (int64_t k = 0; k < p->taps * p->small; k++)
            *col++ = p->place[k] < 0 ? 0 : large[p->place[k]];
}

static void scatter(const struct columns *p, const real *col, real *large)
{
    for (int64_t i = 0; i < p->n_large; i++, large += p->large)
        for (int64_t k = 0; k < p->taps * p->small; k++, col++)
            if (p->place[k] >= 0)
                large[p->place[k]] += *col;
}

/* small += W col */
static void to_small(const struct columns *p, const real *w, const real *large,
                     real *small, real *col)
{
    const int64_t k = p->n_large * p->taps;

    gather(p, large, col);
    real_gemm(BLAS_PLAIN, BLAS_PLAIN, p->n_small, p->small, k, 1, w, k, col, p->small,
              1, small, p->small);
}

/* large += W^T small, each at its place */
static void to_large(const struct columns *p, const real *w, const real *small,
                     real *large, real *col)
{
    const int64_t k = p->n_large * p->taps;

    real_gemm(BLAS_TRANSPOSED, BLAS_PLAIN, k, p->small, p->n_small, 1, w, k, small,
              p->small, 0, col, p->small);
    scatter(p, col, large);
}

/* dW += small col^T */
static void to_weights(const struct columns *p, const real *small, const real *large,
                       real *dw, real *col)
{
    const int64_t k = p->n_large * p->taps;

    gather(p, large, col);
    real_gemm(BLAS_PLAIN, BLAS_TRANSPOSED, p->n_small, k, p->small, 1, small, p->small,
              col, p->small, 1, dw, k);
}

/* ---- both operators ------------------------------------------------------------- */

static bool is_transposed(const struct tape_call *c)
{
    return c->step->node->op == OP_ConvTranspose;
}

/* Results begin as their biases. */
static void begin_with_bias(const struct tape_call *c, int64_t s)
{
    const struct ir_value *v = c->step->node->out[0];
    const int64_t channels = v->dim[1], inner = ir_count(v) / channels;
    const real *bias = c->in[B];
    real *y = call_out(c, 0, s);

    for (int64_t o = 0; o < channels; o++)
        for (int64_t i = 0; i < inner; i++)
            *y++ = bias ? bias[o] : 0;
}

void forward_columns(const struct tape_call *c)
{
    const struct columns *p = c->step->plan;
    const int64_t n_w = p->n_small * p->n_large * p->taps;
    const int64_t n_small = p->n_small * p->small, n_large = p->n_large * p->large;

    for (int64_t s = 0; s < c->n; s++) {
        begin_with_bias(c, s);
        for (int64_t g = 0; g < p->groups; g++) {
            const real *w = (const real *)c->in[W] + g * n_w;

            if (is_transposed(c))
                to_large(p, w, call_in(c, X, s) + g * n_small,
                         call_out(c, 0, s) + g * n_large, c->scratch);
            else
                to_small(p, w, call_in(c, X, s) + g * n_large,
                         call_out(c, 0, s) + g * n_small, c->scratch);
        }
    }
}

static void input_gradient(const struct tape_call *c, int64_t s, int64_t g)
{
    const struct columns *p = c->step->plan;
    const real *w = (const real *)c->in[W] + g * p->n_small * p->n_large * p->taps;
    const int64_t n_small = p->n_small * p->small, n_large = p->n_large * p->large;

    if (is_transposed(c))
        to_small(p, w, call_d_out(c, 0, s) + g * n_large,
                 call_d_in(c, X, s) + g * n_small, c->scratch);
    else
        to_large(p, w, call_d_out(c, 0, s) + g * n_small,
                 call_d_in(c, X, s) + g * n_large, c->scratch);
}

static void weight_gradient(const struct tape_call *c, int64_t s, int64_t g)
{
    const struct columns *p = c->step->plan;
    real *dw = c->d_in[W] + g * p->n_small * p->n_large * p->taps;
    const int64_t n_small = p->n_small * p->small, n_large = p->n_large * p->large;

    if (is_transposed(c))
        to_weights(p, call_in(c, X, s) + g * n_small, call_d_out(c, 0, s) + g * n_large,
                   dw, c->scratch);
    else
        to_weights(p, call_d_out(c, 0, s) + g * n_small, call_in(c, X, s) + g * n_large,
                   dw, c->scratch);
}

static void bias_gradient(const struct tape_call *c, int64_t s)
{
    const struct ir_value *v = c->step->node->out[0];
    const int64_t channels = v->dim[1], inner = ir_count(v) / channels;
    const real *dy = call_d_out(c, 0, s);

    for (int64_t o = 0; o < channels; o++)
        for (int64_t i = 0; i < inner; i++)
            c->d_in[B][o] += *dy++;
}

void backward_columns(const struct tape_call *c)
{
    const struct columns *p = c->step->plan;

    for (int64_t s = 0; s < c->n; s++) {
        if (c->d_in[X] && c->fresh[X])
            memset(call_d_in(c, X, s), 0,
                   (size_t)ir_count(c->step->node->in[X]) * sizeof(real));
        for (int64_t g = 0; g < p->groups; g++) {
            if (c->d_in[X])
                input_gradient(c, s, g);
            if (c->d_in[W])
                weight_gradient(c, s, g);
        }
        if (c->d_in[B])
            bias_gradient(c, s);
    }
}
