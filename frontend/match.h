/* SPDX-License-Identifier: Apache-2.0 */
/* Small questions that passes ask about the neighbourhood of a node. */
#ifndef HADMC_FRONTEND_MATCH_H
#define HADMC_FRONTEND_MATCH_H

#include "frontend/ir.h"

/* The node that makes v if it is an `op`, else NULL.  v may be NULL. */
struct ir_node *match_def(const struct ir_value *v, enum ir_op op);
/* The same, and nobody but the asker reads v: it may be rewritten. */
struct ir_node *match_sole_def(const struct ir_value *v, enum ir_op op);

/* The node of v's graph that reads v, if nothing else does; not for inputs. */
struct ir_node *match_only_reader(const struct ir_value *v);

/* Every element of the results is one of the first operand (Concat: of all), or a
 * constant that Pad puts around them.  MaxPool without indices is one, nearest Resize
 * another. */
bool match_moves_elements(const struct ir_node *n);

/* Constant float32 tensor. */
bool match_const_f32(const struct ir_value *v);
/* The same, and of finite numbers. */
bool match_finite_f32(const struct ir_value *v);
/* One-element constant of about this value (relative 1e-6, or equal). */
bool match_scalar(const struct ir_value *v, double wanted);
/* A float32 constant whose elements are all equal; its value. */
bool match_uniform_f32(const struct ir_value *v, float *out);

/* Node `n` is commutative with two operands: the index of the one that is constant,
 * -1 unless exactly one is. */
int match_const_operand(const struct ir_node *n);

/* Operand i becomes `fresh`, a constant made from the one that stands there; which
 * hands over its name when nobody else reads it: weights keep the names of the model. */
void match_replace_const(struct ir_node *n, int i, struct ir_value *fresh);

/* Are all dims of `v` equal to `to` when right-aligned, or 1 (broadcast)? And is the
 * result of broadcasting exactly `to`?  True for constants that do not grow `to`. */
bool match_broadcasts_into(const struct ir_value *v, const struct ir_value *to);

#endif /* HADMC_FRONTEND_MATCH_H */
