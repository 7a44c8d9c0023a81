/* SPDX-License-Identifier: Apache-2.0 */
/* Interpolation in a table of measured times: see kernel_table.h. */
#include "hal/kernel_table.h"

#include <math.h>
#include <stddef.h>

const char *const work_kind_names[] = {
    [WORK_PRODUCT] = "product",
    [WORK_POINTWISE] = "pointwise",
    [WORK_WINDOW] = "window",
    [WORK_WINOGRAD] = "winograd",
    [WORK_STRIDED] = "strided",
    [WORK_FIRST] = "first",
    [WORK_DEPTHWISE] = "depthwise",
    [WORK_DEPTHWISE_STRIDED] = "depthwise strided",
    [WORK_MOVE] = "move",
    [WORK_CODES] = "codes",
    [WORK_FUNCTION] = "function",
    [WORK_POOL] = "pool",
    [WORK_SOFTMAX] = "softmax",
    [WORK_NORMALIZATION] = "normalization",
    NULL,
};

bool work_has_weights(enum work_kind kind)
{
    return kind < WORK_MOVE;
}

enum work_kind work_kind_of_window(int64_t groups, int64_t c_in, int64_t window,
                                   bool strided)
{
    if (groups > 1 && c_in == 1)
        return strided ? WORK_DEPTHWISE_STRIDED : WORK_DEPTHWISE;
    if (c_in <= WORK_FEW_CHANNELS)
        return WORK_FIRST;
    if (strided)
        return WORK_STRIDED;
    return window > 1 ? WORK_WINDOW : WORK_POINTWISE;
}

static int index_of(const struct kernel_table *t, const int i[TABLE_AXES])
{
    return (i[AXIS_CHANNELS] * t->n[AXIS_DEPTH] + i[AXIS_DEPTH]) * t->n[AXIS_ROWS]
           + i[AXIS_ROWS];
}

void kernel_table_smooth(struct kernel_table *t)
{
    int i[TABLE_AXES];

    for (i[0] = t->n[0] - 1; i[0] >= 0; i[0]--)
        for (i[1] = t->n[1] - 1; i[1] >= 0; i[1]--)
            for (i[2] = t->n[2] - 1; i[2] >= 0; i[2]--)
                for (int axis = 0; axis < TABLE_AXES; axis++) {
                    double *here = &t->ns[index_of(t, i)];

                    if (i[axis] == t->n[axis] - 1)
                        continue;
                    i[axis]++;
                    *here = fmin(*here, t->ns[index_of(t, i)]);
                    i[axis]--;
                }
}

/* Where a size lies on an axis: between points i and i + 1 (the same at the ends), how
 * far along, and what the time is to be multiplied by. */
struct position {
    int low, high;
    double share, factor;
};

/* The power of a size that the time follows between the first two points of an axis:
 * one number for all of the table, so that no time falls along another axis. */
static double slope_below(const struct kernel_table *t, int axis)
{
    const int n = t->n[0] * t->n[1] * t->n[2];
    double rise = 0;
    int i[TABLE_AXES], n_edges = n / t->n[axis];

    if (t->n[axis] < 2)
        return 0;
    for (int k = 0; k < n; k++) {
        i[AXIS_ROWS] = k % t->n[AXIS_ROWS];
        i[AXIS_DEPTH] = k / t->n[AXIS_ROWS] % t->n[AXIS_DEPTH];
        i[AXIS_CHANNELS] = k / t->n[AXIS_ROWS] / t->n[AXIS_DEPTH];
        if (i[axis] > 0)
            continue;
        i[axis] = 1;
        rise += log(t->ns[index_of(t, i)] / t->ns[k]);
    }
    return fmax(0, rise / n_edges / log(t->at[axis][1] / t->at[axis][0]));
}

static struct position find(const struct kernel_table *t, int axis, double size)
{
    const double *at = t->at[axis];
    const int last = t->n[axis] - 1;
    int i = 0;

    if (size <= at[0])
        return (struct position){0, 0, 0,
                                 pow(fmax(1, size) / at[0], slope_below(t, axis))};
    if (size >= at[last])
        return (struct position){last, last, 0, size / at[last]};
    while (size >= at[i + 1])
        i++;
    return (struct position){i, i + 1, log(size / at[i]) / log(at[i + 1] / at[i]), 1};
}

double kernel_table_ns(const struct kernel_table *t, double channels, double depth,
                       double rows)
{
    const double size[TABLE_AXES] = {channels, depth, rows};
    struct position p[TABLE_AXES];
    double sum = 0, factor = 1;

    for (int axis = 0; axis < TABLE_AXES; axis++) {
        p[axis] = find(t, axis, size[axis]);
        factor *= p[axis].factor;
    }
    for (int corner = 0; corner < 1 << TABLE_AXES; corner++) {
        double share = 1;
        int i[TABLE_AXES];

        for (int axis = 0; axis < TABLE_AXES; axis++) {
            const bool high = corner >> axis & 1;

            i[axis] = high ? p[axis].high : p[axis].low;
            share *= high ? p[axis].share : 1 - p[axis].share;
        }
        if (share > 0)
            sum += share * log(t->ns[index_of(t, i)]);
    }
    return exp(sum) * factor;
}
