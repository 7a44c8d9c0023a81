/* SPDX-License-Identifier: Apache-2.0 */
/* Merkle roots: see merkle.h.  Only the full trees that are still open are kept: one
 * per bit of the number of blocks, like the carries of a binary counter. */
#include "runtime/merkle.h"

#include "runtime/mem.h"

static void merkle_node(uint8_t out[32], const uint8_t left[32],
                        const uint8_t right[32])
{
    static const uint8_t node = 1;
    struct sha256 sha;

    sha256_begin(&sha);
    sha256_add(&sha, &node, 1);
    sha256_add(&sha, left, 32);
    sha256_add(&sha, right, 32);
    sha256_end(&sha, out);
}

static void merkle_begin_leaf(struct merkle *m)
{
    static const uint8_t leaf = 0;

    sha256_begin(&m->leaf);
    sha256_add(&m->leaf, &leaf, 1);
    m->held = 0;
}

static void merkle_end_leaf(struct merkle *m)
{
    uint8_t hash[32];
    int i = 0;

    sha256_end(&m->leaf, hash);
    for (; m->n_blocks >> i & 1; i++)
        merkle_node(hash, m->tree[i], hash);
    memcpy(m->tree[i], hash, 32);
    m->n_blocks++;
    merkle_begin_leaf(m);
}

void merkle_begin(struct merkle *m)
{
    m->n_blocks = 0;
    merkle_begin_leaf(m);
}

void merkle_add(struct merkle *m, const void *bytes, size_t n_bytes)
{
    const uint8_t *from = (const uint8_t *)bytes;

    while (n_bytes) {
        const size_t room = MERKLE_BLOCK - m->held;
        const size_t n = n_bytes < room ? n_bytes : room;

        sha256_add(&m->leaf, from, n);
        m->held += (uint32_t)n;
        from += n;
        n_bytes -= n;
        if (m->held == MERKLE_BLOCK)
            merkle_end_leaf(m);
    }
}

void merkle_end(struct merkle *m, uint8_t root[32])
{
    int first = 1;

    if (m->held)
        merkle_end_leaf(m);
    if (m->n_blocks == 0) {
        sha256_begin(&m->leaf);
        sha256_end(&m->leaf, root);
    }
    for (int i = 0; i < MERKLE_HEIGHT; i++) {
        if (!(m->n_blocks >> i & 1))
            continue;
        if (first)
            memcpy(root, m->tree[i], 32);
        else
            merkle_node(root, m->tree[i], root);
        first = 0;
    }
}
