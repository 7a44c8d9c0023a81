/* SPDX-License-Identifier: Apache-2.0 */
/* links: update codegen plan frontend kernels runtime updating */
/* Updates on a device: what is refused, and that there is no moment at which a loss of
 * power leaves a device without weights. */
#include "runtime/ed25519.h"
#include "runtime/update.h"
#include "tests/update_work.h"

/* ---- three generations of weights: 3 layers, 6 336 bytes of payload ------ */

enum { N_FILES = 3, SECTOR = 1024 };

struct bench {
    struct arena *arena;
    struct weights_file file[N_FILES];
    struct flash *flash;
    struct hadm_slots slots;
    struct hadm_update update;
};

static const struct weights_recipe recipe = {3, 512, 1, "model"};

static void open_bench(struct bench *b)
{
    b->arena = arena_create();
    b->flash = flash_create(2 * SECTOR + 2 * 12 * SECTOR, SECTOR);

    const size_t n = (size_t)recipe_payload_bytes(&recipe) / 4;
    float *payload = arena_new_array(b->arena, float, n);

    for (size_t i = 0; i < n; i++)
        payload[i] = (float)i;
    for (int k = 0; k < N_FILES; k++) {
        /* The last layer is another one each time. */
        for (size_t i = n - 528; i < n; i++)
            payload[i] = (float)(i + (size_t)k);
        b->file[k] = make_weights(b->arena, &recipe, payload);
    }
}

static void close_bench(struct bench *b)
{
    flash_destroy(b->flash);
    arena_destroy(b->arena);
}

static struct patch_made make_patch(struct bench *b, int from, int to,
                                    enum plan_strategy strategy)
{
    const struct patch_options o = {
        .strategy = strategy, .ratio = 1, .number = (uint64_t)to + 1};
    struct patch_made made;

    CHECK_OK(patch_make(b->arena, from < 0 ? NULL : &b->file[from], &b->file[to], &o,
                        &made));
    return made;
}

static enum hadm_update_status apply_bytes(struct bench *b, struct bytes patch,
                                           const struct hadm_update_options *o,
                                           size_t piece)
{
    const uint8_t *at = patch.at;

    hadm_update_begin(&b->update, &b->slots, o);
    for (size_t done = 0; done < patch.len; done += piece)
        hadm_update_add(&b->update, at + done,
                        patch.len - done < piece ? patch.len - done : piece);
    return hadm_update_end(&b->update);
}

static enum hadm_update_status apply(struct bench *b, const struct patch_made *made)
{
    const struct hadm_update_options o = {0};

    return apply_bytes(b, made->bytes, &o, made->bytes.len);
}

/* Which file the device starts with; -1: none that is right, or the journal promises
 * previous weights that are not there. */
static int booted(struct bench *b)
{
    if (hadm_slots_open(&b->slots, &b->flash->storage)
        || hadm_slots_check(&b->slots, b->slots.active))
        return -1;
    if (b->slots.has_previous && hadm_slots_check(&b->slots, !b->slots.active))
        return -1;

    const uint8_t *at = b->flash->bytes + hadm_slots_offset(&b->slots, b->slots.active);

    for (int k = 0; k < N_FILES; k++)
        if (b->slots.slot[b->slots.active].bytes == b->file[k].bytes.len
            && memcmp(at, b->file[k].bytes.at, b->file[k].bytes.len) == 0)
            return k;
    return -1;
}

/* File 0 in slot 0. */
static void install(struct bench *b)
{
    const struct patch_made made = make_patch(b, -1, 0, STRATEGY_full);

    flash_start(b->flash, -1, 0);
    CHECK_EQ(hadm_slots_open(&b->slots, &b->flash->storage), HADM_UPDATE_NO_WEIGHTS);
    CHECK_EQ(apply(b, &made), HADM_UPDATE_OK);
    CHECK_EQ(booted(b), 0);
}

