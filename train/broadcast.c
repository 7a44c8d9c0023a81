/* SPDX-License-Identifier: Apache-2.0 */
/* See broadcast.h. */
#include "train/broadcast.h"

struct broadcast broadcast_of(struct arena *a, const struct ir_value *v,
                              const struct ir_value *to)
{
    const int64_t n = ir_count(to);
    int64_t stride[IR_MAX_RANK] = {0}, step = 1, *at;

    if (ir_count(v) == n)
        return (struct broadcast){NULL};
    at = arena_new_array(a, int64_t, n);
    for (int d = v->rank - 1; d >= 0; d--) {
        stride[d + to->rank - v->rank] = v->dim[d] > 1 ? step : 0;
        step *= v->dim[d];
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t rest = i;

        for (int d = to->rank - 1; d >= 0; d--) {
            at[i] += rest % to->dim[d] * stride[d];
            rest /= to->dim[d];
        }
    }
    return (struct broadcast){at};
}
