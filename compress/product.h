/* SPDX-License-Identifier: Apache-2.0 */
/* Products of an activation with learned numbers, seen as matrices: what calibration
 * multiplies with and what it rounds.
 *
 *     Conv            y[channels][rows] = W[channels][k] X[k][rows], for every group;
 *                     a row is a window of the image
 *     Gemm, MatMul    the same transposed: y[rows][channels], X[rows][k]
 *
 * On OpenBLAS, so sums are taken in another order than in the interpreter: class F of
 * docs/numerics.md.
 */
#ifndef HADMC_COMPRESS_PRODUCT_H
#define HADMC_COMPRESS_PRODUCT_H

#include "frontend/ir.h"
#include "frontend/op_window.h"

struct product {
    const struct ir_node *node;
    int axis;                  /* of the weights: counts output channels */
    int64_t groups;            /* each k inputs and channels / groups outputs */
    int64_t channels, k, rows; /* rows of one sample */
    bool by_rows;              /* Gemm, MatMul */
    bool is_pointwise;         /* Conv: X is the input as it is */
    struct window window;      /* Conv */
    int64_t out[3];            /* Conv: spatial dims of the result */
};

/* The dim of the weights that counts output channels; -1 if n is no product with
 * constant float32 weights that has an integer form. */
int product_axis(const struct ir_node *n);

/* False for what has no such axis, for channels last, and for a Gemm with a bias that
 * is no constant per channel. */
bool product_of(const struct ir_node *n, struct product *out);

/* Inputs of a channel that lie side by side in k: those of one window. */
int64_t product_taps(const struct product *p);

/* The weights as [channels][k], and back: index into the tensor of weight `i` of a
 * channel. */
int64_t product_place(const struct product *p, int64_t channel, int64_t i);
void product_weights(const struct product *p, float *out);
/* The bias as [channels]; zeros where there is none. */
void product_bias(const struct product *p, float *out);

/* Elements that product_windows may need as scratch memory. */
int64_t product_scratch(const struct product *p);
/* X of one group of one sample: x itself, or windows gathered in `scratch`.  *ld is
 * the distance from one row of the stored matrix to the next. */
const float *product_windows(const struct product *p, const float *x, int64_t group,
                             float *scratch, int64_t *ld);

/* Mean square of y of one sample. */
double product_energy(const struct product *p, const float *y);
/* y of one sample, dense as the node's output.  blas_open has succeeded. */
void product_apply(const struct product *p, const float *weights, const float *bias,
                   const float *x, float *scratch, float *y);

#endif /* HADMC_COMPRESS_PRODUCT_H */
