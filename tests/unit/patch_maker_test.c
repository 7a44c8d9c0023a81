/* SPDX-License-Identifier: Apache-2.0 */
/* links: update codegen plan frontend kernels runtime updating */
/* Making patches: which blocks and which layers they carry, and their files. */
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "runtime/ed25519.h"
#include "tests/update_work.h"
#include "update/patch_file.h"

/* Four layers of 1024 floats and 16: 16 640 bytes of payload, 5 blocks, one of header.
 */
static const struct weights_recipe recipe = {4, 1008, 1, "model"};
enum { LAYER = 1024 };

static float *ones(struct arena *a)
{
    const size_t n = (size_t)recipe_payload_bytes(&recipe) / 4;
    float *payload = arena_new_array(a, float, n);

    for (size_t i = 0; i < n; i++)
        payload[i] = 1;
    return payload;
}

/* Layer `layer` of ones, scaled: its change is |factor - 1|. */
static void scale_layer(float *payload, int layer, float factor)
{
    for (int i = 0; i < LAYER; i++)
        payload[layer * LAYER + i] *= factor;
}

static struct patch_made make(struct arena *a, const struct weights_file *base,
                              const struct weights_file *fresh,
                              enum plan_strategy strategy, double ratio)
{
    const struct patch_options o = {.strategy = strategy, .ratio = ratio, .number = 1};
    struct patch_made made;

    CHECK_OK(patch_make(a, base, fresh, &o, &made));
    return made;
}

/* ---- blocks ------------------------------------------------------------------------
 */

/* A layer is exactly a block.  What differs: that block, and the header with its
 * digest. */
TEST(a_hash_patch_carries_the_blocks_that_differ)
{
    struct arena *a = arena_create();
    float *payload = ones(a);
    const struct weights_file base = make_weights(a, &recipe, payload);

    scale_layer(payload, 2, 2);

    const struct weights_file fresh = make_weights(a, &recipe, payload);
    const struct patch_made made = make(a, &base, &fresh, STRATEGY_hash, 1);

    CHECK_EQ(made.header.n_blocks, 2);
    CHECK_EQ(made.bytes.len, 352 + 2 * (36 + 4096));
    arena_destroy(a);
}

TEST(a_patch_to_the_same_weights_carries_nothing)
{
    struct arena *a = arena_create();
    const struct weights_file base = make_weights(a, &recipe, ones(a));
    const struct patch_made made = make(a, &base, &base, STRATEGY_hash, 1);

    CHECK_EQ(made.header.n_blocks, 0);
    CHECK_EQ(made.bytes.len, 352);
    arena_destroy(a);
}

TEST(a_full_patch_carries_everything_and_needs_no_base)
{
    struct arena *a = arena_create();
    const struct weights_file fresh = make_weights(a, &recipe, ones(a));
    const struct patch_made made = make(a, NULL, &fresh, STRATEGY_full, 1);

    CHECK_EQ(made.header.n_blocks, (fresh.bytes.len + 4095) / 4096);
    CHECK_EQ(made.header.base_bytes, 0);
    CHECK_EQ(made.bytes.len, 352 + 36 * made.header.n_blocks + fresh.bytes.len);
    arena_destroy(a);
}

/* A name of 5 000 letters makes the header two blocks longer: the payload's blocks are
 * still those of the base, two places on. */
TEST(a_longer_header_does_not_make_the_payload_new)
{
    struct arena *a = arena_create();
    struct weights_recipe longer = recipe;
    char *name = arena_alloc(a, 5001);
    float *payload = ones(a);
    const struct weights_file base = make_weights(a, &recipe, payload);

    memset(name, 'm', 5000);
    longer.model = name;

    const struct weights_file fresh = make_weights(a, &longer, payload);
    const struct patch_made there = make(a, &base, &fresh, STRATEGY_hash, 1);
    const struct patch_made back = make(a, &fresh, &base, STRATEGY_hash, 1);
    const uint64_t more =
        (fresh.header.payload_offset - base.header.payload_offset) / 4096;

    CHECK(more >= 1);
    CHECK_EQ(there.header.shift, -(int64_t)more);
    CHECK_EQ(there.header.n_blocks, fresh.header.payload_offset / 4096);
    CHECK_EQ(back.header.shift, more);
    CHECK_EQ(back.header.n_blocks, base.header.payload_offset / 4096);
    arena_destroy(a);
}

TEST(weights_of_other_code_are_no_new_weights)
{
    struct arena *a = arena_create();
    const struct patch_options o = {.strategy = STRATEGY_full};
    struct weights_recipe other = recipe;
    struct patch_made made;

    other.structure = 9;
    other.model = "other";

    const struct weights_file base = make_weights(a, &recipe, ones(a));
    const struct weights_file fresh = make_weights(a, &other, ones(a));

    CHECK_FAILS(patch_make(a, &base, &fresh, &o, &made), INVALID,
                "'other' belongs to other code than 'model'");
    arena_destroy(a);
}

