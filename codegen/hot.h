/* SPDX-License-Identifier: Apache-2.0 */
/* Operators with an emitted kernel: what the hot*.c files share. */
#ifndef HADMC_CODEGEN_HOT_H
#define HADMC_CODEGEN_HOT_H

#include "codegen/builder.h"

enum { HOT_READABLE_AFTER = 64, HOT_MAX_HOPS = 4 };

/* An emitted kernel and the nodes it covers. */
struct hot {
    enum step_kind kind;
    const struct ir_node *main; /* Conv, Gemm, ... */
    struct ir_value *in, *weights, *bias, *residual, *out;
    int64_t in_offset, weights_offset; /* bytes, where a Slice was read through */
    struct conv conv;
    struct conv_tiling tiling;
    bool pool_max, count_pad;
    struct matmul matmul;
    struct int_conv codes; /* of STEP_INT_...; its shape is `conv` */
    struct int_learned learned;
    float alpha, beta;       /* Gemm: multiplied into weights and bias */
    bool weights_transposed; /* [c_in][c_out] in the model: a Gemm without transB */
    bool transposed;         /* ConvTranspose: `conv` has its attributes as they are */
    const char *covers;
};

/* Of kind, reading and writing what `n` reads first and writes. */
struct hot *hot_new(struct builder *b, enum step_kind kind, const struct ir_node *n);
/* The constant that `n` multiplies with: its second input, float32, or the finite
 * float16 behind a Cast; NULL if there is none. */
struct ir_value *hot_learned(const struct ir_node *n);
/* Such a constant is stored as float16: it is one, or the model's constants were in 16
 * bits and float16 holds this one exactly. */
bool hot_stores_halves(const struct builder *b, const struct ir_value *w);
/* h->weights as float32, and what was made of them as a tensor of the weights file. */
const float *hot_real_weights(struct builder *b, const struct hot *h);
int hot_weights_tensor(struct builder *b, const struct hot *h, const float *packed,
                       int64_t n);
/* Input and output of 3 or 4 dims with channels last. */
bool hot_is_channels_last(const struct ir_node *n);
/* Sizes and dense strides of a convolution with weights w, in the model's order. */
void hot_fill_convolution(const struct ir_node *n, const struct ir_value *w,
                          struct conv *c);
/* rows x [k] times constant [k] x [n], as a 1 x 1 convolution over one row of pixels.
 */
void hot_fill_rows(struct conv *c, int64_t rows, int64_t k, int64_t n);
/* Slices are read where they lie; so is an image of few channels that is still in the
 * model's order.  Vectors of channels must be contiguous. */
void hot_read_in_place(struct builder *b, struct hot *h);
int64_t hot_flops(const struct conv *c);
/* Dense channels-last strides for the sizes in `c`. */
void hot_fill_strides(struct conv *c, int64_t in_channels, int64_t out_channels);
/* n floats in a row, whatever dims of 1 come before. */
bool hot_is_row_vector(const struct ir_value *v, int64_t n);

/* Where in its operands a step works, in bytes; `weights` is a tensor. */
struct hot_places {
    int weights;
    int64_t in, out; /* the residual lies as the output does */
};
void hot_add_step(struct builder *b, const struct hot *h, const struct hot_places *at);

/* ---- hot_epilogue.c ---------------------------------------------------- */

/* An activation that emitted kernels can do; ACT_NONE: n is none. */
struct act {
    enum activation kind;
    float a, b;
};
struct act hot_act_of(const struct ir_node *n);

/* ---- hot_int.c --------------------------------------------------------- */

/* QLinearConv, ConvInteger; QLinearMatMul, MatMulInteger. */
struct hot *hot_recognise_int_conv(struct builder *b, const struct ir_node *n);
struct hot *hot_recognise_int_matmul(struct builder *b, const struct ir_node *n);
const struct ir_node *hot_extend_int(struct builder *b, struct hot *h);
void hot_int_step(struct builder *b, const struct hot *h);
/* A MaxPool of codes, or a QLinearAveragePool with constant scales and zero points. */
bool hot_is_int_pool(const struct ir_node *n);
void hot_int_pool_step(struct builder *b, const struct hot *h);

/* ---- hot_strided.c ------------------------------------------------------- */

/* A value as it lies in memory: element 0 is `offset` elements into `base`, and
 * stride[i] is of the value's dim i. */
struct strided {
    struct ir_value *base;
    int64_t offset;
    int64_t stride[IR_MAX_RANK];
    int n_hops; /* nodes between, the nearest first */
    struct ir_node *hop[HOT_MAX_HOPS];
    bool transposed;
};

/* `v` seen through at most max_hops nodes. */
struct strided hot_look_behind(struct builder *b, struct ir_value *v, int max_hops);
/* The nodes between need not be computed. */
void hot_cover(struct builder *b, const struct strided *s);

/* ---- hot_scratch.c ------------------------------------------------------ */

/* Bytes of scratch that a worker may have during `main` within the model's peak. */
int64_t hot_scratch_room(struct builder *b, const struct ir_node *main);

/* ---- hot_product.c, hot_transpose.c ---------------------------------------- */

struct hot *hot_recognise_gemm(struct builder *b, const struct ir_node *n);
struct hot *hot_recognise_matmul(struct builder *b, const struct ir_node *n);
bool hot_transpose_fits(const struct conv *c);
void hot_transpose_steps(struct builder *b, const struct hot *h);

#endif /* HADMC_CODEGEN_HOT_H */
