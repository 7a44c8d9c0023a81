/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from the figures of a device: see device.h. */
#include "hal/device.h"

#include <math.h>

/* Per precision: the stated rate, and the rate per cycle, if there is such a figure. */
static const struct {
    enum figure_id peak, per_cycle;
} rates[PRECISION_COUNT] = {
    [PRECISION_F32] = {FIGURE_F32_PEAK, FIGURE_F32_PER_CYCLE},
    [PRECISION_TF32] = {FIGURE_TF32_PEAK, FIGURE_COUNT},
    [PRECISION_F16] = {FIGURE_F16_PEAK, FIGURE_F16_PER_CYCLE},
    [PRECISION_I8] = {FIGURE_I8_PEAK, FIGURE_I8_PER_CYCLE},
    [PRECISION_I4] = {FIGURE_I4_PEAK, FIGURE_I4_PER_CYCLE},
};

static const struct {
    enum figure_id capacity, bandwidth;
} levels[LEVEL_COUNT] = {
    [LEVEL_L1] = {FIGURE_L1_BYTES, FIGURE_L1_BANDWIDTH},
    [LEVEL_L2] = {FIGURE_L2_BYTES, FIGURE_L2_BANDWIDTH},
    [LEVEL_L3] = {FIGURE_L3_BYTES, FIGURE_L3_BANDWIDTH},
    [LEVEL_MEMORY] = {FIGURE_MEMORY_BYTES, FIGURE_MEMORY_BANDWIDTH},
};

/* Operations a second in just this precision; 0: not stated. */
static double own_peak(const struct device *d, enum precision p)
{
    const double stated = d->figures[rates[p].peak].value;

    if (stated > 0 || rates[p].per_cycle == FIGURE_COUNT)
        return stated;
    return d->figures[rates[p].per_cycle].value * d->figures[FIGURE_CLOCK].value;
}

bool device_has(const struct device *d, enum precision p)
{
    return own_peak(d, p) > 0;
}

enum precision device_precision(const struct device *d, enum precision p)
{
    int wider = (int)p;

    while (wider > PRECISION_F32 && !device_has(d, wider))
        wider--;
    return wider;
}

double device_peak(const struct device *d, enum precision p)
{
    return own_peak(d, device_precision(d, p));
}

static int64_t tile_of(const struct device *d, enum figure_id id)
{
    const double stated = d->figures[id].value;

    return stated > 1.0 ? (int64_t)stated : 1;
}

int64_t device_tile_outputs(const struct device *d, enum precision p)
{
    const enum figure_id fewer = FIGURE_TILE_CHANNELS_F32;

    return tile_of(d, p == PRECISION_F32 && d->figures[fewer].value > 0.0
                          ? fewer
                          : FIGURE_TILE_CHANNELS);
}

int64_t device_tile_inputs(const struct device *d, enum precision p)
{
    return p < PRECISION_I8 ? 1 : tile_of(d, FIGURE_TILE_INPUTS_I8);
}

double device_capacity(const struct device *d, enum memory_level level)
{
    const double stated = d->figures[levels[level].capacity].value;

    return level == LEVEL_MEMORY && stated == 0 ? INFINITY : stated;
}

/* At or outside of `level`, the first that is stated. */
static double stated_bandwidth(const struct device *d, int level)
{
    while (level < LEVEL_MEMORY && d->figures[levels[level].bandwidth].value == 0)
        level++;
    return d->figures[levels[level].bandwidth].value;
}

double device_bandwidth(const struct device *d, enum memory_level level)
{
    double least = INFINITY;

    for (int i = 0; i <= (int)level; i++)
        least = fmin(least, stated_bandwidth(d, i));
    return least;
}

enum memory_level device_level_for(const struct device *d, double n_bytes)
{
    int level = LEVEL_L1;

    while (level < LEVEL_MEMORY && n_bytes > device_capacity(d, level))
        level++;
    return level;
}

/* What counts where a kind was not measured: files may be older than the kind. */
static enum work_kind stand_in(enum work_kind kind)
{
    return !work_has_weights(kind) ? WORK_MOVE
           : kind == WORK_WINOGRAD ? WORK_WINDOW
                                   : kind;
}

/* Precision comes first, then zero points. */
static bool is_closer(const struct kernel_table *t, const struct kernel_table *best,
                      bool weight_zeros)
{
    if (!best)
        return true;
    const int bits = t->weight_bits + t->activation_bits;
    const int best_bits = best->weight_bits + best->activation_bits;

    return bits != best_bits
               ? bits < best_bits
               : t->weight_zeros == weight_zeros && best->weight_zeros != weight_zeros;
}

const struct kernel_table *device_kernels(const struct device *d, enum work_kind kind,
                                          int weight_bits, int activation_bits,
                                          bool weight_zeros)
{
    const struct kernel_table *best = NULL;

    for (int i = 0; i < d->n_kernels; i++) {
        const struct kernel_table *t = &d->kernels[i];

        if (t->kind == kind && t->weight_bits >= weight_bits
            && t->activation_bits >= activation_bits
            && is_closer(t, best, weight_zeros))
            best = t;
    }
    return best || kind == stand_in(kind)
               ? best
               : device_kernels(d, stand_in(kind), weight_bits, activation_bits,
                                weight_zeros);
}

/* What was stated for the widest vectors takes `slower` times as long with others. */
static void slow_down(struct device *d, double slower)
{
    static const enum figure_id speeds[] = {FIGURE_F32_PEAK, FIGURE_I8_PER_CYCLE,
                                           FIGURE_I8_PEAK, FIGURE_I8_DEPTHWISE_PEAK},
                                times[] = {FIGURE_OUTPUT_TIME,
                                           FIGURE_I8_WINDOW_OUTPUT_TIME};

    for (size_t i = 0; i < sizeof speeds / sizeof *speeds; i++)
        d->figures[speeds[i]].value /= slower;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        d->figures[times[i]].value *= slower;
}

void device_use_vectors(struct device *d, int vector_bytes)
{
    const struct figure *f = d->figures, plain = f[FIGURE_F32_PER_CYCLE];
    const struct figure wide = f[FIGURE_F32_PER_CYCLE_V3].value > 0
                                   ? f[FIGURE_F32_PER_CYCLE_V3]
                                   : plain;
    const struct figure widest = f[FIGURE_F32_PER_CYCLE_V4].value > 0
                                     ? f[FIGURE_F32_PER_CYCLE_V4]
                                     : wide;
    const struct figure used = vector_bytes >= 64   ? widest
                               : vector_bytes >= 32 ? wide
                                                    : plain;

    d->figures[FIGURE_F32_PER_CYCLE] = used;
    if (used.value > 0)
        slow_down(d, widest.value / used.value);
}

void device_use_multiples(struct device *d, double i8, double i4)
{
    const double f32 = device_peak(d, PRECISION_F32);
    const struct figure of = {
        .origin = FIGURE_COMPUTED,
        .unit = "op/s",
        .source = "a multiple of the float32 rate: code without products of bytes",
    };

    d->figures[FIGURE_I8_PEAK] = d->figures[FIGURE_I4_PEAK] = of;
    d->figures[FIGURE_I8_PEAK].value = i8 * f32;
    d->figures[FIGURE_I4_PEAK].value = i4 * f32;
}
