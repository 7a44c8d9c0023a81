/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the tape share among themselves. */
#ifndef HADMC_TRAIN_TAPE_PARTS_H
#define HADMC_TRAIN_TAPE_PARTS_H

#include "train/tape.h"

/* tape_memory.c: at, gradient_at, kept_at and shard_bytes. */
void tape_plan_memory(struct tape *t);

/* tape_build.c */
void tape_open_slot(struct tape *t, const struct ir_value *v);
int tape_add_weight(struct tape *t, const struct ir_value *v); /* its number */

/* tape_codes.c: QuantizeLinear and DequantizeLinear. */
bool tape_codes_are_weights(const struct ir_node *n);
void tape_add_codes(struct tape *t, const struct ir_node *n);
bool tape_only_dequantized(const struct ir_node *quantize);
/* n, or for a DequantizeLinear behind a QuantizeLinear one that reads its operand. */
const struct ir_node *tape_rounding_node(struct tape *t, const struct ir_node *n);
void tape_fill_codes(struct tape *t);
void tape_round_weights(struct tape *t);
void tape_codes_gradient(struct tape *t);
void tape_store_codes(const struct tape *t, struct ir_graph *g);

/* tape_interpret.c: steps without derivative, sample by sample. */
/* Lowers the node once: that takes memory of the graph's, which threads share. */
struct status *tape_interpreter_prepare(struct tape *t, struct tape_step *s);
void tape_interpreters_create(struct tape *t);
void tape_interpreters_destroy(struct tape *t);
void tape_interpret(const struct tape_call *c, int worker);

#endif /* HADMC_TRAIN_TAPE_PARTS_H */
