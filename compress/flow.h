/* SPDX-License-Identifier: Apache-2.0 */
/* A graph on many samples at once, node by node, so that what is decided about one node
 * can see its inputs for all samples, and change what comes after.
 *
 *     struct flow *f;
 *     RETURN_IF_FAIL(flow_create(g, data, n, sample, &f));
 *     for (const struct ir_node *n = g->first; n; n = n->next) {
 *         RETURN_IF_FAIL(flow_run(f, n));
 *         ... flow_at(f, n->out[0], i) is what sample i makes of it ...
 *         flow_release(f, n);
 *     }
 *     flow_destroy(f);
 *
 * Convolutions and products with constant weights run on OpenBLAS, everything else as
 * in the interpreter (frontend/interpret.h).  Memory is that of the values that are
 * still to be read, times the samples.
 */
#ifndef HADMC_COMPRESS_FLOW_H
#define HADMC_COMPRESS_FLOW_H

#include "compress/product.h"
#include "frontend/dataset.h"

struct flow;

/* Bytes of all live values of one sample where they are most. */
int64_t flow_bytes(const struct ir_graph *g);
/* Of `wanted` samples those that two flows side by side have memory for; at least one.
 */
int64_t flow_samples(const struct ir_graph *g, int64_t wanted);

/* Reads the samples; UNSUPPORTED without OpenBLAS. */
struct status *flow_create(const struct ir_graph *g, const struct dataset *data,
                           int64_t n, const int64_t *sample, struct flow **out);
/* The same samples without a data set: inputs[n][g->n_in] are copied. */
struct status *flow_create_from(const struct ir_graph *g, int64_t n,
                                void *const *inputs, struct flow **out);
/* A flow that goes on from where `f` is; it borrows f's values until flow_own. */
struct flow *flow_fork(const struct flow *f);
void flow_destroy(struct flow *f); /* NULL is fine */

int64_t flow_n(const struct flow *f);
/* Contents of v for sample i, dense; NULL if v has none (yet, or any more). */
void *flow_at(const struct flow *f, const struct ir_value *v, int64_t i);

/* Elements from one sample to the next. */
int64_t flow_pitch(const struct ir_value *v);

/* Computes the outputs of n, whose inputs are there. */
struct status *flow_run(struct flow *f, const struct ir_node *n);
/* Of `count` samples from `first` on, in memory that flow_make has given; never on
 * OpenBLAS. */
struct status *flow_run_some(struct flow *f, const struct ir_node *n, int64_t first,
                             int64_t count);
/* Memory for the outputs of n, for who computes them. */
void flow_make(struct flow *f, const struct ir_node *n);
/* v may be written from now on: a fork gets a copy. */
void flow_own(struct flow *f, const struct ir_value *v);
/* The memory of v, not a dynamic one, changes hands: v has none any more, and the
 * caller destroys the arena (NULL: v had none) or gives it to a flow on as many samples
 * of the same graph, where a value of the same size has none. */
struct flow_memory {
    struct arena *arena;
    void *at;
};
struct flow_memory flow_take(struct flow *f, const struct ir_value *v);
void flow_give(struct flow *f, const struct ir_value *v, struct flow_memory memory);
/* n has been run: what only it and nodes before it read goes. */
void flow_release(struct flow *f, const struct ir_node *n);

#endif /* HADMC_COMPRESS_FLOW_H */
