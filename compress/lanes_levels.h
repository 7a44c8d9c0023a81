/* SPDX-License-Identifier: Apache-2.0 */
/* lanes_level.c, once for each level of x86-64; elsewhere once. */
#ifndef HADMC_COMPRESS_LANES_LEVELS_H
#define HADMC_COMPRESS_LANES_LEVELS_H

#include "compress/lanes.h"

extern const struct lanes lanes_plain;
#if defined __x86_64__
extern const struct lanes lanes_v3, lanes_v4; /* AVX2 and fma; AVX-512 */
#endif

#endif /* HADMC_COMPRESS_LANES_LEVELS_H */
