/* SPDX-License-Identifier: Apache-2.0 */
/* links: updating */
/* Merkle roots, against the definition of RFC 6962 (section 2.1) in its own words. */
#include <stdlib.h>

#include "runtime/merkle.h"
#include "support/random.h"
#include "tests/test.h"

/* MTH({d0}) = H(0 d0); MTH(D[n]) = H(1 MTH(D[0:k]) MTH(D[k:n])), k the largest power of
 * two below n. */
static void definition(const uint8_t *file, size_t n_bytes, uint8_t out[32])
{
    const size_t n = (n_bytes + 4095) / 4096;
    struct sha256 h;

    sha256_begin(&h);
    if (n == 1) {
        sha256_add(&h, (const uint8_t[]){0}, 1);
        sha256_add(&h, file, n_bytes);
    } else if (n > 1) {
        size_t k = 1;
        uint8_t left[32], right[32];

        while (2 * k < n)
            k *= 2;
        definition(file, 4096 * k, left);
        definition(file + 4096 * k, n_bytes - 4096 * k, right);
        sha256_add(&h, (const uint8_t[]){1}, 1);
        sha256_add(&h, left, 32);
        sha256_add(&h, right, 32);
    }
    sha256_end(&h, out);
}

TEST(the_root_is_that_of_the_definition_however_the_bytes_arrive)
{
    struct random r = random_seeded(1);
    const size_t room = 20 * 4096;
    uint8_t *file = malloc(room);

    for (size_t i = 0; i < room; i++)
        file[i] = (uint8_t)random_u64(&r);
    for (size_t n_bytes = 0; n_bytes <= room; n_bytes += n_bytes % 4096 ? 1365 : 1366) {
        struct merkle m;
        uint8_t got[32], want[32];

        merkle_begin(&m);
        for (size_t at = 0; at < n_bytes;) {
            const size_t n = 1 + random_below(&r, n_bytes - at);

            merkle_add(&m, file + at, n);
            at += n;
        }
        merkle_end(&m, got);
        definition(file, n_bytes, want);
        CHECK_BYTES(got, want, 32);
    }
    free(file);
}
