/* SPDX-License-Identifier: Apache-2.0 */
/* links: updating sodium */
/* Signatures: the vectors of RFC 8032 (section 7.1), and the same verdict as libsodium
 * about good signatures, damaged ones, and those that were made to be accepted. */
#include <stdlib.h>

#include <sodium.h>

#include "runtime/ed25519.h"
#include "runtime/sha512.h"
#include "support/random.h"
#include "tests/test.h"

static size_t from_hex(const char *hex, uint8_t *out, size_t room)
{
    size_t n = 0;

    CHECK_EQ(sodium_hex2bin(out, room, hex, strlen(hex), NULL, &n, NULL), 0);
    return n;
}

/* ---- SHA-512 ------------------------------------------------------------- */

/* FIPS 180-4's example: "abc". */
TEST(sha512_of_abc)
{
    struct sha512 h;
    uint8_t got[64], want[64];

    from_hex("ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
             "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
             want, sizeof want);
    sha512_begin(&h);
    sha512_add(&h, "abc", 3);
    sha512_end(&h, got);
    CHECK_BYTES(got, want, 64);
}

TEST(sha512_is_that_of_libsodium_at_every_length_and_split)
{
    struct random r = random_seeded(1);
    uint8_t message[400], got[64], want[64];

    for (size_t i = 0; i < sizeof message; i++)
        message[i] = (uint8_t)random_u64(&r);
    for (size_t n = 0; n <= sizeof message; n++) {
        const size_t first = random_below(&r, n + 1);
        struct sha512 h;

        sha512_begin(&h);
        sha512_add(&h, message, first);
        sha512_add(&h, message + first, n - first);
        sha512_end(&h, got);
        crypto_hash_sha512(want, message, n);
        CHECK_BYTES(got, want, 64);
    }
}

/* ---- RFC 8032 ------------------------------------------------------------ */

static const struct {
    const char *public_key, *message, *signature;
} vectors[] = {
    {"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
     "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
    {"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
     "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
     "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
    {"ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
     "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
     "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
     "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"},
};

TEST(the_vectors_of_the_rfc_are_accepted)
{
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        uint8_t key[32], message[64], signature[64];

        from_hex(vectors[i].public_key, key, 32);
        from_hex(vectors[i].signature, signature, 64);

        const size_t n = from_hex(vectors[i].message, message, sizeof message);

        CHECK(ed25519_verify(signature, message, n, key));
        signature[5] ^= 1;
        CHECK(!ed25519_verify(signature, message, n, key));
    }
}

/* ---- against libsodium --------------------------------------------------- */

struct signed_message {
    uint8_t key[32], signature[64], message[100];
    size_t n;
};

static struct signed_message make_signed(struct random *r)
{
    struct signed_message m;
    uint8_t seed[32], secret[64];

    for (int i = 0; i < 32; i++)
        seed[i] = (uint8_t)random_u64(r);
    m.n = random_below(r, sizeof m.message + 1);
    for (size_t i = 0; i < sizeof m.message; i++)
        m.message[i] = (uint8_t)random_u64(r);
    crypto_sign_seed_keypair(m.key, secret, seed);
    crypto_sign_detached(m.signature, NULL, m.message, m.n, secret);
    return m;
}

static int ours(const struct signed_message *m)
{
    return ed25519_verify(m->signature, m->message, m->n, m->key);
}

static int theirs(const struct signed_message *m)
{
    return crypto_sign_verify_detached(m->signature, m->message, m->n, m->key) == 0;
}

TEST(signatures_of_libsodium_are_accepted_and_no_changed_one)
{
    struct random r = random_seeded(2);

    for (int i = 0; i < 100; i++) {
        struct signed_message m = make_signed(&r);

        CHECK(ours(&m));
        m.signature[random_below(&r, 64)] ^= (uint8_t)(1 << random_below(&r, 8));
        CHECK(!ours(&m));
        m = make_signed(&r);
        m.key[random_below(&r, 32)] ^= (uint8_t)(1 << random_below(&r, 8));
        CHECK(!ours(&m));
        m = make_signed(&r);
        m.message[0] ^= 1;
        CHECK_EQ(ours(&m), m.n == 0);
    }
}

/* s += L as long as it fits: the same equation holds, so only the range check can say
 * no (RFC 8032, section 5.1.7: malleability). */
TEST(a_scalar_that_is_not_reduced_is_refused)
{
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                      0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                      0,    0,    0,    0,    0,    0,    0,    0,
                                      0,    0,    0,    0,    0,    0,    0,    0x10};
    struct random r = random_seeded(3);
    struct signed_message m = make_signed(&r);

    for (int times = 0; times < 14; times++) {
        unsigned carry = 0;

        for (int i = 0; i < 32; i++) {
            carry += m.signature[32 + i] + order[i];
            m.signature[32 + i] = (uint8_t)carry;
            carry >>= 8;
        }
        CHECK(!ours(&m));
        CHECK(!theirs(&m));
    }
}

/* The points of order 1, 2, 4 and 8, also in encodings that are not canonical: with
 * such a key and R = A, S = 0 the equation holds for about one message in eight. */
TEST(keys_of_small_order_are_refused)
{
    static const char *const small[] = {
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    };

    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++) {
        struct signed_message m = {.n = 4};

        from_hex(small[i], m.key, 32);
        for (int message = 0; message < 64; message++) {
            m.message[0] = (uint8_t)message;
            for (size_t k = 0; k < sizeof small / sizeof small[0]; k++) {
                from_hex(small[k], m.signature, 32);
                CHECK(!ours(&m));
            }
        }
    }
}

/* Random bytes are a point about every second time; either way both must agree. */
TEST(libsodium_has_the_same_opinion_of_random_keys_and_signatures)
{
    struct random r = random_seeded(4);

    for (int i = 0; i < 400; i++) {
        struct signed_message m = make_signed(&r);

        for (int k = 0; k < 32; k++) {
            if (i % 3 == 0)
                m.key[k] = (uint8_t)random_u64(&r);
            if (i % 3 == 1)
                m.signature[k] = (uint8_t)random_u64(&r);
            if (i % 3 == 2)
                m.signature[32 + k] = (uint8_t)random_u64(&r);
        }
        CHECK_EQ(ours(&m), theirs(&m));
    }
}
