/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* Data sets: which files are taken for what, and what a sample becomes. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/test.h"

#include "frontend/dataset.h"

/* ---- a folder of files made here ------------------------------------------------- */

static char folder[64], made[16][128];
static int n_made;

static const char *path_of(const char *name)
{
    static char path[128];

    if (!folder[0]) {
        strcpy(folder, "/tmp/hadmc-dataset-XXXXXX");
        assert_non_null(mkdtemp(folder));
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const void *bytes, size_t n)
{
    FILE *f = fopen(path_of(name), "wb");

    assert_non_null(f);
    fwrite(bytes, 1, n, f);
    fclose(f);
    strcpy(made[n_made++], path_of(name));
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

/* shape is "2,3" or "2,". */
static void write_npy(const char *name, const char *descr, const char *shape,
                      const void *data, size_t n)
{
    char bytes[4096] = "\x93NUMPY\1";
    const int n_header =
        snprintf(bytes + 10, 200, "{'descr':'%s','fortran_order':False,'shape':(%s)}",
                 descr, shape);

    bytes[8] = (char)n_header;
    memcpy(bytes + 10 + n_header, data, n);
    write_file(name, bytes, 10 + (size_t)n_header + n);
}

static void remove_files(void)
{
    while (n_made > 0)
        unlink(made[--n_made]);
    rmdir(folder);
    folder[0] = 0;
}

/* ---- opening --------------------------------------------------------------------- */

static struct arena *arena;

static struct dataset_input input_of(enum dtype dtype, int rank, ...)
{
    struct dataset_input in = {.name = "in", .dtype = dtype, .rank = rank};
    va_list dims;

    va_start(dims, rank);
    for (int i = 0; i < rank; i++)
        in.dim[i] = va_arg(dims, int);
    va_end(dims);
    return in;
}

static struct status *try_open(const char *path, struct dataset_input in,
                               struct dataset **out)
{
    const struct dataset_options options = {.n_inputs = 1, .input = &in};

    if (!arena)
        arena = arena_create();
    return dataset_open(path, &options, arena, out);
}

static struct dataset *open_set(const char *path, struct dataset_input in)
{
    struct dataset *d;

    CHECK_OK(try_open(path, in, &d));
    return d;
}

/* Closes the set and removes the files. */
static void done(struct dataset *d)
{
    dataset_close(d);
    arena_destroy(arena);
    arena = NULL;
    remove_files();
}

static void check_refused(const char *path, struct dataset_input in,
                          enum status_code code, const char *words)
{
    struct dataset *d;

    CHECK_FAILS(try_open(path, in, &d), code, words);
    done(d);
}

static void check_sample(const struct dataset *d, int64_t i, const float *want, int n)
{
    float got[64];

    CHECK_EQ(dataset_bytes(d, 0), n * 4);
    CHECK_OK(dataset_read(d, i, 0, got));
    for (int k = 0; k < n; k++)
        if (got[k] != want[k])
            fail_msg("element %d of sample %d is %g, not %g", k, (int)i, (double)got[k],
                     (double)want[k]);
}

#define F(...) ((const float[]){__VA_ARGS__})

/* ---- arrays ---------------------------------------------------------------------- */

TEST(dataset_of_one_array_is_unnamed_samples_as_they_are)
{
    write_npy("x.npy", "|u1", "2,3", (const uint8_t[]){1, 2, 3, 4, 5, 255}, 6);

    struct dataset *d = open_set(path_of("x.npy"), input_of(DT_f32, 2, 1, 3));

    CHECK_EQ(d->n, 2);
    CHECK_EQ(d->split[DATASET_UNNAMED].n, 2);
    CHECK_EQ(d->task, DATASET_NONE);
    CHECK_EQ(dataset_label(d, 0), -1);
    check_sample(d, 1, F(4, 5, 255), 3);
    done(d);
}

TEST(dataset_folder_splits_by_name)
{
    write_npy("train_images.npy", "|u1", "2,1", (const uint8_t[]){10, 11}, 2);
    write_npy("train_labels.npy", "|u1", "2,", (const uint8_t[]){0, 2}, 2);
    write_npy("test_images.npy", "|u1", "1,1", (const uint8_t[]){30}, 1);
    write_npy("test_labels.npy", "<i8", "1,1", (const int64_t[]){1}, 8);
    write_text("classes.txt", "a\nb\nc\n");
    path_of("");

    struct dataset *d = open_set(folder, input_of(DT_f32, 1, 1));

    CHECK_EQ(d->n, 3);
    CHECK_EQ(d->task, DATASET_CLASSIFY);
    CHECK_EQ(d->split[DATASET_TEST].first, 2);
    CHECK_EQ(dataset_label(d, 1), 2);
    CHECK_EQ(dataset_label(d, 2), 1);
    CHECK_EQ(d->n_classes, 3);
    CHECK_TEXT(d->class_names[2], "c");
    check_sample(d, 2, F(30), 1);
    done(d);
}

TEST(dataset_takes_the_array_that_fits_and_its_labels)
{
    write_npy("small_images.npy", "|u1", "1,2", (const uint8_t[]){1, 2}, 2);
    write_npy("small_labels.npy", "|u1", "1,", (const uint8_t[]){7}, 1);
    write_npy("large_images.npy", "|u1", "1,3", (const uint8_t[]){3, 4, 5}, 3);
    write_npy("labels.npy", "|u1", "1,", (const uint8_t[]){9}, 1);

    struct dataset *d = open_set(folder, input_of(DT_f32, 2, 1, 2));

    CHECK_EQ(dataset_label(d, 0), 7);
    dataset_close(d);
    d = open_set(folder, input_of(DT_f32, 2, 1, 3));
    CHECK_EQ(dataset_label(d, 0), 9);
    done(d);
}

TEST(dataset_refuses_to_choose_between_arrays)
{
    write_npy("a.npy", "|u1", "1,2", (const uint8_t[]){1, 2}, 2);
    write_npy("b.npy", "|u1", "1,2", (const uint8_t[]){1, 2}, 2);
    check_refused(folder, input_of(DT_f32, 2, 1, 2), INVALID, "'a.npy', 'b.npy'");
}

TEST(dataset_says_which_shapes_do_not_fit)
{
    write_npy("x.npy", "|u1", "2,3", "123456", 6);
    check_refused(path_of("x.npy"), input_of(DT_f32, 4, 1, 3, 2, 2), INVALID,
                  "samples are 3, input 'in' wants 1x3x2x2");
}

TEST(dataset_refuses_wrong_labels)
{
    write_npy("x.npy", "|u1", "2,1", "12", 2);
    write_npy("y.npy", "|u1", "3,", "123", 3);
    check_refused(folder, input_of(DT_f32, 1, 1), INVALID,
                  "'y.npy' has 3 labels for 2 samples");
    write_npy("x.npy", "|u1", "2,1", "12", 2);
    write_npy("y.npy", "<f4", "2,", F(1, 1.5f), 8);
    check_refused(folder, input_of(DT_f32, 1, 1), INVALID, "not a whole number");
    write_npy("x.npy", "|u1", "2,1", "12", 2);
    write_npy("y.npy", "|i1", "2,", (const int8_t[]){0, -1}, 2);
    check_refused(folder, input_of(DT_f32, 1, 1), INVALID, "a label is -1");
    write_npy("x.npy", "|u1", "2,1", "12", 2);
    write_npy("y.npy", "|u1", "2,", (const uint8_t[]){0, 2}, 2);
    write_text("classes.txt", "a\nb\n");
    check_refused(folder, input_of(DT_f32, 1, 1), INVALID,
                  "a label of 2 and 2 names of classes");
}

TEST(dataset_names_a_file_that_is_missing_or_empty)
{
    check_refused("/no/such", input_of(DT_f32, 1, 1), IO_ERROR, "'/no/such'");
    path_of("");
    check_refused(folder, input_of(DT_f32, 1, 1), INVALID,
                  "neither arrays nor pictures nor sounds");
}

TEST(dataset_reads_npz_with_split_names_behind)
{
    struct dataset *d =
        open_set("tests/data/digits.npz", input_of(DT_f32, 4, 1, 1, 2, 2));

    CHECK_EQ(d->split[DATASET_TRAIN].n, 3);
    CHECK_EQ(d->split[DATASET_TEST].n, 1);
    CHECK_EQ(dataset_label(d, 2), 2);
    check_sample(d, 1, F(4, 5, 6, 7), 4);
    check_sample(d, 3, F(90, 91, 92, 93), 4);
    done(d);
}

TEST(dataset_gives_several_inputs_the_arrays_of_their_names)
{
    const struct dataset_input in[] = {
        {.name = "b", .dtype = DT_f32, .rank = 1, .dim = {1}},
        {.name = "a", .dtype = DT_i32, .rank = 1, .dim = {2}}};
    const struct dataset_options options = {.n_inputs = 2, .input = in};
    struct dataset *d;
    int32_t a[2];

    write_npy("a.npy", "<i2", "2,2", (const int16_t[]){1, 2, 3, -4}, 8);
    write_npy("b.npy", "<f8", "2,", (const double[]){0.5, 1.5}, 16);
    arena = arena_create();
    CHECK_OK(dataset_open(folder, &options, arena, &d));
    check_sample(d, 1, F(1.5f), 1);
    CHECK_OK(dataset_read(d, 1, 1, a));
    CHECK(a[0] == 3 && a[1] == -4);
    done(d);
}

TEST(dataset_refuses_integers_that_do_not_fit)
{
    struct dataset *d;
    uint8_t out;

    write_npy("x.npy", "<i2", "2,1", (const int16_t[]){255, 256}, 4);
    d = open_set(path_of("x.npy"), input_of(DT_u8, 2, 1, 1));
    CHECK_OK(dataset_read(d, 0, 0, &out));
    CHECK_EQ(out, 255);
    CHECK_FAILS(dataset_read(d, 1, 0, &out), INVALID, "does not fit into u8");
    done(d);
    write_npy("x.npy", "<f4", "1,1", F(1), 4);
    check_refused(path_of("x.npy"), input_of(DT_i64, 2, 1, 1), INVALID,
                  "samples are f32, input 'in' takes i64");
}

/* Pixels (1 2 3) (4 5 6): two columns, three channels. */
TEST(dataset_transposes_where_only_that_fits)
{
    write_npy("x.npy", "|u1", "1,1,2,3", (const uint8_t[]){1, 2, 3, 4, 5, 6}, 6);

    struct dataset *d = open_set(path_of("x.npy"), input_of(DT_f32, 4, 1, 3, 1, 2));

    check_sample(d, 0, F(1, 4, 2, 5, 3, 6), 6);
    dataset_close(d);
    d = open_set(path_of("x.npy"), input_of(DT_f32, 4, 1, 1, 2, 3));
    check_sample(d, 0, F(1, 2, 3, 4, 5, 6), 6);
    done(d);
}

TEST(dataset_reads_big_endian_numbers_and_halves)
{
    write_npy("x.npy", ">i2", "1,2", "\x01\x02\xff\xff", 4);

    struct dataset *d = open_set(path_of("x.npy"), input_of(DT_f32, 1, 2));

    check_sample(d, 0, F(258, -1), 2);
    done(d);
    write_npy("x.npy", "<f2", "1,2", "\x00\x3c\x00\xc0", 4);
    d = open_set(path_of("x.npy"), input_of(DT_f32, 1, 2));
    check_sample(d, 0, F(1, -2), 2);
    done(d);
}

TEST(dataset_takes_rows_longer_by_one_for_language)
{
    write_npy("tokens.npy", "<i8", "1,3", (const int64_t[]){5, 6, 7}, 24);

    struct dataset *d = open_set(folder, input_of(DT_i64, 2, 1, 2));
    int64_t in[2], next[2];

    CHECK_EQ(d->task, DATASET_LANGUAGE);
    CHECK_OK(dataset_read(d, 0, 0, in));
    CHECK_OK(dataset_targets(d, 0, next));
    CHECK(in[0] == 5 && in[1] == 6 && next[0] == 6 && next[1] == 7);
    done(d);
}

/* ---- specifications -------------------------------------------------------------- */

/* A set of one sample of two pixels, three channels first: 0 2, 4 6, 8 10. */
static struct dataset *open_with(const char *spec)
{
    write_npy("x.npy", "|u1", "1,3,1,2", (const uint8_t[]){0, 2, 4, 6, 8, 10}, 6);
    write_text("dataset.json", spec);
    return open_set(folder, input_of(DT_f32, 4, 1, 3, 1, 2));
}

TEST(dataset_scales_then_subtracts_then_divides_by_channel)
{
    struct dataset *d =
        open_with("{\"scale\": 0.5, \"mean\": [1, 2, 3], \"std\": [1, 2, 4]}");

    check_sample(d, 0, F(-1, 0, 0, 0.5f, 0.25f, 0.5f), 6);
    done(d);
}

TEST(dataset_divides_by_the_peak_of_a_sample)
{
    struct dataset *d = open_with("{\"peak\": 6}");

    check_sample(d, 0, F(0, 0.125f, 0.25f, 0.375f, 0.5f, 0.625f), 6);
    done(d);
}

TEST(dataset_swaps_colors)
{
    struct dataset *d = open_with("{\"color\": \"bgr\"}");

    check_sample(d, 0, F(8, 10, 4, 6, 0, 2), 6);
    done(d);
    d = open_with("{\"color\": \"bgr\", \"stored_color\": \"bgr\"}");
    check_sample(d, 0, F(0, 2, 4, 6, 8, 10), 6);
    done(d);
}

TEST(dataset_refuses_numbers_for_other_channels)
{
    write_npy("x.npy", "|u1", "1,2", "12", 2);
    write_text("dataset.json", "{\"mean\": [1, 2, 3]}");
    check_refused(folder, input_of(DT_f32, 2, 1, 2), INVALID,
                  "'mean' has 3 numbers, input 'in' (1x2) has 2 channels");
    write_npy("x.npy", "|u1", "1,2", "12", 2);
    write_text("dataset.json", "{\"scale\": 2}");
    check_refused(folder, input_of(DT_u8, 2, 1, 2), INVALID, "are for floats");
}

/* Threshold 0.5, then offset 1; the third label is past the count. */
TEST(dataset_follows_its_specification)
{
    write_npy("a.npy", "|u1", "3,1", (const uint8_t[]){1, 2, 3}, 3);
    write_npy("b.npy", "<f4", "3,", F(0.4f, 0.6f, 9), 12);
    write_text(
        "dataset.json",
        "{\"val\": {\"samples\": \"a.npy\", \"labels\": \"b.npy\", \"count\": 2},"
        " \"label_threshold\": 0.5, \"label_offset\": 1}");

    struct dataset *d = open_set(folder, input_of(DT_f32, 1, 1));

    CHECK_EQ(d->n, 2);
    CHECK_EQ(d->split[DATASET_VAL].n, 2);
    CHECK_EQ(dataset_label(d, 0), 1);
    CHECK_EQ(dataset_label(d, 1), 2);
    dataset_close(d);
    d = open_set(path_of("dataset.json"), input_of(DT_f32, 1, 1));
    CHECK_EQ(d->n, 2);
    done(d);
}

/* Size 4 with 1 of context, stride 2, so a step of 6: at -2 0 2 4, then 4 6 8 10. */
TEST(dataset_cuts_windows)
{
    write_npy("x.npy", "|u1", "11,",
              (const uint8_t[]){1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, 11);
    write_text("dataset.json",
               "{\"window\": {\"size\": 4, \"context\": 1, \"stride\": 2}}");

    struct dataset *d = open_set(folder, input_of(DT_f32, 2, 1, 4));

    CHECK_EQ(d->n, 2);
    check_sample(d, 0, F(0, 1, 3, 5), 4);
    check_sample(d, 1, F(5, 7, 9, 11), 4);
    done(d);
}

/* 300 * 300 = 90 000 is above 65 504, the most of a half. */
TEST(dataset_refuses_samples_that_are_no_numbers)
{
    float got[2];
    struct dataset *d;

    write_npy("x.npy", "<f4", "3,2", F(1, 2, 3, (float)NAN, -(float)INFINITY, 6), 24);
    d = open_set(folder, input_of(DT_f32, 2, 1, 2));
    check_sample(d, 0, F(1, 2), 2);
    CHECK_FAILS(dataset_read(d, 1, 0, got), INVALID, "/x.npy' holds NaN");
    CHECK_FAILS(dataset_read(d, 2, 0, got), INVALID, "sample 2 of '");
    CHECK_FAILS(dataset_read(d, 2, 0, got), INVALID, "holds an infinite number");
    done(d);
    write_npy("x.npy", "<f4", "2,2", F(1, 2, 3, 300), 16);
    write_text("dataset.json", "{\"scale\": 300}");
    d = open_set(folder, input_of(DT_f16, 2, 1, 2));
    CHECK_OK(dataset_read(d, 0, 0, got));
    CHECK_FAILS(dataset_read(d, 1, 0, got), INVALID,
                "holds an infinite number after preprocessing");
    done(d);
}

static void digest_of(const char *spec, const char *samples, const char *labels,
                      uint8_t *out)
{
    const int64_t at[] = {0, 1};
    struct dataset *d;

    write_npy("x.npy", "|u1", "2,2", samples, 4);
    write_npy("y.npy", "|u1", "2,", labels, 2);
    write_text("dataset.json", spec);
    d = open_set(folder, input_of(DT_f32, 2, 1, 2));
    CHECK_OK(dataset_digest(d, 2, at, out));
    done(d);
}

TEST(dataset_digest_tells_what_a_model_sees)
{
    uint8_t digest[5][32];

    digest_of("{}", "1234", "\0\1", digest[0]);
    digest_of("{}", "1235", "\0\1", digest[1]);
    digest_of("{}", "1234", "\1\1", digest[2]);
    digest_of("{\"scale\": 2}", "1234", "\0\1", digest[3]);
    digest_of("{\"about\": \"the same\"}", "1234", "\0\1", digest[4]);
    for (int i = 1; i < 4; i++)
        CHECK(memcmp(digest[0], digest[i], 32) != 0);
    CHECK(memcmp(digest[0], digest[4], 32) == 0);
}

/* Another label does not make a sample a new one. */
TEST(dataset_leaves_out_samples_that_are_others_too)
{
    const int64_t others[] = {0, 3};
    int64_t at[] = {4, 2, 3, 0, 1}, n = 5;
    struct dataset *d;

    write_npy("x.npy", "|u1", "5,2", "abcdabefcd", 10);
    write_npy("y.npy", "|u1", "5,", "\0\1\2\3\4", 5);
    d = open_set(folder, input_of(DT_f32, 2, 1, 2));
    CHECK_OK(dataset_without(d, d, 0, NULL, &n, at));
    CHECK(n == 5 && at[0] == 4 && at[4] == 1);
    CHECK_OK(dataset_without(d, d, 2, others, &n, at));
    CHECK(n == 2 && at[0] == 4 && at[1] == 1);
    done(d);
}

TEST(dataset_fills_inputs_with_zeros)
{
    const struct dataset_input in[] = {
        {.name = "s", .dtype = DT_f32, .rank = 1, .dim = {2}},
        {.name = "x", .dtype = DT_f32, .rank = 1, .dim = {1}}};
    const struct dataset_options options = {.n_inputs = 2, .input = in};
    struct dataset *d;

    write_npy("x.npy", "|u1", "1,1", "1", 1);
    write_text("dataset.json", "{\"zeros\": [\"s\"]}");
    arena = arena_create();
    CHECK_OK(dataset_open(folder, &options, arena, &d));
    check_sample(d, 0, F(0, 0), 2);
    done(d);
}

/* Row 0 belongs to picture 1: centre .5 .5, size .5 1, so from .25 0 to .75 1. */
TEST(dataset_sorts_boxes_by_picture)
{
    const struct dataset_box *boxes;

    write_npy("x.npy", "|u1", "2,1", "12", 2);
    write_npy("b.npy", "<f4", "3,6",
              F(1, 3, .5f, .5f, .5f, 1, 0, 4, 0, 0, 0, 0, 1, 5, 0, 0, 0, 0), 72);
    write_text("dataset.json",
               "{\"test\": {\"samples\": \"x.npy\", \"boxes\": \"b.npy\"}}");

    struct dataset *d = open_set(folder, input_of(DT_f32, 1, 1));

    CHECK_EQ(d->task, DATASET_DETECT);
    CHECK_EQ(dataset_boxes(d, 0, &boxes), 1);
    CHECK_EQ(boxes[0].class_id, 4);
    CHECK_EQ(dataset_boxes(d, 1, &boxes), 2);
    CHECK_EQ(boxes[0].class_id, 3);
    CHECK(boxes[0].x0 == 0.25f && boxes[0].y0 == 0 && boxes[0].x1 == 0.75f);
    CHECK_EQ(boxes[1].class_id, 5);
    CHECK_EQ(d->n_classes, 6);
    done(d);
    write_npy("x.npy", "|u1", "2,1", "12", 2);
    write_npy("b.npy", "<f4", "1,6", F(2, 3, 0, 0, 0, 0), 24);
    write_text("dataset.json",
               "{\"test\": {\"samples\": \"x.npy\", \"boxes\": \"b.npy\"}}");
    check_refused(folder, input_of(DT_f32, 1, 1), INVALID, "row 0 of 'b.npy'");
}

static void check_classes_refused(const struct dataset_output *output, int n_outputs,
                                  const char *words)
{
    const struct dataset_input in = input_of(DT_f32, 1, 1);
    const struct dataset_options options = {
        .n_inputs = 1, .input = &in, .n_outputs = n_outputs, .output = output};
    struct dataset *d;

    arena = arena_create();
    CHECK_FAILS(dataset_open(folder, &options, arena, &d), INVALID, words);
    done(NULL);
}

/* Scores of three classes, the first of which is no object; and ten classes. */
TEST(dataset_refuses_classes_that_the_model_does_not_have)
{
    const struct dataset_output found[] = {{"b", 3, {1, 9, 4}}, {"s", 3, {1, 9, 3}}},
                                scores = {"y", 2, {1, 10}};

    write_npy("x.npy", "|u1", "2,1", "12", 2);
    write_npy("b.npy", "<f4", "2,6", F(0, 1, 0, 0, 0, 0, 0, 3e8f, 0, 0, 0, 0), 48);
    write_text(
        "dataset.json",
        "{\"test\": {\"samples\": \"x.npy\", \"boxes\": \"b.npy\"}, "
        "\"decoder\": {\"kind\": \"boxes\", \"boxes\": \"b\", \"scores\": \"s\", "
        "\"format\": \"xyxy\", \"background\": 0}}");
    check_classes_refused(found, 2,
                          "row 1 of 'b.npy' has class 300000000, the decoder has 2");

    write_npy("x.npy", "|u1", "2,1", "12", 2);
    write_npy("b.npy", "<f4", "1,6", F(0, 3e8f, 0, 0, 0, 0), 24);
    write_text("dataset.json",
               "{\"test\": {\"samples\": \"x.npy\", \"boxes\": \"b.npy\"}}");
    check_refused(folder, input_of(DT_f32, 1, 1), INVALID,
                  "row 0 of 'b.npy' has class 300000000, the most is 1048576");

    write_npy("x.npy", "|u1", "2,1", "12", 2);
    write_npy("y.npy", "|u1", "2,", "\x09\x0a", 2);
    check_classes_refused(&scores, 1,
                          "label 1 of 'y.npy' is class 10, output 'y' has 10");
}

/* ---- pictures and sounds --------------------------------------------------------- */

TEST(dataset_reads_pictures_by_class)
{
    struct dataset *d =
        open_set("tests/data/pictures", input_of(DT_f32, 4, 1, 3, 2, 2));
    const float dark[] = {0, 10, 40, 70, 0, 20, 50, 80, 0, 30, 60, 90};
    float light[12];

    CHECK_EQ(d->n, 4);
    CHECK_EQ(d->task, DATASET_CLASSIFY);
    CHECK_TEXT(d->class_names[1], "light");
    CHECK_EQ(dataset_label(d, 1), 0);
    CHECK_EQ(dataset_label(d, 2), 1);
    check_sample(d, 0, dark, 12);
    check_sample(d, 1, dark, 12);
    for (int i = 0; i < 12; i++)
        light[i] = 200;
    check_sample(d, 2, light, 12);
    check_sample(d, 3, light, 12);
    done(d);
}

TEST(dataset_gives_pictures_the_layout_and_colors_of_the_input)
{
    struct dataset *d =
        open_set("tests/data/pictures/dark", input_of(DT_f32, 4, 1, 2, 2, 3));

    CHECK_EQ(dataset_label(d, 0), -1);
    check_sample(d, 0, F(0, 0, 0, 10, 20, 30, 40, 50, 60, 70, 80, 90), 12);
    done(d);
    /* .299 * 10 + .587 * 20 + .114 * 30 = 18.15, then 10 more a step of ten. */
    d = open_set("tests/data/pictures/dark", input_of(DT_f32, 4, 1, 1, 2, 2));
    check_sample(d, 0, F(0, 18, 48, 78), 4);
    done(d);
}

TEST(dataset_refuses_pictures_of_another_size)
{
    check_refused("tests/data/pictures", input_of(DT_f32, 4, 1, 3, 4, 4), INVALID,
                  "samples are 2x2x3, input 'in' wants 1x3x4x4 (\"resize\"");
}

TEST(dataset_resizes_crops_and_turns_colors)
{
    struct dataset_input in = input_of(DT_f32, 4, 1, 3, 1, 1);
    const struct dataset_options options = {
        .n_inputs = 1, .input = &in, .spec = path_of("s.json")};
    struct dataset *d;

    /* One pixel averages all four: red is (0 + 10 + 40 + 70) / 4. */
    write_text("s.json", "{\"resize\": 1, \"crop\": 1, \"color\": \"bgr\"}");
    arena = arena_create();
    CHECK_OK(dataset_open("tests/data/pictures/dark", &options, arena, &d));
    check_sample(d, 0, F(45, 38, 30), 3);
    done(d);
}

/* 0, 16384, -32768 padded with zeros; the stereo file has two frames. */
TEST(dataset_reads_sounds_padded_or_cut)
{
    struct dataset *d = open_set("tests/data/sounds", input_of(DT_f32, 3, 1, 1, 4));

    CHECK_EQ(dataset_label(d, 1), 1);
    check_sample(d, 0, F(0, 0.5f, -1, 0), 4);
    check_sample(d, 1, F(0.25f, -1, 0, 0), 4);
    dataset_close(d);
    d = open_set("tests/data/sounds", input_of(DT_f32, 2, 1, 2));
    check_sample(d, 0, F(0, 0.5f), 2);
    done(d);
}

TEST(dataset_refuses_sounds_of_another_rate)
{
    struct dataset_input in = input_of(DT_f32, 2, 1, 2);
    const struct dataset_options options = {
        .n_inputs = 1, .input = &in, .spec = path_of("s.json")};
    struct dataset *d;

    write_text("s.json", "{\"rate\": 16000}");
    arena = arena_create();
    CHECK_FAILS(dataset_open("tests/data/sounds", &options, arena, &d), INVALID,
                "8000 samples a second, not 16000");
    done(NULL);
}

/* The test split has dogs only, which are class 1 there too. */
TEST(dataset_numbers_classes_over_all_split_folders)
{
    struct dataset *d = open_set("tests/data/split", input_of(DT_f32, 4, 1, 1, 1, 1));

    CHECK_EQ(d->split[DATASET_TRAIN].n, 2);
    CHECK_EQ(d->split[DATASET_TEST].n, 1);
    CHECK_EQ(d->n_classes, 2);
    CHECK_EQ(dataset_label(d, 0), 0);
    CHECK_EQ(dataset_label(d, 2), 1);
    check_sample(d, 2, F(3), 1);
    done(d);
}

TEST(dataset_refuses_a_folder_of_pictures_and_sounds)
{
    write_text("a.bmp", "");
    write_text("b.WAV", "");
    check_refused(folder, input_of(DT_f32, 4, 1, 1, 1, 1), INVALID,
                  "holds both pictures and sounds");
}

/* Boxes of a.png: 0.25 ... 0.75 across, all down; then the upper left quarter. */
TEST(dataset_reads_boxes_in_text_files)
{
    struct dataset_input in = input_of(DT_f32, 4, 1, 3, 2, 2);
    const struct dataset_options options = {
        .n_inputs = 1, .input = &in, .spec = path_of("s.json")};
    const struct dataset_box *boxes;
    struct dataset *d;

    write_text("s.json",
               "{\"all\": {\"samples\": \"pictures\", \"boxes\": \"boxes\"}}");
    arena = arena_create();
    CHECK_OK(dataset_open("tests/data", &options, arena, &d));
    CHECK_EQ(d->task, DATASET_DETECT);
    CHECK_EQ(dataset_boxes(d, 0, &boxes), 2);
    CHECK_EQ(boxes[0].class_id, 2);
    CHECK(boxes[0].x0 == 0.25f && boxes[0].x1 == 0.75f && boxes[0].y1 == 1);
    CHECK(boxes[1].x0 == 0 && boxes[1].y1 == 0.5f);
    CHECK_EQ(dataset_boxes(d, 1, &boxes), 0);
    CHECK_EQ(dataset_boxes(d, 3, &boxes), 1);
    done(d);
}

TEST(dataset_takes_arrays_of_an_archive_by_specification)
{
    struct dataset_input in = input_of(DT_f32, 2, 2, 2);
    const struct dataset_options options = {
        .n_inputs = 1, .input = &in, .spec = path_of("s.json")};
    struct dataset *d;

    write_text("s.json",
               "{\"val\": {\"samples\": \"x_test\", \"labels\": \"y_test\"}}");
    arena = arena_create();
    CHECK_OK(dataset_open("tests/data/digits.npz", &options, arena, &d));
    CHECK_EQ(d->n, 1);
    CHECK_EQ(d->split[DATASET_VAL].n, 1);
    check_sample(d, 0, F(90, 91, 92, 93), 4);
    done(d);
    write_text("s.json", "{\"val\": {\"samples\": \"x_tset\"}}");
    arena = arena_create();
    CHECK_FAILS(dataset_open("tests/data/digits.npz", &options, arena, &d), INVALID,
                "has no array 'x_tset'");
    done(NULL);
}
