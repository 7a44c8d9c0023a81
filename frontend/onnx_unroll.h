/* SPDX-License-Identifier: Apache-2.0 */
/* Small building blocks for what the importer spells out: bodies run once more,
 * slices, stacks.  For onnx_control.c and onnx_sequence.c. */
#ifndef HADMC_FRONTEND_ONNX_UNROLL_H
#define HADMC_FRONTEND_ONNX_UNROLL_H

#include "frontend/onnx_importer.h"

/* site_emit by name; UNSUPPORTED when the table has no such operator. */
struct status *unroll_emit(const struct site *at, const char *op, int n_in,
                           struct ir_value *const *in, const char *attr,
                           struct ir_value **out);

/* A negative axis counts from the end; `rank` values are possible. */
struct status *unroll_axis(const struct site *at, int64_t axis, int rank, int *out);

/* `length` from `from` on of one axis. */
struct status *unroll_slice(const struct site *at, struct ir_value *v, int axis,
                            int64_t from, int64_t length, struct ir_value **out);
struct status *unroll_add_axis(const struct site *at, struct ir_value *v, int axis,
                               struct ir_value **out);
struct status *unroll_drop_axis(const struct site *at, struct ir_value *v, int axis,
                                struct ir_value **out);
struct status *unroll_concat(const struct site *at, int n, struct ir_value *const *items,
                             int axis, struct ir_value **out);
/* Items of equal shape along a new first axis. */
struct status *unroll_stack(const struct site *at, int n, struct ir_value *const *items,
                            struct ir_value **out);

/* The nodes of a body into the graph of the site, with these inputs; names of round
 * `round` get a prefix of their own.  out has room for all outputs. */
struct status *unroll_body(const struct site *at, const struct onnx_graph *body, int round,
                           int n_in, struct ir_value *const *in, struct ir_value **out);

/* Nodes of a body and of the bodies in it. */
int64_t unroll_count_nodes(const struct onnx_graph *body);

#endif /* HADMC_FRONTEND_ONNX_UNROLL_H */
