/* SPDX-License-Identifier: Apache-2.0 */
/* Mutates protobuf messages field by field, so that lengths stay right and mutations
 * reach deep fields: one field somewhere in the tree is changed, doubled or dropped. */
#ifndef HADMC_TESTS_FUZZ_PROTO_MUTATE_H
#define HADMC_TESTS_FUZZ_PROTO_MUTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "support/text.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

struct proto_field {
    const uint8_t *at, *payload; /* the whole field; what follows key and length */
    size_t n, n_payload;
    unsigned key, wire;
};

static inline bool proto_varint(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
    *out = 0;
    for (int shift = 0; *at < end && shift < 64; shift += 7) {
        const uint8_t byte = *(*at)++;

        *out |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return true;
    }
    return false;
}

static inline bool proto_next(const uint8_t **at, const uint8_t *end, struct proto_field *f)
{
    const uint8_t *start = *at;
    uint64_t key, n;

    if (!proto_varint(at, end, &key) || key >> 3 == 0 || key > 1 << 10)
        return false;
    f->key = (unsigned)key;
    f->wire = key & 7;
    f->payload = *at;
    if (f->wire == 2) {
        if (!proto_varint(at, end, &n) || n > (uint64_t)(end - *at))
            return false;
        f->payload = *at;
        *at += n;
    } else if (f->wire == 0) {
        if (!proto_varint(at, end, &n))
            return false;
    } else if (f->wire == 1 || f->wire == 5) {
        n = f->wire == 1 ? 8 : 4;
        if (n > (uint64_t)(end - *at))
            return false;
        *at += n;
    } else {
        return false;
    }
    f->at = start;
    f->n = (size_t)(*at - start);
    f->n_payload = (size_t)(*at - f->payload);
    return true;
}

/* Number of fields; -1 when the bytes are no message. */
static inline int proto_count(const uint8_t *bytes, size_t n)
{
    const uint8_t *at = bytes;
    struct proto_field f;
    int count = 0;

    while (at < bytes + n) {
        if (!proto_next(&at, bytes + n, &f))
            return -1;
        count++;
    }
    return count;
}

static inline uint32_t proto_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static inline void proto_put_varint(struct text *out, uint64_t value)
{
    for (; value > 127; value >>= 7)
        text_append(out, &(uint8_t){(uint8_t)(value | 128)}, 1);
    text_append(out, &(uint8_t){(uint8_t)value}, 1);
}

static inline void proto_mutate(const uint8_t *bytes, size_t n, uint32_t *state, int depth,
                                struct text *out);

/* The payload changed, in a field of the right length. */
static inline void proto_change(const struct proto_field *f, uint32_t *state, int depth,
                                struct text *out)
{
    static const int64_t values[] = {0, 1, 2, -1, 7, 127, 1000, INT32_MAX, INT64_MIN};
    const size_t room = f->n_payload + 64;
    struct text inner = {0};
    uint8_t buffer[4096];

    proto_put_varint(out, f->key);
    if (f->wire == 0) {
        proto_put_varint(out, (uint64_t)values[proto_random(state) % 9]);
        return;
    }
    if (f->wire == 2 && depth < 40 && f->n_payload && proto_random(state) % 8
        && proto_count(f->payload, f->n_payload) > 0) {
        proto_mutate(f->payload, f->n_payload, state, depth + 1, &inner);
    } else if (room <= sizeof buffer) {
        memcpy(buffer, f->payload, f->n_payload);
        const size_t size = f->wire == 2
                              ? LLVMFuzzerMutate(buffer, f->n_payload, room)
                              : LLVMFuzzerMutate(buffer, f->n_payload, f->n_payload);

        text_append(&inner, buffer, f->wire == 2 ? size : f->n_payload);
    } else {
        text_append(&inner, f->payload, f->n_payload);
    }
    if (f->wire == 2)
        proto_put_varint(out, inner.len);
    text_append(out, inner.bytes, inner.len);
    text_free(&inner);
}

static inline void proto_mutate(const uint8_t *bytes, size_t n, uint32_t *state, int depth,
                                struct text *out)
{
    const int count = proto_count(bytes, n);
    const int chosen = count > 0 ? (int)(proto_random(state) % (unsigned)count) : -1;
    const uint32_t what = proto_random(state) % 10;
    const uint8_t *at = bytes;
    struct proto_field f;

    for (int i = 0; i < count && proto_next(&at, bytes + n, &f); i++) {
        if (i != chosen || what == 0) /* kept, or (0) doubled below */
            text_append(out, f.at, f.n);
        if (i != chosen || what == 1) /* 1: dropped */
            continue;
        proto_change(&f, state, depth, out);
    }
}

#endif /* HADMC_TESTS_FUZZ_PROTO_MUTATE_H */
