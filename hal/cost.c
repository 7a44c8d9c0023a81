/* SPDX-License-Identifier: Apache-2.0 */
/* The roofline of a unit of work: see cost.h. */
#include "hal/cost.h"

#include <math.h>

enum { SCALE_BYTES = 4, FLOAT_BITS = 16 }; /* from 16 bits on, numbers need no scale */

const char *const cost_origin_names[] = {
    [COST_MODELLED] = "modelled",
    [COST_MEASURED] = "measured",
    NULL,
};

static const enum figure_id energy_of_op[PRECISION_COUNT] = {
    [PRECISION_F32] = FIGURE_F32_ENERGY,
    [PRECISION_F16] = FIGURE_F16_ENERGY,
    [PRECISION_I8] = FIGURE_I8_ENERGY,
    [PRECISION_I4] = FIGURE_I4_ENERGY,
};

enum precision precision_of(int weight_bits, int activation_bits)
{
    const int bits = weight_bits > activation_bits ? weight_bits : activation_bits;

    return bits <= 4    ? PRECISION_I4
           : bits <= 8  ? PRECISION_I8
           : bits <= 16 ? PRECISION_F16
                        : PRECISION_F32;
}

static double packed_bytes(int64_t n, int bits)
{
    return ceil((double)n * bits / 8);
}

int64_t cost_weight_bytes(int64_t n, int64_t channels, int bits)
{
    return (int64_t)packed_bytes(n, bits)
           + (bits < FLOAT_BITS ? SCALE_BYTES * channels : 0);
}

/* Output channels that are computed, idle lanes of the last tile included. */
static double rounded_channels(const struct device *d, int64_t channels)
{
    const double tile = fmax(1, d->figures[FIGURE_TILE_CHANNELS].value);

    return ceil((double)channels / tile) * tile;
}

static double moved_bytes(const struct work *w)
{
    return (double)cost_weight_bytes(w->weights, w->channels, w->weight_bits)
           + packed_bytes(w->in_elements, w->activation_bits)
           + packed_bytes(w->out_elements, w->activation_bits);
}

static double move_ns(const struct device *d, double n_bytes)
{
    return 1e9 * n_bytes / device_bandwidth(d, device_level_for(d, n_bytes));
}

bool cost_has_energy(const struct device *d)
{
    return d->figures[FIGURE_F32_ENERGY].value > 0
           && d->figures[FIGURE_BYTE_ENERGY].value > 0;
}

static double energy_j(const struct device *d, enum precision p, double n_ops,
                       double n_bytes, double time_ns)
{
    int wider = (int)p;

    if (!cost_has_energy(d))
        return 0;
    while (wider > PRECISION_F32 && d->figures[energy_of_op[wider]].value == 0)
        wider--;
    return d->figures[energy_of_op[wider]].value * n_ops
           + d->figures[FIGURE_BYTE_ENERGY].value * n_bytes
           + d->figures[FIGURE_IDLE_POWER].value * time_ns * 1e-9;
}

struct cost cost_of(const struct device *d, const struct work *w)
{
    const enum precision p =
        device_precision(d, precision_of(w->weight_bits, w->activation_bits));
    const double n_ops =
        2 * (double)w->macs_per_channel * rounded_channels(d, w->channels);
    const double n_bytes = moved_bytes(w);
    const double time_ns = 1e9 * d->figures[FIGURE_STEP_OVERHEAD].value
                           + fmax(1e9 * n_ops / device_peak(d, p), move_ns(d, n_bytes));

    return (struct cost){
        .origin = COST_MODELLED,
        .time_ns = time_ns,
        .energy_j = energy_j(d, p, n_ops, n_bytes, time_ns),
        .weight_bytes = cost_weight_bytes(w->weights, w->channels, w->weight_bits),
    };
}

double cost_conversion_ns(const struct device *d, int64_t elements, int from_bits,
                          int to_bits)
{
    if (from_bits == to_bits)
        return 0;
    return 1e9 * d->figures[FIGURE_STEP_OVERHEAD].value
           + move_ns(d, packed_bytes(elements, from_bits)
                            + packed_bytes(elements, to_bits));
}

struct model_cost cost_of_model(const struct device *d, int n, const struct work *works,
                                int64_t ram_bytes)
{
    struct model_cost total = {.origin = COST_MODELLED, .ram_bytes = ram_bytes};

    for (int i = 0; i < n; i++) {
        const struct cost c = cost_of(d, &works[i]);

        total.time_ns += c.time_ns;
        total.energy_j += c.energy_j;
        total.weight_bytes += c.weight_bytes;
    }
    return total;
}
