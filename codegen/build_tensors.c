/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors of a program under construction: one for every value that needs memory,
 * equal constants once, and the layout of the weights payload. */
#include <string.h>

#include "codegen/builder.h"

int build_new_tensor(struct builder *b, const struct ir_value *v, const char *name,
                     int64_t bytes)
{
    struct program *p = b->program;

    p->tensors = arena_grow(b->arena, p->tensors, sizeof *p->tensors, p->n_tensors,
                            &p->cap_tensors);
    p->tensors[p->n_tensors] = (struct ptensor){
        .value = v,
        .name = name,
        .bytes = bytes,
        .place = IN_WORKSPACE,
        .io_index = -1,
        .alias_of = -1,
        .first = -1,
        .last = -1,
    };
    return p->n_tensors++;
}

int program_root(const struct program *p, int tensor, int64_t *offset)
{
    int64_t at = 0;

    while (p->tensors[tensor].alias_of >= 0) {
        at += p->tensors[tensor].alias_offset;
        tensor = p->tensors[tensor].alias_of;
    }
    if (offset)
        *offset = at;
    return tensor;
}

int build_temp(struct builder *b, const char *name, int64_t bytes)
{
    return build_new_tensor(b, NULL, name, bytes);
}

static uint64_t hash_bytes(const void *data, int64_t n)
{
    const uint8_t *at = data;
    uint64_t h = 0xcbf29ce484222325u ^ (uint64_t)n;

    for (; n >= 8; n -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    for (; n > 0; n--)
        h = (h ^ *at++) * 0x100000001b3u;
    return h ^ h >> 32;
}

/* Equal contents are stored once: tied embeddings, repeated constants. */
int build_const(struct builder *b, const char *name, const void *data, int64_t bytes,
                int readable_after)
{
    struct program *p = b->program;
    int *bucket = &b->const_buckets[hash_bytes(data, bytes) % (uint64_t)b->n_buckets];

    for (int t = *bucket - 1; t >= 0; t = b->const_next[t] - 1) {
        struct ptensor *old = &p->tensors[t];

        if (old->bytes == bytes && memcmp(old->data, data, (size_t)bytes) == 0) {
            if (old->readable_after < readable_after)
                old->readable_after = readable_after;
            return t;
        }
    }
    const int t = build_new_tensor(b, NULL, name, bytes);

    p->tensors[t].place = IN_WEIGHTS;
    p->tensors[t].data = data;
    p->tensors[t].readable_after = readable_after;
    b->const_next = arena_grow(b->arena, b->const_next, sizeof *b->const_next, t,
                               &b->cap_const_next);
    b->const_next[t] = *bucket;
    *bucket = t + 1;
    return t;
}

/* Bodies of control operators make values after the tables were sized. */
void build_reserve(struct builder *b, int id)
{
    if (id < b->cap_values)
        return;
    int cap = b->cap_values;

    b->tensor_of = arena_grow(b->arena, b->tensor_of, sizeof(int), id, &cap);
    cap = b->cap_values;
    b->dims_of = arena_grow(b->arena, b->dims_of, sizeof(int), id, &cap);
    b->cap_values = cap;
}

int build_tensor(struct builder *b, const struct ir_value *v)
{
    build_reserve(b, v->id);
    if (b->tensor_of[v->id])
        return b->tensor_of[v->id] - 1;

    const int t = v->data ? build_const(b, v->name, v->data, ir_bytes(v), 0)
                          : build_new_tensor(b, v, v->name, ir_bytes(v));

    if (!b->program->tensors[t]
             .value) /* stored as in the model: says so in the weights */
        b->program->tensors[t].value = v;
    b->tensor_of[v->id] = t + 1;
    return t;
}

int build_dims(struct builder *b, const struct ir_value *v)
{
    build_reserve(b, v->id);
    if (!b->dims_of[v->id])
        b->dims_of[v->id] =
            1
            + build_new_tensor(b, NULL, arena_printf(b->arena, "%s.dims", v->name),
                               v->rank * (int64_t)sizeof(int64_t));
    return b->dims_of[v->id] - 1;
}

/* ---- payload ------------------------------------------------------------- */

static int64_t align_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

/* Large tensors start on a cache line; small ones would waste more than they win. */
static int64_t payload_alignment(const struct ptensor *t)
{
    return t->bytes >= 1024 ? 64 : t->bytes >= 128 ? 16 : 8;
}

static void place_weight(struct program *p, int tensor, int64_t *end)
{
    struct ptensor *t = &p->tensors[tensor];

    if (t->place != IN_WEIGHTS || t->first >= 0)
        return;
    t->first = 0;
    t->offset = align_up(p->payload_bytes, payload_alignment(t));
    p->payload_bytes = t->offset + t->bytes;
    if (*end < p->payload_bytes + t->readable_after)
        *end = p->payload_bytes + t->readable_after;
}

/* Weights lie in the order in which the steps read them. */
void build_payload(struct program *p)
{
    int64_t end = 0;

    for (int i = 0; i < p->n_steps; i++)
        for (int k = 0; k < p->steps[i].n_operands; k++)
            if (p->steps[i].operands[k].tensor >= 0)
                place_weight(p, program_root(p, p->steps[i].operands[k].tensor, NULL),
                             &end);
    p->payload_bytes = end;
}
