/* SPDX-License-Identifier: Apache-2.0 */
/* What samples are, in 32 bytes: so that results are not taken for those of other data,
 * and samples that a network learned from not for new ones.
 *
 * What a model sees is hashed, not what files hold: preprocessing counts, and the order
 * of an archive does not.  A sample costs one reading and, at 0.2 to 0.5 GB/s, its
 * hash: an epoch of training takes many times as long. */
#include <stdlib.h>
#include <string.h>

#include "frontend/dataset.h"
#include "runtime/sha256.h"

static struct status *add_inputs(struct sha256 *h, const struct dataset *d, int64_t i,
                                 void *room)
{
    for (int k = 0; k < d->n_inputs; k++) {
        RETURN_IF_FAIL(dataset_read(d, i, k, room));
        sha256_add(h, room, (size_t)dataset_bytes(d, k));
    }
    return OK;
}

static void add_boxes(struct sha256 *h, const struct dataset *d, int64_t i)
{
    const struct dataset_box *box = NULL;
    const int64_t n = dataset_boxes(d, i, &box);

    sha256_add(h, &n, sizeof n);
    for (int64_t k = 0; k < n; k++) {
        const float corners[] = {box[k].x0, box[k].y0, box[k].x1, box[k].y1};

        sha256_add(h, &box[k].class_id, sizeof box[k].class_id);
        sha256_add(h, corners, sizeof corners);
    }
}

static struct status *add_answers(struct sha256 *h, const struct dataset *d, int64_t i,
                                  void *room)
{
    const int64_t label = dataset_label(d, i);

    sha256_add(h, &label, sizeof label);
    add_boxes(h, d, i);
    if (d->task != DATASET_LANGUAGE)
        return OK;
    RETURN_IF_FAIL(dataset_targets(d, i, room));
    sha256_add(h, room,
               (size_t)(dataset_bytes(d, 0) / dtype_info[d->input[0].dtype].bytes)
                   * sizeof(int64_t));
    return OK;
}

/* What a detector's outputs are worth depends on it. */
static void add_decoder(struct sha256 *h, const struct dataset_decoder *c)
{
    struct text t = {0};

    text_printf(&t, "%d %a %a %lld ", c->kind, c->score_threshold, c->nms_iou,
                (long long)c->max_boxes);
    text_printf(&t, "%s %lld %lld %lld %a %a %d %d ", c->output ? c->output : "",
                (long long)c->objectness, (long long)c->box, (long long)c->classes,
                c->objectness_power, c->class_power, c->offset, c->size);
    text_printf(&t, "%s %s %d %lld %a %a", c->boxes ? c->boxes : "",
                c->scores ? c->scores : "", c->format, (long long)c->background,
                c->unit_x, c->unit_y);
    sha256_add(h, t.bytes, t.len);
    text_free(&t);
}

/* Of the largest input, or of a target for each of its elements. */
static size_t room_for(const struct dataset *d)
{
    int64_t most = 0;

    for (int k = 0; k < d->n_inputs; k++)
        if (dataset_bytes(d, k) > most)
            most = dataset_bytes(d, k);
    return (size_t)most * sizeof(int64_t);
}

struct status *dataset_digest(const struct dataset *d, int64_t n, const int64_t *at,
                              uint8_t out[32])
{
    void *room = malloc(room_for(d));
    struct status *s = room ? OK : FAIL(NO_FIT, "out of memory");
    struct sha256 h;

    sha256_begin(&h);
    add_decoder(&h, &d->decoder);
    for (int64_t i = 0; i < n && !s; i++) {
        s = add_inputs(&h, d, at[i], room);
        if (!s)
            s = add_answers(&h, d, at[i], room);
    }
    sha256_end(&h, out);
    free(room);
    return s;
}

/* ---- the same sample twice ------------------------------------------------------- */

struct hash {
    uint8_t byte[32];
};

static int by_hash(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct hash));
}

static struct status *hash_inputs(const struct dataset *d, int64_t i, void *room,
                                  struct hash *out)
{
    struct sha256 h;

    sha256_begin(&h);
    RETURN_IF_FAIL(add_inputs(&h, d, i, room));
    sha256_end(&h, out->byte);
    return OK;
}

static struct status *leave_out(const struct dataset *d, const struct hash *known,
                                int64_t n_known, void *room, int64_t *n, int64_t *at)
{
    const int64_t all = *n;
    struct hash one;

    *n = 0;
    for (int64_t i = 0; i < all; i++) {
        RETURN_IF_FAIL(hash_inputs(d, at[i], room, &one));
        if (!bsearch(&one, known, (size_t)n_known, sizeof one, by_hash))
            at[(*n)++] = at[i];
    }
    return OK;
}

struct status *dataset_without(const struct dataset *d, const struct dataset *other,
                               int64_t n_other, const int64_t *at_other, int64_t *n,
                               int64_t *at)
{
    struct hash *known = malloc((size_t)(n_other + 1) * sizeof *known);
    const size_t x = room_for(d), y = room_for(other);
    void *room = malloc(x > y ? x : y);
    struct status *s = known && room ? OK : FAIL(NO_FIT, "out of memory");

    for (int64_t i = 0; i < n_other && !s; i++)
        s = hash_inputs(other, at_other[i], room, &known[i]);
    if (!s) {
        qsort(known, (size_t)n_other, sizeof *known, by_hash);
        s = leave_out(d, known, n_other, room, n, at);
    }
    free(room);
    free(known);
    return s;
}
