/* SPDX-License-Identifier: Apache-2.0 */
/* tiles_level.c, once for each level of x86-64; elsewhere once. */
#ifndef HADMC_TRAIN_TILES_LEVELS_H
#define HADMC_TRAIN_TILES_LEVELS_H

#include "train/tiles.h"

extern const struct tiles tiles_plain;
#if defined __x86_64__
extern const struct tiles tiles_v3, tiles_v4; /* AVX2 and fma; AVX-512 */
#endif

#endif /* HADMC_TRAIN_TILES_LEVELS_H */
