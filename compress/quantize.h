/* SPDX-License-Identifier: Apache-2.0 */
/* Post-training quantization to 8 bits: a float graph gets QuantizeLinear and
 * DequantizeLinear where tensors become codes; form_integers then writes it in
 * integers (docs/numerics.md).
 *
 *   which tensors   the inputs of convolutions and products with constant weights, and
 *                   what between them can stay in codes: sums, products, means, and
 *                   everything that moves elements.  What nothing reads as codes, as
 *                   the scores of a classifier, stays float32.
 *   activations     int8 per tensor, real = s (q - z): from the histogram of the
 *                   samples' values, the range with the least mean squared error among
 *                   70 shares of what was seen (Banner et al. 2019)
 *   weights         int8 -127 ... 127, one scale per output channel, the largest
 *                   magnitude; a scale is raised until its bias has a 31-bit code
 *   operands of a   one scale and zero point
 *   Concat
 *
 * Weights must be float32 constants: batch normalization is folded before.
 */
#ifndef HADMC_COMPRESS_QUANTIZE_H
#define HADMC_COMPRESS_QUANTIZE_H

#include "frontend/dataset.h"
#include "frontend/ir.h"

struct quantize_options {
    const struct dataset *data;
    int64_t n_samples;     /* for calibration; at least one */
    const int64_t *sample; /* their numbers */
};

struct quantize_result {
    int n_products; /* convolutions and products with constant weights */
    int n_quantized;
    int64_t macs, quantized_macs; /* their multiply-adds for one inference */
    int n_tensors;                /* activations that became codes */
};

/* Changes `g`.  Runs the samples through the reference interpreter, twice. */
struct status *quantize_graph(struct compile *c, struct ir_graph *g,
                              const struct quantize_options *o,
                              struct quantize_result *out);

#endif /* HADMC_COMPRESS_QUANTIZE_H */
