/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax and normalizations along rows of codes: see form_integers.c.
 *
 *     Q(act(Softmax(DQ(x))))                =  QLinearSoftmax(x, table, limits of act)
 *     Q(act(LayerNormalization(DQ(x))))     =  QLinearLayerNormalization(x, ...)
 *     Q(act(RMSNormalization(DQ(x))))       =  QLinearRMSNormalization(x, ...)
 *
 * What depends on scales only is computed here: the table of exponentials, gamma and
 * beta in steps of the result.  A Softmax that is read as floats stays one.
 */
#include <float.h>
#include <math.h>

#include "frontend/form_integers.h"
#include "frontend/match.h"
#include "frontend/op_help.h"
#include "frontend/permute.h"
#include "kernels/math.h"

enum { X, GAMMA, BETA };
enum { DATA, SCALE, ZERO };
enum { CODES = 256, ONE_LOG2 = 24, MOST_IN_ROW = (1 << 23) - 1 };

static const char out_of_range[] = "a quotient of its scales is out of range";

/* The island becomes `op` with n's attributes and these operands, of which the last may
 * be NULL. */
static struct status *become(struct ir_node *n, enum ir_op op, int n_in,
                             struct ir_value *const *in, const struct requantization *r,
                             bool *formed)
{
    struct ir_node *m =
        ir_node_create(n->graph, n, op, n->name, in[n_in - 1] ? n_in : n_in - 1, 1);

    m->onnx_index = n->onnx_index;
    permute_copy_attrs(n, m);
    for (int i = 0; i < m->n_in; i++)
        ir_set_input(m, i, in[i]);
    struct ir_value *y = ir_new_output(m, 0, NULL);

    RETURN_IF_FAIL(ir_infer(m));
    form_replace(r, y);
    ir_remove(n);
    *formed = true;
    return OK;
}

/* ---- Softmax ------------------------------------------------------------------ */

/* rne(exp(-s d) 2^24) */
static struct ir_value *exponentials(struct compile *c, float scale)
{
    uint32_t table[CODES];

    for (int d = 0; d < CODES; d++)
        table[d] = (uint32_t)nearbyint(
            ldexp(math_exp64(-(double)scale * (double)d), ONE_LOG2));
    return ir_const(c, NULL, DT_u32, 1, &(int64_t){CODES}, table);
}

static struct status *form_softmax(struct ir_node *n, struct ir_value *codes,
                                   const struct grid *x, const struct requantization *r,
                                   bool *formed, const char **why)
{
    const int64_t row = n->in[X]->dim[ir_attr_int(n, "axis", 0)];
    const double y = (double)r->grid.scale, most = (double)(1 << ONE_LOG2);
    float m;

    if (!form_multiplier(1.0, y * most, &m)
        || !form_multiplier(1.0, y * most * (double)row, &m)) {
        *why = out_of_range;
        return OK;
    }
    struct compile *c = n->graph->compile;
    struct ir_value *const in[] = {codes, exponentials(c, x->scale),
                                   r->quantize->in[SCALE], r->quantize->in[ZERO],
                                   form_limits(c, r)};

    return become(n, OP_QLinearSoftmax, 5, in, r, formed);
}

/* ---- normalizations ------------------------------------------------------------- */

static double number_at(const struct ir_value *v, int64_t i)
{
    switch (v->dtype) {
    case DT_f32:
        return (double)((const float *)v->data)[i];
    case DT_i32:
        return (double)((const int32_t *)v->data)[i];
    case DT_u8:
        return (double)((const uint8_t *)v->data)[i];
    default:
        return (double)((const int8_t *)v->data)[i];
    }
}

/* Constant reals, maybe as codes behind DequantizeLinear with one scale. */
static bool read_reals(const struct ir_value *v, float *out)
{
    const struct ir_node *n = match_def(v, OP_DequantizeLinear);
    const struct ir_value *from = n ? n->in[DATA] : v;
    double scale = 1.0, zero = 0.0;

    if (!from->data
        || (n ? from->dtype != DT_i32 && !op_is_byte(from->dtype)
              : from->dtype != DT_f32)
        || (n
            && (!ir_const_scalar(n->in[SCALE], &scale)
                || !ir_const_scalar(n->in[ZERO], &zero))))
        return false;
    for (int64_t i = 0; i < ir_count(v); i++) {
        const double x = number_at(from, i);

        out[i] = n ? (float)scale * (float)(x - zero) : (float)x;
    }
    return true;
}

/* In steps of y; NULL if v is none, or has numbers that are too large. */
static bool in_steps(struct compile *c, const struct ir_value *v, float step,
                     struct ir_value **out)
{
    float *to;

    *out = NULL;
    if (!v)
        return true;
    to = arena_new_array(c->perm, float, ir_count(v));
    if (!read_reals(v, to))
        return false;
    for (int64_t i = 0; i < ir_count(v); i++) {
        to[i] = (float)((double)to[i] / (double)step);
        if (!(fabsf(to[i]) <= FLT_MAX))
            return false;
    }
    *out = ir_const_ref(c, v->name, DT_f32, v->rank, v->dim, to);
    return true;
}

static bool is_normal(double v)
{
    return v >= (double)FLT_MIN && v <= (double)FLT_MAX;
}

static struct status *form_norm(struct ir_node *n, struct ir_value *codes,
                                const struct grid *x, const struct requantization *r,
                                bool *formed, const char **why)
{
    const bool layer = n->op == OP_LayerNormalization;
    const int64_t row = ir_count(n->in[GAMMA]);
    const double s = (double)x->scale, count = (double)row;
    struct compile *c = n->graph->compile;
    struct ir_value *gamma, *beta;

    if (!row || row > MOST_IN_ROW || !is_normal(s / count)
        || !is_normal(s * s / count / (layer ? count : 1.0))) {
        *why = "its rows are too long, or its scale is out of range";
        return OK;
    }
    if (!in_steps(c, n->in[GAMMA], r->grid.scale, &gamma)
        || !in_steps(c, ir_in(n, BETA), r->grid.scale, &beta)) {
        *why = "its scale or bias is computed, or out of range";
        return OK;
    }
    struct ir_value *const in[] = {codes,
                                   n->in[X]->def->in[SCALE],
                                   n->in[X]->def->in[ZERO],
                                   gamma,
                                   beta,
                                   r->quantize->in[ZERO],
                                   form_limits(c, r)};

    return become(n, layer ? OP_QLinearLayerNormalization : OP_QLinearRMSNormalization, 7,
                  in, r, formed);
}

struct status *form_rows(struct ir_node *n, bool *formed, const char **why)
{
    struct ir_value *codes;
    struct grid grid;
    struct requantization r;

    if (n->op != OP_Softmax && n->op != OP_LayerNormalization
        && n->op != OP_RMSNormalization)
        return OK;
    for (int i = 1; i < n->n_out; i++)
        if (n->out[i])
            return OK;
    if (!grid_of_reals(n->in[X], &codes, &grid)
        || !find_requantization(n->out[0], &r, why))
        return OK;
    return n->op == OP_Softmax ? form_softmax(n, codes, &grid, &r, formed, why)
                               : form_norm(n, codes, &grid, &r, formed, why);
}
