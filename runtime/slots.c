/* SPDX-License-Identifier: Apache-2.0 */
/* Slots and journal: see slots.h. */
#include "runtime/slots.h"

#include "runtime/mem.h"
#include "runtime/merkle.h"

/* ---- records -----------------------------------------------------------------------
 */

/* Positions in a record; numbers are little-endian. */
enum {
    AT_MAGIC = 0, /* "HADJ", then u32 1 */
    AT_GENERATION = 8,
    AT_SLOT_BYTES = 16,
    AT_ACTIVE = 24,
    AT_HAS_PREVIOUS = 25,
    AT_SLOTS = 32, /* two of SLOT_FIELDS bytes: number, bytes, sha256, root */
    SLOT_FIELDS = 80,
    AT_CHECKSUM = 224, /* SHA-256 of what is in front of it */
    RECORD_BYTES = 256,
};
_Static_assert((int)RECORD_BYTES == (int)HADM_STORAGE_WRITE, "one record is one write");

static const uint8_t magic[8] = {'H', 'A', 'D', 'J', 1};

static void put_u64(uint8_t *p, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get_u64(const uint8_t *p)
{
    uint64_t value = 0;

    for (int i = 7; i >= 0; i--)
        value = value << 8 | p[i];
    return value;
}

static void checksum(const uint8_t *record, uint8_t out[32])
{
    struct sha256 sha;

    sha256_begin(&sha);
    sha256_add(&sha, record, AT_CHECKSUM);
    sha256_end(&sha, out);
}

static void record_encode(const struct hadm_slots *s, uint8_t out[RECORD_BYTES])
{
    memset(out, 0, RECORD_BYTES);
    memcpy(out + AT_MAGIC, magic, sizeof magic);
    put_u64(out + AT_GENERATION, s->generation);
    put_u64(out + AT_SLOT_BYTES, s->slot_bytes);
    out[AT_ACTIVE] = (uint8_t)s->active;
    out[AT_HAS_PREVIOUS] = (uint8_t)s->has_previous;
    for (int i = 0; i < 2; i++) {
        uint8_t *at = out + AT_SLOTS + i * SLOT_FIELDS;

        put_u64(at, s->slot[i].number);
        put_u64(at + 8, s->slot[i].bytes);
        memcpy(at + 16, s->slot[i].sha256, 32);
        memcpy(at + 48, s->slot[i].root, 32);
    }
    checksum(out, out + AT_CHECKSUM);
}

/* 1 when `bytes` are a record of an area like this one. */
static int record_decode(const uint8_t bytes[RECORD_BYTES], struct hadm_slots *s)
{
    uint8_t sum[32];
    unsigned difference = 0;

    checksum(bytes, sum);
    for (unsigned i = 0; i < sizeof magic; i++)
        difference |= (unsigned)(bytes[AT_MAGIC + i] ^ magic[i]);
    if (difference || !sha256_same(sum, bytes + AT_CHECKSUM) || bytes[AT_ACTIVE] > 1
        || bytes[AT_HAS_PREVIOUS] > 1
        || get_u64(bytes + AT_SLOT_BYTES) != s->slot_bytes)
        return 0;
    s->generation = get_u64(bytes + AT_GENERATION);
    s->active = bytes[AT_ACTIVE];
    s->has_previous = bytes[AT_HAS_PREVIOUS];
    for (int i = 0; i < 2; i++) {
        const uint8_t *at = bytes + AT_SLOTS + i * SLOT_FIELDS;

        s->slot[i].number = get_u64(at);
        s->slot[i].bytes = get_u64(at + 8);
        memcpy(s->slot[i].sha256, at + 16, 32);
        memcpy(s->slot[i].root, at + 48, 32);
        if (s->slot[i].bytes > s->slot_bytes)
            return 0;
    }
    return s->generation > 0;
}

/* ---- storage -----------------------------------------------------------------------
 */

/* Two journal sectors, then two equal slots of whole sectors. */
static uint64_t slot_bytes_of(const struct hadm_storage *storage)
{
    const uint64_t sector = storage->erase_bytes;

    if (sector < RECORD_BYTES || (sector & (sector - 1)) != 0
        || storage->bytes < 4 * sector)
        return 0;
    return (storage->bytes - 2 * sector) / 2 / sector * sector;
}

uint64_t hadm_slots_offset(const struct hadm_slots *s, int slot)
{
    return 2 * (uint64_t)s->storage->erase_bytes + (slot ? s->slot_bytes : 0);
}

enum hadm_update_status hadm_slots_open(struct hadm_slots *s,
                                        const struct hadm_storage *storage)
{
    memset(s, 0, sizeof *s);
    s->storage = storage;
    s->active = -1;
    s->slot_bytes = slot_bytes_of(storage);
    if (s->slot_bytes == 0)
        return HADM_UPDATE_BAD_STORAGE;
    for (int sector = 0; sector < 2; sector++) {
        struct hadm_slots found = *s;
        uint8_t record[RECORD_BYTES];

        if (storage->read(storage->context, (uint64_t)sector * storage->erase_bytes,
                          record, sizeof record))
            return HADM_UPDATE_IO;
        if (record_decode(record, &found) && found.generation > s->generation) {
            found.sector = sector;
            *s = found;
        }
    }
    return s->active < 0 ? HADM_UPDATE_NO_WEIGHTS : HADM_UPDATE_OK;
}

enum hadm_update_status hadm_slots_commit(struct hadm_slots *s,
                                          const struct hadm_slots *next)
{
    const struct hadm_storage *storage = s->storage;
    struct hadm_slots made = *next;
    uint8_t record[RECORD_BYTES], back[RECORD_BYTES];

    made.generation = s->generation + 1;
    made.sector = s->generation ? !s->sector : 0;
    record_encode(&made, record);

    const uint64_t at = (uint64_t)made.sector * storage->erase_bytes;

    if (storage->erase(storage->context, at, storage->erase_bytes)
        || storage->write(storage->context, at, record, sizeof record)
        || storage->flush(storage->context)
        || storage->read(storage->context, at, back, sizeof back))
        return HADM_UPDATE_IO;
    for (unsigned i = 0; i < sizeof record; i++)
        if (back[i] != record[i])
            return HADM_UPDATE_IO;
    *s = made;
    return HADM_UPDATE_OK;
}

/* ---- what lies in a slot ------------------------------------------------------------
 */

enum hadm_update_status hadm_slots_hash(const struct hadm_slots *s, int slot,
                                        struct hadm_slot *out)
{
    const struct hadm_storage *storage = s->storage;
    const uint64_t begin = hadm_slots_offset(s, slot);
    uint8_t chunk[512];
    struct sha256 sha;
    struct merkle tree;

    sha256_begin(&sha);
    merkle_begin(&tree);
    for (uint64_t at = 0; at < out->bytes; at += sizeof chunk) {
        const uint64_t rest = out->bytes - at;
        const size_t n = rest < sizeof chunk ? (size_t)rest : sizeof chunk;

        if (storage->read(storage->context, begin + at, chunk, n))
            return HADM_UPDATE_IO;
        sha256_add(&sha, chunk, n);
        merkle_add(&tree, chunk, n);
    }
    sha256_end(&sha, out->sha256);
    merkle_end(&tree, out->root);
    return HADM_UPDATE_OK;
}

enum hadm_update_status hadm_slots_check(const struct hadm_slots *s, int slot)
{
    const struct hadm_slot *expected = &s->slot[slot];
    struct hadm_slot found = *expected;
    const enum hadm_update_status status = hadm_slots_hash(s, slot, &found);

    if (status)
        return status;
    return sha256_same(found.root, expected->root)
                   && sha256_same(found.sha256, expected->sha256)
               ? HADM_UPDATE_OK
               : HADM_UPDATE_BAD_SLOT;
}

/* `n` little-endian bytes at `at` of the file, a number; 0 when they are not there. */
static int read_number(const struct hadm_slots *s, uint64_t begin, uint64_t bytes,
                       uint64_t at, unsigned n, uint32_t *out)
{
    uint8_t number[4];

    if (at > bytes || n > bytes - at
        || s->storage->read(s->storage->context, begin + at, number, n))
        return 0;
    *out = 0;
    for (unsigned i = n; i-- > 0;)
        *out = *out << 8 | number[i];
    return 1;
}

/* docs/weights-format.md: root table, its vtable, there field 2. */
enum hadm_update_status hadm_slots_structure(const struct hadm_slots *s, int slot,
                                             uint64_t bytes, uint8_t out[32])
{
    enum { VTABLE_ENTRY = 4 + 2 * 2 };
    const uint64_t begin = hadm_slots_offset(s, slot);
    uint32_t name, table, back, vtable_bytes, field;

    if (!read_number(s, begin, bytes, 4, 4, &name) || name != 0x4d444148 /* "HADM" */
        || !read_number(s, begin, bytes, 0, 4, &table)
        || !read_number(s, begin, bytes, table, 4, &back))
        return HADM_UPDATE_BAD_SLOT;

    const uint64_t vtable = table - (uint64_t)(int64_t)(int32_t)back;

    if (!read_number(s, begin, bytes, vtable, 2, &vtable_bytes)
        || vtable_bytes < VTABLE_ENTRY + 2
        || !read_number(s, begin, bytes, vtable + VTABLE_ENTRY, 2, &field) || field == 0
        || (uint64_t)table + field + 32 > bytes)
        return HADM_UPDATE_BAD_SLOT;
    if (s->storage->read(s->storage->context, begin + table + field, out, 32))
        return HADM_UPDATE_IO;
    return HADM_UPDATE_OK;
}

/* ---- going back --------------------------------------------------------------------
 */

enum hadm_update_status hadm_slots_roll_back(struct hadm_slots *s)
{
    struct hadm_slots next = *s;

    if (s->active < 0)
        return HADM_UPDATE_NO_WEIGHTS;
    if (!s->has_previous)
        return HADM_UPDATE_NO_PREVIOUS;
    next.active = !s->active;
    next.has_previous = 0;

    const enum hadm_update_status status = hadm_slots_check(s, next.active);

    return status ? status : hadm_slots_commit(s, &next);
}
