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
    float alpha, beta;       /* Gemm: multiplied into weights and bias */
    bool weights_transposed; /* [c_in][c_out] in the model: a Gemm without transB */
    bool transposed;         /* ConvTranspose: `conv` has its attributes as they are */
    const char *covers;
};

/* Of kind, reading and writing what `n` reads first and writes. */
struct hot *hot_new(struct builder *b, enum step_kind kind, const struct ir_node *n);
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
