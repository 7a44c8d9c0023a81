/* SPDX-License-Identifier: Apache-2.0 */
/* Operands that are stretched to the shape of a result. */
#ifndef HADMC_TRAIN_BROADCAST_H
#define HADMC_TRAIN_BROADCAST_H

#include "train/tape.h"

/* Element i of the result reads element at[i] of the operand; NULL: element i. */
struct broadcast {
    const int64_t *at;
};

struct broadcast broadcast_of(struct arena *a, const struct ir_value *v,
                              const struct ir_value *to);

static inline int64_t broadcast_at(const struct broadcast *b, int64_t i)
{
    return b->at ? b->at[i] : i;
}

#endif /* HADMC_TRAIN_BROADCAST_H */
