/* SPDX-License-Identifier: Apache-2.0 */
/* .npz: a zip archive of .npy files, read whole through libzip. */
#include <stdlib.h>
#include <string.h>

#include <zip.h>

#include "frontend/dataset_parts.h"

/* An entry may claim any size; what deflate can make of the archive bounds it. */
enum { MAX_ENTRIES = 4096, MAX_EXPANSION = 1100, SLACK = 1 << 20 };

static struct status *read_entry(zip_t *zip, const zip_stat_t *about, uint8_t **out)
{
    zip_file_t *file = zip_fopen_index(zip, about->index, 0);
    uint8_t *bytes = file ? malloc((size_t)about->size + 1) : NULL;
    const zip_int64_t n = bytes ? zip_fread(file, bytes, about->size) : -1;

    if (file)
        zip_fclose(file);
    if (n < 0 || (zip_uint64_t)n != about->size) {
        free(bytes);
        return FAIL(INVALID, "'%s' cannot be unpacked", about->name);
    }
    *out = bytes;
    return OK;
}

static struct status *add_entry(struct dataset *d, zip_t *zip, zip_uint64_t i,
                                size_t archive_len, struct array_list *to)
{
    const zip_uint64_t needed = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_INDEX;
    zip_stat_t about;
    uint8_t *bytes;

    if (zip_stat_index(zip, i, 0, &about) != 0 || (about.valid & needed) != needed)
        return FAIL(INVALID, "entry %llu has no name or size", (unsigned long long)i);

    const size_t n = strlen(about.name);

    if (n <= 4 || strcmp(about.name + n - 4, ".npy") != 0)
        return OK;
    if (about.size > (zip_uint64_t)archive_len * MAX_EXPANSION + SLACK)
        return FAIL(INVALID, "'%s' claims %llu bytes", about.name,
                    (unsigned long long)about.size);
    RETURN_IF_FAIL(read_entry(zip, &about, &bytes));
    dataset_hold_memory(d, bytes);
    return array_list_add(d, about.name, bytes, (size_t)about.size, to);
}

static struct status *read_all(struct dataset *d, zip_t *zip, size_t archive_len,
                               struct array_list *to)
{
    const zip_int64_t n = zip_get_num_entries(zip, 0);

    if (n < 0 || n > MAX_ENTRIES)
        return FAIL(INVALID, "it has %lld entries", (long long)n);
    for (zip_int64_t i = 0; i < n; i++)
        RETURN_IF_FAIL(add_entry(d, zip, (zip_uint64_t)i, archive_len, to));
    return OK;
}

struct status *npz_read(struct dataset *d, const char *path, struct array_list *to)
{
    const struct mapped_file *file;
    zip_error_t why;
    zip_source_t *source;
    struct status *s;
    zip_t *zip;

    RETURN_IF_FAIL(dataset_hold_file(d, path, &file));
    zip_error_init(&why);
    source = zip_source_buffer_create(file->bytes, file->len, 0, &why);
    zip =
        source ? zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &why) : NULL;
    s = zip ? read_all(d, zip, file->len, to)
            : FAIL(INVALID, "it is not a zip archive: %s", zip_error_strerror(&why));
    if (zip)
        zip_discard(zip);
    else if (source)
        zip_source_free(source);
    zip_error_fini(&why);
    return status_note(s, "while reading '%s'", path);
}
