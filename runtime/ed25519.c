/* SPDX-License-Identifier: Apache-2.0 */
/* Ed25519 verification from RFC 8032: section numbers are its.
 *
 * Numbers modulo p = 2^255 - 19 are eight 32-bit words, least first, and anything below
 * 2^256 stands for its remainder: 2^256 = 38 (mod p) turns what overflows into a small
 * term.  Words of 32 bits with 64-bit products suit a microcontroller.  One check is
 * some 4 000 multiplications of such numbers. */
#include "runtime/ed25519.h"

#include "runtime/mem.h"
#include "runtime/sha512.h"

/* ---- numbers modulo p --------------------------------------------------------------
 */

struct ed_number {
    uint32_t word[8];
};

static const struct ed_number ed_zero = {{0}};
static const struct ed_number ed_one = {{1}};

/* x += extra, at most twice around 2^256. */
static void ed_carry(struct ed_number *x, uint64_t extra)
{
    while (extra) {
        for (int i = 0; i < 8; i++) {
            extra += x->word[i];
            x->word[i] = (uint32_t)extra;
            extra >>= 32;
        }
        extra *= 38;
    }
}

static struct ed_number ed_add(const struct ed_number *a, const struct ed_number *b)
{
    struct ed_number sum;
    uint64_t carry = 0;

    for (int i = 0; i < 8; i++) {
        carry += (uint64_t)a->word[i] + b->word[i];
        sum.word[i] = (uint32_t)carry;
        carry >>= 32;
    }
    ed_carry(&sum, 38 * carry);
    return sum;
}

/* a - b; a borrow left over is worth -2^256 = -38. */
static struct ed_number ed_sub(const struct ed_number *a, const struct ed_number *b)
{
    struct ed_number difference;
    uint64_t borrow = 0;

    for (int i = 0; i < 8; i++) {
        const uint64_t x = (uint64_t)a->word[i] - b->word[i] - borrow;

        difference.word[i] = (uint32_t)x;
        borrow = x >> 63;
    }
    while (borrow) {
        uint64_t take = 38;

        for (int i = 0; i < 8; i++) {
            const uint64_t x = (uint64_t)difference.word[i] - take;

            difference.word[i] = (uint32_t)x;
            take = x >> 63;
        }
        borrow = take;
    }
    return difference;
}

/* (2^32 - 1)^2 + 2 (2^32 - 1) = 2^64 - 1: no sum overflows. */
static struct ed_number ed_mul(const struct ed_number *a, const struct ed_number *b)
{
    struct ed_number product;
    uint32_t wide[16] = {0};
    uint64_t carry;

    for (int i = 0; i < 8; i++) {
        carry = 0;
        for (int k = 0; k < 8; k++) {
            carry += (uint64_t)a->word[i] * b->word[k] + wide[i + k];
            wide[i + k] = (uint32_t)carry;
            carry >>= 32;
        }
        wide[i + 8] = (uint32_t)carry;
    }
    carry = 0;
    for (int i = 0; i < 8; i++) {
        carry += (uint64_t)wide[i + 8] * 38 + wide[i];
        product.word[i] = (uint32_t)carry;
        carry >>= 32;
    }
    ed_carry(&product, 38 * carry);
    return product;
}

/* a^(2^n) */
static struct ed_number ed_square(struct ed_number a, int n)
{
    while (n-- > 0)
        a = ed_mul(&a, &a);
    return a;
}

/* From x = a^(2^m - 1) and y = a^(2^n - 1): a^(2^(m+n) - 1). */
static struct ed_number ed_ones(const struct ed_number *x, const struct ed_number *y,
                                int n)
{
    const struct ed_number shifted = ed_square(*x, n);

    return ed_mul(&shifted, y);
}

