/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 as FIPS 180-4 writes it down; names follow section 4.1.2. */
#include "runtime/sha256.h"

#include "runtime/mem.h"

static const uint32_t sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
    0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
    0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
    0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
    0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
    0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
    0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2,
};

static uint32_t sha256_rotr(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static uint32_t sha256_big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The schedule W[t] is kept in a window of 16 words. */
static uint32_t sha256_word(uint32_t w[16], const uint8_t *block, unsigned t)
{
    if (t < 16)
        return w[t] = sha256_big_endian(block + 4 * t);

    const uint32_t a = w[(t - 15) % 16], b = w[(t - 2) % 16];
    const uint32_t s0 = sha256_rotr(a, 7) ^ sha256_rotr(a, 18) ^ a >> 3;
    const uint32_t s1 = sha256_rotr(b, 17) ^ sha256_rotr(b, 19) ^ b >> 10;

    return w[t % 16] += s0 + w[(t - 7) % 16] + s1;
}

static void sha256_block(uint32_t state[8], const uint8_t *block)
{
    uint32_t w[16];
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];

    for (unsigned t = 0; t < 64; t++) {
        const uint32_t s1 = sha256_rotr(e, 6) ^ sha256_rotr(e, 11) ^ sha256_rotr(e, 25);
        const uint32_t ch = (e & f) ^ (~e & g);
        const uint32_t t1 = h + s1 + ch + sha256_k[t] + sha256_word(w, block, t);
        const uint32_t s0 = sha256_rotr(a, 2) ^ sha256_rotr(a, 13) ^ sha256_rotr(a, 22);
        const uint32_t maj = (a & b) ^ (a & c) ^ (b & c);

        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + s0 + maj;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
}

HADM_API void sha256_begin(struct sha256 *h)
{
    static const uint32_t start[8] = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    };

    memcpy(h->state, start, sizeof start);
    h->n_bytes = 0;
}

HADM_API void sha256_add(struct sha256 *h, const void *bytes, size_t n_bytes)
{
    const uint8_t *from = (const uint8_t *)bytes;
    const size_t held = (size_t)(h->n_bytes % 64);

    h->n_bytes += n_bytes;
    if (held) {
        const size_t n = n_bytes < 64 - held ? n_bytes : 64 - held;

        memcpy(h->block + held, from, n);
        if (held + n < 64)
            return;
        sha256_block(h->state, h->block);
        from += n;
        n_bytes -= n;
    }
    for (; n_bytes >= 64; from += 64, n_bytes -= 64)
        sha256_block(h->state, from);
    if (n_bytes)
        memcpy(h->block, from, n_bytes);
}

HADM_API void sha256_end(struct sha256 *h, uint8_t digest[32])
{
    const uint64_t n_bits = h->n_bytes * 8;
    size_t held = (size_t)(h->n_bytes % 64);

    h->block[held++] = 0x80;
    if (held > 56) {
        memset(h->block + held, 0, 64 - held);
        sha256_block(h->state, h->block);
        held = 0;
    }
    memset(h->block + held, 0, 56 - held);
    for (unsigned i = 0; i < 8; i++)
        h->block[56 + i] = (uint8_t)(n_bits >> (56 - 8 * i));
    sha256_block(h->state, h->block);
    for (unsigned i = 0; i < 32; i++)
        digest[i] = (uint8_t)(h->state[i / 4] >> (24 - 8 * (i % 4)));
}

HADM_API int sha256_same(const uint8_t a[32], const uint8_t b[32])
{
    unsigned difference = 0;

    for (unsigned i = 0; i < 32; i++)
        difference |= (unsigned)(a[i] ^ b[i]);
    return difference == 0;
}
