/* SPDX-License-Identifier: Apache-2.0 */
/* links: updating */
/* Patches and journals: whatever arrives, the reader gives on blocks that lie within
 * the new file, in rising order, and a device on which it is tried can start
 * afterwards, with its old weights unless the patch was right to the last byte.  Each
 * input runs as it is and with its hashes made right, so that the code behind them is
 * reached. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/sha256.h"
#include "runtime/update.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    SECTOR = 256,
    SLOT = 64 * SECTOR,
    AREA = 2 * SECTOR + 2 * SLOT,
    BASE_BYTES = 9000
};

/* ---- a patch's hashes made right ---------------------------------------------------
 */

static void hash(const uint8_t *bytes, size_t n, uint8_t out[32])
{
    struct sha256 sha;

    sha256_begin(&sha);
    sha256_add(&sha, bytes, n);
    sha256_end(&sha, out);
}

static uint64_t get_u64(const uint8_t *p)
{
    uint64_t x = 0;

    for (int i = 7; i >= 0; i--)
        x = x << 8 | p[i];
    return x;
}

/* Bytes of the record at `at`; 0 when it does not lie within the patch. */
static size_t record_bytes(const uint8_t *patch, size_t size, size_t at)
{
    const uint64_t new_bytes = get_u64(patch + 32);

    if (size - at < HADM_PATCH_RECORD_BYTES)
        return 0;

    const uint64_t block = get_u64(patch + at) & UINT32_MAX;
    const size_t n = HADM_PATCH_RECORD_BYTES
                     + (block < new_bytes / HADM_PATCH_BLOCK
                            ? HADM_PATCH_BLOCK
                            : (size_t)(new_bytes % HADM_PATCH_BLOCK));

    return n <= size - at ? n : 0;
}

/* Links the records from `at` on; the hash of the first, or zeros. */
static void seal_records(uint8_t *patch, size_t size, size_t at, uint8_t out[32])
{
    const size_t n = record_bytes(patch, size, at);

    memset(out, 0, 32);
    if (!n)
        return;
    seal_records(patch, size, at + n, patch + at + 4);
    hash(patch + at, n, out);
}

static void seal(uint8_t *patch, size_t size, const struct hadm_slot *base)
{
    if (size < HADM_PATCH_HEADER_BYTES)
        return;
    if (get_u64(patch + 24)) {
        for (int i = 0; i < 8; i++)
            patch[24 + i] = (uint8_t)((uint64_t)BASE_BYTES >> 8 * i);
        memcpy(patch + 96, base->sha256, 32);
        memcpy(patch + 128, base->root, 32);
    }
    seal_records(patch, size, HADM_PATCH_HEADER_BYTES, patch + 224);
    hash(patch, HADM_PATCH_HEADER_BYTES - 32, patch + HADM_PATCH_HEADER_BYTES - 32);
}

/* ---- a device ------------------------------------------------------------ */

static uint8_t area[AREA];

static void check_range(uint64_t at, uint64_t n)
{
    if (at > AREA || n > AREA - at)
        abort();
}

static int area_read(void *context, uint64_t at, void *to, size_t n)
{
    (void)context;
    check_range(at, n);
    memcpy(to, area + at, n);
    return 0;
}

static int area_write(void *context, uint64_t at, const void *from, size_t n)
{
    (void)context;
    check_range(at, n);
    memcpy(area + at, from, n);
    return 0;
}

static int area_erase(void *context, uint64_t at, uint64_t n)
{
    (void)context;
    check_range(at, n);
    memset(area + at, 0xff, (size_t)n);
    return 0;
}

static int area_flush(void *context)
{
    (void)context;
    return 0;
}

static const struct hadm_storage storage = {
    NULL, AREA, SECTOR, area_read, area_write, area_erase, area_flush};

/* Slot 0 holds numbers behind the least header that has a structure hash: root table at
 * 20, its vtable at 8, the hash at 24. */
static void install(struct hadm_slots *s)
{
    static const uint8_t header[24] = {20, 0, 0, 0, 'H', 'A', 'D', 'M', 10, 0, 40, 0,
                                       0,  0, 0, 0, 4,   0,   0,   0,   12, 0, 0,  0};
    struct hadm_slots next;
    uint8_t *weights = area + 2 * SECTOR;

    memset(area, 0xff, sizeof area);
    for (size_t i = 0; i < BASE_BYTES; i++)
        weights[i] = (uint8_t)(i * 31 + i / 4096);
    memcpy(weights, header, sizeof header);
    hadm_slots_open(s, &storage);
    next = *s;
    next.active = 0;
    next.slot[0].bytes = BASE_BYTES;
    if (hadm_slots_hash(s, 0, &next.slot[0]) || hadm_slots_commit(s, &next))
        abort();
}

static void try_on_device(const uint8_t *patch, size_t size, size_t piece)
{
    static struct hadm_update update;
    static const struct hadm_update_options options = {.allow_downgrade = 1};
    struct hadm_slots s;

    install(&s);
    hadm_update_begin(&update, &s, &options);
    for (size_t at = 0; at < size; at += piece)
        hadm_update_add(&update, patch + at, size - at < piece ? size - at : piece);

    const int done = hadm_update_end(&update) == HADM_UPDATE_OK;

    if (hadm_slots_open(&s, &storage) || hadm_slots_check(&s, s.active)
        || s.active != done)
        abort();
}

/* ---- the reader ---------------------------------------------------------- */

static void read_patch(const uint8_t *patch, size_t size)
{
    static struct hadm_patch_reader r;
    const uint8_t *at = patch;
    uint64_t least = 0;
    size_t n = size;

    hadm_patch_begin(&r);
    while (n && r.status == HADM_UPDATE_OK)
        if (hadm_patch_next(&r, &at, &n) == HADM_PATCH_HAS_BLOCK) {
            if (r.block < least || r.block * HADM_PATCH_BLOCK >= r.header.new_bytes
                || r.data_bytes != hadm_patch_block_bytes(r.header.new_bytes, r.block))
                abort();
            for (; least < r.block; least++)
                if (!hadm_patch_in_base(&r.header, least))
                    abort();
            least = r.block + 1;
        }
    if (hadm_patch_end(&r) == HADM_UPDATE_OK && n)
        abort();
}

/* Any two records, with checksums made right: no slot reaches beyond the area, and
 * going back leads to a slot that is what its record says or nowhere. */
static void try_journal(const uint8_t *data, size_t size)
{
    struct hadm_slots s;

    if (size < 448)
        return;
    memset(area, 0xff, sizeof area);
    for (int sector = 0; sector < 2; sector++) {
        uint8_t *record = area + sector * SECTOR;

        memcpy(record, "HADJ\1\0\0\0", 8);
        memcpy(record + 8, data + 224 * sector, 216);
        memcpy(record + 16, (const uint8_t[8]){SLOT & 255, SLOT >> 8}, 8);
        hash(record, 224, record + 224);
    }
    if (hadm_slots_open(&s, &storage))
        return;
    hadm_slots_check(&s, 0);
    hadm_slots_check(&s, 1);
    if (hadm_slots_roll_back(&s) == HADM_UPDATE_OK && hadm_slots_check(&s, s.active))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hadm_slots s;
    uint8_t *copy = malloc(size + 1);
    const size_t piece = size ? 1 + data[size - 1] * 17u : 1;

    memcpy(copy, data, size);
    try_journal(data, size);
    read_patch(data, size);
    try_on_device(data, size, piece);
    install(&s);
    seal(copy, size, &s.slot[0]);
    read_patch(copy, size);
    try_on_device(copy, size, piece);
    free(copy);
    return 0;
}
