/* SPDX-License-Identifier: Apache-2.0 */
/* The Merkle root of a file's 4 KiB blocks (the tree of RFC 6962, section 2.1, with
 * SHA-256), streaming, freestanding.
 *
 *     leaf = SHA-256(00 block)        the last block may be shorter
 *     node = SHA-256(01 left right)   left is the largest full tree that fits
 */
#ifndef HADMC_RUNTIME_MERKLE_H
#define HADMC_RUNTIME_MERKLE_H

#include "runtime/sha256.h"

enum { MERKLE_BLOCK = 4096, MERKLE_HEIGHT = 32 }; /* up to 2^32 - 1 blocks */

struct merkle {
    struct sha256 leaf;              /* of the block that is not complete       */
    uint32_t held;                   /* its bytes so far                        */
    uint32_t n_blocks;               /* complete ones                           */
    uint8_t tree[MERKLE_HEIGHT][32]; /* full tree of 2^i leaves for each bit i
                                        of n_blocks                             */
};

void merkle_begin(struct merkle *m);
void merkle_add(struct merkle *m, const void *bytes, size_t n_bytes);
/* The root of nothing is SHA-256 of nothing. */
void merkle_end(struct merkle *m, uint8_t root[32]);

#endif /* HADMC_RUNTIME_MERKLE_H */
