/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions with 3 x 3 taps and no strides in a quarter of the multiplications:
 * F(4x4, 3x3) of Winograd 1980 (Lavin and Gray 2016, arXiv:1509.09308).
 *
 * A result tile of 4 x 4 comes from 6 x 6 pixels.  Both are transformed to 36 numbers,
 * and for each of those there is a product of matrices, channels by channels, whose
 * columns are the tiles of some samples.  Rounding is about ten times that of a direct
 * sum: 1e-6 of the largest result.
 */
#ifndef HADMC_TRAIN_FILTERING_H
#define HADMC_TRAIN_FILTERING_H

#include "support/arena.h"
#include "train/tiles.h"

/* From [c][h][w] to [o][oh][ow]; row r of the result begins at row r - top. */
struct filtering_shape {
    int64_t c, o, h, w, oh, ow, top, left;
};

struct filtering {
    struct filtering_shape shape;
    struct tiles_picture in, out;
    int64_t samples;       /* at once */
    int64_t per_sample;    /* positions of a plane */
    int64_t width;         /* positions of all samples, in whole vectors */
    const int64_t *offset; /* [c] rows of a product's right operand */
    int64_t n_scratch;     /* numbers */
};

/* False: a direct convolution is as fast, whose rows have so many positions. */
bool filtering_pays(const struct filtering_shape *s, int64_t direct_positions);

void filtering_plan(struct arena *a, const struct filtering_shape *s,
                    struct filtering *out);

/* The numbers of packed weights, and them from w: tap (u, v) of channel i to channel o
 * at w[o * pitch_o + i * pitch_c + u * 3 + v], or turned round, u and v from the end.
 */
int64_t filtering_n_packed(const struct filtering *f);
void filtering_pack(const struct filtering *f, const real *w, int64_t pitch_o,
                    int64_t pitch_c, bool turned, real *packed);

/* n samples, x and y pitches apart; y gets bias[o] (NULL: 0), or y is added to. */
void filtering_run(const struct filtering *f, int64_t n, const real *packed,
                   const real *x, int64_t pitch_x, const real *bias, bool adds, real *y,
                   int64_t pitch_y, real *scratch);

#endif /* HADMC_TRAIN_FILTERING_H */
