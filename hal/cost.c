/* SPDX-License-Identifier: Apache-2.0 */
/* The roofline of a unit of work: see cost.h. */
#include "hal/cost.h"

#include <math.h>

enum {
    SCALE_BYTES = 4,
    FLOAT_BITS = 16, /* from here on, numbers need no scale */
    TF32_BITS = 19,
    PLACE_BITS = 2, /* of a weight among four */
};

const char *const cost_origin_names[] = {
    [COST_MODELLED] = "modelled",
    [COST_MEASURED] = "measured",
    NULL,
};

static const enum figure_id energy_of_op[PRECISION_COUNT] = {
    [PRECISION_F32] = FIGURE_F32_ENERGY, [PRECISION_TF32] = FIGURE_TF32_ENERGY,
    [PRECISION_F16] = FIGURE_F16_ENERGY, [PRECISION_I8] = FIGURE_I8_ENERGY,
    [PRECISION_I4] = FIGURE_I4_ENERGY,
};

static const int stored_bits[PRECISION_COUNT] = {
    [PRECISION_F32] = 32, [PRECISION_TF32] = 32, [PRECISION_F16] = 16,
    [PRECISION_I8] = 8,   [PRECISION_I4] = 4,
};

enum precision precision_of(int weight_bits, int activation_bits)
{
    const int bits = weight_bits > activation_bits ? weight_bits : activation_bits;

    return bits <= 4            ? PRECISION_I4
           : bits <= 8          ? PRECISION_I8
           : bits <= FLOAT_BITS ? PRECISION_F16
           : bits <= TF32_BITS  ? PRECISION_TF32
                                : PRECISION_F32;
}

static double packed_bytes(int64_t n, int bits)
{
    return ceil((double)n * (bits > FLOAT_BITS ? 32 : bits) / 8);
}

int64_t cost_weight_bytes(int64_t n, int64_t channels, int bits)
{
    return (int64_t)packed_bytes(n, bits)
           + (bits < FLOAT_BITS ? SCALE_BYTES * channels : 0);
}

int64_t cost_stored_weights(const struct work *w)
{
    if (!w->sparse_2_4)
        return cost_weight_bytes(w->weights, w->channels, w->weight_bits);
    return cost_weight_bytes((w->weights + 1) / 2, w->channels, w->weight_bits)
           + (int64_t)packed_bytes((w->weights + 1) / 2, PLACE_BITS);
}

struct work work_of_batch(const struct work *w, int64_t n)
{
    struct work all = *w;

    all.macs_per_channel *= n;
    all.rows *= n;
    all.in_elements *= n;
    all.out_elements *= n;
    all.added *= n;
    return all;
}

/* ---- operations -------------------------------------------------------------- */

/* `size` in whole multiples of a figure that may not be stated. */
static double whole(const struct device *d, enum figure_id id, double size)
{
    const double tile = fmax(1, d->figures[id].value);

    return ceil(size / tile) * tile;
}

static double rows_of(const struct work *w)
{
    return w->rows > 0 ? (double)w->rows : 1;
}

static double depth_of(const struct work *w)
{
    return (double)w->macs_per_channel / rows_of(w);
}

/* Factors that a device multiplies together for one sum: the more, the narrower. */
static double tile_depth(const struct device *d, enum precision p)
{
    return fmax(1, d->figures[FIGURE_TILE_DEPTH].value * 8 / stored_bits[p]);
}

static bool is_depthwise(const struct work *w)
{
    return w->kind == WORK_DEPTHWISE || w->kind == WORK_DEPTHWISE_STRIDED;
}

static double tiled_channels(const struct device *d, enum precision p,
                             const struct work *w)
{
    const double tile = (double)device_tile_outputs(d, p);

    return ceil((double)w->channels / tile) * tile;
}

/* Multiply-accumulates that are carried out, idle parts of tiles included.  Where sums
 * are cut into tiles, the channels of a depthwise convolution have no inputs in common
 * and need tiles of their own. */
static double computed_macs(const struct device *d, enum precision p,
                            const struct work *w)
{
    const double deep = tile_depth(d, p);
    const bool alone = d->figures[FIGURE_TILE_DEPTH].value > 0 && is_depthwise(w);
    const double tile_channels = (double)device_tile_outputs(d, p);
    const double tile_rows =
        w->rows > 0 ? fmax(1, d->figures[FIGURE_TILE_ROWS].value) : 1;
    const double tiles = ceil((double)w->channels / (alone ? 1 : tile_channels))
                         * ceil(rows_of(w) / tile_rows);

    return whole(d, FIGURE_TILE_UNITS, tiles) * tile_channels * tile_rows
           * ceil(depth_of(w) / deep) * deep;
}