TEST(equal_inputs_give_equal_patches)
{
    struct arena *a = arena_create();
    float *payload = ones(a);
    const struct weights_file base = make_weights(a, &recipe, payload);

    scale_layer(payload, 1, 3);

    const struct weights_file fresh = make_weights(a, &recipe, payload);
    struct signing_key key = {.seed = {7}};
    const struct patch_options o = {
        .strategy = STRATEGY_incremental, .ratio = 0.5, .number = 4, .key = &key};
    struct patch_made one, two;

    key_derive_public(&key);
    CHECK_OK(patch_make(a, &base, &fresh, &o, &one));
    CHECK_OK(patch_make(a, &base, &fresh, &o, &two));
    CHECK_EQ(one.bytes.len, two.bytes.len);
    CHECK_BYTES(one.bytes.at, two.bytes.at, one.bytes.len);
    CHECK(ed25519_verify(one.header.signature, one.bytes.at, 256, key.public_key));
    arena_destroy(a);
}

/* ---- layers -------------------------------------------------------------- */

/* Changes 0, 0.5, 0.25, 0.75 over equal layers: half of the weights are layers 3 and 1.
 */
TEST(an_incremental_patch_renews_the_layers_that_changed_most)
{
    struct arena *a = arena_create();
    float *payload = ones(a), *expected = ones(a);
    const struct weights_file base = make_weights(a, &recipe, payload);
    static const float factors[] = {1, 1.5f, 1.25f, 1.75f};

    for (int layer = 0; layer < 4; layer++)
        scale_layer(payload, layer, factors[layer]);
    scale_layer(expected, 1, 1.5f);
    scale_layer(expected, 3, 1.75f);

    const struct weights_file fresh = make_weights(a, &recipe, payload);
    const struct weights_file want = make_weights(a, &recipe, expected);
    const struct patch_made made = make(a, &base, &fresh, STRATEGY_incremental, 0.5);
    const struct layer_choice *c = &made.choice;

    CHECK_EQ(c->n_layers, 4);
    for (int layer = 0; layer < 4; layer++) {
        CHECK(fabs(c->layers[layer].change - ((double)factors[layer] - 1)) < 1e-9);
        CHECK_EQ(c->layers[layer].is_new, layer % 2);
        CHECK_EQ(c->layers[layer].bytes, 4096);
    }
    CHECK_EQ(c->new_bytes, 8192);
    CHECK_EQ(c->total_bytes, 16384);
    CHECK_EQ(c->result.bytes.len, want.bytes.len);
    CHECK_BYTES(c->result.bytes.at, want.bytes.at, want.bytes.len);
    arena_destroy(a);
}

TEST(a_layer_that_did_not_change_is_not_renewed_even_with_room)
{
    struct arena *a = arena_create();
    float *payload = ones(a);
    const struct weights_file base = make_weights(a, &recipe, payload);

    scale_layer(payload, 2, 1.5f);

    const struct weights_file fresh = make_weights(a, &recipe, payload);
    const struct patch_made made = make(a, &base, &fresh, STRATEGY_incremental, 1);

    CHECK_EQ(made.choice.new_bytes, 4096);
    CHECK_EQ(made.header.n_blocks, 2);
    arena_destroy(a);
}

TEST(with_too_small_a_share_nothing_becomes_new)
{
    struct arena *a = arena_create();
    float *payload = ones(a);
    const struct weights_file base = make_weights(a, &recipe, payload);

    scale_layer(payload, 2, 1.5f);

    const struct weights_file fresh = make_weights(a, &recipe, payload);
    const struct patch_made made = make(a, &base, &fresh, STRATEGY_incremental, 0.2);

    CHECK_EQ(made.choice.new_bytes, 0);
    CHECK_EQ(made.header.n_blocks, 0);
    arena_destroy(a);
}

/* Codes -3 ... 3 of which every second one grows by 1, as they are and with 128 added:
 * in 14 codes 7 squares of 1 over 56, and sqrt(7 / 56) = 0.3536. */
TEST(codes_move_as_far_however_a_processor_wants_them_stored)
{
    struct arena *a = arena_create();

    for (int lift = 0; lift <= 128; lift += 128) {
        uint8_t *codes = (uint8_t *)ones(a);
        const size_t n = (size_t)recipe.layer_floats * 4;

        for (size_t i = 0; i < n; i++)
            codes[i] = (uint8_t)((int)(i % 7) - 3 + lift);

        const struct weights_file base = make_weights(a, &recipe, (const float *)codes);

        for (size_t i = 0; i < n; i += 2)
            codes[i]++;

        const struct weights_file fresh =
            make_weights(a, &recipe, (const float *)codes);
        const struct patch_made made = make(a, &base, &fresh, STRATEGY_incremental, 1);

        CHECK(fabs(made.choice.layers[0].change - 0.35355339) < 1e-8);
        CHECK(made.choice.layers[1].change == 0);
    }
    arena_destroy(a);
}

