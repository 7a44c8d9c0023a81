/* SPDX-License-Identifier: Apache-2.0 */
/* links: runtime */
/* SHA-256 by the examples of its standard. */
#include "runtime/sha256.h"
#include "tests/test.h"

static void hex_of(const void *bytes, size_t n, char out[65])
{
    struct sha256 h;
    uint8_t digest[32];

    sha256_begin(&h);
    sha256_add(&h, bytes, n);
    sha256_end(&h, digest);
    for (int i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* The examples of FIPS 180-2, appendix B. */
TEST(sha256_gives_the_standard_examples)
{
    char hex[65];

    hex_of("abc", 3, hex);
    CHECK_TEXT(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hex_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
    CHECK_TEXT(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    hex_of("", 0, hex);
    CHECK_TEXT(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(sha256_of_a_million_letters)
{
    struct sha256 h;
    uint8_t digest[32];
    char letters[1000];
    static const uint8_t want[4] = {0xcd, 0xc7, 0x6e, 0x5c};

    memset(letters, 'a', sizeof letters);
    sha256_begin(&h);
    for (int i = 0; i < 1000; i++)
        sha256_add(&h, letters, sizeof letters);
    sha256_end(&h, digest);
    CHECK_BYTES(digest, want, 4);
}

TEST(sha256_does_not_depend_on_how_bytes_arrive)
{
    uint8_t bytes[200], whole[32], parts[32];
    struct sha256 h;

    for (int i = 0; i < 200; i++)
        bytes[i] = (uint8_t)(7 * i);
    sha256_begin(&h);
    sha256_add(&h, bytes, sizeof bytes);
    sha256_end(&h, whole);
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        sha256_begin(&h);
        sha256_add(&h, bytes, cut);
        sha256_add(&h, bytes + cut, sizeof bytes - cut);
        sha256_end(&h, parts);
        CHECK(sha256_same(whole, parts));
    }
}