/* ---- what should happen -------------------------------------------------- */

TEST(a_patch_brings_the_new_weights_whatever_the_size_of_its_pieces)
{
    static const size_t pieces[] = {1, 7, 352, 4096, 1 << 20};
    const struct hadm_update_options o = {0};

    for (int strategy = 0; strategy < 3; strategy++)
        for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
            struct bench b;

            open_bench(&b);
            install(&b);

            const struct patch_made made =
                make_patch(&b, 0, 1, (enum plan_strategy)strategy);

            CHECK_EQ(apply_bytes(&b, made.bytes, &o, pieces[i]), HADM_UPDATE_OK);
            CHECK_EQ(booted(&b), 1);
            CHECK_EQ(b.slots.active, 1);
            CHECK_EQ(b.slots.slot[1].number, 2);
            CHECK(b.slots.has_previous);
            close_bench(&b);
        }
}

TEST(rolling_back_works_once)
{
    struct bench b;

    open_bench(&b);
    install(&b);
    CHECK_EQ(hadm_slots_roll_back(&b.slots), HADM_UPDATE_NO_PREVIOUS);

    const struct patch_made made = make_patch(&b, 0, 1, STRATEGY_hash);

    CHECK_EQ(apply(&b, &made), HADM_UPDATE_OK);
    CHECK_EQ(hadm_slots_roll_back(&b.slots), HADM_UPDATE_OK);
    CHECK_EQ(booted(&b), 0);
    CHECK_EQ(hadm_slots_roll_back(&b.slots), HADM_UPDATE_NO_PREVIOUS);
    CHECK_EQ(apply(&b, &made), HADM_UPDATE_OK); /* and forward again */
    CHECK_EQ(booted(&b), 1);
    close_bench(&b);
}

TEST(the_result_can_be_opened_as_weights)
{
    struct bench b;
    struct hadm_weights w;

    open_bench(&b);
    install(&b);

    const struct patch_made made = make_patch(&b, 0, 2, STRATEGY_incremental);

    CHECK_EQ(apply(&b, &made), HADM_UPDATE_OK);
    CHECK(hadm_weights_read(&w, b.flash->bytes + hadm_slots_offset(&b.slots, 1),
                            b.slots.slot[1].bytes));
    CHECK(hadm_weights_check_payload(&w));
    close_bench(&b);
}

/* ---- what must be refused ------------------------------------------------ */

/* `o` and `patch` are refused for this reason, and nothing has been written. */
static void check_refused(struct bench *b, struct bytes patch,
                          const struct hadm_update_options *o,
                          enum hadm_update_status status)
{
    const long steps = b->flash->steps;

    CHECK_EQ(apply_bytes(b, patch, o, 1000), status);
    CHECK_EQ(b->flash->steps, steps);
}

TEST(another_base_an_old_number_and_other_code_are_refused_before_anything_is_written)
{
    struct bench b;
    struct hadm_update_options o = {0};
    struct patch_options po = {.strategy = STRATEGY_hash, .number = 9};
    struct weights_recipe other_code = recipe, large = recipe;
    struct patch_made made;

    open_bench(&b);
    made = make_patch(&b, 0, 1, STRATEGY_hash);
    CHECK_EQ(hadm_slots_open(&b.slots, &b.flash->storage), HADM_UPDATE_NO_WEIGHTS);
    check_refused(&b, made.bytes, &o, HADM_UPDATE_NO_WEIGHTS);
    install(&b);

    made = make_patch(&b, 1, 2, STRATEGY_hash);
    check_refused(&b, made.bytes, &o, HADM_UPDATE_WRONG_BASE);

    made = make_patch(&b, -1, 0, STRATEGY_full);
    check_refused(&b, made.bytes, &o, HADM_UPDATE_DOWNGRADE);

    other_code.structure = 7;

    const struct weights_file other =
        make_weights(b.arena, &other_code, (const float *)b.file[0].weights.payload);

    po.strategy = STRATEGY_full;
    CHECK_OK(patch_make(b.arena, NULL, &other, &po, &made));
    check_refused(&b, made.bytes, &o, HADM_UPDATE_OTHER_MODEL);
    o.structure_hash = b.file[0].weights.structure_hash;
    check_refused(&b, made.bytes, &o, HADM_UPDATE_OTHER_MODEL);
    o.structure_hash = NULL;

    large.n_layers = 9;

    const struct weights_file larger = make_weights(
        b.arena, &large, arena_alloc(b.arena, (size_t)recipe_payload_bytes(&large)));

    CHECK_OK(patch_make(b.arena, NULL, &larger, &po, &made));
    check_refused(&b, made.bytes, &o, HADM_UPDATE_TOO_LARGE);
    CHECK_EQ(booted(&b), 0);
    close_bench(&b);
}