/* a^(2^250 - 1): the exponents of both powers below begin with 250 ones. */
static struct ed_number ed_power_250_ones(const struct ed_number *a)
{
    const struct ed_number n2 = ed_ones(a, a, 1);
    const struct ed_number n4 = ed_ones(&n2, &n2, 2);
    const struct ed_number n5 = ed_ones(&n4, a, 1);
    const struct ed_number n10 = ed_ones(&n5, &n5, 5);
    const struct ed_number n20 = ed_ones(&n10, &n10, 10);
    const struct ed_number n40 = ed_ones(&n20, &n20, 20);
    const struct ed_number n50 = ed_ones(&n40, &n10, 10);
    const struct ed_number n100 = ed_ones(&n50, &n50, 50);
    const struct ed_number n200 = ed_ones(&n100, &n100, 100);

    return ed_ones(&n200, &n50, 50);
}

/* 1 / a = a^(p - 2), p - 2 = (2^250 - 1) 2^5 + 01011 in binary. */
static struct ed_number ed_inverse(const struct ed_number *a)
{
    const struct ed_number a2 = ed_square(*a, 1), a8 = ed_square(*a, 3);
    const struct ed_number a3 = ed_mul(&a2, a), a11 = ed_mul(&a8, &a3);
    const struct ed_number high = ed_power_250_ones(a), shifted = ed_square(high, 5);

    return ed_mul(&shifted, &a11);
}

/* a^((p - 5) / 8), (p - 5) / 8 = (2^250 - 1) 2^2 + 1. */
static struct ed_number ed_power_root(const struct ed_number *a)
{
    const struct ed_number high = ed_power_250_ones(a), shifted = ed_square(high, 2);

    return ed_mul(&shifted, a);
}

/* The remainder itself, below p.  p = 7fffffff ffffffff ... ffffffed */
static void ed_reduce(struct ed_number *x)
{
    const uint32_t top = x->word[7] >> 31;
    struct ed_number plus_19;

    x->word[7] &= 0x7fffffff;
    ed_carry(x, 19 * (uint64_t)top);
    plus_19 = *x; /* x >= p exactly when x + 19 reaches 2^255 */
    ed_carry(&plus_19, 19);
    if (plus_19.word[7] >> 31) {
        plus_19.word[7] &= 0x7fffffff;
        *x = plus_19;
    }
}

static int ed_same(struct ed_number a, struct ed_number b)
{
    uint32_t difference = 0;

    ed_reduce(&a);
    ed_reduce(&b);
    for (int i = 0; i < 8; i++)
        difference |= a.word[i] ^ b.word[i];
    return difference == 0;
}

/* ---- points, section 5.1.4 ----------------------------------------------------------
 */

/* x = X / Z, y = Y / Z, x y = T / Z */
struct ed_point {
    struct ed_number x, y, z, t;
};

static const struct ed_number ed_d = {{0x135978a3, 0x75eb4dca, 0x4141d8ab, 0x00700a4d,
                                       0x7779e898, 0x8cc74079, 0x2b6ffe73, 0x52036cee}};
static const struct ed_number ed_2d = {{0x26b2f159, 0xebd69b94, 0x8283b156, 0x00e0149a,
                                        0xeef3d130, 0x198e80f2, 0x56dffce7,
                                        0x2406d9dc}};
static const struct ed_number ed_root_of_minus_1 = {{0x4a0ea0b0, 0xc4ee1b27, 0xad2fe478,
                                                     0x2f431806, 0x3dfbd7a7, 0x2b4d0099,
                                                     0x4fc1df0b, 0x2b832480}};

/* The base point B, section 5.1. */
static const struct ed_point ed_base = {
    {{0x8f25d51a, 0xc9562d60, 0x9525a7b2, 0x692cc760, 0xfdd6dc5c, 0xc0a4e231,
      0xcd6e53fe, 0x216936d3}},
    {{0x66666658, 0x66666666, 0x66666666, 0x66666666, 0x66666666, 0x66666666,
      0x66666666, 0x66666666}},
    {{1}},
    {{0xa5b7dda3, 0x6dde8ab3, 0x775152f5, 0x20f09f80, 0x64abe37d, 0x66ea4e8e,
      0xd78b7665, 0x67875f0f}},
};

