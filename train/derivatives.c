/* SPDX-License-Identifier: Apache-2.0 */
/* The table of derivatives.def. */
#include "train/derivatives.h"

const struct derivative derivatives[OP_COUNT] = {
#define DERIVATIVE(op, prepare, forward, backward, traits, trained)                    \
    [OP_##op] = {prepare, forward, backward, traits, trained},
#include "train/derivatives.def"
};
