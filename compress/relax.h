/* SPDX-License-Identifier: Apache-2.0 */
/* 8 bits, except for the few units that would spoil the rest.
 *
 * A model is quantized as its plan says; where its outputs are then too far from the
 * original's, the losses of single units are measured (unit_losses.h) and the units of
 * 8 bits that lose most for their multiply-adds are raised
 *
 *     to pairs     they read two codes of 8 bits for each number (observe.h), at twice
 *                  their multiply-adds: as many units as it takes, as long as the
 *                  model stays faster than in float32
 *     to floats    up to 5 % of the multiply-adds, and every unit that alone loses more
 *                  than the whole model may
 *
 * Too far is a mean divergence of 0.005 nats for scores of classes and of tokens, else
 * a share of 0.001 of the outputs' power, which is a cosine of 0.9995; and not below
 * with 97.5 % certainty is too far, so that luck with few samples does not count.
 *
 * All of it is measured on calibration samples: where there are few, on a quarter of
 * them that is held out meanwhile, and where these leave it open, on each quarter in
 * turn.
 */
#ifndef HADMC_COMPRESS_RELAX_H
#define HADMC_COMPRESS_RELAX_H

#include "compress/quantize.h"

enum relax_to { RELAX_TO_PAIRS, RELAX_TO_FLOATS };

struct relax_result {
    int n_raised;
    double loss; /* of the outputs where it was measured last, upper limit */
};

/* quantize_decide with o->plan, whose units may be raised. */
struct status *relax_decide(struct compile *c, struct ir_graph *g,
                            const struct quantize_options *o, enum relax_to to,
                            struct plan *plan, struct arena *a,
                            struct quantization **out, struct relax_result *result);

#endif /* HADMC_COMPRESS_RELAX_H */
