/* SPDX-License-Identifier: Apache-2.0 */
/* Which layers an incremental update renews: see layer_choice.h. */
#include "update/layer_choice.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/sha256.h"

/* ---- how much a tensor changed -----------------------------------------------------
 */

static float f32_at(const uint8_t *bytes, uint64_t i)
{
    float x;

    memcpy(&x, bytes + 4 * i, 4);
    return x;
}

/* Bytes or integers that are read as float32 soon show an exponent no weight has. */
static bool looks_like_f32(const uint8_t *bytes, uint64_t n_bytes)
{
    for (uint64_t i = 0; i < n_bytes / 4; i++) {
        const float x = fabsf(f32_at(bytes, i));

        if (!(x == 0 || (x > 1e-30f && x < 1e30f)))
            return false;
    }
    return n_bytes % 4 == 0;
}

/* Sums of squares: of the differences, and of the old numbers. */
struct movement {
    double moved, size;
};

static struct movement movement_f32(const uint8_t *old, const uint8_t *fresh,
                                    uint64_t n)
{
    struct movement m = {0, 0};

    for (uint64_t i = 0; i < n; i++) {
        const double x = (double)f32_at(old, i), d = (double)f32_at(fresh, i) - x;

        m.moved += d * d;
        m.size += x * x;
    }
    return m;
}

static struct movement movement_i32(const uint8_t *old, const uint8_t *fresh,
                                    uint64_t n)
{
    struct movement m = {0, 0};

    for (uint64_t i = 0; i < n; i++) {
        int32_t x, y;

        memcpy(&x, old + 4 * i, 4);
        memcpy(&y, fresh + 4 * i, 4);
        m.moved += ((double)y - x) * ((double)y - x);
        m.size += (double)x * x;
    }
    return m;
}

/* Codes are stored as they are or with 128 added, by processor.  Differences modulo 256
 * are the same; as sizes, those are right that are smaller, since weights lie around 0.
 */
static struct movement movement_i8(const uint8_t *old, const uint8_t *fresh, uint64_t n)
{
    double moved = 0, plain = 0, lifted = 0;

    for (uint64_t i = 0; i < n; i++) {
        const int d = (int8_t)(uint8_t)(fresh[i] - old[i]);
        const int x = (int8_t)old[i], y = old[i] - 128;

        moved += (double)(d * d);
        plain += (double)(x * x);
        lifted += (double)(y * y);
    }
    return (struct movement){moved, plain < lifted ? plain : lifted};
}

/* |new - old| / |old|; against nothing, any change counts as 1. */
static double relative_change(const struct weights_tensor *t, const uint8_t *old,
                              const uint8_t *fresh)
{
    const bool packed_f32 = t->dtype == 0 && looks_like_f32(old, t->bytes)
                            && looks_like_f32(fresh, t->bytes);
    struct movement m;

    if (memcmp(old, fresh, t->bytes) == 0)
        return 0;
    if (t->dtype == dtype_info[DT_f32].onnx || packed_f32)
        m = movement_f32(old, fresh, t->bytes / 4);
    else if (t->dtype == dtype_info[DT_i32].onnx)
        m = movement_i32(old, fresh, t->bytes / 4);
    else
        m = movement_i8(old, fresh, t->bytes);
    return m.size > 0 && isfinite(m.moved / m.size) ? sqrt(m.moved / m.size) : 1;
}

/* ---- tensors to layers --------------------------------------------------- */

static struct status *check_places(const struct weights_file *base,
                                   const struct weights_file *fresh)
{
    const struct weights_header *b = &base->header, *f = &fresh->header;

    if (b->n_tensors != f->n_tensors || b->payload_bytes != f->payload_bytes)
        return FAIL(INVALID, "'%s' and '%s' do not hold the same tensors", base->path,
                    fresh->path);
    for (int i = 0; i < b->n_tensors; i++) {
        const struct weights_tensor *x = &b->tensors[i], *y = &f->tensors[i];

        if (x->offset != y->offset || x->bytes != y->bytes || x->dtype != y->dtype)
            return FAIL(INVALID,
                        "tensor '%s' of '%s' does not lie where '%s' of '%s' does",
                        y->name, fresh->path, x->name, base->path);
    }
    return OK;
}

/* The layer that an earlier tensor of the same step began; -1: none.  Models have up to
 * some thousand tensors, and those of a layer lie near each other: the search
 * backwards is short. */
static int layer_of(const struct weights_header *h, int tensor, const int *layer)
{
    if (h->tensors[tensor].layer)
        for (int k = tensor - 1; k >= 0; k--)
            if (h->tensors[k].layer == h->tensors[tensor].layer)
                return layer[k];
    return -1;
}

