/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of updates share: small weights files, and flash that loses power. */
#ifndef HADMC_TESTS_UPDATE_WORK_H
#define HADMC_TESTS_UPDATE_WORK_H

#include <stdlib.h>

#include "runtime/sha256.h"
#include "runtime/slots.h"
#include "support/random.h"
#include "tests/test.h"
#include "update/patch_maker.h"

/* ---- weights ------------------------------------------------------------- */

/* What a weights file is made of: layers of two tensors each, float32. */
struct weights_recipe {
    int n_layers;
    int64_t layer_floats; /* a multiple of 16; of the large tensor, the other has 16 */
    uint8_t structure;
    const char *model; /* a longer name makes a longer header                        */
};

static inline uint64_t recipe_payload_bytes(const struct weights_recipe *r)
{
    return (uint64_t)r->n_layers * (uint64_t)(r->layer_floats + 16) * 4;
}

/* A file with `payload`, recipe_payload_bytes long. */
static inline struct weights_file
make_weights(struct arena *a, const struct weights_recipe *r, const float *payload)
{
    const uint64_t n_bytes = recipe_payload_bytes(r);
    const uint8_t structure[32] = {r->structure, 2, 3};
    struct weights_header h = {
        .format_major = WEIGHTS_FORMAT_MAJOR,
        .format_minor = WEIGHTS_FORMAT_MINOR,
        .structure_hash = structure,
        .payload_offset = WEIGHTS_BLOCK_BYTES,
        .payload_bytes = n_bytes,
        .n_digests = (n_bytes + WEIGHTS_BLOCK_BYTES - 1) / WEIGHTS_BLOCK_BYTES,
        .n_tensors = 2 * r->n_layers,
        .tensors = arena_new_array(a, struct weights_tensor, 2 * r->n_layers),
        .tool = "",
        .llvm = "",
        .target = "",
        .cpu = "",
        .options = "",
        .model = r->model,
    };
    uint8_t *digests = arena_alloc_array(a, (size_t)h.n_digests, 32);
    size_t header_bytes;
    struct weights_file out;

    for (int i = 0; i < h.n_tensors; i++) {
        const uint64_t layer = (uint64_t)(i / 2) * (uint64_t)(r->layer_floats + 16) * 4;

        h.tensors[i] = (struct weights_tensor){
            .name = arena_printf(a, i % 2 ? "bias%d" : "weight%d", i / 2),
            .dtype = i % 2, /* packed; f32 */
            .offset = i % 2 ? layer + (uint64_t)r->layer_floats * 4 : layer,
            .bytes = i % 2 ? 64 : (uint64_t)r->layer_floats * 4,
            .layer = (uint32_t)i / 2 + 1,
        };
    }
    for (uint64_t at = 0; at < n_bytes; at += WEIGHTS_BLOCK_BYTES) {
        struct sha256 sha;

        sha256_begin(&sha);
        sha256_add(&sha, (const uint8_t *)payload + at,
                   n_bytes - at < 4096 ? (size_t)(n_bytes - at) : 4096);
        sha256_end(&sha, digests + 32 * (at / 4096));
    }
    h.digests = digests;
    free(weights_header_encode(&h, &header_bytes));
    h.payload_offset = (header_bytes + WEIGHTS_BLOCK_BYTES) & ~(uint64_t)4095;

    uint8_t *header = weights_header_encode(&h, &header_bytes);
    uint8_t *file = arena_alloc(a, (size_t)(h.payload_offset + n_bytes));

    memcpy(file, header, header_bytes);
    memcpy(file + h.payload_offset, payload, (size_t)n_bytes);
    free(header);
    CHECK_OK(weights_file_open(
        a, r->model, (struct bytes){file, (size_t)(h.payload_offset + n_bytes)}, &out));
    return out;
}

/* ---- flash ------------------------------------------------------------------------
 */

enum { FLASH_MAX_WAITING = 4096 };

/* Memory that remembers what was flushed.  Every write, erase and flush is one step; at
 * step `cut` the power fails: that step happens in part, and of the earlier ones since
 * the last flush each is lost, kept, or torn too, when `caches`. */
struct flash {
    struct hadm_storage storage;
    uint8_t *bytes;  /* as it reads       */
    uint8_t *safe;   /* as it was flushed */
    uint8_t *erased; /* per 256 bytes: may be written */
    long steps, cut; /* cut < 0: never    */
    bool off, caches;
    size_t torn_bytes; /* of the step at the cut that come through, in front */
    struct random random;
    int n_waiting;
    struct {
        uint64_t at;
        size_t n_bytes;
        uint8_t *data; /* NULL: erased */
    } waiting[FLASH_MAX_WAITING];
};

