/* SPDX-License-Identifier: Apache-2.0 */
/* Reader of foo.weights: a FlatBuffer header (schema codegen/weights.fbs, file
 * identifier "HADM") and a raw payload that starts on a page.  Every offset and
 * length is checked against the buffer before it is followed; docs/weights-format.md
 * is the byte-level specification.  Freestanding. */
#ifndef HADMC_RUNTIME_WEIGHTS_READER_H
#define HADMC_RUNTIME_WEIGHTS_READER_H

#include <stddef.h>
#include <stdint.h>

#ifndef HADM_API
#define HADM_API
#endif

enum { HADM_WEIGHTS_MAJOR = 1, HADM_WEIGHTS_BLOCK = 4096 };

struct hadm_weights {
    uint32_t format_major, format_minor;
    const uint8_t *structure_hash; /* 32 bytes */
    const uint8_t *payload;
    uint64_t payload_bytes;
    const uint8_t *digests;        /* SHA-256 of each 4 KiB block of the payload  */
    uint64_t n_digests;
    const uint8_t *header;         /* the FlatBuffer, for tools that print more   */
    uint64_t header_bytes;         /* up to the payload                           */
};

/* 1 when `bytes` is a structurally sound weights file, 0 otherwise.  `bytes` may
 * have any alignment, and more may follow the payload (a flash partition). */
HADM_API int hadm_weights_read(struct hadm_weights *out, const void *bytes, size_t len);
/* 1 when every block matches its digest. */
HADM_API int hadm_weights_check_payload(const struct hadm_weights *w);

#endif /* HADMC_RUNTIME_WEIGHTS_READER_H */
