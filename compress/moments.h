/* SPDX-License-Identifier: Apache-2.0 */
/* First and second moments of a layer's inputs and outputs over the samples, and the
 * weights that they say are best before anything is rounded.
 *
 *     y   what the float layer gives, with its bias
 *     x   what the quantized layer will read: inputs that carry the errors of all
 *         layers before
 *
 * The weights V and bias c that minimise E |y - V x - c|^2 + l |V - W|^2 are
 *
 *     V = W + (C - W H)(H + l I)^-1        H = E (x - Ex)(x - Ex)^T
 *     c = Ey - V Ex                        C = E (y - Ey)(x - Ex)^T
 *
 * so that a layer makes good for what was lost before it, as far as its inputs allow.
 * How far the samples can be trusted is measured: three of four fit V for several l,
 * the others choose among these and W itself.
 *
 * Samples count alike, however loud: the error of each is measured against what the
 * layer gives for it.  A network answers loud samples with room to spare, and they are
 * few; without weights they alone would say what is fitted.
 *
 * sources: bias correction, Nagel et al. 2019, arXiv:1906.04721, section 4.2;
 * regression on the inputs of the quantized network, Li et al. 2025, arXiv:2504.02692
 */
#ifndef HADMC_COMPRESS_MOMENTS_H
#define HADMC_COMPRESS_MOMENTS_H

#include "compress/product.h"

struct moments {
    int64_t groups, channels, k; /* of the product; channels of all groups */
    bool has_bias;               /* a constant can be added: moments are central */
    int64_t n;                   /* rows */
    double *h;                   /* [groups][k][k] */
    double *shrunk;              /* the same, as far as n rows can be trusted */
    double *c;                   /* [channels][k] */
    double *mean_x;              /* [groups][k]; 0 without bias */
    double *mean_y, *var_y;      /* [channels] */
};

/* Rows are taken evenly from all samples, about `most_rows` of them.  Finish turns
 * sums into moments. */
struct moments_sums;
struct moments_sums *moments_create(struct arena *a, const struct product *p,
                                    int64_t n_samples, int64_t most_rows);
/* Samples in their order: x and y of one, and how much it counts, above 0. */
void moments_add(struct moments_sums *s, const float *x, const float *y, double weight);
void moments_finish(struct moments_sums *s, bool has_bias);

/* `energy` of n samples, the mean square of what a layer gives for each, becomes what
 * they count: 1 on average, none more than about a hundred times as much as one of mean
 * energy. */
void moments_weights(double *energy, int64_t n);

/* Of all samples. */
const struct moments *moments_all(const struct moments_sums *s);
enum { MOMENTS_PARTS = 4 }; /* of the samples, one of which is held out */

/* Of those that are not held out, and whether sample i is. */
const struct moments *moments_some(const struct moments_sums *s);
bool moments_holds_out(int64_t i);

/* V into [channels][k], from W in the same order.  Returns the l that was chosen, as a
 * multiple of the mean of H's diagonal; INFINITY: V is W. */
double moments_fit(const struct moments_sums *s, const float *w, float *v);

/* The same from moments_some alone: errors of the other samples are those of samples
 * that were not learned from. */
double moments_fit_some(const struct moments_sums *s, const float *w, float *v);

/* As moments_fit for the weights of W that are not zero; the others stay zero. */
double moments_fit_nonzero(const struct moments_sums *s, const float *w, float *v);

/* c of every channel for V; 0 where there can be none. */
void moments_biases(const struct moments *m, const float *v, float *bias);
/* E |y - V x - c|^2 for the best c, over all channels together; at least 0. */
double moments_error(const struct moments *m, const float *v);

#endif /* HADMC_COMPRESS_MOMENTS_H */
