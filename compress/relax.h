/* SPDX-License-Identifier: Apache-2.0 */
/* Uniform bits, except for the few units that would spoil the rest.
 *
 * A model is quantized as its plan says; where its outputs are then too far from the
 * original's, the losses of single units are measured (unit_losses.h) and units are
 * raised by one level, 4 bits to 8, 8 bits to 32: those that lose most for what they
 * take of the model, up to 5 % of it (of the weights for 8 bits, of the multiply-adds
 * for 32), and every unit that alone loses more than the whole model may.
 *
 * All of it is measured on calibration samples: where there are few, on a quarter of
 * them that is held out meanwhile.
 */
#ifndef HADMC_COMPRESS_RELAX_H
#define HADMC_COMPRESS_RELAX_H

#include "compress/quantize.h"

struct relax_result {
    int n_raised;
    double loss; /* of the outputs (output_loss) where it was measured last */
};

/* quantize_decide with o->plan, whose units may be raised. */
struct status *relax_decide(struct compile *c, struct ir_graph *g,
                            const struct quantize_options *o, struct plan *plan,
                            struct arena *a, struct quantization **out,
                            struct relax_result *result);

#endif /* HADMC_COMPRESS_RELAX_H */