static inline void flash_put(struct flash *f, uint8_t *to, int i, size_t n_bytes)
{
    if (f->waiting[i].data)
        memcpy(to + f->waiting[i].at, f->waiting[i].data, n_bytes);
    else
        memset(to + f->waiting[i].at, 0xff, n_bytes);
}

static inline void flash_forget_waiting(struct flash *f)
{
    for (int i = 0; i < f->n_waiting; i++)
        free(f->waiting[i].data);
    f->n_waiting = 0;
}

/* What is left when the lights go out during step `n_waiting - 1`. */
static inline void flash_lose_power(struct flash *f)
{
    const int last = f->n_waiting - 1;

    f->off = true;
    memcpy(f->bytes, f->safe, f->storage.bytes);
    for (int i = 0; i <= last; i++) {
        const size_t n = f->waiting[i].n_bytes;
        size_t kept = i < last ? n : f->torn_bytes < n ? f->torn_bytes : n;

        if (f->caches)
            kept = random_below(&f->random, 3) ? n : random_below(&f->random, n + 1);
        flash_put(f, f->bytes, i, kept);
        if (kept < n
            && random_below(&f->random, 2)) /* the cell in between is anything */
            f->bytes[f->waiting[i].at + kept] = (uint8_t)random_u64(&f->random);
    }
    flash_forget_waiting(f);
}

/* Returns 1 when the power is off. */
static inline int flash_step(struct flash *f, uint64_t at, const void *data,
                             size_t n_bytes)
{
    if (f->off)
        return 1;
    CHECK(at + n_bytes <= f->storage.bytes && f->n_waiting < FLASH_MAX_WAITING);

    const int i = f->n_waiting++;

    f->waiting[i].at = at;
    f->waiting[i].n_bytes = n_bytes;
    f->waiting[i].data = data ? malloc(n_bytes) : NULL;
    if (data)
        memcpy(f->waiting[i].data, data, n_bytes);
    if (f->steps++ == f->cut) {
        flash_lose_power(f);
        return 1;
    }
    flash_put(f, f->bytes, i, n_bytes);
    return 0;
}

static inline int flash_read(void *context, uint64_t at, void *to, size_t n_bytes)
{
    const struct flash *f = context;

    CHECK(f->off || at + n_bytes <= f->storage.bytes);
    if (!f->off)
        memcpy(to, f->bytes + at, n_bytes);
    return f->off;
}

static inline int flash_write(void *context, uint64_t at, const void *from,
                              size_t n_bytes)
{
    struct flash *f = context;

    CHECK(at % 256 == 0 && n_bytes % 256 == 0 && n_bytes > 0);
    for (uint64_t i = at / 256; !f->off && i < (at + n_bytes) / 256; i++) {
        CHECK(f->erased[i]);
        f->erased[i] = 0;
    }
    return flash_step(f, at, from, n_bytes);
}

static inline int flash_erase(void *context, uint64_t at, uint64_t n_bytes)
{
    struct flash *f = context;

    CHECK(at % f->storage.erase_bytes == 0 && n_bytes % f->storage.erase_bytes == 0);
    memset(f->erased + at / 256, 1, (size_t)n_bytes / 256);
    return flash_step(f, at, NULL, (size_t)n_bytes);
}

static inline int flash_flush(void *context)
{
    struct flash *f = context;

    if (f->off)
        return 1;
    if (f->steps++ == f->cut) {
        flash_lose_power(f);
        return 1;
    }
    memcpy(f->safe, f->bytes, f->storage.bytes);
    flash_forget_waiting(f);
    return 0;
}

/* The same bytes with the power on; the next cut is `cut` steps away. */
static inline void flash_start(struct flash *f, long cut, size_t torn_bytes)
{
    flash_forget_waiting(f);
    memcpy(f->safe, f->bytes, f->storage.bytes);
    memset(f->erased, 0, f->storage.bytes / 256);
    f->steps = 0;
    f->cut = cut;
    f->torn_bytes = torn_bytes;
    f->off = false;
}

static inline struct flash *flash_create(uint64_t n_bytes, uint32_t erase_bytes)
{
    struct flash *f = calloc(1, sizeof *f);

    f->storage = (struct hadm_storage){
        f, n_bytes, erase_bytes, flash_read, flash_write, flash_erase, flash_flush};
    f->bytes = malloc(n_bytes);
    f->safe = malloc(n_bytes);
    f->erased = calloc(1, n_bytes / 256);
    f->random = random_seeded(1);
    memset(f->bytes, 0xff, n_bytes);
    flash_start(f, -1, 0);
    return f;
}

static inline void flash_destroy(struct flash *f)
{
    flash_forget_waiting(f);
    free(f->bytes);
    free(f->safe);
    free(f->erased);
    free(f);
}

#endif /* HADMC_TESTS_UPDATE_WORK_H */
