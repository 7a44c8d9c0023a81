/* SPDX-License-Identifier: Apache-2.0 */
/* Layers that are compiled to be timed. */
#ifndef HADMC_CLI_PROBE_LAYERS_H
#define HADMC_CLI_PROBE_LAYERS_H

#include "frontend/ir.h"
#include "hal/kernel_table.h"

struct probe_layer {
    enum work_kind kind;
    int weight_bits; /* 32, 8 or 4; activations have 32 or 8 */
    int64_t channels, c_in, window, stride, side; /* output [1, channels, side, side] */
    int64_t elements; /* WORK_MOVE: of the sum of two tensors */
    bool is_unsigned; /* codes of activations, as compiled networks have them */
    double ns;        /* measured */
};

/* Of weights, inputs and outputs. */
int64_t probe_layer_bytes(const struct probe_layer *l);

/* Adds the layer with an input, random weights and an output of its own to g; its node
 * is called `name`. */
struct status *probe_layer_add(struct ir_graph *g, const struct probe_layer *l,
                               const char *name);

#endif /* HADMC_CLI_PROBE_LAYERS_H */
