/* SPDX-License-Identifier: Apache-2.0 */
/* Which inner loops, and the order of their left operand: see tiles.h. */
#include "train/tiles.h"

#include "support/cpu_level.h"
#include "train/tiles_levels.h"

const struct tiles *tiles_here(void)
{
    static const struct tiles *const level[] = {
        [CPU_PLAIN] = &tiles_plain,
#if defined __x86_64__
        [CPU_V3] = &tiles_v3,
        [CPU_V4] = &tiles_v4,
#endif
    };

    return level[cpu_level()];
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
