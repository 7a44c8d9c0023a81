/* SPDX-License-Identifier: Apache-2.0 */
/* Patches as files: see patch_file.h. */
#include "update/patch_file.h"

#include <string.h>

#include <zstd.h>

#include "codegen/runner.h"

enum { ZSTD_LEVEL = 19 }; /* made once, sent often */

/* Weights compress little: a frame that claims to grow a thousandfold is an attack on
 * memory. */
enum { MAX_GROWTH = 1000 };

static bool is_compressed(struct bytes file)
{
    static const uint8_t magic[4] = {0x28, 0xb5, 0x2f,
                                     0xfd}; /* RFC 8878, section 3.1.1 */

    return file.len >= 4 && memcmp(file.at, magic, 4) == 0;
}

static struct status *decompress(struct arena *a, const char *path, struct bytes file,
                                 struct bytes *out)
{
    const unsigned long long n = ZSTD_getFrameContentSize(file.at, file.len);

    if (n == ZSTD_CONTENTSIZE_ERROR || n == ZSTD_CONTENTSIZE_UNKNOWN
        || n > (unsigned long long)file.len * MAX_GROWTH)
        return FAIL(INVALID,
                    "'%s' is no compressed patch: its zstd frame names no size, or"
                    " an impossible one",
                    path);

    uint8_t *bytes = arena_alloc(a, (size_t)n + 1);
    const size_t got = ZSTD_decompress(bytes, (size_t)n, file.at, file.len);

    if (ZSTD_isError(got) || got != n)
        return FAIL(INVALID, "'%s' cannot be decompressed: %s", path,
                    ZSTD_isError(got) ? ZSTD_getErrorName(got) : "it ends early");
    *out = (struct bytes){bytes, (size_t)n};
    return OK;
}

static struct status *check(struct arena *a, struct patch_file *f)
{
    struct hadm_patch_reader *r = arena_new(a, struct hadm_patch_reader);
    const uint8_t *at = f->bytes.at;
    size_t n = f->bytes.len;

    hadm_patch_begin(r);
    while (n && r->status == HADM_UPDATE_OK)
        hadm_patch_next(r, &at, &n);
    f->header = r->header;

    const enum hadm_update_status status = hadm_patch_end(r);

    if (status == HADM_UPDATE_OK)
        return OK;
    return FAIL(INVALID, "'%s' is refused: %s", f->path, hadm_update_strerror(status));
}

struct status *patch_file_load(struct arena *a, const char *path,
                               struct patch_file *out)
{
    struct bytes file;

    *out = (struct patch_file){.path = path};
    RETURN_IF_FAIL(runner_read_file(a, path, &file));
    out->file_bytes = file.len;
    out->bytes = file;
    if (is_compressed(file))
        RETURN_IF_FAIL(decompress(a, path, file, &out->bytes));
    return check(a, out);
}

struct status *patch_file_write(struct arena *a, const char *path, struct bytes patch,
                                bool compress, size_t *file_bytes)
{
    struct bytes file = patch;

    if (compress) {
        const size_t room = ZSTD_compressBound(patch.len);
        uint8_t *bytes = arena_alloc(a, room);
        const size_t n = ZSTD_compress(bytes, room, patch.at, patch.len, ZSTD_LEVEL);

        if (ZSTD_isError(n))
            return FAIL(INTERNAL, "zstd: %s", ZSTD_getErrorName(n));
        file = (struct bytes){bytes, n};
    }
    *file_bytes = file.len;
    return runner_replace_file(path, file.at, file.len);
}
