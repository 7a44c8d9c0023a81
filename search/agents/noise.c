/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers of other shapes: see noise.h. */
#include "search/agents/noise.h"

#include <math.h>

/* In (0, 1), so that its logarithm is finite. */
static double open_unit(struct random *r)
{
    return ((double)(random_u64(r) >> 12) + 0.5) * 0x1p-52;
}

double noise_normal(struct random *r)
{
    const double radius = sqrt(-2 * log(open_unit(r)));

    return radius * cos(2 * M_PI * random_unit(r));
}

double noise_gumbel(struct random *r)
{
    return -log(-log(open_unit(r)));
}

struct random noise_stream(uint64_t seed, uint64_t part)
{
    uint64_t mixed = part;

    return random_seeded(seed ^ splitmix64(&mixed));
}
