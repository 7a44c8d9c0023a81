/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-512 as FIPS 180-4 writes it down; names follow section 4.1.3. */
#include "runtime/sha512.h"

#include "runtime/mem.h"

static const uint64_t sha512_k[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

static uint64_t sha512_rotr(uint64_t x, unsigned n)
{
    return x >> n | x << (64 - n);
}

static uint64_t sha512_big_endian(const uint8_t *p)
{
    uint64_t word = 0;

    for (unsigned i = 0; i < 8; i++)
        word = word << 8 | p[i];
    return word;
}

/* The schedule W[t] is kept in a window of 16 words. */
static uint64_t sha512_word(uint64_t w[16], const uint8_t *block, unsigned t)
{
    if (t < 16)
        return w[t] = sha512_big_endian(block + 8 * t);

    const uint64_t a = w[(t - 15) % 16], b = w[(t - 2) % 16];
    const uint64_t s0 = sha512_rotr(a, 1) ^ sha512_rotr(a, 8) ^ a >> 7;
    const uint64_t s1 = sha512_rotr(b, 19) ^ sha512_rotr(b, 61) ^ b >> 6;

    return w[t % 16] += s0 + w[(t - 7) % 16] + s1;
}

static void sha512_block(uint64_t state[8], const uint8_t *block)
{
    uint64_t w[16];
    uint64_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint64_t e = state[4], f = state[5], g = state[6], h = state[7];

    for (unsigned t = 0; t < 80; t++) {
        const uint64_t s1 =
            sha512_rotr(e, 14) ^ sha512_rotr(e, 18) ^ sha512_rotr(e, 41);
        const uint64_t ch = (e & f) ^ (~e & g);
        const uint64_t t1 = h + s1 + ch + sha512_k[t] + sha512_word(w, block, t);
        const uint64_t s0 =
            sha512_rotr(a, 28) ^ sha512_rotr(a, 34) ^ sha512_rotr(a, 39);
        const uint64_t maj = (a & b) ^ (a & c) ^ (b & c);

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

void sha512_begin(struct sha512 *h)
{
    static const uint64_t start[8] = {
        0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
        0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
    };

    memcpy(h->state, start, sizeof start);
    h->n_bytes = 0;
}

void sha512_add(struct sha512 *h, const void *bytes, size_t n_bytes)
{
    const uint8_t *from = (const uint8_t *)bytes;
    const size_t held = (size_t)(h->n_bytes % 128);

    h->n_bytes += n_bytes;
    if (held) {
        const size_t n = n_bytes < 128 - held ? n_bytes : 128 - held;

        memcpy(h->block + held, from, n);
        if (held + n < 128)
            return;
        sha512_block(h->state, h->block);
        from += n;
        n_bytes -= n;
    }
    for (; n_bytes >= 128; from += 128, n_bytes -= 128)
        sha512_block(h->state, from);
    if (n_bytes)
        memcpy(h->block, from, n_bytes);
}

/* Lengths are below 2^61 bytes: the upper half of the 128-bit count is zero. */
void sha512_end(struct sha512 *h, uint8_t digest[64])
{
    const uint64_t n_bits = h->n_bytes * 8;
    size_t held = (size_t)(h->n_bytes % 128);

    h->block[held++] = 0x80;
    if (held > 112) {
        memset(h->block + held, 0, 128 - held);
        sha512_block(h->state, h->block);
        held = 0;
    }
    memset(h->block + held, 0, 120 - held);
    for (unsigned i = 0; i < 8; i++)
        h->block[120 + i] = (uint8_t)(n_bits >> (56 - 8 * i));
    sha512_block(h->state, h->block);
    for (unsigned i = 0; i < 64; i++)
        digest[i] = (uint8_t)(h->state[i / 8] >> (56 - 8 * (i % 8)));
}