TEST(new_code_may_bring_weights_of_its_structure)
{
    struct bench b;
    const struct patch_options po = {.strategy = STRATEGY_full, .number = 2};
    struct weights_recipe other_code = recipe;
    struct patch_made made;

    open_bench(&b);
    install(&b);
    other_code.structure = 7;

    const struct weights_file other =
        make_weights(b.arena, &other_code, (const float *)b.file[0].weights.payload);
    const struct hadm_update_options o = {.structure_hash =
                                              other.weights.structure_hash};

    CHECK_OK(patch_make(b.arena, NULL, &other, &po, &made));
    CHECK_EQ(apply_bytes(&b, made.bytes, &o, 512), HADM_UPDATE_OK);
    close_bench(&b);
}

/* A header that claims the structure of the active weights, over a file of another one.
 */
TEST(a_file_of_another_structure_than_its_header_says_does_not_become_active)
{
    struct bench b;
    const struct hadm_update_options o = {0};
    const struct patch_options po = {.strategy = STRATEGY_full, .number = 2};
    struct weights_recipe other_code = recipe;
    struct patch_made made;
    struct sha256 sha;

    open_bench(&b);
    install(&b);
    other_code.structure = 7;

    const struct weights_file other =
        make_weights(b.arena, &other_code, (const float *)b.file[0].weights.payload);

    CHECK_OK(patch_make(b.arena, NULL, &other, &po, &made));

    uint8_t *lie = arena_copy(b.arena, made.bytes.at, made.bytes.len);

    memcpy(lie + 64, b.file[0].weights.structure_hash, 32);
    sha256_begin(&sha);
    sha256_add(&sha, lie, 320);
    sha256_end(&sha, lie + 320);
    CHECK_EQ(apply_bytes(&b, (struct bytes){lie, made.bytes.len}, &o, 4096),
             HADM_UPDATE_OTHER_MODEL);
    CHECK_EQ(booted(&b), 0);
    close_bench(&b);
}

TEST(a_downgrade_is_allowed_on_request)
{
    struct bench b;
    const struct hadm_update_options o = {.allow_downgrade = 1};

    open_bench(&b);
    install(&b);

    const struct patch_made made = make_patch(&b, -1, 0, STRATEGY_full);

    CHECK_EQ(apply_bytes(&b, made.bytes, &o, 512), HADM_UPDATE_OK);
    CHECK_EQ(booted(&b), 0);
    CHECK_EQ(b.slots.active, 1);
    close_bench(&b);
}

