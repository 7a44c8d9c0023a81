/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of the library kernels.  Every struct is int64_t fields (and
 * arrays of them), then float fields, nothing else: the same layout on every
 * target, and printable as a flat list (params.def).  Shapes are row-major,
 * right-aligned in arrays of K_MAX_RANK, padded on the left with 1 (stride 0).
 * Strides count elements. */
#ifndef HADMC_KERNELS_PARAMS_H
#define HADMC_KERNELS_PARAMS_H

#include "kernels/kernel.h"

/* Element by element with broadcasting: output [dim], contiguous; input k is
 * read with strides in[k].  Unit: one output element.  `f` holds the operator's
 * constants (alpha, beta, limits), `flag` is unused unless the row says so. */
struct k_eltwise {
    int64_t dim[K_MAX_RANK];
    int64_t in[3][K_MAX_RANK];
    float f[4];
};

/* Strided copy (k_copy.c): index space dim, strides of both sides. */
struct k_copy {
    int64_t dim[K_MAX_RANK];
    int64_t in[K_MAX_RANK], out[K_MAX_RANK];
};

struct k_fill {
    int64_t bits;
};

/* Convolution and its transpose over up to three spatial dims (right-aligned,
 * unused ones are 1), k_conv*.c.  Element (n, c, z, y, x) of the input lies at
 * n*in_n + c*in_c + z*in_s[0] + y*in_s[1] + x*in_s[2]; outputs alike.  c_in and
 * c_out count channels of one group. */
struct k_conv {
    int64_t n, groups, c_in, c_out;
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3];
    int64_t in_n, in_c, in_s[3];
    int64_t out_n, out_c, out_s[3];
    int64_t has_bias;
    int64_t per_channel;            /* integer: weight scale and zero point are vectors */
    int64_t has_x_zero, has_w_zero; /* integer: otherwise the zero point is 0 */
    int64_t has_limits;             /* requantized: int32_t[2], least and most code */
};

/* Matrix product out[b] = alpha * a[b] b[b] + beta * c, k_matmul*.c.  Batch dims
 * and strides are right-aligned; 0 strides repeat an operand. */
struct k_matmul {
    int64_t m, n, k;
    int64_t batch[6], a_batch[6], b_batch[6], c_batch[6];
    int64_t a_row, a_col, b_row, b_col, c_row, c_col;
    int64_t has_bias;
    int64_t row_zero, col_zero;     /* integer: zero points per row of a, column of b */
    int64_t has_a_zero, has_b_zero;
    int64_t has_limits;             /* as in k_conv */
    float alpha, beta;
};

/* Pooling windows, k_pool.c; strides and dims as in k_conv. */
struct k_pool {
    int64_t n, c;
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3], pad_end[3];
    int64_t in_n, in_c, in_s[3];
    int64_t out_n, out_c, out_s[3];
    int64_t channels_last; /* channels are the contiguous dim: loop over them inside */
    int64_t count_pad;     /* average: padding counts in the divisor */
    int64_t column_major;  /* indices: position counted with the first spatial dim fastest */
    int64_t p;             /* Lp */
    int64_t has_limits;    /* as in k_conv */
};

/* Pad (k_move.c): dim = output, src = input dims, begin = elements before it along
 * each dim (may be negative); mode 0 constant, 1 reflect, 2 edge, 3 wrap. */
struct k_pad {
    int64_t dim[K_MAX_RANK], src[K_MAX_RANK], begin[K_MAX_RANK], in[K_MAX_RANK];
    int64_t mode, has_value;
};

/* Rows along one axis: [outer, n, inner] (k_move.c, k_gather.c, k_search.c). */
struct k_axis {
    int64_t outer, n, inner;
    int64_t count; /* indices, depth or outputs along the axis */
    int64_t flag;
};

/* Data-dependent selection (k_move.c). */
struct k_nonzero {
    int64_t dim[K_MAX_RANK]; /* right-aligned */
    int64_t rank;
    int64_t mask;            /* bits that make an element nonzero */
};

/* GatherElements, ScatterElements: index space dim, strides of the data; the axis'
 * own stride is `step`, in data[] it is 0. */
struct k_element {
    int64_t dim[K_MAX_RANK], data[K_MAX_RANK];
    int64_t size, step; /* of the axis */
};

/* GatherND, ScatterND: [batch, tuples] tuples of `depth` indices select slices of
 * `inner` elements. */
struct k_nd {
    int64_t batch, tuples, depth, inner;
    int64_t batch_step; /* elements of data in one batch */
    int64_t size[K_MAX_RANK], step[K_MAX_RANK];
};

/* Reductions (k_reduce.c): output element e lies at e; its window of the input starts
 * at sum of kept indices times kept_stride and walks red[] with red_stride[].  Dims
 * are merged: usually one kept group on either side of one reduced group. */
struct k_reduce {
    int64_t kept[K_MAX_RANK], kept_stride[K_MAX_RANK];
    int64_t red[K_MAX_RANK], red_stride[K_MAX_RANK];
    int64_t count;     /* elements reduced into one */
    int64_t take_last; /* arg: of equal elements the last one */
};

/* Rows of n elements `inner` apart: element i of row r = o * inner + c lies at
 * (o * n + i) * inner + c (k_softmax.c, k_scan.c). */
struct k_rows {
    int64_t n, inner;
    int64_t exclusive, reverse; /* CumSum */
    int64_t has_limits;         /* codes: as in k_conv */
};

/* Normalizations (k_norm.c): rows of n contiguous elements.  Element i of row r is
 * scaled by entry ((r % cycle) * per_row + i / run) of scale and bias. */
