/* SPDX-License-Identifier: Apache-2.0 */
/* Which inner loops: see net_kernels.h. */
#include "search/agents/net_kernels.h"

#include "support/cpu_level.h"

const struct net_kernels *net_kernels_here(void)
{
    static const struct net_kernels *const level[] = {
        [CPU_PLAIN] = &net_kernels_plain,
#if defined __x86_64__
        [CPU_V3] = &net_kernels_v3,
        [CPU_V4] = &net_kernels_v4,
#endif
    };

    return level[cpu_level()];
}
