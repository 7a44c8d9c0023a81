/* SPDX-License-Identifier: Apache-2.0 */
/* Which inner loops, and the order of their left operand: see tiles.h. */
#include "train/tiles.h"

#include "train/tiles_levels.h"

enum tiles_level tiles_level(void)
{
#if defined __x86_64__
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512cd"))
        return TILES_V4;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
        && __builtin_cpu_supports("bmi2"))
        return TILES_V3;
#endif
    return TILES_PLAIN;
}

const struct tiles *tiles_here(void)
{
    static const struct tiles *const level[] = {
        [TILES_PLAIN] = &tiles_plain,
#if defined __x86_64__
        [TILES_V3] = &tiles_v3,
        [TILES_V4] = &tiles_v4,
#endif
    };

    return level[tiles_level()];
}

void tiles_pack(int64_t m, int64_t k, const real *from, int64_t pitch, int64_t step,
                real *to)
{
    for (int64_t m0 = 0; m0 < m; m0 += TILES_ROWS) {
        const int64_t rows = m - m0 < TILES_ROWS ? m - m0 : TILES_ROWS;

        for (int64_t i = 0; i < k; i++)
            for (int64_t r = 0; r < rows; r++)
                *to++ = from[(m0 + r) * pitch + i * step];
    }
}