/* ---- files --------------------------------------------------------------- */

struct folder {
    char path[32];
};

static struct folder make_folder(void)
{
    struct folder f = {"/tmp/patch_test_XXXXXX"};

    assert_non_null(mkdtemp(f.path));
    return f;
}

static void put_file(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    CHECK_EQ(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

TEST(a_patch_reads_back_from_its_file_compressed_or_not)
{
    struct arena *a = arena_create();
    struct folder f = make_folder();
    const struct weights_file fresh = make_weights(a, &recipe, ones(a));
    const struct patch_made made = make(a, NULL, &fresh, STRATEGY_full, 1);
    const char *path = arena_printf(a, "%s/p", f.path);

    for (int compress = 0; compress < 2; compress++) {
        struct patch_file read;
        size_t file_bytes;

        CHECK_OK(patch_file_write(a, path, made.bytes, compress, &file_bytes));
        CHECK_OK(patch_file_load(a, path, &read));
        CHECK_EQ(read.file_bytes, file_bytes);
        CHECK_EQ(read.bytes.len, made.bytes.len);
        CHECK_BYTES(read.bytes.at, made.bytes.at, made.bytes.len);
        CHECK_EQ(file_bytes < made.bytes.len / 2, compress);
    }
    unlink(path);
    rmdir(f.path);
    arena_destroy(a);
}

TEST(a_damaged_patch_file_is_refused_with_its_name)
{
    struct arena *a = arena_create();
    struct folder f = make_folder();
    const struct weights_file fresh = make_weights(a, &recipe, ones(a));
    const struct patch_made made = make(a, NULL, &fresh, STRATEGY_full, 1);
    const char *path = arena_printf(a, "%s/p", f.path);
    struct patch_file read;
    size_t n;

    CHECK_OK(patch_file_write(a, path, made.bytes, true, &n));
    CHECK_EQ(truncate(path, (off_t)n - 1), 0);
    CHECK_FAILS(patch_file_load(a, path, &read), INVALID, "p' cannot be decompressed");
    CHECK_OK(patch_file_write(a, path, made.bytes, false, &n));
    CHECK_EQ(truncate(path, (off_t)n - 1), 0);
    CHECK_FAILS(patch_file_load(a, path, &read), INVALID, "p' is refused: damaged");
    put_file(path, "hello", 5);
    CHECK_FAILS(patch_file_load(a, path, &read), INVALID, "p' is refused: not a patch");
    unlink(path);
    CHECK_FAILS(patch_file_load(a, path, &read), IO_ERROR, "cannot read");
    rmdir(f.path);
    arena_destroy(a);
}

/* A zstd frame of 18 bytes that claims 1 GiB (RFC 8878: single segment, 4-byte size,
 * one block that repeats a byte). */
TEST(a_frame_that_claims_an_impossible_size_is_refused)
{
    static const uint8_t bomb[] = {0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0,   0,
                                   0,    0x40, 0x03, 0x00, 0x10, 0x00};
    struct arena *a = arena_create();
    struct folder f = make_folder();
    const char *path = arena_printf(a, "%s/p", f.path);
    struct patch_file read;

    put_file(path, bomb, sizeof bomb);
    CHECK_FAILS(patch_file_load(a, path, &read), INVALID, "impossible");
    unlink(path);
    rmdir(f.path);
    arena_destroy(a);
}

TEST(a_key_reads_back_and_signs_what_its_public_half_accepts)
{
    struct arena *a = arena_create();
    struct folder f = make_folder();
    const char *path = arena_printf(a, "%s/k", f.path);
    const char *public_path = arena_printf(a, "%s/k.pub", f.path);
    struct signing_key key;
    uint8_t public_key[32], signature[64];

    CHECK_OK(key_file_generate(path));
    CHECK_FAILS(key_file_generate(path), IO_ERROR, "File exists");
    CHECK_OK(key_file_read_secret(path, &key));
    CHECK_OK(key_file_read_public(public_path, public_key));
    key_sign(&key, "abc", 3, signature);
    CHECK(ed25519_verify(signature, "abc", 3, public_key));
    CHECK_FAILS(key_file_read_public(path, public_key), INVALID,
                "k' is not a public key");
    CHECK_FAILS(key_file_read_secret(public_path, &key), INVALID,
                "k.pub' is not a secret key");
    unlink(path);
    unlink(public_path);
    rmdir(f.path);
    arena_destroy(a);
}
