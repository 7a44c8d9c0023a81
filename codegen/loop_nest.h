/* SPDX-License-Identifier: Apache-2.0 */
/* The loops of element chains: making them, merging and splitting their dims. */
#ifndef HADMC_CODEGEN_LOOP_NEST_H
#define HADMC_CODEGEN_LOOP_NEST_H

#include "codegen/builder.h"

enum { NEST_MAX_RANK = 16, NEST_MAX_IN = 12 };

/* The nest of a chain while it is being reshaped: outermost dim first, no ones. */
struct nest {
    int rank;
    int64_t dim[NEST_MAX_RANK];
    int n_in;
    int64_t stride[NEST_MAX_IN][NEST_MAX_RANK];
};

struct nest nest_of(const struct chain *ch);
/* Neighbouring dims that every input walks as one become one. */
void nest_merge(struct nest *l);
/* Writes the nest into ch, right-aligned; false when it has too many dims. */
bool nest_store(struct chain *ch, const struct nest *l);
/* `a` and `b`, which enumerate equally many elements, over the same dims; false when
 * there are no such dims.  The inputs of the result are a's, then b's. */
bool nest_refine(const struct nest *a, const struct nest *b, struct nest *out);

struct chain *chain_create(struct arena *a, int n_in, int n_ops, int n_out);
int64_t chain_count(const struct chain *ch); /* elements */
enum dtype chain_dtype(const struct chain *ch, int value);
/* The input is walked in row-major order, element for element. */
bool chain_is_dense(const struct chain *ch, int input);

#endif /* HADMC_CODEGEN_LOOP_NEST_H */
