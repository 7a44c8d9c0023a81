/* SPDX-License-Identifier: Apache-2.0 */
/* See quantize.h: the plan's units, then the steps of quantize_parts.h. */
#include "compress/quantize.h"

#include <math.h>

#include "compress/quantize_parts.h"
#include "kernels/half.h"

static bool is_level(const struct plan_unit *u)
{
    return u->weight_bits == 32   ? u->activation_bits == 32
           : u->weight_bits == 16 ? u->activation_bits >= 16
                                  : u->activation_bits == 8;
}

/* Units that have no integer form stay float, whatever the plan says. */
static bool can_have_codes(const struct ir_graph *g, const struct ir_node *n)
{
    struct product p;

    return n->graph == g && product_of(n, &p) && tensor_can_be_codes(n->in[0]);
}

/* None becomes infinite (65520 is halfway), and few are so small that most of their
 * bits are lost: of the sum of squares a part in 10^8 goes by rounding. */
static bool are_near_halves(int64_t n, const float *x)
{
    const double most = 1e-6;
    double lost = 0.0, all = 0.0;

    for (int64_t i = 0; i < n; i++) {
        if (!(fabsf(x[i]) < 65520.0f))
            return false;

        const double by = (double)x[i] - (double)f32_of_f16(f16_of_f32(x[i]));

        lost += by * by;
        all += (double)x[i] * (double)x[i];
    }
    return lost <= most * all;
}

bool quantize_can_have_halves(const struct ir_graph *g, const struct unit *u)
{
    const struct ir_node *n = u->node;
    const struct ir_value *w = n->in[u->weight_operand];

    if (n->graph != g || u->weight_operand != 1 || w->dtype != DT_f32
        || (n->op == OP_MatMul && w->rank != 2)
        || (n->op == OP_Gemm && ir_attr_float(n, "alpha", 1.0f) != 1.0f))
        return false;
    return are_near_halves(ir_count(w), w->data);
}

static void take_unit(const struct quantizer *q, const struct unit *unit,
                      const struct plan_unit *u, struct quantized_unit *to)
{
    *to = (struct quantized_unit){
        .weight_bits = unit->weight_bits,
        .activation_bits = unit->activation_bits,
        .calibrator = unit->activation_bits < 16 ? CALIBRATOR_minmax : CALIBRATOR_none,
        .macs = unit->macs,
    };
    if (u->weight_bits == 16 && quantize_can_have_halves(q->g, unit)) {
        to->has_halves = true;
        to->weight_bits = 16;
        to->activation_bits = u->activation_bits;
    }
    if (u->weight_bits > 8 || !can_have_codes(q->g, unit->node))
        return;
    to->has_codes = true;
    to->weight_bits = u->weight_bits;
    to->activation_bits = u->activation_bits;
    to->calibrator = q->o->keep_calibrators || u->calibrator == CALIBRATOR_pair
                         ? u->calibrator
                         : CALIBRATOR_none;
}

static struct status *check_widths(const struct plan_unit *u,
                                   const struct quantized_unit *has)
{
    if (has->weight_bits == u->weight_bits
        && has->activation_bits == u->activation_bits)
        return OK;
    return FAIL(UNSUPPORTED,
                "unit '%s' is to have %d bits for weights and %d for activations, but "
                "this operator, or what its weights are, leaves only %d and %d",
                u->name, u->weight_bits, u->activation_bits, has->weight_bits,
                has->activation_bits);
}

static struct status *take_plan(struct quantizer *q, const struct unit *units, int n)
{
    const struct plan *plan = q->o->plan;

    if (plan->n_units != n)
        return FAIL(INVALID, "the plan has %d units, the model %d", plan->n_units, n);
    q->q->n_units = n;
    q->q->units = arena_new_array(q->arena, struct quantized_unit, n);
    for (int i = 0; i < n; i++) {
        const struct plan_unit *u = &plan->units[i];

        if (!is_level(u))
            return FAIL(UNSUPPORTED,
                        "unit '%s' has %d bits for weights and %d for activations; "
                        "there are 32 and 32, 16 and 32, 16 and 16, 8 and 8, 4 and 8",
                        u->name, u->weight_bits, u->activation_bits);
        take_unit(q, &units[i], u, &q->q->units[i]);
        if (q->o->keep_widths)
            RETURN_IF_FAIL(check_widths(u, &q->q->units[i]));
    }
    return OK;
}

/* By position of a node, so that a graph made in the same way has the same. */
static void find_nodes(struct quantizer *q, const struct unit *units)
{
    int i = 0;

    for (const struct ir_node *node = q->g->first; node; node = node->next)
        q->n_nodes++;
    q->unit_of = arena_new_array(q->arena, int, q->n_nodes);

    enum tensor_reader *reader =
        arena_new_array(q->arena, enum tensor_reader, q->n_nodes);

    for (const struct ir_node *node = q->g->first; node; node = node->next, i++) {
        q->unit_of[i] = -1;
        for (int u = 0; u < q->q->n_units; u++)
            if (units[u].node == node && q->q->units[u].has_codes)
                q->unit_of[i] = u;
        reader[i] = q->unit_of[i] < 0 ? READS_FLOATS
                    : q->q->units[q->unit_of[i]].calibrator == CALIBRATOR_pair
                        ? READS_PAIRS
                        : READS_CODES;
    }
    q->uses = tensor_uses_find(q->arena, q->g, reader);
}

void quantize_tell(const struct quantizer *q, const char *what, int done)
{
    if (q->o->progress)
        q->o->progress(what, done, q->n_nodes, q->o->progress_arg);
}

static bool has_codes(const struct quantization *q)
{
    for (int i = 0; i < q->n_units; i++)
        if (q->units[i].has_codes)
            return true;
    return false;
}

struct status *quantize_observe(struct compile *c, struct ir_graph *g,
                                const struct quantize_options *o, struct arena *a,
                                struct quantizer *q)
{
    int n;
    const struct unit *units = units_find(g, &n);

    *q = (struct quantizer){.arena = a, .g = g, .o = o};
    q->q = arena_new(a, struct quantization);
    RETURN_IF_FAIL(take_plan(q, units, n));
    find_nodes(q, units);
    q->q->n_values = c->n_values;
    q->q->tensors = arena_new_array(a, struct quantized_tensor, c->n_values);
    q->q->n_samples = flow_samples(g, o->n_samples);
    return has_codes(q->q) ? quantize_find_ranges(q) : OK;
}

struct status *quantize_decide(struct compile *c, struct ir_graph *g,
                               const struct quantize_options *o, struct arena *a,
                               struct quantization **out)
{
    struct quantizer q;

    RETURN_IF_FAIL(quantize_observe(c, g, o, a, &q));
    *out = q.q;
    if (!has_codes(q.q))
        return OK;
    return quantize_fit_units(&q);
}