/* How many of the operations need not be done. */
static double sparse_rate(const struct device *d, enum precision p,
                          const struct work *w)
{
    return w->sparse_2_4 && p > PRECISION_F32
               ? fmax(1, d->figures[FIGURE_SPARSE_RATE].value)
               : 1;
}

/* ---- bytes ------------------------------------------------------------------- */

static double moved_bytes(const struct work *w)
{
    return (double)cost_stored_weights(w)
           + packed_bytes(w->in_elements, w->activation_bits)
           + packed_bytes(w->out_elements, w->activation_bits);
}

static double move_ns(const struct device *d, double n_bytes)
{
    return 1e9 * n_bytes / device_bandwidth(d, device_level_for(d, n_bytes));
}

/* ---- costs ------------------------------------------------------------------- */

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

static double rate_of(const struct device *d, enum precision p, const struct work *w)
{
    const double slow = d->figures[FIGURE_I8_DEPTHWISE_PEAK].value;

    return p == PRECISION_I8 && slow > 0 && is_depthwise(w) ? slow : device_peak(d, p);
}

static double output_time(const struct device *d, enum precision p,
                          const struct work *w)
{
    const double plain = d->figures[FIGURE_OUTPUT_TIME].value,
                 window = d->figures[FIGURE_I8_WINDOW_OUTPUT_TIME].value;
    const bool has_window =
        w->kind == WORK_WINDOW || w->kind == WORK_STRIDED || w->kind == WORK_FIRST;

    return p >= PRECISION_I8 && has_window && window > plain ? window : plain;
}

/* What kernels do beside each sum, those of idle parts of tiles included. */
static double finish_ns(const struct device *d, enum precision p, const struct work *w)
{
    return work_has_weights(w->kind)
               ? 1e9 * output_time(d, p, w) * rows_of(w) * tiled_channels(d, p, w)
               : 0;
}

static double roofline_ns(const struct device *d, enum precision p,
                          const struct work *w, double n_ops, double n_bytes)
{
    return 1e9 * d->figures[FIGURE_STEP_OVERHEAD].value
           + fmax(1e9 * n_ops / rate_of(d, p, w) + finish_ns(d, p, w),
                  move_ns(d, n_bytes));
}

/* Codes that are added to others, activations before codes.  A float is in the
 * multiply-adder's sum already. */
static double added_ns(const struct device *d, const struct work *w)
{
    const struct kernel_table *t =
        w->added > 0 && w->activation_bits <= 8
            ? device_kernels(d, WORK_CODES, w->activation_bits, w->activation_bits,
                             false)
            : NULL;

    return t && t->kind == WORK_CODES ? kernel_table_ns(t, 1, 1, (double)w->added) : 0;
}

/* What reading weights takes longer than from the second-level cache. */
static double cold_ns(const struct device *d, const struct work *w)
{
    const double from =
        device_bandwidth(d, device_level_for(d, (double)w->resident_bytes));
    const double n_bytes =
        fmin((double)cost_stored_weights(w), device_capacity(d, LEVEL_L2));

    return 1e9 * n_bytes * fmax(0, 1 / from - 1 / device_bandwidth(d, LEVEL_L2));
}

static double measured_ns(const struct device *d, const struct kernel_table *t,
                          const struct work *w, double n_bytes)
{
    if (t->kind == WORK_MOVE)
        return kernel_table_ns(t, 1, 1, n_bytes);
    return kernel_table_ns(t, (double)w->channels, depth_of(w), rows_of(w))
           + added_ns(d, w) + cold_ns(d, w);
}

struct cost cost_of(const struct device *d, const struct work *w)
{
    const struct kernel_table *t =
        device_kernels(d, w->kind, w->weight_bits, w->activation_bits, w->weight_zeros);
    const enum precision p =
        device_precision(d, precision_of(w->weight_bits, w->activation_bits));
    const double rate = sparse_rate(d, p, w);
    const double per_mac = work_has_weights(w->kind) ? 2 / rate : 0;
    const double n_ops = per_mac * computed_macs(d, p, w);
    const double n_useful = per_mac * (double)w->macs_per_channel * (double)w->channels;
    const double n_bytes = moved_bytes(w);
    const double time_ns =
        t ? measured_ns(d, t, w, n_bytes) : roofline_ns(d, p, w, n_ops, n_bytes);

    return (struct cost){
        .origin = COST_MODELLED,
        .time_ns = time_ns,
        .energy_j = energy_j(d, p, n_useful, n_bytes, time_ns),
        .weight_bytes = cost_stored_weights(w),
    };
}

double cost_conversion_ns(const struct device *d, int64_t elements, int from_bits,
                          int to_bits)
{
    const struct kernel_table *t = device_kernels(d, WORK_MOVE, 1, 1, false);

    if (from_bits == to_bits)
        return 0;
    if (t)
        return kernel_table_ns(t, 1, 1,
                               packed_bytes(elements, from_bits)
                                   + packed_bytes(elements, to_bits));
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
