/* SPDX-License-Identifier: Apache-2.0 */
/* Reader of patches: see patch.h.  Everything after the header hangs on a chain of
 * hashes: the header names the first record's, every record the next one's. */
#include "runtime/patch.h"

#include "runtime/mem.h"
#include "runtime/sha256.h"

/* ---- the header --------------------------------------------------------------------
 */

/* Positions of the fields. */
enum {
    AT_MAJOR = 4,
    AT_MINOR = 6,
    AT_STRATEGY = 8,
    AT_IS_SIGNED = 9,
    AT_ZEROS = 10,
    AT_NUMBER = 16,
    AT_BASE_BYTES = 24,
    AT_NEW_BYTES = 32,
    AT_N_BLOCKS = 40,
    AT_SHIFT = 48,
    AT_MORE_ZEROS = 56,
    AT_STRUCTURE_HASH = 64,
    AT_BASE_SHA256 = 96,
    AT_BASE_ROOT = 128,
    AT_NEW_SHA256 = 160,
    AT_NEW_ROOT = 192,
    AT_FIRST = 224,
    AT_SIGNATURE = 256,
    AT_CHECKSUM = 320,
};
_Static_assert((int)AT_SIGNATURE == (int)HADM_PATCH_SIGNED_BYTES
                   && AT_CHECKSUM + 32 == (int)HADM_PATCH_HEADER_BYTES,
               "layout of the header");

#define MAX_BYTES (((uint64_t)1 << 44) - HADM_PATCH_BLOCK)

