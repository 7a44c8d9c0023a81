/* SPDX-License-Identifier: Apache-2.0 */
/* The units of a graph for quantization: every node that multiplies by learned numbers.
 *
 *     Conv, ConvTranspose   with constant float weights
 *     Gemm, MatMul          with one constant float factor
 *     QLinearConv, ConvInteger, QLinearMatMul, MatMulInteger
 *                           with constant codes as the second factor: what a model that
 *                           was quantized before it came has become
 *
 * in the order in which they run, those in bodies of If and Loop included.  Decisions
 * of a plan (plan.h) are per unit.
 */
#ifndef HADMC_PLAN_UNITS_H
#define HADMC_PLAN_UNITS_H

#include "frontend/ir.h"
#include "hal/cost.h"

struct unit {
    const char *name; /* the ONNX node's, as JSON can hold it; unique: " #2" follows
                         where several nodes have one name */
    const struct ir_node *node;
    int weight_operand; /* node->in[weight_operand] is constant */
    int weight_bits, activation_bits; /* as it is: 32, or 8 for codes; 16 and 32 where
                         quantize.h has made the weights float16 */
    int64_t channels;   /* of the output, each with weights of its own */
    int64_t n_weights;
    int64_t k;    /* products that are summed for one output: Conv [M, C/g, kh, kw]
                     has C/g * kh * kw; ConvTranspose at most */
    enum work_kind kind;
    int64_t macs; /* of one run of the node, padding included */
    int64_t in_elements, out_elements;
    struct ir_node *recurrent; /* the layer whose gates it makes from the inputs; what
                                  that multiplies its state with becomes codes of 8 bits
                                  with the unit's weights, and counts to no unit.  NULL:
                                  there is none */
};

/* All units in perm memory of the graph's compile; *n may be 0. */
struct unit *units_find(const struct ir_graph *g, int *n);

/* Bytes of u->recurrent's weights where the unit's have so many bits. */
int64_t unit_recurrent_bytes(const struct unit *u, int weight_bits);

/* What the cost model takes: the whole unit, in these widths. */
struct work unit_work(const struct unit *u, int weight_bits, int activation_bits);

#endif /* HADMC_PLAN_UNITS_H */
