/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of quantization share.
 *
 *     quantize_tensors.c   which tensors are read as codes
 *     quantize_ranges.c    their scales and zero points, from the float graph
 *     quantize_units.c     codes and biases of the units, from the quantized prefix
 *     quantize_write.c     into the graph
 */
#ifndef HADMC_COMPRESS_QUANTIZE_PARTS_H
#define HADMC_COMPRESS_QUANTIZE_PARTS_H

#include "compress/flow.h"
#include "compress/quantize.h"

/* ---- quantize_tensors.c ---------------------------------------------------------- */

struct tensor_use {
    bool wanted;        /* read as codes */
    bool paired;        /* two of them, by all who share them */
    bool made_of_codes; /* by a unit that reads some */
    int group;          /* value id of the representative; operands of a Concat share */
};

struct tensor_uses {
    int n_values;
    struct tensor_use *at; /* by value id */
};

/* How a node reads its input. */
enum tensor_reader { READS_FLOATS, READS_CODES, READS_PAIRS };

/* Of the nodes of g, reader[i] being number i's. */
struct tensor_uses tensor_uses_find(struct arena *a, const struct ir_graph *g,
                                    const enum tensor_reader *reader);
/* Can be the input of a unit of codes. */
bool tensor_can_be_codes(const struct ir_value *v);
/* Where the codes of v come from, through what moves elements: scale and zero point are
 * chosen there. */
struct ir_value *tensor_source(struct ir_value *v);
/* Gets QuantizeLinear of its own. */
bool tensor_is_source(const struct tensor_uses *u, struct ir_value *v);
/* The representative of the tensors that have v's scale and zero point. */
int tensor_group(const struct tensor_uses *u, int id);

/* ---- the work ---------------------------------------------------------------------
 */

struct quantizer {
    struct arena *arena;
    struct ir_graph *g;
    const struct quantize_options *o;
    struct tensor_uses uses;
    struct quantization *q;
    int n_nodes;
    int *unit_of; /* by position of a node in g: its unit with codes, or -1 */
};

/* Kernels read the unit's weights as halves, and float16 is neither too small for them
 * nor too coarse. */
bool quantize_can_have_halves(const struct ir_graph *g, const struct unit *u);

void quantize_tell(const struct quantizer *q, const char *what, int done);
/* Everything of quantize_decide except the units' codes. */
struct status *quantize_observe(struct compile *c, struct ir_graph *g,
                                const struct quantize_options *o, struct arena *a,
                                struct quantizer *q);
/* Fills q->q->tensors and the calibrators of units. */
struct status *quantize_find_ranges(struct quantizer *q);
/* Fills codes, scales, biases and errors. */
struct status *quantize_fit_units(struct quantizer *q);

/* The grid of a unit's input, whose codes come from sources through what moves. */
const struct activation_grid *quantize_input_grid(const struct quantization *q,
                                                  const struct ir_node *n);
/* Unit number `unit`, n, on f: its input, for it alone, and its outputs. */
void quantize_run_alone(const struct quantization *q, const struct ir_node *n, int unit,
                        struct flow *f);

#endif /* HADMC_COMPRESS_QUANTIZE_PARTS_H */
