/* SPDX-License-Identifier: Apache-2.0 */
/* Elements by size only, for kernels that move data and do not look at it: e1,
 * e2, e4, e8 may alias any type of that size. */
#ifndef HADMC_KERNELS_ELEMENTS_H
#define HADMC_KERNELS_ELEMENTS_H

#include "kernels/kernel.h"

#if defined(__GNUC__)
#define K_ALIAS __attribute__((may_alias))
#else
#define K_ALIAS
#endif

typedef uint8_t e1;
typedef uint16_t K_ALIAS e2;
typedef uint32_t K_ALIAS e4;
typedef uint64_t K_ALIAS e8;

/* One definition per size: FOR_EACH_SIZE(COPY) gives COPY(1, e1) ... COPY(8, e8). */
#define FOR_EACH_SIZE(X) X(1, e1) X(2, e2) X(4, e4) X(8, e8)

#endif /* HADMC_KERNELS_ELEMENTS_H */
