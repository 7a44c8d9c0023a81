/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of foo.weights: see weights_reader.h.
 *
 * hadm_weights_read accepts exactly the headers that the FlatBuffers library's
 * own verifier accepts for the schema codegen/weights.fbs (a test compares the
 * two on damaged files), and of those the ones whose numbers agree with the file.
 * A position is always a byte offset from the start of the file, and nothing is
 * read at a position before hadm_fits has agreed.
 */
#include "runtime/weights_reader.h"

#include "runtime/sha256.h"

/* ---- the schema ------------------------------------------------------------- */

enum hadm_kind {
    HADM_SCALAR, /* `bytes` wide, aligned to it */
    HADM_HASH,   /* 32 bytes inside the table   */
    HADM_STRING,
    HADM_VECTOR, /* of elements `bytes` wide    */
    HADM_TABLE,
    HADM_TABLES, /* vector of tables            */
};

struct hadm_table;

struct hadm_field {
    uint8_t kind, bytes, required;
    const struct hadm_table *child;
};

struct hadm_table {
    unsigned n_fields;
    const struct hadm_field *fields; /* by field number */
};

enum { HADM_TENSOR_OFFSET = 3, HADM_TENSOR_BYTES = 4 };

static const struct hadm_field hadm_tensor_fields[] = {
    {HADM_STRING, 1, 1, NULL}, /* name   */
    {HADM_SCALAR, 1, 0, NULL}, /* dtype  */
    {HADM_VECTOR, 8, 0, NULL}, /* dims   */
    {HADM_SCALAR, 8, 0, NULL}, /* offset */
    {HADM_SCALAR, 8, 0, NULL}, /* bytes  */
    {HADM_SCALAR, 4, 0, NULL}, /* layer  */
};
static const struct hadm_table hadm_tensor_table = {6, hadm_tensor_fields};

static const struct hadm_field hadm_origin_fields[] = {
    {HADM_STRING, 1, 0, NULL}, /* tool         */
    {HADM_STRING, 1, 0, NULL}, /* llvm         */
    {HADM_STRING, 1, 0, NULL}, /* target       */
    {HADM_STRING, 1, 0, NULL}, /* cpu          */
    {HADM_STRING, 1, 0, NULL}, /* options      */
    {HADM_STRING, 1, 0, NULL}, /* model        */
    {HADM_HASH, 32, 0, NULL},  /* model_sha256 */
    {HADM_SCALAR, 4, 0, NULL}, /* opset        */
    {HADM_SCALAR, 8, 0, NULL}, /* seed         */
};
static const struct hadm_table hadm_origin_table = {9, hadm_origin_fields};

enum { HADM_ROOT_MAJOR, HADM_ROOT_MINOR, HADM_ROOT_STRUCTURE_HASH,
       HADM_ROOT_PAYLOAD_OFFSET, HADM_ROOT_PAYLOAD_BYTES, HADM_ROOT_DIGESTS,
       HADM_ROOT_TENSORS, HADM_ROOT_ORIGIN };

static const struct hadm_field hadm_root_fields[] = {
    [HADM_ROOT_MAJOR] = {HADM_SCALAR, 2, 0, NULL},
    [HADM_ROOT_MINOR] = {HADM_SCALAR, 2, 0, NULL},
    [HADM_ROOT_STRUCTURE_HASH] = {HADM_HASH, 32, 1, NULL},
    [HADM_ROOT_PAYLOAD_OFFSET] = {HADM_SCALAR, 8, 0, NULL},
    [HADM_ROOT_PAYLOAD_BYTES] = {HADM_SCALAR, 8, 0, NULL},
    [HADM_ROOT_DIGESTS] = {HADM_VECTOR, 32, 1, NULL},
    [HADM_ROOT_TENSORS] = {HADM_TABLES, 4, 1, &hadm_tensor_table},
    [HADM_ROOT_ORIGIN] = {HADM_TABLE, 0, 1, &hadm_origin_table},
};
static const struct hadm_table hadm_root_table = {8, hadm_root_fields};

/* ---- reading, little-endian at any alignment --------------------------------- */

/* The bytes a header may use: lengths fit 31 bits, as the library demands. */
struct hadm_header {
    const uint8_t *at;
    uint64_t len;
    uint32_t n_tables;
};

enum { HADM_MAX_TABLES = 1000000, HADM_MAX_HEADER = 0x7ffffffe };

static uint16_t hadm_get16(const struct hadm_header *h, uint64_t pos)
{
    return (uint16_t)(h->at[pos] | h->at[pos + 1] << 8);
}

