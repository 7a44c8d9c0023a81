/* SPDX-License-Identifier: Apache-2.0 */
/* Averages of codes over windows: see form_integers.c.
 *
 *     Q(act(AveragePool(DQ(x))))          =  QLinearAveragePool(x, limits of act)
 *     Q(act(ReduceMean(DQ(x), spatial)))  =  the same, one window over everything
 *
 * In a rank of 3 to 5 the spatial dims are all but the first two.
 *
 * Of 2 x 2 codes with one scale every fourth average lies halfway between two codes.  The
 * floats of the model fall to either side of it, integers to the even one: windows of an
 * even number of codes whose scales differ by a power of two stay in floats, so that an
 * imported model gives what it gave.
 */
#include <math.h>

#include "frontend/form_integers.h"
#include "frontend/op_help.h"
#include "frontend/permute.h"

enum { X, SCALE, ZERO };

/* Sums have 32 bits: 2^22 codes, each at most 255 from its zero point. */
enum { MOST_TAPS = 1 << 22 };

static bool averages_windows(const struct ir_node *n)
{
    return n->op == OP_AveragePool && !ir_attr_int(n, "channels_last", 0);
}

static bool averages_images(const struct ir_node *n)
{
    const struct ir_value *x = n->in[X];
    int n_axes;
    const int64_t *axes = ir_attr_ints(n, "axes", &n_axes);

    if (n->op != OP_ReduceMean || x->rank < 3 || x->rank > 5 || n_axes != x->rank - 2
        || !ir_count(x))
        return false;
    for (int i = 0; i < n_axes; i++)
        if (axes[i] < 2)
            return false;
    return true;
}

static int64_t taps_of(const struct ir_node *n)
{
    int count;
    const int64_t *kernel = ir_attr_ints(n, "kernel_shape", &count);

    return n->op == OP_AveragePool ? op_product(count, kernel)
                                   : op_product(n->in[X]->rank - 2, n->in[X]->dim + 2);
}

/* Of every count that a window can have. */
static bool multipliers_fit(const struct grid *x, const struct grid *y, int64_t taps)
{
    float m;

    return form_multiplier((double)x->scale, (double)y->scale, &m)
           && form_multiplier((double)x->scale, (double)y->scale * (double)taps, &m);
}

/* Counts at the borders may be even too. */
static bool ties_are_common(const struct ir_node *n, const struct grid *x,
                            const struct grid *y)
{
    int exponent, count;
    const int64_t *pads = ir_attr_ints(n, "pads", &count);
    bool may_be_even = taps_of(n) % 2 == 0;

    for (int i = 0; i < count; i++)
        may_be_even |= pads[i] != 0;
    return n->op == OP_AveragePool && may_be_even
           && frexp((double)x->scale / (double)y->scale, &exponent) == 0.5;
}

static void copy_window(const struct ir_node *n, struct ir_node *to)
{
    const int n_spatial = n->in[X]->rank - 2;
    const int64_t ones[] = {1, 1, 1}, none[6] = {0};

    if (n->op == OP_AveragePool) {
        permute_copy_attrs(n, to);
        return;
    }
    ir_set_attr_ints(to, "kernel_shape", n_spatial, n->in[X]->dim + 2);
    ir_set_attr_ints(to, "strides", n_spatial, ones);
    ir_set_attr_ints(to, "dilations", n_spatial, ones);
    ir_set_attr_ints(to, "pads", 2 * n_spatial, none);
}

static struct status *build(struct ir_node *n, struct ir_value *codes,
                            const struct requantization *r, struct ir_value **out)
{
    const struct ir_node *dx = n->in[X]->def, *q = r->quantize;
    struct ir_value *const in[] = {codes,        dx->in[SCALE],
                                   dx->in[ZERO], q->in[SCALE],
                                   q->in[ZERO],  form_limits(n->graph->compile, r)};
    struct ir_node *m =
        ir_node_create(n->graph, n, OP_QLinearAveragePool, n->name, in[5] ? 6 : 5, 1);

    m->onnx_index = n->onnx_index;
    copy_window(n, m);
    for (int i = 0; i < m->n_in; i++)
        ir_set_input(m, i, in[i]);
    *out = ir_new_output(m, 0, NULL);
    return ir_infer(m);
}

struct status *form_pool(struct ir_node *n, bool *formed, const char **why)
{
    struct ir_value *codes, *y;
    struct grid grid;
    struct requantization r;

    if ((!averages_windows(n) && !averages_images(n))
        || !grid_of_reals(n->in[X], &codes, &grid)
        || !find_requantization(n->out[0], &r, why))
        return OK;
    if (taps_of(n) > MOST_TAPS || !multipliers_fit(&grid, &r.grid, taps_of(n))) {
        *why =
            "its windows are too large, or the quotient of its scales is out of range";
        return OK;
    }
    if (ties_are_common(n, &grid, &r.grid)) {
        *why = "many of its averages lie halfway between codes";
        return OK;
    }
    const struct ir_value *old = n->out[0];

    RETURN_IF_FAIL(build(n, codes, &r, &y));
    if (y->rank != old->rank) /* a mean that drops the dims */
        RETURN_IF_FAIL(op_reshaped(n, y, old->rank, old->dim, &y));
    form_replace(&r, y);
    ir_remove(n);
    *formed = true;
    return OK;
}