TEST(with_a_key_only_what_it_signed_is_taken)
{
    struct bench b;
    struct signing_key key = {.seed = {1}}, other = {.seed = {2}};
    struct hadm_update_options o = {.verify = ed25519_verify,
                                    .public_key = key.public_key};
    struct patch_options po = {.strategy = STRATEGY_hash, .number = 2};
    struct patch_made made;

    open_bench(&b);
    install(&b);
    key_derive_public(&key);
    key_derive_public(&other);
    made = make_patch(&b, 0, 1, STRATEGY_hash);
    check_refused(&b, made.bytes, &o, HADM_UPDATE_NOT_SIGNED);
    po.key = &other;
    CHECK_OK(patch_make(b.arena, &b.file[0], &b.file[1], &po, &made));
    check_refused(&b, made.bytes, &o, HADM_UPDATE_BAD_SIGNATURE);
    po.key = &key;
    CHECK_OK(patch_make(b.arena, &b.file[0], &b.file[1], &po, &made));
    CHECK_EQ(apply_bytes(&b, made.bytes, &o, 100), HADM_UPDATE_OK);
    CHECK_EQ(booted(&b), 1);
    close_bench(&b);
}

static bool reader_accepts(struct bytes patch)
{
    static struct hadm_patch_reader r;
    const uint8_t *at = patch.at;
    size_t n = patch.len;

    hadm_patch_begin(&r);
    while (n && r.status == HADM_UPDATE_OK)
        hadm_patch_next(&r, &at, &n);
    return hadm_patch_end(&r) == HADM_UPDATE_OK;
}

TEST(a_patch_with_any_damaged_byte_is_refused_and_the_old_weights_stay)
{
    struct bench b;
    const struct hadm_update_options o = {0};

    open_bench(&b);
    install(&b);

    const struct patch_made made = make_patch(&b, 0, 1, STRATEGY_hash);
    uint8_t *copy = arena_copy(b.arena, made.bytes.at, made.bytes.len);

    for (size_t i = 0; i < made.bytes.len; i++) {
        const uint8_t flip = (uint8_t)(1 << i % 8);

        copy[i] ^= flip;
        CHECK(!reader_accepts((struct bytes){copy, made.bytes.len}));
        if (i < 400 || i % 61 == 0) {
            flash_start(b.flash, -1, 0);
            CHECK(apply_bytes(&b, (struct bytes){copy, made.bytes.len}, &o, 4096)
                  != HADM_UPDATE_OK);
            CHECK_EQ(b.slots.active, 0);
        }
        copy[i] ^= flip;
    }
    CHECK(reader_accepts((struct bytes){copy, made.bytes.len}));
    CHECK_EQ(booted(&b), 0);
    close_bench(&b);
}

TEST(a_patch_that_ends_early_or_late_is_refused)
{
    struct bench b;
    const struct hadm_update_options o = {0};

    open_bench(&b);
    install(&b);

    const struct patch_made made = make_patch(&b, 0, 1, STRATEGY_hash);
    uint8_t *longer = arena_alloc(b.arena, made.bytes.len + 1);

    memcpy(longer, made.bytes.at, made.bytes.len);
    for (size_t n = 0; n < made.bytes.len; n += n < 400 ? 1 : 97)
        CHECK_EQ(apply_bytes(&b, (struct bytes){longer, n}, &o, 4000),
                 HADM_UPDATE_DAMAGED);
    CHECK_EQ(apply_bytes(&b, (struct bytes){longer, made.bytes.len + 1}, &o, 4000),
             HADM_UPDATE_DAMAGED);
    CHECK_EQ(booted(&b), 0);
    close_bench(&b);
}

TEST(a_base_that_has_rotted_is_noticed_before_the_result_counts)
{
    struct bench b;

    open_bench(&b);
    install(&b);

    const struct patch_made made = make_patch(&b, 0, 1, STRATEGY_hash);

    b.flash->bytes[hadm_slots_offset(&b.slots, 0) + 5000] ^= 1;
    CHECK_EQ(apply(&b, &made), HADM_UPDATE_BAD_SLOT);
    CHECK_EQ(b.slots.active, 0);
    close_bench(&b);
}