static uint32_t hadm_get32(const struct hadm_header *h, uint64_t pos)
{
    return hadm_get16(h, pos) | (uint32_t)hadm_get16(h, pos + 2) << 16;
}

static uint64_t hadm_get64(const struct hadm_header *h, uint64_t pos)
{
    return hadm_get32(h, pos) | (uint64_t)hadm_get32(h, pos + 4) << 32;
}

static int hadm_fits(const struct hadm_header *h, uint64_t pos, uint64_t n)
{
    return n < h->len && pos <= h->len - n;
}

/* n is a power of two. */
static int hadm_fits_aligned(const struct hadm_header *h, uint64_t pos, uint64_t n)
{
    return (pos & (n - 1)) == 0 && hadm_fits(h, pos, n);
}

/* ---- structure --------------------------------------------------------------- */

/* A table starts with the distance back to its vtable: u16 size of the vtable,
 * u16 size of the table, then a u16 per field: where it is, 0 when left out. */
static int hadm_check_table_start(const struct hadm_header *h, uint64_t table)
{
    if (!hadm_fits_aligned(h, table, 4))
        return 0;

    const uint64_t vtable = table - (uint64_t)(int64_t)(int32_t)hadm_get32(h, table);

    if (!hadm_fits_aligned(h, vtable, 2))
        return 0;

    const uint16_t n_bytes = hadm_get16(h, vtable);

    return n_bytes % 2 == 0 && hadm_fits(h, vtable, n_bytes);
}

/* Position of a field of a table that has a sound start; 0 when left out. */
static uint64_t hadm_find(const struct hadm_header *h, uint64_t table, unsigned field)
{
    const uint64_t vtable = table - (uint64_t)(int64_t)(int32_t)hadm_get32(h, table);
    const unsigned entry = 4 + 2 * field;

    if (entry >= hadm_get16(h, vtable))
        return 0;

    const uint16_t at = hadm_get16(h, vtable + entry);

    return at ? table + at : 0;
}

static uint64_t hadm_find_u64(const struct hadm_header *h, uint64_t table, unsigned field)
{
    const uint64_t pos = hadm_find(h, table, field);

    return pos ? hadm_get64(h, pos) : 0;
}

/* Where the offset at `pos` leads; 0 when it leads nowhere. */
static uint64_t hadm_follow(const struct hadm_header *h, uint64_t pos)
{
    if (!hadm_fits_aligned(h, pos, 4))
        return 0;

    const uint32_t distance = hadm_get32(h, pos);

    if (distance == 0 || distance > 0x7fffffff || !hadm_fits(h, pos + distance, 1))
        return 0;
    return pos + distance;
}

/* A vector is its u32 element count, then the elements. */
static int hadm_check_vector(const struct hadm_header *h, uint64_t vector,
                             uint32_t element_bytes)
{
    if (!hadm_fits_aligned(h, vector, 4))
        return 0;

    const uint64_t n = hadm_get32(h, vector);

    return n < 0x7fffffff / element_bytes && hadm_fits(h, vector, 4 + n * element_bytes);
}

static int hadm_check_string(const struct hadm_header *h, uint64_t string)
{
    if (!hadm_check_vector(h, string, 1))
        return 0;

    const uint64_t end = string + 4 + hadm_get32(h, string);

    return hadm_fits(h, end, 1) && h->at[end] == 0;
}

static int hadm_check_table(struct hadm_header *h, uint64_t table,
                            const struct hadm_table *t);

static int hadm_check_tables(struct hadm_header *h, uint64_t vector,
                             const struct hadm_table *t)
{
    const uint32_t n = hadm_get32(h, vector);

    for (uint32_t i = 0; i < n; i++) {
        const uint64_t item = vector + 4 + 4 * (uint64_t)i;

        if (!hadm_check_table(h, item + hadm_get32(h, item), t))
            return 0;
    }
    return 1;
}

static int hadm_check_field(struct hadm_header *h, uint64_t pos,
                            const struct hadm_field *f)
{
    if (f->kind == HADM_SCALAR)
        return hadm_fits_aligned(h, pos, f->bytes);
    if (f->kind == HADM_HASH)
        return hadm_fits(h, pos, f->bytes);

    const uint64_t to = hadm_follow(h, pos);

    if (!to)
        return 0;
    switch (f->kind) {
    case HADM_STRING:
        return hadm_check_string(h, to);
    case HADM_TABLE:
        return hadm_check_table(h, to, f->child);
    case HADM_TABLES:
        return hadm_check_vector(h, to, 4) && hadm_check_tables(h, to, f->child);
    default:
        return hadm_check_vector(h, to, f->bytes);
    }
}

