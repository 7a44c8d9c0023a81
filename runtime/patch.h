/* SPDX-License-Identifier: Apache-2.0 */
/* Reader of patches: new weights as what differs from older ones.  Freestanding,
 * streaming, and complete: no byte is given on before its hash was right.  The format
 * is docs/update-format.md.
 *
 *     hadm_patch_begin(&reader);
 *     while (... bytes, n ...)
 *         while (n && reader.status == HADM_UPDATE_OK)
 *             switch (hadm_patch_next(&reader, &bytes, &n)) {
 *             case HADM_PATCH_HAS_HEADER:  reader.header
 *             case HADM_PATCH_HAS_BLOCK:   reader.block, reader.data, reader.data_bytes
 *             }
 *     hadm_patch_end(&reader)
 *
 * The reader holds one block: about 4.5 KiB.
 */
#ifndef HADMC_RUNTIME_PATCH_H
#define HADMC_RUNTIME_PATCH_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/update_status.h"

enum {
    HADM_PATCH_MAJOR = 1,
    HADM_PATCH_BLOCK = 4096,
    HADM_PATCH_SIGNED_BYTES = 256, /* what a signature covers     */
    HADM_PATCH_HEADER_BYTES = 352, /* with signature and checksum */
    HADM_PATCH_RECORD_BYTES = 36,  /* before a block's data       */
};

/* In the order of the plan's words (plan/plan_words.def). */
enum hadm_patch_strategy {
    HADM_PATCH_FULL,
    HADM_PATCH_INCREMENTAL,
    HADM_PATCH_HASH,
    HADM_PATCH_STRATEGIES
};

/* Block i of the new file is in the patch, or it is block i + shift of the base. */
struct hadm_patch {
    uint32_t format_minor;
    enum hadm_patch_strategy strategy;
    int is_signed;
    uint64_t number;     /* of this update; rises                                   */
    uint64_t base_bytes; /* of the base's file; 0: there is none                    */
    uint64_t new_bytes;  /* of the file that results; 1 to 2^44 - 4096              */
    uint64_t n_blocks;   /* in the patch                                            */
    int64_t shift;
    uint8_t structure_hash[32]; /* the code that the new weights belong to          */
    uint8_t base_sha256[32], base_root[32]; /* zeros without a base                 */
    uint8_t new_sha256[32], new_root[32];   /* of the file; of its blocks: merkle.h */
    uint8_t first[32];                      /* hash of the first record             */
    uint8_t signature[64];                  /* Ed25519; zeros when not signed       */
};

/* NOT_A_PATCH, OTHER_FORMAT, or DAMAGED when the fields cannot be right together. */
enum hadm_update_status hadm_patch_parse(const uint8_t bytes[HADM_PATCH_HEADER_BYTES],
                                         struct hadm_patch *out);

enum hadm_patch_event {
    HADM_PATCH_MORE,       /* give more bytes, or look at the status */
    HADM_PATCH_HAS_HEADER, /* once, first                            */
    HADM_PATCH_HAS_BLOCK,  /* n_blocks times, rising                 */
};

struct hadm_patch_reader {
    enum hadm_update_status status; /* the first thing that went wrong          */
    struct hadm_patch header;
    uint64_t block;      /* number of the block that was read                   */
    uint32_t data_bytes; /* of that block: 4096, fewer at the file's end        */
    uint64_t n_seen;     /* blocks so far                                       */
    uint64_t next;       /* least number that the next block may have           */
    uint32_t held;       /* bytes in buffer; header first, then one record each */
    int has_header;
    uint8_t expected[32];
    uint8_t buffer[HADM_PATCH_RECORD_BYTES + HADM_PATCH_BLOCK];
    uint8_t *data; /* of the block, in buffer */
};

void hadm_patch_begin(struct hadm_patch_reader *r);
/* Takes from *bytes what the next event needs.  After the last block every further byte
 * is DAMAGED. */
enum hadm_patch_event hadm_patch_next(struct hadm_patch_reader *r,
                                      const uint8_t **bytes, size_t *n_bytes);
/* DAMAGED when the patch ended early; otherwise the status. */
enum hadm_update_status hadm_patch_end(const struct hadm_patch_reader *r);

/* 1 when block i of the new file can come from the base. */
int hadm_patch_in_base(const struct hadm_patch *p, uint64_t block);
/* Bytes of block i of a file of n_bytes. */
uint32_t hadm_patch_block_bytes(uint64_t n_bytes, uint64_t block);

#endif /* HADMC_RUNTIME_PATCH_H */
