/* SPDX-License-Identifier: Apache-2.0 */
/* Rounding to codes, and the slopes that stand for its own, which are zero almost
 * everywhere.
 *
 *     q = clip(round(x / s) + z, least, most)      y = s (q - z)
 *     dx = dy                     inside the limits, 0 outside
 *     ds = dy (q - z - x / s)     inside, dy (q - z) outside
 *
 * Straight through (Bengio, Leonard and Courville 2013, arXiv:1308.3432), steps learned
 * (LSQ: Esser et al. 2020, arXiv:1902.08153, equations 3 and 5).  Rounding is to the
 * nearest, ties to even, as in docs/numerics.md.
 */
#ifndef HADMC_TRAIN_CODES_H
#define HADMC_TRAIN_CODES_H

#include <math.h>
#include <stdbool.h>

#include "train/real.h"

struct code_limits {
    real zero, least, most;
};

struct coded {
    real y;
    real by_scale; /* dy / ds */
    bool inside;
};

static inline struct coded codes_round(real x, real scale, const struct code_limits *l)
{
    const real exact = x / scale;
    const real q = (real)nearbyint((double)exact) + l->zero;

    if (q < l->least)
        return (struct coded){(l->least - l->zero) * scale, l->least - l->zero, false};
    if (q > l->most)
        return (struct coded){(l->most - l->zero) * scale, l->most - l->zero, false};
    return (struct coded){(q - l->zero) * scale, q - l->zero - exact, true};
}

#endif /* HADMC_TRAIN_CODES_H */
