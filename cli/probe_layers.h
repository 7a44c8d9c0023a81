/* SPDX-License-Identifier: Apache-2.0 */
/* Layers that are compiled to be timed. */
#ifndef HADMC_CLI_PROBE_LAYERS_H
#define HADMC_CLI_PROBE_LAYERS_H

#include "frontend/ir.h"
#include "hal/kernel_table.h"

/* Convolutions and pools make [1, channels, side, side] from windows of window x
 * window, other kinds work on `side` rows, elements or bytes (kernel_table.h). */
struct probe_layer {
    enum work_kind kind;
    int weight_bits; /* 32, 8 or 4; activations have 32 or 8 */
    bool weight_zeros;
    int64_t channels, window, stride, side;
    int64_t c_in;     /* of a group; elements of a row; operations of a function */
    bool is_unsigned; /* codes of activations, as compiled networks have them */
    double ns;        /* measured */
};

/* Sizes as kernel_table.h has them. */
double probe_layer_depth(const struct probe_layer *l);
double probe_layer_rows(const struct probe_layer *l);
/* Multiply-accumulates, or what else is done as often. */
double probe_layer_macs(const struct probe_layer *l);
/* Of weights, inputs and outputs. */
int64_t probe_layer_bytes(const struct probe_layer *l);

/* Adds the layer with an input, random weights and an output of its own to g; its node
 * is called `name`. */
struct status *probe_layer_add(struct ir_graph *g, const struct probe_layer *l,
                               const char *name);

#endif /* HADMC_CLI_PROBE_LAYERS_H */
