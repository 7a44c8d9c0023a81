/* SPDX-License-Identifier: Apache-2.0 */
/* What a unit of work costs on a device.  Where its kernels were measured
 * (kernel_table.h), the time is interpolated; otherwise it is a roofline:
 *
 *     time   = overhead
 *              + max(operations / rate(precision) + outputs * output_time,
 *                    bytes / bandwidth)
 *     energy = e_operation * operations + e_byte * bytes + P_idle * time
 *
 * operations   two per multiply-accumulate of whole tiles: output channels, rows and
 *              depth are rounded up to the device's, and tiles to as many as it
 *              computes at the same time: 17 channels on a tile of 16 take as long as
 *              32, one tile as long as 108 on a processor that has units for 108
 * rate         of the narrowest precision that the device has and that holds the
 *              factors; with 2 of 4 weights zero, sparse_2_4_rate times as high; of
 *              8-bit depthwise convolutions i8_depthwise_peak
 * outputs      of whole tiles
 * bytes        weights, inputs and outputs, once each
 * bandwidth    of the innermost level that holds all of these bytes
 *
 * energy       of operations that are asked for: idle parts of tiles multiply zeros
 *
 * Measured kernels found their weights in the second-level cache.  Where all that an
 * inference goes through does not fit there, the weights, as far as they would, come
 * from further out.  Codes that a kernel adds to its results take as long as in a
 * kernel of their own, and so do activations of results that will be codes.
 *
 * So a cost is never negative, and does not fall when any amount of work rises.  Wider
 * weights count as more work from 2 stored weights a channel on; fewer than that weigh
 * less than the scales that they need when they are narrow.
 *
 * These numbers are modelled: a report says so, and names the figures (device.h).
 * A roofline's rates are peaks, so its times are lower bounds; their ratios are what a
 * search needs.  Energy is that of the chip's parts that the figures name.
 *
 * source: Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009
 */
#ifndef HADMC_HAL_COST_H
#define HADMC_HAL_COST_H

#include <stdbool.h>
#include <stdint.h>

#include "hal/device.h"

/* Amounts are at least 0 and below 2^46 (ir_shape_fits). */
struct work {
    int64_t macs_per_channel; /* multiply-accumulates for one output channel; without
                                 weights: rows x depth as kernel_table.h has it */
    int64_t channels;         /* of the output; a pruned unit has fewer */
    int64_t weights;          /* learned numbers that are multiplied */
    int64_t in_elements, out_elements;
    int weight_bits, activation_bits; /* 1 to 32 */
    int64_t rows;  /* output positions of one channel; macs_per_channel / rows products
                      are summed for each.  0: not known, one */
    int64_t added; /* numbers, of in_elements too, that are added to the results, and
                      results whose activation is computed before they are codes */
    int64_t resident_bytes; /* that an inference goes through; 0: those of this work */
    enum work_kind kind;
    bool weight_zeros; /* weights are codes whose zero points are not 0 */
    bool sparse_2_4;   /* of four weights in a row two are zero */
};

/* The same for `n` inputs at once, which share the weights; n at least 1. */
struct work work_of_batch(const struct work *w, int64_t n);

/* Where a time or an energy comes from; reports and tables print the word.  What is
 * interpolated between measured kernels counts as modelled. */
enum cost_origin { COST_MODELLED, COST_MEASURED };

extern const char *const cost_origin_names[]; /* by enum; ends with NULL */

struct cost {
    enum cost_origin origin; /* here always COST_MODELLED */
    double time_ns;
    double energy_j; /* 0 where the device states no energies (cost_has_energy) */
    int64_t weight_bytes;
};

/* What becomes of weights of 16 bits. */
enum cost_halves {
    HALVES_NONE,       /* there are no such weights */
    HALVES_READ,       /* kernels make float32 of them as they read them */
    HALVES_WIDENED,    /* steps do that before the kernels, into memory */
    HALVES_MULTIPLIED, /* activations have 16 bits, too */
};

/* The narrowest precision that holds factors of both widths. */
enum precision precision_of(int weight_bits, int activation_bits);

/* `n` numbers of `bits` bits, packed, plus a float32 scale per channel below 16 bits.
 */
int64_t cost_weight_bytes(int64_t n, int64_t channels, int bits);

/* What weights take: half of them and 2 bits for the place of each, if sparse_2_4. */
int64_t cost_stored_weights(const struct work *w);

bool cost_has_energy(const struct device *d);
struct cost cost_of(const struct device *d, const struct work *w);

/* Reading `elements` in one width and writing them in another, in a step of its own;
 * 0 ns for equal widths. */
double cost_conversion_ns(const struct device *d, int64_t elements, int from_bits,
                          int to_bits);

/* A model: the sum over its units, and the planner's number for its memory. */
struct model_cost {
    enum cost_origin origin;
    double time_ns, energy_j;
    int64_t weight_bytes;
    int64_t ram_bytes; /* as passed */
};

struct model_cost cost_of_model(const struct device *d, int n, const struct work *works,
                                int64_t ram_bytes);

#endif /* HADMC_HAL_COST_H */