struct k_norm {
    int64_t n, cycle, per_row, run;
    int64_t has_scale, has_bias, want_mean, want_inv;
    int64_t has_limits; /* codes: as in k_conv */
    float eps;
};

/* Local response normalization over `size` channels of [N, c, inner]. */
struct k_lrn {
    int64_t c, inner, size;
    float alpha, beta, bias;
};

/* Negative log likelihood: x [N, c, inner], target and loss [N, inner]. */
struct k_nll {
    int64_t c, inner, ignore; /* `ignore`: a class that counts nothing */
    int64_t has_ignore, has_weight;
};

/* Where each output position along one axis reads (k_resize.c: resize_taps). */
struct k_taps {
    int64_t n_in, n_out;
    int64_t mode;       /* 0 nearest, 1 linear, 2 cubic */
    int64_t coordinate; /* TAPS_* of k_resize.c */
    int64_t rounding;   /* nearest: 0 prefer floor, 1 prefer ceil, 2 floor, 3 ceil */
    int64_t taps;       /* elements per output */
    int64_t first;      /* the first, counted from the one left of the position */
    int64_t antialias, exclude_outside;
    int64_t weighted;   /* nearest: write weights, all 1 */
    float scale;        /* out / in */
    float roi_start, roi_end;
    float cubic_a;
};

/* Interpolation along two neighbouring axes: [outer, h, w, inner] ->
 * [outer, out_h, out_w, inner]. */
struct k_resize {
    int64_t outer, h, w, inner, out_h, out_w;
    int64_t taps_h, taps_w;
    float extrapolation;
};

/* Unique (k_search.c): slices of [outer, n, inner]. */
struct k_unique {
    int64_t outer, n, inner;
    int64_t axis;   /* of y's dims that shrinks */
    int64_t sorted;
    int64_t has_index, has_inverse, has_count;
};

/* NonMaxSuppression (k_search.c). */
struct k_nms {
    int64_t batches, classes, boxes;
    int64_t centered;   /* boxes are x, y, width, height */
    int64_t has_max, has_iou, has_score;
};

/* MaxUnpool (k_search.c): positions count in `dim`, the result has strides `out` and
 * dims `to`. */
struct k_unpool {
    int64_t dim[K_MAX_RANK], to[K_MAX_RANK], out[K_MAX_RANK];
};

/* One direction of a recurrent layer (k_recurrent.c).  Strides in elements: of a step
 * and of a batch item in the inputs' part, in Y, and of a batch item in the states.  Activations are numbered as in k_recurrent.c. */
struct k_recurrent {
    int64_t steps, batch, hidden;
    int64_t backward;
    int64_t x_t, x_b, y_t, y_b, h_b;
    int64_t has_lengths, has_h, has_c, has_peephole, has_bias;
    int64_t has_steps;     /* R is codes, in steps that its columns have */
    int64_t has_y, has_y_h, has_y_c;
    int64_t flag;          /* GRU: linear_before_reset; LSTM: input_forget */
    int64_t activation[3];
    float alpha[3], beta[3];
    float clip;            /* 0: none */
};

/* Sampling at computed positions (k_sample.c): GridSample in 1 to 3 spatial dims
 * (right-aligned), RoiAlign and MaxRoiPool in 2. */
struct k_sample {
    int64_t n, c;
    int64_t dims;           /* spatial */
    int64_t in[3], out[3];
    int64_t mode;           /* grid: 0 nearest, 1 linear, 2 cubic; roi: 1 largest */
    int64_t padding;        /* 0 zeros, 1 border, 2 reflection */
    int64_t align;          /* grid: corners; roi: half_pixel */
    int64_t sampling_ratio; /* roi: 0 adapts */
    float scale;
};

/* DeformConv's columns (k_sample.c). */
struct k_deform {
    int64_t n, c, offset_groups, has_mask;
    int64_t in[2], out[2], kernel[2], stride[2], dilation[2], pad[2];
};

/* Einsum of one or two operands (k_einsum.c): for each index of out[], the sum over
 * red[] of the product of the elements; strides as named, right-aligned. */
struct k_einsum {
    int64_t out[K_MAX_RANK], red[K_MAX_RANK];
    int64_t a_out[K_MAX_RANK], a_red[K_MAX_RANK];
    int64_t b_out[K_MAX_RANK], b_red[K_MAX_RANK];
    int64_t has_b;
};

/* Discrete Fourier transforms (k_signal.c): transform (o, i) of [outer, inner] reads
 * n_in numbers `in_step` apart at o*in_outer + i*in_inner and writes n_out ones; strides
 * count floats. */
struct k_dft {
    int64_t outer, inner, length;
    int64_t n_in, n_out;
    int64_t in_outer, in_inner, in_step, in_complex;
    int64_t out_outer, out_inner, out_step, out_complex;
    int64_t inverse;
    int64_t hermitian;  /* the input is the first half of a symmetric spectrum */
    int64_t has_window; /* n_in factors */
    int64_t odd;        /* largest odd factor of length; the rest is a power of 2 */
};

/* Window functions: w[k] = a0 - a1 cos(2 pi k / n) + a2 cos(4 pi k / n). */
struct k_window {
    int64_t n;
    float a0, a1, a2;
};

/* MelWeightMatrix. */
struct k_mel {
    int64_t bins, spectrum, length, rate;
    float low, high;
};

/* TfIdfVectorizer: grams are triples (first in pool, length, column of the result). */
struct k_tfidf {
    int64_t columns, n_grams, n_out;
    int64_t shortest, longest, skips;
    int64_t mode;       /* 0 count, 1 presence, 2 weighted count */
    int64_t has_weights;
};

#endif /* HADMC_KERNELS_PARAMS_H */
