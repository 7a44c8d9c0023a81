/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4), streaming, freestanding: it ships on devices. */
#ifndef HADMC_RUNTIME_SHA256_H
#define HADMC_RUNTIME_SHA256_H

#include <stddef.h>
#include <stdint.h>

#ifndef HADM_API
#define HADM_API
#endif

struct sha256 {
    uint32_t state[8];
    uint64_t n_bytes;
    uint8_t block[64];
};

HADM_API void sha256_begin(struct sha256 *h);
HADM_API void sha256_add(struct sha256 *h, const void *bytes, size_t n_bytes);
HADM_API void sha256_end(struct sha256 *h, uint8_t digest[32]);
HADM_API int sha256_same(const uint8_t a[32], const uint8_t b[32]);

#endif /* HADMC_RUNTIME_SHA256_H */
