/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-512 (FIPS 180-4), streaming, freestanding.  Ed25519 needs it; everything else is
 * hashed with SHA-256. */
#ifndef HADMC_RUNTIME_SHA512_H
#define HADMC_RUNTIME_SHA512_H

#include <stddef.h>
#include <stdint.h>

struct sha512 {
    uint64_t state[8];
    uint64_t n_bytes;
    uint8_t block[128];
};

void sha512_begin(struct sha512 *h);
void sha512_add(struct sha512 *h, const void *bytes, size_t n_bytes);
void sha512_end(struct sha512 *h, uint8_t digest[64]);

#endif /* HADMC_RUNTIME_SHA512_H */