static uint32_t get_u32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get_u64(const uint8_t *p)
{
    return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

static int all_zero(const uint8_t *p, size_t n)
{
    unsigned any = 0;

    for (size_t i = 0; i < n; i++)
        any |= p[i];
    return any == 0;
}

static uint64_t count_blocks(uint64_t n_bytes)
{
    return (n_bytes + HADM_PATCH_BLOCK - 1) / HADM_PATCH_BLOCK;
}

uint32_t hadm_patch_block_bytes(uint64_t n_bytes, uint64_t block)
{
    const uint64_t rest = n_bytes - block * HADM_PATCH_BLOCK;

    return rest < HADM_PATCH_BLOCK ? (uint32_t)rest : HADM_PATCH_BLOCK;
}

/* |shift| < 2^32 and block < 2^32, so that the sum cannot overflow. */
int hadm_patch_in_base(const struct hadm_patch *p, uint64_t block)
{
    const int64_t from = (int64_t)block + p->shift;

    return from >= 0
           && (uint64_t)from * HADM_PATCH_BLOCK
                      + hadm_patch_block_bytes(p->new_bytes, block)
                  <= p->base_bytes;
}

static int fields_agree(const struct hadm_patch *p)
{
    const uint64_t n_blocks = count_blocks(p->new_bytes);
    const int has_base = p->base_bytes != 0;

    return p->new_bytes > 0 && p->new_bytes <= MAX_BYTES && p->base_bytes <= MAX_BYTES
           && p->n_blocks <= n_blocks && p->shift >= -(int64_t)count_blocks(MAX_BYTES)
           && p->shift <= (int64_t)count_blocks(MAX_BYTES)
           && has_base == (p->strategy != HADM_PATCH_FULL)
           && (has_base || (p->n_blocks == n_blocks && p->shift == 0))
           && all_zero(p->base_sha256, 32) == !has_base
           && all_zero(p->base_root, 32) == !has_base
           && all_zero(p->first, 32) == (p->n_blocks == 0)
           && (p->is_signed || all_zero(p->signature, 64));
}

static int begins_like_a_patch(const uint8_t *bytes)
{
    return bytes[0] == 'H' && bytes[1] == 'A' && bytes[2] == 'D' && bytes[3] == 'U';
}

static int hash_is(const uint8_t *bytes, size_t n_bytes, const uint8_t expected[32])
{
    uint8_t digest[32];
    struct sha256 sha;

    sha256_begin(&sha);
    sha256_add(&sha, bytes, n_bytes);
    sha256_end(&sha, digest);
    return sha256_same(digest, expected);
}

enum hadm_update_status hadm_patch_parse(const uint8_t bytes[HADM_PATCH_HEADER_BYTES],
                                         struct hadm_patch *out)
{
    if (!begins_like_a_patch(bytes))
        return HADM_UPDATE_NOT_A_PATCH;
    if ((bytes[AT_MAJOR] | bytes[AT_MAJOR + 1] << 8) != HADM_PATCH_MAJOR)
        return HADM_UPDATE_OTHER_FORMAT;
    if (!hash_is(bytes, AT_CHECKSUM, bytes + AT_CHECKSUM) || bytes[AT_IS_SIGNED] > 1
        || bytes[AT_STRATEGY] >= HADM_PATCH_STRATEGIES || !all_zero(bytes + AT_ZEROS, 6)
        || !all_zero(bytes + AT_MORE_ZEROS, 8))
        return HADM_UPDATE_DAMAGED;
    out->format_minor = (uint32_t)(bytes[AT_MINOR] | bytes[AT_MINOR + 1] << 8);
    out->strategy = (enum hadm_patch_strategy)bytes[AT_STRATEGY];
    out->is_signed = bytes[AT_IS_SIGNED];
    out->number = get_u64(bytes + AT_NUMBER);
    out->base_bytes = get_u64(bytes + AT_BASE_BYTES);
    out->new_bytes = get_u64(bytes + AT_NEW_BYTES);
    out->n_blocks = get_u64(bytes + AT_N_BLOCKS);
    out->shift = (int64_t)get_u64(bytes + AT_SHIFT);
    memcpy(out->structure_hash, bytes + AT_STRUCTURE_HASH, 32);
    memcpy(out->base_sha256, bytes + AT_BASE_SHA256, 32);
    memcpy(out->base_root, bytes + AT_BASE_ROOT, 32);
    memcpy(out->new_sha256, bytes + AT_NEW_SHA256, 32);
    memcpy(out->new_root, bytes + AT_NEW_ROOT, 32);
    memcpy(out->first, bytes + AT_FIRST, 32);
    memcpy(out->signature, bytes + AT_SIGNATURE, 64);
    return fields_agree(out) ? HADM_UPDATE_OK : HADM_UPDATE_DAMAGED;
}

/* ---- the stream --------------------------------------------------------------------
 */

void hadm_patch_begin(struct hadm_patch_reader *r)
{
    r->status = HADM_UPDATE_OK;
    r->n_seen = 0;
    r->next = 0;
    r->held = 0;
    r->has_header = 0;
    r->data = r->buffer + HADM_PATCH_RECORD_BYTES;
}

static enum hadm_patch_event fail(struct hadm_patch_reader *r,
                                  enum hadm_update_status why)
{
    r->status = why;
    return HADM_PATCH_MORE;
}

/* 1 when the buffer holds `wanted` bytes. */
static int take(struct hadm_patch_reader *r, const uint8_t **bytes, size_t *n_bytes,
                uint32_t wanted)
{
    const size_t missing = wanted - r->held;
    const size_t n = *n_bytes < missing ? *n_bytes : missing;

    if (n)
        memcpy(r->buffer + r->held, *bytes, n);
    r->held += (uint32_t)n;
    *bytes += n;
    *n_bytes -= n;
    return r->held == wanted;
}

/* The number of the block whose record begins in the buffer: room is left for all that
 * are still to come. */
static int begin_block(struct hadm_patch_reader *r)
{
    const struct hadm_patch *p = &r->header;
    const uint64_t block = get_u32(r->buffer), to_come = p->n_blocks - r->n_seen;

    if (block < r->next || block > count_blocks(p->new_bytes) - to_come)
        return 0;
    r->block = block;
    r->data_bytes = hadm_patch_block_bytes(p->new_bytes, block);
    return 1;
}

/* Blocks that are left out must be in the base; how many is what counts, since they are
 * one range: base blocks from i + shift on. */
static int gap_is_in_base(const struct hadm_patch *p, uint64_t begin, uint64_t end)
{
    return begin >= end
           || (hadm_patch_in_base(p, begin) && hadm_patch_in_base(p, end - 1));
}

static int end_block(struct hadm_patch_reader *r)
{
    const struct hadm_patch *p = &r->header;

    if (!hash_is(r->buffer, r->held, r->expected)
        || !gap_is_in_base(p, r->next, r->block))
        return 0;
    memcpy(r->expected, r->buffer + 4, 32);
    r->n_seen++;
    r->next = r->block + 1;
    r->held = 0;
    if (r->n_seen < p->n_blocks)
        return 1;
    return all_zero(r->expected, 32)
           && gap_is_in_base(p, r->next, count_blocks(p->new_bytes));
}

static enum hadm_patch_event next_header(struct hadm_patch_reader *r,
                                         const uint8_t **bytes, size_t *n_bytes)
{
    struct hadm_patch *p = &r->header;

    const int is_whole = take(r, bytes, n_bytes, HADM_PATCH_HEADER_BYTES);

    if (r->held >= 4 && !begins_like_a_patch(r->buffer))
        return fail(r, HADM_UPDATE_NOT_A_PATCH);
    if (!is_whole)
        return HADM_PATCH_MORE;

    const enum hadm_update_status status = hadm_patch_parse(r->buffer, p);

    if (status)
        return fail(r, status);
    if (p->n_blocks == 0 && !gap_is_in_base(p, 0, count_blocks(p->new_bytes)))
        return fail(r, HADM_UPDATE_DAMAGED);
    memcpy(r->expected, p->first, 32);
    r->has_header = 1;
    r->held = 0;
    return HADM_PATCH_HAS_HEADER;
}

enum hadm_patch_event hadm_patch_next(struct hadm_patch_reader *r,
                                      const uint8_t **bytes, size_t *n_bytes)
{
    if (r->status)
        return HADM_PATCH_MORE;
    if (!r->has_header)
        return next_header(r, bytes, n_bytes);
    if (r->n_seen == r->header.n_blocks)
        return *n_bytes ? fail(r, HADM_UPDATE_DAMAGED) : HADM_PATCH_MORE;
    if (r->held < HADM_PATCH_RECORD_BYTES
        && !take(r, bytes, n_bytes, HADM_PATCH_RECORD_BYTES))
        return HADM_PATCH_MORE;
    if (!begin_block(r))
        return fail(r, HADM_UPDATE_DAMAGED);
    if (!take(r, bytes, n_bytes, HADM_PATCH_RECORD_BYTES + r->data_bytes))
        return HADM_PATCH_MORE;
    return end_block(r) ? HADM_PATCH_HAS_BLOCK : fail(r, HADM_UPDATE_DAMAGED);
}

enum hadm_update_status hadm_patch_end(const struct hadm_patch_reader *r)
{
    if (r->status)
        return r->status;
    return r->has_header && r->n_seen == r->header.n_blocks ? HADM_UPDATE_OK
                                                            : HADM_UPDATE_DAMAGED;
}
