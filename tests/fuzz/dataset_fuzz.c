/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* Files of data sets: the first byte says which kind the others are.  What is accepted
 * is read to its last byte. */
#include <unistd.h>

#include "frontend/dataset.h"
#include "frontend/dataset_formats.h"
#include "frontend/dataset_spec.h"
#include "tests/fuzz/fuzz.h"

enum {
    KIND_NPY = 'n',
    KIND_WAV = 'w',
    KIND_IMAGE = 'i',
    KIND_SPEC = 's',
    KIND_NPZ = 'z'
};

static volatile unsigned sink;

static void touch(const void *bytes, size_t n)
{
    unsigned sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += ((const uint8_t *)bytes)[i];
    sink = sum;
}

static struct status *try_npy(const uint8_t *data, size_t size)
{
    struct npy a;

    RETURN_IF_FAIL(npy_parse(data, size, &a));

    size_t n = (size_t)dtype_info[a.dtype].bytes;

    for (int i = 0; i < a.rank; i++)
        n *= (size_t)a.dim[i];
    touch(a.data, n);
    return OK;
}

static struct status *try_wav(const uint8_t *data, size_t size)
{
    struct wav w;
    float *out;

    RETURN_IF_FAIL(wav_parse(data, size, &w));
    out = malloc((size_t)w.n * sizeof *out);
    wav_mono(&w, w.n, out);
    touch(out, (size_t)w.n * sizeof *out);
    free(out);
    return OK;
}

static struct status *try_image(const uint8_t *data, size_t size)
{
    struct image i;

    RETURN_IF_FAIL(image_decode(data, size, &i));
    touch(i.pixels, (size_t)i.width * (size_t)i.height * (size_t)i.channels);
    image_free(&i);
    return OK;
}

/* ---- sets on disk ---------------------------------------------------------------- */

static char folder[] = "/tmp/hadmc-dataset-XXXXXX", file[2][64];

static void remove_folder(void)
{
    unlink(file[0]);
    unlink(file[1]);
    rmdir(folder);
}

static void write_file(int which, const void *data, size_t size)
{
    FILE *f = fopen(file[which], "wb");

    if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0)
        abort();
}

/* Six samples of two numbers, which suit any role a specification may give them. */
static void make_folder(void)
{
    static const char npy[] = "\x93NUMPY\1\0\x34\0"
                              "{'descr':'|u1','fortran_order':False,'shape':(6,2)} "
                              "\0\1\2\3\4\5\6\7\1\2\3";

    if (file[0][0])
        return;
    if (!mkdtemp(folder))
        abort();
    snprintf(file[0], sizeof file[0], "%s/x.npy", folder);
    snprintf(file[1], sizeof file[1], "%s/y.npz", folder);
    write_file(0, npy, sizeof npy);
    atexit(remove_folder);
}

/* Opens a set and reads all of it. */
static struct status *try_set(struct arena *a, const char *path, const char *spec)
{
    const struct dataset_input in[] = {
        {.name = "x", .dtype = DT_f32, .rank = 2, .dim = {1, 2}},
        {.name = "x", .dtype = DT_u8, .rank = 1, .dim = {1}}};
    const struct dataset_box *boxes = NULL;
    struct dataset *d;
    float out[2];

    for (int i = 0; i < 2; i++) {
        const struct dataset_options options = {
            .n_inputs = 1, .input = &in[i], .spec = spec};
        struct status *s = dataset_open(path, &options, a, &d);

        for (int64_t k = 0; !s && k < d->n && k < 64; k++) {
            const int64_t n = dataset_boxes(d, k, &boxes);

            if (dataset_label(d, k) >= 0 && dataset_label(d, k) >= d->n_classes)
                abort();
            touch(boxes, (size_t)n * sizeof *boxes);
            s = dataset_read(d, k, 0, out);
        }
        dataset_close(d);
        fuzz_check(s);
    }
    return OK;
}

static struct status *try_spec(struct arena *a, const uint8_t *data, size_t size)
{
    struct dataset_spec spec;
    char path[64];

    RETURN_IF_FAIL(dataset_spec_parse(a, (const char *)data, size, &spec));
    make_folder();
    snprintf(path, sizeof path, "%s/y.npz", folder);
    write_file(1, data, size);
    return try_set(a, folder, path);
}

static struct status *try_npz(struct arena *a, const uint8_t *data, size_t size)
{
    make_folder();
    write_file(1, data, size);
    return try_set(a, file[1], NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_create();
    struct status *s = OK;

    if (size > 0)
        switch (*data++) {
        case KIND_NPY:
            s = try_npy(data, size - 1);
            break;
        case KIND_WAV:
            s = try_wav(data, size - 1);
            break;
        case KIND_IMAGE:
            s = try_image(data, size - 1);
            break;
        case KIND_SPEC:
            s = try_spec(a, data, size - 1);
            break;
        case KIND_NPZ:
            s = try_npz(a, data, size - 1);
            break;
        }
    fuzz_check(s);
    arena_destroy(a);
    return 0;
}
