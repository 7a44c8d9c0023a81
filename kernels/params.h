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

#endif /* HADMC_KERNELS_PARAMS_H */
