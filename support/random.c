/* SPDX-License-Identifier: Apache-2.0 */
/* xoshiro256** and splitmix64: see random.h. */
#include "support/random.h"

__extension__ typedef unsigned __int128 wide;

uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

struct random random_seeded(uint64_t seed)
{
    struct random r;

    for (int i = 0; i < 4; i++)
        r.state[i] = splitmix64(&seed);
    return r;
}

static uint64_t rotate_left(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

uint64_t random_u64(struct random *r)
{
    uint64_t *s = r->state;
    const uint64_t result = rotate_left(s[1] * 5, 7) * 9, t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t random_below(struct random *r, uint64_t n)
{
    const uint64_t too_often = -n % n; /* 2^64 mod n low halves would come once more */
    wide product;

    do
        product = (wide)random_u64(r) * n;
    while ((uint64_t)product < too_often);
    return (uint64_t)(product >> 64);
}

double random_unit(struct random *r)
{
    return (double)(random_u64(r) >> 11) * 0x1p-53;
}

void random_shuffle(struct random *r, int64_t *at, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t k = (int64_t)random_below(r, (uint64_t)i + 1), swapped = at[i];

        at[i] = at[k];
        at[k] = swapped;
    }
}
