/* SPDX-License-Identifier: Apache-2.0 */
/* Sliding windows: the attributes that convolutions and pools have in common.
 *
 * Canonical form: kernel_shape, strides, dilations and pads (all begins, then all
 * ends) are complete, auto_pad is gone.  With channels_last=1 input and output are
 * [N, spatial..., C]; weights stay as in ONNX. */
#ifndef HADMC_FRONTEND_OP_WINDOW_H
#define HADMC_FRONTEND_OP_WINDOW_H

#include "frontend/ir.h"

/* Right-aligned to three spatial dims; the others are 1 with pads 0. */
struct window {
    int n_spatial;
    bool channels_last;
    int64_t batch, channels;
    int64_t in[3], kernel[3], stride[3], dilation[3], pad[3], pad_end[3];
};

/* Spell out kernel_shape (from `kernel`, the n spatial dims of weights, or NULL),
 * strides, dilations and pads; auto_pad is worked out for input 0. */
struct status *window_import(struct ir_node *n, const int64_t *kernel);

/* Read and check the attributes for input `x`; `kernel` as above. */
struct status *window_read(const struct ir_node *n, const struct ir_value *x,
                           const int64_t *kernel, struct window *out);

/* Output length along spatial dim d (of three); fails when no window fits. */
struct status *window_out(const struct ir_node *n, const struct window *w, int d,
                          bool ceil_mode, int64_t *out);

/* Dims of an activation [N, C, spatial...] or [N, spatial..., C]; returns its rank. */
int window_dims(const struct window *w, int64_t channels, const int64_t spatial[3],
                int64_t dim[IR_MAX_RANK]);
/* Element strides of such an activation. */
void window_strides(const struct window *w, int64_t channels, const int64_t spatial[3],
                    int64_t *batch_stride, int64_t *channel_stride,
                    int64_t spatial_stride[3]);

#endif /* HADMC_FRONTEND_OP_WINDOW_H */
