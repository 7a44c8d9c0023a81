/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers that are the same everywhere: xoshiro256** (Blackman and Vigna,
 * "Scrambled linear pseudorandom number generators", ACM TOMS 47(4), 2021), its state
 * filled by splitmix64 (Steele, Lea and Flood 2014).
 *
 *     struct random r = random_seeded(7);
 *     random_shuffle(&r, order, n);
 *
 * Not for secrets.  One struct per thread.
 */
#ifndef HADMC_SUPPORT_RANDOM_H
#define HADMC_SUPPORT_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state[4]; /* not all zero */
};

/* The next number of splitmix64, whose state is one counter. */
uint64_t splitmix64(uint64_t *state);

struct random random_seeded(uint64_t seed);
uint64_t random_u64(struct random *r);
/* 0 ... n-1, each equally likely (Lemire 2019, arXiv:1805.10941); n > 0. */
uint64_t random_below(struct random *r, uint64_t n);
/* In [0, 1), a multiple of 2^-53. */
double random_unit(struct random *r);
/* Every order equally likely (Fisher and Yates). */
void random_shuffle(struct random *r, int64_t *at, int64_t n);

#endif /* HADMC_SUPPORT_RANDOM_H */
