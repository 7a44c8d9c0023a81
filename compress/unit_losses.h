/* SPDX-License-Identifier: Apache-2.0 */
/* What each unit alone costs: the loss of the model's outputs when this unit is
 * quantized and everything else stays float.
 *
 * Every unit is rounded on the calibration samples as quantize.h does it, but on the
 * float graph's inputs; then it runs on the samples that are scored, in float32
 * (quantize_run), and the nodes behind it once more.  That is half the model for each
 * unit and level: 55 units of ResNet-56 take about a second for each sample scored.
 */
#ifndef HADMC_COMPRESS_UNIT_LOSSES_H
#define HADMC_COMPRESS_UNIT_LOSSES_H

#include "compress/quantize.h"

/* How far outputs are from those of the original graph: for scores of classes and of
 * tokens the divergence KL in nats (metrics.h), otherwise min(1, |y' - y|^2 / |y|^2),
 * the mean of the float32 outputs. */
double output_loss_at(const struct dataset *d, const struct ir_graph *g,
                      const struct flow *original, const struct flow *changed,
                      int64_t sample);
/* The mean over all samples. */
double output_loss(const struct dataset *d, const struct ir_graph *g,
                   const struct flow *original, const struct flow *changed);
/* Of the samples from `first` on. */
double output_loss_from(const struct dataset *d, const struct ir_graph *g,
                        const struct flow *original, const struct flow *changed,
                        int64_t first);

struct unit_losses_options {
    const struct dataset *data;
    int64_t n_calibration;
    const int64_t *calibration; /* sample numbers */
    int64_t n_scored;
    const int64_t *scored;
    int n_levels;
    const int *weight_bits; /* [n_levels]: 32, 8 or 4; activations have 8 below 32 */
    /* Told before each unit, with how many there are; or NULL. */
    void (*progress)(int unit, int n_units, void *arg);
    void *arg;
};

/* loss[n_units][n_levels] in `a`; INFINITY where a unit has no integer form. */
struct status *unit_losses_measure(struct compile *c, struct ir_graph *g,
                                   const struct unit_losses_options *o, struct arena *a,
                                   double **loss);

#endif /* HADMC_COMPRESS_UNIT_LOSSES_H */
