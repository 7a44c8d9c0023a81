/* SPDX-License-Identifier: Apache-2.0 */
/* Sums, products, means and changes of scale of codes: see form_integers.c.  They are
 * spelled with element operators, which are exact on such numbers (docs/numerics.md)
 * and become one loop:
 *
 *     a + b          z + rne(clamp((q_a - z_a) m_a + (q_b - z_b) m_b))    m = s / s_y
 *
 *     a b            z + rne(clamp((q_a - z_a)(q_b - z_b) m))      m = s_a s_b / s_y
 *
 *     mean of a      z + rne(clamp(sum (q_a - z_a) m))         m = s_a / (s_y count)
 *
 *     a              z + rne(clamp((q_a - z_a) m))                     m = s_a / s_y
 *
 * with the limits of a Relu or Clip in between taken into the clamp.
 */
#include "frontend/form_integers.h"

#include "frontend/match.h"
#include "frontend/permute.h"

static const char out_of_range[] = "a quotient of its scales is out of range";

static struct status *emit(struct ir_node *at, enum ir_op op, struct ir_value *a,
                           struct ir_value *b, struct ir_value **out)
{
    struct ir_value *in[] = {a, b};

    RETURN_IF_FAIL(ir_emit(at->graph, at, op, at->name, 2, in, NULL, out));
    (*out)->def->on_codes = true;
    (*out)->def->onnx_index = at->onnx_index;
    return OK;
}

static struct status *finish(struct ir_node *n, const struct requantization *r,
                             struct ir_value *v, bool *formed)
{
    struct ir_value *y;

    RETURN_IF_FAIL(form_rounded(n, v, r, &y));
    form_replace(r, y);
    ir_remove(n);
    *formed = true;
    return OK;
}

/* ---- sums and products ------------------------------------------------------- */

struct operands {
    struct ir_value *codes[2];
    struct grid grid[2];
};

static struct status *form_addition(struct ir_node *n, const struct operands *o,
                                    const struct requantization *r, bool *formed,
                                    const char **why)
{
    struct ir_value *v[2];
    float m[2];

    for (int i = 0; i < 2; i++)
        if (!form_multiplier((double)o->grid[i].scale, (double)r->grid.scale, &m[i])) {
            *why = out_of_range;
            return OK;
        }
    for (int i = 0; i < 2; i++)
        RETURN_IF_FAIL(form_scaled(n, o->codes[i], m[i], o->grid[i].zero, &v[i]));
    RETURN_IF_FAIL(emit(n, n->op, v[0], v[1], &v[0]));
    return finish(n, r, v[0], formed);
}

static struct status *form_multiplication(struct ir_node *n, const struct operands *o,
                                          const struct requantization *r, bool *formed,
                                          const char **why)
{
    struct ir_value *v[2];
    float m;

    if (!form_multiplier((double)o->grid[0].scale * (double)o->grid[1].scale,
                         (double)r->grid.scale, &m)) {
        *why = out_of_range;
        return OK;
    }
    for (int i = 0; i < 2; i++)
        RETURN_IF_FAIL(form_scaled(n, o->codes[i], 1.0f, o->grid[i].zero, &v[i]));
    RETURN_IF_FAIL(emit(n, OP_Mul, v[0], v[1], &v[0]));
    RETURN_IF_FAIL(emit(n, OP_Mul, v[0], ir_const_f32(n->graph->compile, m), &v[0]));
    return finish(n, r, v[0], formed);
}

/* Made by this pass already? */
static bool is_written(const struct requantization *r)
{
    return r->grid.scale == 1.0f;
}

struct status *form_sum(struct ir_node *n, bool *formed, const char **why)
{
    struct operands o;
    struct requantization r;

    if (n->op != OP_Add && n->op != OP_Sub && n->op != OP_Mul)
        return OK;
    for (int i = 0; i < 2; i++)
        if (!grid_of_reals(n->in[i], &o.codes[i], &o.grid[i])) {
            *why = "an operand is not quantized, with one constant scale";
            return OK;
        }
    if (!find_requantization(n->out[0], &r, why) || is_written(&r))
        return OK;
    return n->op == OP_Mul ? form_multiplication(n, &o, &r, formed, why)
                           : form_addition(n, &o, &r, formed, why);
}

/* ---- means -------------------------------------------------------------------- */

/* Integers below 2^24 are exact in float32, in any order. */
enum { MOST_SUMMED = (1 << 24) / 255 };

struct status *form_mean(struct ir_node *n, bool *formed, const char **why)
{
    struct ir_value *codes, *v;
    struct grid grid;
    struct requantization r;
    float m;

    if (n->op != OP_ReduceMean || !grid_of_reals(n->in[0], &codes, &grid)
        || !ir_count(n->out[0]))
        return OK;
    const int64_t count = ir_count(n->in[0]) / ir_count(n->out[0]);

    if (!find_requantization(n->out[0], &r, why))
        return OK;
    if (count > MOST_SUMMED
        || !form_multiplier((double)grid.scale, (double)r.grid.scale * (double)count,
                            &m)) {
        *why =
            "it has too many elements, or the quotient of its scales is out of range";
        return OK;
    }
    RETURN_IF_FAIL(form_scaled(n, codes, 1.0f, grid.zero, &v));
    struct ir_node *sum = ir_node_create(n->graph, n, OP_ReduceSum, n->name, 1, 1);

    permute_copy_attrs(n, sum);
    sum->on_codes = true;
    sum->onnx_index = n->onnx_index;
    ir_set_input(sum, 0, v);
    v = ir_new_output(sum, 0, NULL);
    RETURN_IF_FAIL(ir_infer(sum));
    RETURN_IF_FAIL(emit(n, OP_Mul, v, ir_const_f32(n->graph->compile, m), &v));
    return finish(n, &r, v, formed);
}

/* ---- changes of scale ----------------------------------------------------------- */

/* n is the QuantizeLinear; what it reads may have other readers. */
struct status *form_rescale(struct ir_node *n, bool *formed, const char **why)
{
    struct ir_node *act = match_def(ir_in(n, 0), OP_Relu);
    struct requantization r;
    struct ir_value *codes, *v;
    struct grid grid;
    float m;

    if (n->op != OP_QuantizeLinear)
        return OK;
    if (!act)
        act = match_def(n->in[0], OP_Clip);
    if (!grid_of_reals(act ? act->in[0] : n->in[0], &codes, &grid)
        || !read_requantization(n, act, &r, why))
        return OK;
    r.act = NULL;
    if (!act && grid_equal(&grid, &r.grid)) {
        form_replace(&r, codes);
        *formed = true;
        return OK;
    }
    if (is_written(&r)) { /* steps of 1 are what it would be written in */
        if (act)
            act->on_codes = true;
        return OK;
    }
    if (!form_multiplier((double)grid.scale, (double)r.grid.scale, &m)) {
        *why = out_of_range;
        return OK;
    }
    RETURN_IF_FAIL(form_scaled(n, codes, m, grid.zero, &v));
    RETURN_IF_FAIL(form_rounded(n, v, &r, &v));
    form_replace(&r, v);
    *formed = true;
    return OK;
}