TEST(a_previous_slot_that_has_rotted_is_not_gone_back_to)
{
    struct bench b;

    open_bench(&b);
    install(&b);

    const struct patch_made made = make_patch(&b, 0, 1, STRATEGY_hash);

    CHECK_EQ(apply(&b, &made), HADM_UPDATE_OK);
    b.flash->bytes[hadm_slots_offset(&b.slots, 0) + 5000] ^= 1;
    CHECK_EQ(hadm_slots_roll_back(&b.slots), HADM_UPDATE_BAD_SLOT);
    CHECK_EQ(b.slots.active, 1);
    CHECK_EQ(hadm_slots_check(&b.slots, 1), HADM_UPDATE_OK);
    close_bench(&b);
}

TEST(storage_of_a_wrong_shape_is_refused)
{
    struct flash *f = flash_create(4 * 1024, 1024);
    struct hadm_slots s;

    CHECK_EQ(hadm_slots_open(&s, &f->storage), HADM_UPDATE_NO_WEIGHTS);
    CHECK_EQ(s.slot_bytes, 1024);
    f->storage.erase_bytes = 768;
    CHECK_EQ(hadm_slots_open(&s, &f->storage), HADM_UPDATE_BAD_STORAGE);
    f->storage.erase_bytes = 128;
    CHECK_EQ(hadm_slots_open(&s, &f->storage), HADM_UPDATE_BAD_STORAGE);
    f->storage.erase_bytes = 2048;
    CHECK_EQ(hadm_slots_open(&s, &f->storage), HADM_UPDATE_BAD_STORAGE);
    flash_destroy(f);
}

/* ---- power --------------------------------------------------------------- */

/* One change of a device: what it starts from, what it does, what must come of it. */
struct change {
    enum plan_strategy strategy;
    bool has_previous; /* before: file 0 came over file 2                       */
    bool rolls_back;   /* from file 1 to file 0, instead of a patch from 0 to 1 */
};

static void prepare(struct bench *b, const struct change *c)
{
    static const struct hadm_update_options any = {.allow_downgrade = 1};
    struct patch_made made;

    memset(b->flash->bytes, 0xff, b->flash->storage.bytes);
    install(b);
    if (c->has_previous) {
        made = make_patch(b, 0, 2, STRATEGY_full);
        CHECK_EQ(apply(b, &made), HADM_UPDATE_OK);
        made = make_patch(b, -1, 0, STRATEGY_full);
        CHECK_EQ(apply_bytes(b, made.bytes, &any, 4096), HADM_UPDATE_OK);
    }
    if (c->rolls_back) {
        made = make_patch(b, 0, 1, c->strategy);
        CHECK_EQ(apply(b, &made), HADM_UPDATE_OK);
    }
}

static enum hadm_update_status carry_out(struct bench *b, const struct change *c,
                                         const struct patch_made *made)
{
    return c->rolls_back ? hadm_slots_roll_back(&b->slots) : apply(b, made);
}

/* Cuts the power at step `cut` of the change, starts again, and finishes the change. */
static bool survives(struct bench *b, const struct change *c,
                     const struct patch_made *made, const uint8_t *before, long cut,
                     size_t torn_bytes)
{
    const int old = c->rolls_back, fresh = !c->rolls_back;

    memcpy(b->flash->bytes, before, b->flash->storage.bytes);
    flash_start(b->flash, -1, 0);
    CHECK_EQ(booted(b), old);
    flash_start(b->flash, cut, torn_bytes);
    if (carry_out(b, c, made) == HADM_UPDATE_OK)
        return booted(b) == fresh;
    flash_start(b->flash, -1, 0);

    const int found = booted(b);

    if (found != old && found != fresh)
        return false;
    if (found == old && carry_out(b, c, made) != HADM_UPDATE_OK)
        return false;
    return booted(b) == fresh;
}

/* Every step; a record is torn after each `record_bytes` bytes, a write to a slot at
 * its start, in the middle, and not at all. */