static void measure_layers(struct arena *a, const struct weights_file *base,
                           const struct weights_file *fresh, int *layer,
                           struct layer_choice *out)
{
    const struct weights_header *h = &fresh->header;
    uint64_t *largest = arena_new_array(a, uint64_t, h->n_tensors + 1);
    uint64_t *largest_changed = arena_new_array(a, uint64_t, h->n_tensors + 1);

    out->layers = arena_new_array(a, struct layer_change, h->n_tensors + 1);
    for (int i = 0; i < h->n_tensors; i++) {
        const struct weights_tensor *t = &h->tensors[i];
        const double change = relative_change(t, base->weights.payload + t->offset,
                                              fresh->weights.payload + t->offset);

        layer[i] = layer_of(h, i, layer);
        if (layer[i] < 0)
            layer[i] = out->n_layers++;

        struct layer_change *l = &out->layers[layer[i]];

        if (!l->name || t->bytes > largest[layer[i]]) {
            largest[layer[i]] = t->bytes;
            l->name = t->name;
        }
        if (change > 0 && t->bytes > largest_changed[layer[i]]) {
            largest_changed[layer[i]] = t->bytes;
            l->change = change;
        }
        l->bytes += t->bytes;
        out->total_bytes += t->bytes;
    }
}

/* ---- the choice ---------------------------------------------------------- */

static int compare_changes(const void *a, const void *b)
{
    const struct layer_change *x = *(struct layer_change *const *)a;
    const struct layer_change *y = *(struct layer_change *const *)b;

    if (x->change != y->change)
        return x->change < y->change ? 1 : -1;
    return (x > y) - (x < y);
}

static void choose_layers(struct arena *a, double ratio, struct layer_choice *out)
{
    struct layer_change **order =
        arena_new_array(a, struct layer_change *, out->n_layers + 1);
    const double room = ratio * (double)out->total_bytes;

    for (int i = 0; i < out->n_layers; i++)
        order[i] = &out->layers[i];
    qsort(order, (size_t)out->n_layers, sizeof *order, compare_changes);
    for (int i = 0; i < out->n_layers && order[i]->change > 0; i++) {
        order[i]->is_new = (double)(out->new_bytes + order[i]->bytes) <= room;
        if (order[i]->is_new)
            out->new_bytes += order[i]->bytes;
    }
}

/* ---- the file that results ----------------------------------------------- */

static void digest_payload(const uint8_t *payload, uint64_t n_bytes, uint8_t *digests)
{
    for (uint64_t at = 0; at < n_bytes; at += WEIGHTS_BLOCK_BYTES, digests += 32) {
        const uint64_t rest = n_bytes - at;
        struct sha256 sha;

        sha256_begin(&sha);
        sha256_add(&sha, payload + at,
                   rest < WEIGHTS_BLOCK_BYTES ? (size_t)rest : WEIGHTS_BLOCK_BYTES);
        sha256_end(&sha, digests);
    }
}

static struct status *merge(struct arena *a, const struct weights_file *base,
                            const struct weights_file *fresh, const int *layer,
                            struct layer_choice *out)
{
    struct weights_header h = fresh->header;
    uint8_t *file = arena_alloc(a, (size_t)(h.payload_offset + h.payload_bytes));
    uint8_t *payload = file + h.payload_offset;
    uint8_t *digests = arena_alloc_array(a, (size_t)h.n_digests + 1, 32);
    size_t header_bytes;

    memcpy(payload, base->weights.payload, (size_t)h.payload_bytes);
    for (int i = 0; i < h.n_tensors; i++)
        if (out->layers[layer[i]].is_new)
            memcpy(payload + h.tensors[i].offset,
                   fresh->weights.payload + h.tensors[i].offset,
                   (size_t)h.tensors[i].bytes);
    digest_payload(payload, h.payload_bytes, digests);
    h.digests = digests;

    uint8_t *header = weights_header_encode(&h, &header_bytes);

    if (!header || header_bytes >= h.payload_offset) {
        free(header);
        return FAIL(NO_FIT, "the header of the merged weights does not fit");
    }
    memcpy(file, header, header_bytes);
    free(header);
    return weights_file_open(
        a, fresh->path,
        (struct bytes){file, (size_t)(h.payload_offset + h.payload_bytes)},
        &out->result);
}

struct status *layer_choice_make(struct arena *a, const struct weights_file *base,
                                 const struct weights_file *fresh, double ratio,
                                 struct layer_choice *out)
{
    int *layer = arena_new_array(a, int, fresh->header.n_tensors + 1);

    *out = (struct layer_choice){0};
    RETURN_IF_FAIL(check_places(base, fresh));
    measure_layers(a, base, fresh, layer, out);
    choose_layers(a, ratio, out);
    return merge(a, base, fresh, layer, out);
}
