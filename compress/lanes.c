/* SPDX-License-Identifier: Apache-2.0 */
/* Which inner loops: see lanes.h. */
#include "compress/lanes.h"

#include "compress/lanes_levels.h"
#include "support/cpu_level.h"

const struct lanes *lanes_here(void)
{
    static const struct lanes *const level[] = {
        [CPU_PLAIN] = &lanes_plain,
#if defined __x86_64__
        [CPU_V3] = &lanes_v3,
        [CPU_V4] = &lanes_v4,
#endif
    };

    return level[cpu_level()];
}