static void check_every_cut(struct bench *b, const struct change *c,
                            size_t record_bytes)
{
    const struct patch_made made = make_patch(b, 0, 1, c->strategy);
    uint8_t *before;
    int unbootable = 0;

    prepare(b, c);
    before = arena_copy(b->arena, b->flash->bytes, b->flash->storage.bytes);
    flash_start(b->flash, -1, 0);
    CHECK_EQ(carry_out(b, c, &made), HADM_UPDATE_OK);

    const long steps = b->flash->steps;

    CHECK(steps >= 3);
    for (long cut = 0; cut < steps; cut++) {
        const bool is_record = cut < 3 || cut >= steps - 3;

        for (size_t torn = 0; torn <= 256; torn += is_record ? record_bytes : 128)
            unbootable += !survives(b, c, &made, before, cut, torn);
    }
    b->flash->caches = true;
    for (long cut = 0; cut < steps; cut++)
        for (int time = 0; time < 3; time++)
            unbootable += !survives(b, c, &made, before, cut, 0);
    b->flash->caches = false;
    CHECK_EQ(unbootable, 0);
}

TEST(power_may_fail_at_every_step_of_an_update)
{
    struct bench b;

    open_bench(&b);
    for (int strategy = 0; strategy < 3; strategy++)
        for (int has_previous = 0; has_previous < 2; has_previous++)
            check_every_cut(
                &b, &(struct change){(enum plan_strategy)strategy, has_previous, false},
                strategy == STRATEGY_hash && has_previous ? 1 : 16);
    close_bench(&b);
}

TEST(power_may_fail_at_every_step_of_a_roll_back)
{
    struct bench b;

    open_bench(&b);
    for (int strategy = 0; strategy < 3; strategy++)
        check_every_cut(&b, &(struct change){(enum plan_strategy)strategy, false, true},
                        strategy == STRATEGY_hash ? 1 : 16);
    close_bench(&b);
}

TEST(power_may_fail_during_the_first_installation)
{
    struct bench b;

    open_bench(&b);

    const struct patch_made made = make_patch(&b, -1, 0, STRATEGY_full);

    for (long cut = 0; cut < 80; cut++) {
        memset(b.flash->bytes, 0xff, b.flash->storage.bytes);
        flash_start(b.flash, cut, (size_t)cut % 257);
        CHECK_EQ(hadm_slots_open(&b.slots, &b.flash->storage), HADM_UPDATE_NO_WEIGHTS);

        const bool done = apply(&b, &made) == HADM_UPDATE_OK;

        flash_start(b.flash, -1, 0);
        if (!done
            && hadm_slots_open(&b.slots, &b.flash->storage) == HADM_UPDATE_NO_WEIGHTS)
            CHECK_EQ(apply(&b, &made), HADM_UPDATE_OK);
        CHECK_EQ(booted(&b), 0);
    }
    close_bench(&b);
}

/* Years of a device: updates, roll-backs, and power that fails in most of them, also
 * while the last failure is being made up for. */
TEST(a_device_lives_through_many_failures_in_a_row)
{
    struct bench b;
    struct random r = random_seeded(5);
    const struct hadm_update_options any = {.allow_downgrade = 1};
    int cuts = 0;

    open_bench(&b);
    install(&b);
    for (int k = 0; k < 500; k++) {
        const int old = booted(&b), fresh = (int)random_below(&r, N_FILES);
        const struct patch_made made =
            make_patch(&b, old, fresh, (enum plan_strategy)random_below(&r, 3));

        CHECK(old >= 0);
        b.flash->caches = random_below(&r, 2);
        flash_start(b.flash, (long)random_below(&r, 60), random_below(&r, 1100));
        if (random_below(&r, 4) == 0)
            hadm_slots_roll_back(&b.slots);
        else
            apply_bytes(&b, made.bytes, &any, 1 + random_below(&r, 6000));
        cuts += b.flash->off;
        flash_start(b.flash, -1, 0);
        CHECK(booted(&b) >= 0);
    }
    CHECK(cuts > 150);
    close_bench(&b);
}
