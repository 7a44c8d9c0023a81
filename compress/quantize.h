/* SPDX-License-Identifier: Apache-2.0 */
/* Post-training quantization by a plan: a float graph gets QuantizeLinear and
 * DequantizeLinear where tensors become codes; form_integers then writes it in
 * integers (docs/numerics.md).  docs/quantization.md says what was measured.
 *
 *     RETURN_IF_FAIL(quantize_decide(c, g, &o, a, &q));    from samples, seconds
 *     RETURN_IF_FAIL(quantize_apply(c, g, q));             at once, on any equal graph
 *
 *   which tensors   the inputs of the plan's units, and what between them can stay in
 *                   codes: sums, products, means, and everything that moves elements.
 *                   What nothing reads as codes, as the scores of a classifier, stays
 *                   float32.
 *   activations     int8 per tensor, real = s (q - z); the calibrator (observe.h) with
 *                   the least error of what the units that read the tensor make of it
 *   operands of a   one scale and zero point
 *   Concat
 *   weights         int8 -127 ... 127 or int4 -7 ... 7, one scale per output channel,
 *                   rounded by round_weights.h; unit after unit, on inputs that carry
 *                   the errors of the units before (moments.h)
 *   biases          so that every channel's mean over the samples stays
 *
 * A recurrent layer multiplies its state with codes of 8 bits where the unit that makes
 * its gates has codes (k_recurrent.c); units after it are fitted without that.
 *
 * Units of 16 bits have weights rounded to IEEE binary16.  What that changes, 2^-12 of
 * a weight, is not seen by the units after.  Activations of 16 bits say what a device
 * multiplies that is planned for; here they stay float32 (widen_halves.c).  A unit with
 * a weight of 65520 or more, which would become infinite, or with weights so small that
 * float16 keeps few of their bits, keeps 32.
 *
 * Weights must be float32 constants: batch normalization is folded before.
 */
#ifndef HADMC_COMPRESS_QUANTIZE_H
#define HADMC_COMPRESS_QUANTIZE_H

#include "compress/flow.h"
#include "compress/observe.h"
#include "frontend/dataset.h"
#include "frontend/ir.h"
#include "plan/plan.h"

struct quantize_options {
    const struct plan *plan; /* bits of every unit: 32 and 32, 16 and 32, 16 and 16,
                                8 and 8, or 4 and 8 */
    bool keep_calibrators;   /* those of the plan, where it names one */
    bool keep_widths;        /* UNSUPPORTED where a unit cannot have those of the plan;
                                otherwise it keeps its own */
    bool each_alone;         /* units read what the float graph gives them: for
                                unit_losses.h */
    bool keep_zeros;         /* weights that are zero stay zero */
    const struct dataset *data;
    int64_t n_samples;     /* for calibration; at least one */
    const int64_t *sample; /* their numbers */
    /* Told before each part of `what`, from 0 on, with how many there are; or NULL. */
    void (*progress)(const char *what, int done, int all, void *arg);
    void *progress_arg;
};

/* A unit of plan/units.h, in their order. */
struct quantized_unit {
    bool has_halves; /* weights of binary16 */
    bool has_codes;  /* the rest is set; otherwise it stays as it is */
    int weight_bits, activation_bits;
    enum plan_calibrator calibrator; /* of its input */
    int group;                       /* units of one have one calibrator */
    int64_t macs;
    int64_t n_codes, n_channels;
    const int8_t *codes; /* as the weights lie in the model */
    const float *scale;  /* [n_channels] */
    const float *bias;   /* [n_channels]; NULL: none can be added */
    double error; /* E |y' - y|^2 / E |y - Ey|^2 of its result over the samples, with
                     the errors of all units before */
};

struct quantized_tensor {
    bool is_source; /* it gets codes of its own */
    struct activation_grid grid;
};

struct quantization {
    int64_t n_samples; /* that were used: as many as fit into memory */
    int n_units;
    struct quantized_unit *units;
    int n_values;                     /* of the graph */
    struct quantized_tensor *tensors; /* by value id */
};

/* What becomes of g, in `a`.  UNSUPPORTED: widths of a unit that there is no code for;
 * no OpenBLAS. */
struct status *quantize_decide(struct compile *c, struct ir_graph *g,
                               const struct quantize_options *o, struct arena *a,
                               struct quantization **out);

/* Changes g, which is the graph that was decided on, or made in the same way. */
struct status *quantize_apply(struct compile *c, struct ir_graph *g,
                              const struct quantization *q);

/* Runs all of g on the samples of `f`, quantized and in float32: outputs differ from
 * those of the integer graph where a value is halfway between two codes up to rounding.
 */
struct status *quantize_run(const struct quantization *q, const struct ir_graph *g,
                            struct flow *f);

#endif /* HADMC_COMPRESS_QUANTIZE_H */
