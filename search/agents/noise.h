/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers of other shapes than support/random.h has. */
#ifndef HADMC_SEARCH_AGENTS_NOISE_H
#define HADMC_SEARCH_AGENTS_NOISE_H

#include "support/random.h"

/* Of the standard normal distribution (Box and Muller 1958). */
double noise_normal(struct random *r);
/* Of the standard Gumbel distribution: -log(-log(u)). */
double noise_gumbel(struct random *r);
/* A generator of its own for part `part` of what `seed` starts. */
struct random noise_stream(uint64_t seed, uint64_t part);

#endif /* HADMC_SEARCH_AGENTS_NOISE_H */
