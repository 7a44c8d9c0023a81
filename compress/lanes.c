/* SPDX-License-Identifier: Apache-2.0 */
/* Which inner loops: see lanes.h. */
#include "compress/lanes.h"

#include "compress/lanes_levels.h"

const struct lanes *lanes_here(void)
{
    static const struct lanes *const level[] = {
        [TILES_PLAIN] = &lanes_plain,
#if defined __x86_64__
        [TILES_V3] = &lanes_v3,
        [TILES_V4] = &lanes_v4,
#endif
    };

    return level[tiles_level()];
}