/* Nesting is as deep as the schema: three tables. */
static int hadm_check_table(struct hadm_header *h, uint64_t table,
                            const struct hadm_table *t)
{
    if (!hadm_check_table_start(h, table) || ++h->n_tables > HADM_MAX_TABLES)
        return 0;
    for (unsigned i = 0; i < t->n_fields; i++) {
        const uint64_t pos = hadm_find(h, table, i);

        if (pos ? !hadm_check_field(h, pos, &t->fields[i]) : t->fields[i].required)
            return 0;
    }
    return 1;
}

/* ---- meaning ----------------------------------------------------------------- */

static int hadm_check_extents(const struct hadm_header *h, uint64_t root,
                              uint64_t payload_bytes)
{
    const uint64_t vector = hadm_follow(h, hadm_find(h, root, HADM_ROOT_TENSORS));
    const uint32_t n = hadm_get32(h, vector);

    for (uint32_t i = 0; i < n; i++) {
        const uint64_t item = vector + 4 + 4 * (uint64_t)i;
        const uint64_t tensor = item + hadm_get32(h, item);
        const uint64_t offset = hadm_find_u64(h, tensor, HADM_TENSOR_OFFSET);
        const uint64_t bytes = hadm_find_u64(h, tensor, HADM_TENSOR_BYTES);

        if (offset > payload_bytes || bytes > payload_bytes - offset)
            return 0;
    }
    return 1;
}

/* The root table, and the header cut to what lies before the payload. */
static uint64_t hadm_root(struct hadm_header *h)
{
    if (h->len < 12 || h->at[4] != 'H' || h->at[5] != 'A' || h->at[6] != 'D'
        || h->at[7] != 'M')
        return 0;

    const uint64_t root = hadm_follow(h, 0);

    if (!root || !hadm_check_table_start(h, root))
        return 0;

    const uint64_t pos = hadm_find(h, root, HADM_ROOT_PAYLOAD_OFFSET);

    if (!pos || !hadm_fits_aligned(h, pos, 8))
        return 0;

    const uint64_t payload = hadm_get64(h, pos);

    if (payload < h->len)
        h->len = payload;
    return root;
}

HADM_API int hadm_weights_read(struct hadm_weights *out, const void *bytes, size_t len)
{
    struct hadm_header h = {(const uint8_t *)bytes, len, 0};

    if (h.len > HADM_MAX_HEADER)
        h.len = HADM_MAX_HEADER;

    const uint64_t root = hadm_root(&h);

    if (!root || !hadm_check_table(&h, root, &hadm_root_table))
        return 0;

    const uint64_t major = hadm_find(&h, root, HADM_ROOT_MAJOR);
    const uint64_t minor = hadm_find(&h, root, HADM_ROOT_MINOR);
    const uint64_t digests = hadm_follow(&h, hadm_find(&h, root, HADM_ROOT_DIGESTS));
    const uint64_t payload = hadm_find_u64(&h, root, HADM_ROOT_PAYLOAD_OFFSET);

    out->format_major = major ? hadm_get16(&h, major) : 0;
    out->format_minor = minor ? hadm_get16(&h, minor) : 0;
    out->structure_hash = h.at + hadm_find(&h, root, HADM_ROOT_STRUCTURE_HASH);
    out->payload_bytes = hadm_find_u64(&h, root, HADM_ROOT_PAYLOAD_BYTES);
    out->digests = h.at + digests + 4;
    out->n_digests = hadm_get32(&h, digests);
    out->header = h.at;
    out->header_bytes = h.len;
    if (out->format_major != HADM_WEIGHTS_MAJOR || payload % HADM_WEIGHTS_BLOCK != 0
        || payload > len || out->payload_bytes > len - payload)
        return 0;
    out->payload = h.at + payload;
    return out->n_digests == out->payload_bytes / HADM_WEIGHTS_BLOCK
                                 + (out->payload_bytes % HADM_WEIGHTS_BLOCK != 0)
        && hadm_check_extents(&h, root, out->payload_bytes);
}

HADM_API int hadm_weights_check_payload(const struct hadm_weights *w)
{
    for (uint64_t i = 0; i < w->n_digests; i++) {
        const uint64_t begin = i * HADM_WEIGHTS_BLOCK;
        const uint64_t rest = w->payload_bytes - begin;
        uint8_t digest[32];
        struct sha256 sha;

        sha256_begin(&sha);
        sha256_add(&sha, w->payload + begin,
                   rest < HADM_WEIGHTS_BLOCK ? (size_t)rest : HADM_WEIGHTS_BLOCK);
        sha256_end(&sha, digest);
        if (!sha256_same(digest, w->digests + 32 * i))
            return 0;
    }
    return 1;
}