static struct ed_point ed_point_add(const struct ed_point *p, const struct ed_point *q)
{
    const struct ed_number p_minus = ed_sub(&p->y, &p->x),
                           q_minus = ed_sub(&q->y, &q->x);
    const struct ed_number p_plus = ed_add(&p->y, &p->x), q_plus = ed_add(&q->y, &q->x);
    const struct ed_number a = ed_mul(&p_minus, &q_minus), b = ed_mul(&p_plus, &q_plus);
    const struct ed_number t = ed_mul(&p->t, &q->t), c = ed_mul(&t, &ed_2d);
    const struct ed_number z = ed_mul(&p->z, &q->z), d = ed_add(&z, &z);
    const struct ed_number e = ed_sub(&b, &a), f = ed_sub(&d, &c);
    const struct ed_number g = ed_add(&d, &c), h = ed_add(&b, &a);

    return (struct ed_point){ed_mul(&e, &f), ed_mul(&g, &h), ed_mul(&f, &g),
                             ed_mul(&e, &h)};
}

static struct ed_point ed_point_double(const struct ed_point *p)
{
    const struct ed_number a = ed_mul(&p->x, &p->x), b = ed_mul(&p->y, &p->y);
    const struct ed_number z = ed_mul(&p->z, &p->z), c = ed_add(&z, &z);
    const struct ed_number h = ed_add(&a, &b), xy = ed_add(&p->x, &p->y);
    const struct ed_number xy2 = ed_mul(&xy, &xy), e = ed_sub(&h, &xy2);
    const struct ed_number g = ed_sub(&a, &b), f = ed_add(&c, &g);

    return (struct ed_point){ed_mul(&e, &f), ed_mul(&g, &h), ed_mul(&f, &g),
                             ed_mul(&e, &h)};
}

/* ---- encodings, sections 5.1.2 and 5.1.3 --------------------------------------------
 */

static void ed_load(uint32_t *words, const uint8_t *bytes, int n_words)
{
    for (int i = 0; i < n_words; i++)
        words[i] = bytes[4 * i] | (uint32_t)bytes[4 * i + 1] << 8
                   | (uint32_t)bytes[4 * i + 2] << 16
                   | (uint32_t)bytes[4 * i + 3] << 24;
}

static void ed_encode(const struct ed_point *p, uint8_t out[32])
{
    const struct ed_number inverse = ed_inverse(&p->z);
    struct ed_number x = ed_mul(&p->x, &inverse), y = ed_mul(&p->y, &inverse);

    ed_reduce(&x);
    ed_reduce(&y);
    y.word[7] |= (x.word[0] & 1) << 31;
    for (int i = 0; i < 32; i++)
        out[i] = (uint8_t)(y.word[i / 4] >> 8 * (i % 4));
}

/* The point of `bytes` with its x negated: -A is what verification needs. */
static int ed_decode_negative(const uint8_t bytes[32], struct ed_point *out)
{
    struct ed_number y, reduced;

    ed_load(y.word, bytes, 8);

    const uint32_t sign = y.word[7] >> 31;

    y.word[7] &= 0x7fffffff;
    reduced = y;
    ed_reduce(&reduced);
    for (int i = 0; i < 8; i++)
        if (reduced.word[i] != y.word[i])
            return 0; /* y >= p */

    const struct ed_number y2 = ed_mul(&y, &y), dy2 = ed_mul(&ed_d, &y2);
    const struct ed_number u = ed_sub(&y2, &ed_one), v = ed_add(&dy2, &ed_one);
    const struct ed_number v2 = ed_mul(&v, &v), v3 = ed_mul(&v2, &v);
    const struct ed_number v5 = ed_mul(&v3, &v2), v7 = ed_mul(&v5, &v2);
    const struct ed_number uv7 = ed_mul(&u, &v7), root = ed_power_root(&uv7);
    const struct ed_number uv3 = ed_mul(&u, &v3);
    struct ed_number x = ed_mul(&uv3, &root);
    const struct ed_number x2 = ed_mul(&x, &x), vx2 = ed_mul(&v, &x2);

    if (!ed_same(vx2, u)) {
        const struct ed_number minus_u = ed_sub(&ed_zero, &u);

        if (!ed_same(vx2, minus_u))
            return 0; /* no such point */
        x = ed_mul(&x, &ed_root_of_minus_1);
    }
    ed_reduce(&x);
    if (ed_same(x, ed_zero) && sign)
        return 0;
    if ((x.word[0] & 1) == sign)
        x = ed_sub(&ed_zero, &x);
    *out = (struct ed_point){x, y, ed_one, ed_mul(&x, &y)};
    return 1;
}

