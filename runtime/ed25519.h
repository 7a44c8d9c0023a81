/* SPDX-License-Identifier: Apache-2.0 */
/* Verification of Ed25519 signatures (RFC 8032), freestanding and small.  It works on
 * public data only and takes its time from it; signing is not here. */
#ifndef HADMC_RUNTIME_ED25519_H
#define HADMC_RUNTIME_ED25519_H

#include <stddef.h>
#include <stdint.h>

/* 1 when `signature` is one of `message` by the owner of `public_key`, else 0.  Strict:
 * S is below the order of the group, R and the key are in canonical form, the key is
 * not of small order, and the equation is checked without the cofactor; libsodium says
 * the same (tests/unit/ed25519_test.c).  About 2.5 KiB of stack. */
int ed25519_verify(const uint8_t signature[64], const void *message, size_t n_bytes,
                   const uint8_t public_key[32]);

#endif /* HADMC_RUNTIME_ED25519_H */
