/* SPDX-License-Identifier: Apache-2.0 */
/* Writes foo.weights: header, then the payload straight from where the program's
 * tensors lie, never the whole of it in memory.  The digests stand in front of
 * what they digest, so the payload is walked twice: hashed, then written. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/codegen.h"
#include "codegen/weights_header.h"
#include "runtime/sha256.h"

/* ---- what the payload consists of ------------------------------------------------ */

static int compare_offsets(const void *a, const void *b)
{
    const struct ptensor *const *x = a, *const *y = b;

    return ((*x)->offset > (*y)->offset) - ((*x)->offset < (*y)->offset);
}

static bool is_stored(const struct ptensor *t)
{
    return t->place == IN_WEIGHTS && t->alias_of < 0 && t->data && t->bytes > 0
           && t->first >= 0; /* some step reads it */
}

/* The stored tensors by offset; they do not overlap. */
static struct status *stored_tensors(struct arena *a, const struct program *p, int *n,
                                     const struct ptensor ***out)
{
    const struct ptensor **list =
        arena_new_array(a, const struct ptensor *, p->n_tensors + 1);

    *n = 0;
    for (int i = 0; i < p->n_tensors; i++)
        if (is_stored(&p->tensors[i]))
            list[(*n)++] = &p->tensors[i];
    qsort(list, (size_t)*n, sizeof *list, compare_offsets);
    for (int i = 1; i < *n; i++)
        if (list[i]->offset < list[i - 1]->offset + list[i - 1]->bytes)
            return FAIL(INTERNAL, "weights '%s' and '%s' overlap", list[i - 1]->name,
                        list[i]->name);
    *out = list;
    return OK;
}

int64_t weights_payload_bytes(const struct program *p)
{
    int64_t end = p->payload_bytes;

    for (int i = 0; i < p->n_tensors; i++) {
        const struct ptensor *t = &p->tensors[i];

        if (is_stored(t) && t->offset + t->bytes + t->readable_after > end)
            end = t->offset + t->bytes + t->readable_after;
    }
    return (end + 63) & ~INT64_C(63);
}

/* ---- walking it ------------------------------------------------------------------ */

typedef bool sink_fn(void *sink, const void *bytes, size_t len);

static bool put_zeros(sink_fn *put, void *sink, int64_t n)
{
    static const uint8_t zeros[4096];

    for (; n > 0; n -= (int64_t)sizeof zeros)
        if (!put(sink, zeros, n < (int64_t)sizeof zeros ? (size_t)n : sizeof zeros))
            return false;
    return true;
}

static bool walk_payload(const struct ptensor *const *list, int n, int64_t total,
                         sink_fn *put, void *sink)
{
    int64_t at = 0;

    for (int i = 0; i < n; i++) {
        if (!put_zeros(put, sink, list[i]->offset - at)
            || !put(sink, list[i]->data, (size_t)list[i]->bytes))
            return false;
        at = list[i]->offset + list[i]->bytes;
    }
    return put_zeros(put, sink, total - at);
}

/* A sink that digests blocks of 4 KiB. */
struct digester {
    struct sha256 sha;
    size_t held;     /* bytes of the current block so far */
    uint8_t *digest; /* of the current block */
};

static bool digest_bytes(void *sink, const void *bytes, size_t len)
{
    struct digester *d = sink;
    const uint8_t *from = bytes;

    while (len) {
        const size_t room = WEIGHTS_BLOCK_BYTES - d->held;
        const size_t n = len < room ? len : room;

        if (d->held == 0)
            sha256_begin(&d->sha);
        sha256_add(&d->sha, from, n);
        d->held += n;
        from += n;
        len -= n;
        if (d->held == WEIGHTS_BLOCK_BYTES) {
            sha256_end(&d->sha, d->digest);
            d->digest += 32;
            d->held = 0;
        }
    }
    return true;
}

static bool write_bytes(void *sink, const void *bytes, size_t len)
{
    return fwrite(bytes, 1, len, sink) == len;
}

/* ---- the file -------------------------------------------------------------------- */

/* Per tensor of the program, 1 + the first step that reads any of its bytes; 0: none. */
static uint32_t *first_readers(struct arena *a, const struct program *p)
{
    uint32_t *first = arena_new_array(a, uint32_t, p->n_tensors + 1);

    for (int i = p->n_steps - 1; i >= 0; i--)
        for (int k = 0; k < p->steps[i].n_operands; k++) {
            const struct operand *o = &p->steps[i].operands[k];
            int64_t offset;

            if (o->tensor >= 0 && !o->written)
                first[program_root(p, o->tensor, &offset)] = (uint32_t)i + 1;
        }
    return first;
}