/* Orders 1, 2, 4 and 8: eight times such a point is (0, 1). */
static int ed_is_small(const struct ed_point *p)
{
    struct ed_point q = ed_point_double(p);

    q = ed_point_double(&q);
    q = ed_point_double(&q);
    return ed_same(q.x, ed_zero);
}

/* ---- scalars ------------------------------------------------------------------------
 */

/* L = 2^252 + 27742317777372353535851937790883648493, the order of B. */
static const uint32_t ed_order[8] = {
    0x5cf5d3ed, 0x5812631a, 0xa2f79cd6, 0x14def9de,
    0x00000000, 0x00000000, 0x00000000, 0x10000000,
};

static int ed_below_order(const uint32_t s[8])
{
    for (int i = 7; i >= 0; i--)
        if (s[i] != ed_order[i])
            return s[i] < ed_order[i];
    return 0;
}

/* hash mod L, one bit after the other: 2 r + 1 < 2 L < 2^254. */
static void ed_hash_mod_order(const uint8_t hash[64], uint32_t out[8])
{
    uint32_t wide[16];

    ed_load(wide, hash, 16);
    memset(out, 0, 8 * sizeof *out);
    for (int bit = 511; bit >= 0; bit--) {
        uint32_t carry = wide[bit / 32] >> bit % 32 & 1;

        for (int i = 0; i < 8; i++) {
            const uint32_t word = out[i];

            out[i] = word << 1 | carry;
            carry = word >> 31;
        }
        if (!ed_below_order(out)) {
            uint64_t borrow = 0;

            for (int i = 0; i < 8; i++) {
                const uint64_t x = (uint64_t)out[i] - ed_order[i] - borrow;

                out[i] = (uint32_t)x;
                borrow = x >> 63;
            }
        }
    }
}

/* [s] B + [k] A, both scalars in one chain of doublings (Straus 1964). */
static struct ed_point ed_two_products(const uint32_t s[8], const uint32_t k[8],
                                       const struct ed_point *a)
{
    const struct ed_point both = ed_point_add(&ed_base, a);
    const struct ed_point *const term[4] = {NULL, &ed_base, a, &both};
    struct ed_point sum = {ed_zero, ed_one, ed_one, ed_zero};

    for (int bit = 252; bit >= 0; bit--) {
        const unsigned which =
            (s[bit / 32] >> bit % 32 & 1) | (k[bit / 32] >> bit % 32 & 1) << 1;

        sum = ed_point_double(&sum);
        if (which)
            sum = ed_point_add(&sum, term[which]);
    }
    return sum;
}

/* ---- section 5.1.7 ------------------------------------------------------------------
 */

int ed25519_verify(const uint8_t signature[64], const void *message, size_t n_bytes,
                   const uint8_t public_key[32])
{
    struct ed_point minus_a;
    struct sha512 sha;
    uint8_t hash[64], r[32];
    uint32_t s[8], k[8], difference = 0;

    ed_load(s, signature + 32, 8);
    if (!ed_below_order(s) || !ed_decode_negative(public_key, &minus_a)
        || ed_is_small(&minus_a))
        return 0;
    sha512_begin(&sha);
    sha512_add(&sha, signature, 32);
    sha512_add(&sha, public_key, 32);
    sha512_add(&sha, message, n_bytes);
    sha512_end(&sha, hash);
    ed_hash_mod_order(hash, k);

    const struct ed_point result = ed_two_products(s, k, &minus_a);

    ed_encode(&result, r);
    for (int i = 0; i < 32; i++)
        difference |= r[i] ^ signature[i];
    return difference == 0;
}
