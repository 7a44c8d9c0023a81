/* SPDX-License-Identifier: Apache-2.0 */
/* Makes patches: see patch_maker.h.  Records are made from the last to the first,
 * because each holds the hash of the next. */
#include "update/patch_maker.h"

#include <string.h>

#include "runtime/merkle.h"
#include "runtime/sha256.h"

_Static_assert((int)HADM_PATCH_FULL == (int)STRATEGY_full
                   && (int)HADM_PATCH_INCREMENTAL == (int)STRATEGY_incremental
                   && (int)HADM_PATCH_HASH == (int)STRATEGY_hash,
               "a plan's words are the format's numbers");

static void put_u32(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> 8 * i);
}

static void put_u64(uint8_t *p, uint64_t value)
{
    put_u32(p, (uint32_t)value);
    put_u32(p + 4, (uint32_t)(value >> 32));
}

static void hash(const void *bytes, size_t n_bytes, uint8_t out[32])
{
    struct sha256 sha;

    sha256_begin(&sha);
    sha256_add(&sha, bytes, n_bytes);
    sha256_end(&sha, out);
}

static void hash_file(struct bytes file, uint8_t sha256[32], uint8_t root[32])
{
    struct merkle tree;

    hash(file.at, file.len, sha256);
    merkle_begin(&tree);
    merkle_add(&tree, file.at, file.len);
    merkle_end(&tree, root);
}

/* ---- which blocks -------------------------------------------------------------------
 */

static const uint8_t *block_at(struct bytes file, uint64_t block)
{
    return (const uint8_t *)file.at + block * HADM_PATCH_BLOCK;
}

static bool is_carried(const struct hadm_patch *p, struct bytes base,
                       struct bytes fresh, uint64_t block)
{
    if (!p->base_bytes || !hadm_patch_in_base(p, block))
        return true;
    return memcmp(block_at(fresh, block), block_at(base, block + (uint64_t)p->shift),
                  hadm_patch_block_bytes(p->new_bytes, block))
           != 0;
}

/* ---- the bytes ----------------------------------------------------------------------
 */

static void encode_header(const struct hadm_patch *p, const struct signing_key *key,
                          uint8_t *out)
{
    static const uint8_t start[8] = {'H', 'A', 'D', 'U', HADM_PATCH_MAJOR};

    memset(out, 0, HADM_PATCH_HEADER_BYTES);
    memcpy(out, start, sizeof start);
    out[8] = (uint8_t)p->strategy;
    out[9] = key != NULL;
    put_u64(out + 16, p->number);
    put_u64(out + 24, p->base_bytes);
    put_u64(out + 32, p->new_bytes);
    put_u64(out + 40, p->n_blocks);
    put_u64(out + 48, (uint64_t)p->shift);
    memcpy(out + 64, p->structure_hash, 32);
    memcpy(out + 96, p->base_sha256, 32);
    memcpy(out + 128, p->base_root, 32);
    memcpy(out + 160, p->new_sha256, 32);
    memcpy(out + 192, p->new_root, 32);
    memcpy(out + 224, p->first, 32);
    if (key)
        key_sign(key, out, HADM_PATCH_SIGNED_BYTES, out + HADM_PATCH_SIGNED_BYTES);
    hash(out, HADM_PATCH_HEADER_BYTES - 32, out + HADM_PATCH_HEADER_BYTES - 32);
}

/* Fills the patch from its end; leaves the hash of the first record in the header. */
static void encode_records(struct hadm_patch *p, struct bytes base, struct bytes fresh,
                           uint64_t n_blocks, uint8_t *end)
{
    uint8_t *at = end;

    memset(p->first, 0, sizeof p->first);
    for (uint64_t block = n_blocks; block-- > 0;) {
        if (!is_carried(p, base, fresh, block))
            continue;

        const uint32_t n = hadm_patch_block_bytes(p->new_bytes, block);

        at -= HADM_PATCH_RECORD_BYTES + n;
        put_u32(at, (uint32_t)block);
        memcpy(at + 4, p->first, 32);
        memcpy(at + HADM_PATCH_RECORD_BYTES, block_at(fresh, block), n);
        hash(at, HADM_PATCH_RECORD_BYTES + n, p->first);
    }
}

static void encode(struct arena *a, struct bytes base, struct bytes fresh,
                   const struct signing_key *key, struct patch_made *out)
{
    struct hadm_patch *p = &out->header;
    const uint64_t n_blocks = (p->new_bytes + HADM_PATCH_BLOCK - 1) / HADM_PATCH_BLOCK;
    size_t len = HADM_PATCH_HEADER_BYTES;

    for (uint64_t block = 0; block < n_blocks; block++)
        if (is_carried(p, base, fresh, block)) {
            p->n_blocks++;
            len +=
                HADM_PATCH_RECORD_BYTES + hadm_patch_block_bytes(p->new_bytes, block);
        }

    uint8_t *bytes = arena_alloc(a, len);

    encode_records(p, base, fresh, n_blocks, bytes + len);
    encode_header(p, key, bytes);
    memcpy(p->signature, bytes + HADM_PATCH_SIGNED_BYTES, sizeof p->signature);
    out->bytes = (struct bytes){bytes, len};
}

/* ----------------------------------------------------------------------------------------
 */

static struct status *check_structure(const struct weights_file *base,
                                      const struct weights_file *fresh)
{
    if (memcmp(base->weights.structure_hash, fresh->weights.structure_hash, 32) == 0)
        return OK;
    return FAIL(INVALID,
                "'%s' belongs to other code than '%s': their structure hashes differ,"
                " and the device would need the new code too",
                fresh->path, base->path);
}

struct status *patch_make(struct arena *a, const struct weights_file *base,
                          const struct weights_file *fresh,
                          const struct patch_options *o, struct patch_made *out)
{
    struct hadm_patch *p = &out->header;

    *out = (struct patch_made){0};
    if (base)
        RETURN_IF_FAIL(check_structure(base, fresh));
    if (o->strategy == STRATEGY_incremental) {
        RETURN_IF_FAIL(layer_choice_make(a, base, fresh, o->ratio, &out->choice));
        fresh = &out->choice.result;
    }
    p->strategy = (enum hadm_patch_strategy)o->strategy;
    p->number = o->number;
    p->is_signed = o->key != NULL;
    p->new_bytes = fresh->bytes.len;
    memcpy(p->structure_hash, fresh->weights.structure_hash, 32);
    hash_file(fresh->bytes, p->new_sha256, p->new_root);

    /* The payloads of both lie on pages, perhaps on different ones. */
    struct bytes from = {0};

    if (o->strategy != STRATEGY_full) {
        from = base->bytes;
        p->base_bytes = from.len;
        p->shift = ((int64_t)base->header.payload_offset
                    - (int64_t)fresh->header.payload_offset)
                   / HADM_PATCH_BLOCK;
        hash_file(from, p->base_sha256, p->base_root);
    }
    encode(a, from, fresh->bytes, o->key, out);
    return OK;
}
