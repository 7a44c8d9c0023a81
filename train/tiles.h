/* SPDX-License-Identifier: Apache-2.0 */
/* The inner loops of convolutions, for the vectors of this processor.
 *
 * A convolution over planes with a common pitch is a matrix product whose right operand
 * need not be written down: row k, a channel and a tap, is the input at a distance of
 * offset[k] (the "indirect" product of Dukhan 2019, arXiv:1907.02129, with one offset
 * for a whole row).
 *
 *     products     y[m][p] = sum_k a[k][m] x[offset[k] + p]
 *     sums         w[m][k] += sum_p d[m][p] x[offset[k] + p]
 *
 * p runs over n rounded up to TILES_VECTOR; up to there x, d and y are readable and
 * writable.  Sums are in vectors of the processor's own width, so their last bits
 * depend on the kind of processor; on nothing else.
 */
#ifndef HADMC_TRAIN_TILES_H
#define HADMC_TRAIN_TILES_H

#include <stdbool.h>

#include "train/train_real.h"

enum {
    TILES_VECTOR = 64 / sizeof(real), /* elements of the widest vector */
    TILES_ROWS = 8, /* of `a` that are packed side by side; the last ones are fewer */
};

/* a[m0/8][k][min(8, m - m0)]: rows in blocks of TILES_ROWS, each block k-major. */
typedef void tiles_products_fn(int64_t m, int64_t n, int64_t k, const real *a,
                               const int64_t *offset, const real *x, real *y,
                               int64_t pitch_y);

struct tiles_sums {
    int64_t m, n, k;
    int64_t parts; /* samples, whose sums are added: part_d and part_x apart */
    const real *d;
    int64_t pitch_d, part_d;
    const int64_t *offset;
    const real *x;
    int64_t part_x;
    real *w; /* [m][k] */
};

typedef void tiles_sums_fn(const struct tiles_sums *s);

/* Sums along one array: of x; of (x - mean)^2; of d (x - mean). */
typedef real tiles_sum_fn(int64_t n, const real *x);
typedef real tiles_spread_fn(int64_t n, const real *x, real mean);
typedef real tiles_dot_fn(int64_t n, const real *d, const real *x, real mean);
/* y = a x + b;  y = a d + b x + c, or y += the same. */
typedef void tiles_line_fn(int64_t n, real a, const real *x, real b, real *y);
typedef void tiles_plane_fn(int64_t n, real a, const real *d, real b, const real *x,
                            real c, bool adds, real *y);
/* y = x where x is above 0, else 0; dx = d where y is above 0, else 0, or dx += it. The
 * arrays may be the same. */
typedef void tiles_relu_fn(int64_t n, const real *x, real *y);
typedef void tiles_relu_back_fn(int64_t n, const real *y, const real *d, bool adds,
                                real *dx);

/* Rows of w numbers, one after the other, to rows at a pitch, each after `left` zeros
 * and followed by zeros; up to TILES_VECTOR numbers behind the last row are written and
 * as many are read.  And back, with b added, or added to what is there. */
typedef void tiles_pad_fn(int64_t rows, int64_t w, const real *from, int64_t left,
                          int64_t pitch, real *to);
typedef void tiles_unpad_fn(int64_t rows, int64_t w, const real *from, int64_t pitch,
                            real b, bool adds, real *to);

/* Rounding to codes, derive_codes.c: y = s clip(round(x / s), least, most), limits
 * without the zero point.  Back: dx gets (or is increased by) d inside the limits; the
 * sum of what the scale gets is returned.  dx may be NULL. */
struct tiles_codes {
    real scale, least, most;
};

typedef void tiles_round_fn(int64_t n, const struct tiles_codes *c, const real *x,
                            real *y);
typedef real tiles_round_back_fn(int64_t n, const struct tiles_codes *c, const real *x,
                                 const real *d, bool adds, real *dx);

/* ---- minimal filtering F(4x4, 3x3): filtering.h --------------------------------- */

/* Pictures in 16 planes, pixel (4 r + a, 4 c + b) in plane 4 a + b at r * pitch + c;
 * planes are `plane` numbers apart.  Split writes `rows` by `columns` of each plane
 * from a picture of h x w behind `top` rows and `left` columns of zeros; up to 3
 * numbers behind a row are written.  Merge writes (or adds) a picture of h x w, plus b.
 */
enum { TILES_MOST_WIDTH = 512 };

struct tiles_picture {
    int64_t h, w, top, left, rows, columns, plane, pitch;
};

typedef void tiles_split_fn(const struct tiles_picture *p, const real *from, real *to);
typedef void tiles_merge_fn(const struct tiles_picture *p, const real *from, real b,
                            bool adds, real *to);
/* For n positions of the planes: the 36 products' right operands, `apart` from each
 * other; and from 36 sums the planes of the result. */
typedef void tiles_to_sums_fn(int64_t n, const struct tiles_picture *p,
                              const real *planes, real *v, int64_t apart);
typedef void tiles_from_sums_fn(int64_t n, const struct tiles_picture *p, const real *m,
                                int64_t apart, real *planes);

struct tiles {
    tiles_products_fn *products;
    tiles_sums_fn *sums;
    tiles_sum_fn *sum;
    tiles_spread_fn *spread;
    tiles_dot_fn *dot;
    tiles_line_fn *line;
    tiles_plane_fn *plane;
    tiles_relu_fn *relu;
    tiles_relu_back_fn *relu_back;
    tiles_pad_fn *pad;
    tiles_unpad_fn *unpad;
    tiles_round_fn *round;
    tiles_round_back_fn *round_back;
    tiles_split_fn *split;
    tiles_merge_fn *merge;
    tiles_to_sums_fn *to_sums;
    tiles_from_sums_fn *from_sums;
};

/* Those for this processor. */
const struct tiles *tiles_here(void);

/* `to` in the order of products' a: element k of row m is from[m * pitch + k * step].
 */
void tiles_pack(int64_t m, int64_t k, const real *from, int64_t pitch, int64_t step,
                real *to);

#endif /* HADMC_TRAIN_TILES_H */
