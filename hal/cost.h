/* SPDX-License-Identifier: Apache-2.0 */
/* What a unit of work costs on a device: a roofline.
 *
 *     time   = overhead + max(operations / rate(precision), bytes / bandwidth)
 *     energy = e_operation * operations + e_byte * bytes + P_idle * time
 *
 * operations   two per multiply-accumulate, with the output channels rounded up to the
 *              device's tile: 17 channels on a tile of 16 take as long as 32
 * bytes        weights, inputs and outputs, once each
 * bandwidth    of the innermost level that holds all of these bytes
 *
 * So a cost is never negative, and does not fall when any amount of work rises.  Wider
 * weights count as more work from 2 weights a channel on; fewer than that weigh less
 * than the scales that they need when they are narrow.
 *
 * These numbers are modelled: a report says so, and names the figures (device.h).
 * Rates are peaks, so times are lower bounds; their ratios are what a search needs.
 *
 * source: Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009
 */
#ifndef HADMC_HAL_COST_H
#define HADMC_HAL_COST_H

#include <stdint.h>

#include "hal/device.h"

/* Amounts are at least 0 and below 2^46 (ir_shape_fits). */
struct work {
    int64_t macs_per_channel; /* multiply-accumulates for one output channel */
    int64_t channels;         /* of the output; a pruned unit has fewer */
    int64_t weights;          /* learned numbers that are multiplied */
    int64_t in_elements, out_elements;
    int weight_bits, activation_bits; /* 1 to 32 */
};

/* Where a time or an energy comes from; reports and tables print the word. */
enum cost_origin { COST_MODELLED, COST_MEASURED };

extern const char *const cost_origin_names[]; /* by enum; ends with NULL */

struct cost {
    enum cost_origin origin; /* here always COST_MODELLED */
    double time_ns;
    double energy_j; /* 0 where the device states no energies (cost_has_energy) */
    int64_t weight_bytes;
};

/* The narrowest precision that holds factors of both widths. */
enum precision precision_of(int weight_bits, int activation_bits);

/* `n` numbers of `bits` bits, packed, plus a float32 scale per channel below 16 bits.
 */
int64_t cost_weight_bytes(int64_t n, int64_t channels, int bits);

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