static void describe_tensors(struct arena *a, const struct program *p,
                             const struct ptensor *const *list, int n,
                             struct weights_header *h)
{
    const uint32_t *first = first_readers(a, p);

    h->n_tensors = n;
    h->tensors = arena_new_array(a, struct weights_tensor, n + 1);
    for (int i = 0; i < n; i++) {
        const struct ir_value *v = list[i]->value;
        const char *name = v ? v->name : list[i]->name;

        h->tensors[i] = (struct weights_tensor){
            .name = name ? name : "",
            .dtype = v ? dtype_info[v->dtype].onnx : 0,
            .rank = v ? v->rank : 0,
            .dim = v ? v->dim : NULL,
            .offset = (uint64_t)list[i]->offset,
            .bytes = (uint64_t)list[i]->bytes,
            .layer = first[list[i] - p->tensors],
        };
    }
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static void describe_origin(const struct weights_info *info, struct weights_header *h)
{
    h->format_major = WEIGHTS_FORMAT_MAJOR;
    h->format_minor = WEIGHTS_FORMAT_MINOR;
    h->structure_hash = info->structure_hash;
    h->tool = or_empty(info->tool_version);
    h->llvm = or_empty(info->llvm_version);
    h->target = or_empty(info->target);
    h->cpu = or_empty(info->cpu);
    h->options = or_empty(info->options);
    h->model = or_empty(info->model_name);
    h->model_sha256 = info->model_sha256;
    h->opset = info->opset;
    h->seed = info->seed;
}

/* Encoded twice: where the payload starts depends on the header's size, which does
 * not depend on the number. */
static uint8_t *encode_header(struct weights_header *h, size_t *n_bytes)
{
    h->payload_offset = WEIGHTS_BLOCK_BYTES;
    free(weights_header_encode(h, n_bytes));
    h->payload_offset =
        (*n_bytes + WEIGHTS_BLOCK_BYTES) & ~(uint64_t)(WEIGHTS_BLOCK_BYTES - 1);
    return weights_header_encode(h, n_bytes);
}

static struct status *write_file(const char *path, const struct weights_header *h,
                                 const uint8_t *header, size_t header_bytes,
                                 const struct ptensor *const *list, int n)
{
    FILE *f = fopen(path, "wb");

    if (!f)
        return FAIL(IO_ERROR, "cannot write '%s': %s", path, strerror(errno));
    setvbuf(f, NULL, _IOFBF, 1 << 18);

    bool good = write_bytes(f, header, header_bytes)
             && put_zeros(write_bytes, f, (int64_t)(h->payload_offset - header_bytes))
             && walk_payload(list, n, (int64_t)h->payload_bytes, write_bytes, f);

    good = fclose(f) == 0 && good;
    return good ? OK : FAIL(IO_ERROR, "cannot write '%s': %s", path, strerror(errno));
}

struct status *weights_write(const char *path, const struct program *p,
                             const struct weights_info *info, uint64_t *n_bytes)
{
    struct arena *a = arena_create();
    struct status *s = OK;
    struct weights_header h = {0};
    struct digester digester = {0};
    const struct ptensor **list;
    uint8_t *header = NULL;
    size_t header_bytes = 0;
    int n;

    s = stored_tensors(a, p, &n, &list);
    if (s)
        goto out;
    describe_origin(info, &h);
    describe_tensors(a, p, list, n, &h);
    h.payload_bytes = (uint64_t)weights_payload_bytes(p);
    h.n_digests = (h.payload_bytes + WEIGHTS_BLOCK_BYTES - 1) / WEIGHTS_BLOCK_BYTES;
    h.digests = digester.digest = arena_alloc_array(a, h.n_digests + 1, 32);
    walk_payload(list, n, (int64_t)h.payload_bytes, digest_bytes, &digester);
    if (digester.held)
        sha256_end(&digester.sha, digester.digest);
    header = encode_header(&h, &header_bytes);
    if (!header) {
        s = FAIL(NO_FIT, "the header of the weights file is too large for memory");
        goto out;
    }
    *n_bytes = h.payload_offset + h.payload_bytes;
    s = write_file(path, &h, header, header_bytes, list, n);

out:
    free(header);
    arena_destroy(a);
    return s;
}
