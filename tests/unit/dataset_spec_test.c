/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* Specifications: values, defaults, and what people and attackers write. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>

#include "tests/test.h"

#include "frontend/dataset_spec.h"

static struct dataset_spec spec;

static struct status *parse(struct arena *a, const char *text)
{
    return dataset_spec_parse(a, text, strlen(text), &spec);
}

static void check_fails(const char *text, const char *words)
{
    struct arena *a = arena_create();

    CHECK_FAILS(parse(a, text), INVALID, words);
    arena_destroy(a);
}

TEST(spec_of_nothing_changes_nothing)
{
    struct arena *a = arena_create();

    CHECK_OK(parse(a, "{}"));
    CHECK(spec.scale == 1 && spec.peak < 0 && !spec.mean.n && !spec.std.n);
    CHECK(isnan(spec.label_threshold) && spec.decoder.kind == DATASET_NO_DECODER);
    arena_destroy(a);
}

TEST(spec_reads_preprocessing)
{
    struct arena *a = arena_create();

    CHECK_OK(parse(a, "{\"scale\": \"1/4\", \"mean\": 0.5, \"std\": [1, 2, 4],"
                      " \"resize\": 256, \"crop\": [224, 192], \"color\": \"bgr\","
                      " \"input_layout\": \"nhwc\", \"label_offset\": -1}"));
    CHECK(spec.scale == 0.25 && spec.mean.n == 1 && spec.mean.at[0] == 0.5);
    CHECK(spec.std.n == 3 && spec.std.at[2] == 4);
    CHECK(spec.resize.width == 256 && spec.resize.height == 0);
    CHECK(spec.crop.width == 224 && spec.crop.height == 192);
    CHECK(spec.color == COLOR_BGR && spec.input_layout == LAYOUT_NHWC);
    CHECK_EQ(spec.label_offset, -1);
    arena_destroy(a);
}

TEST(spec_reads_parts)
{
    struct arena *a = arena_create();

    CHECK_OK(parse(a, "{\"test\": {\"samples\": {\"a\": \"x/a.npy\", \"b\": \"b.npy\"},"
                      " \"labels\": \"y.npy\", \"count\": 5}, \"classes\": [\"no\"],"
                      " \"zeros\": [\"state\"]}"));
    CHECK(spec.part[DATASET_TEST].given && !spec.part[DATASET_TRAIN].given);
    CHECK_EQ(spec.part[DATASET_TEST].n_samples, 2);
    CHECK_TEXT(spec.part[DATASET_TEST].input[0], "a");
    CHECK_TEXT(spec.part[DATASET_TEST].samples[0], "x/a.npy");
    CHECK_EQ(spec.part[DATASET_TEST].count, 5);
    CHECK_TEXT(spec.class_names[0], "no");
    CHECK_TEXT(spec.zeros[0], "state");
    arena_destroy(a);
}

/* Without a step windows do not overlap, but for their context. */
TEST(spec_reads_windows_and_decoders)
{
    struct arena *a = arena_create();

    CHECK_OK(parse(a, "{\"window\": {\"size\": 8, \"context\": 2, \"stride\": 3},"
                      " \"decoder\": {\"kind\": \"grid\", \"box\": 1, \"classes\": 5,"
                      " \"offset\": \"tanh\", \"size\": \"sigmoid\"}}"));
    CHECK_EQ(spec.window.step, 18);
    CHECK_EQ(spec.decoder.kind, DATASET_GRID);
    CHECK_EQ(spec.decoder.offset, DATASET_TANH);
    CHECK_EQ(spec.decoder.size, DATASET_SIGMOID);
    arena_destroy(a);
}

TEST(spec_names_the_key_that_was_meant)
{
    check_fails("{\"maen\": 1}", "no key 'maen'; did you mean 'mean'?");
    check_fails("{\"test\": {\"sample\": \"a\"}}",
                "test has no key 'sample'; did you mean 'samples'?");
    check_fails("{\"window\": {\"xyzzy\": 1}}", "it knows size step stride context");
}

TEST(spec_refuses_wrong_values)
{
    check_fails("{\"std\": [1, 0]}", "not above 0");
    check_fails("{\"scale\": \"1/0\"}", "'scale' is neither");
    check_fails("{\"scale\": \"1/\"}", "'scale' is neither");
    check_fails("{\"mean\": []}", "'mean' is not a number or a list");
    check_fails("{\"mean\": [\"1\"]}", "'mean' is not a number");
    check_fails("{\"resize\": 0}", "'resize' is not a whole number");
    check_fails("{\"resize\": [1]}", "neither a number nor [width, height]");
    check_fails("{\"color\": \"red\"}", "'color' is none of rgb, bgr, gray");
    check_fails("{\"task\": \"clasify\"}", "none of none, classify, detect, language");
    check_fails("{\"test\": {}}", "'test' has no samples");
    check_fails("{\"window\": {\"step\": 1}}", "'window' has no size");
    check_fails("{\"window\": {\"size\": 2, \"context\": 2}}", "more context");
    check_fails("{\"decoder\": {\"kind\": \"boxes\"}}", "names no output");
    check_fails("{\"decoder\": {\"kind\": \"grid\"}}", "lacks the channel");
    check_fails("{\"decoder\": {}}", "has no kind");
}

TEST(spec_refuses_files_elsewhere)
{
    check_fails("{\"test\": {\"samples\": \"/etc/passwd\"}}", "not below the set's");
    check_fails("{\"test\": {\"samples\": \"a/../../b\"}}", "not below the set's");
    check_fails("{\"classes\": \"..\"}", "not below the set's");
}

TEST(spec_refuses_other_json)
{
    check_fails("[]", "is not an object");
    check_fails("{\"mean\": 1, \"mean\": 2}", "line 1: duplicate object key");
    check_fails("{", "line 1");
    check_fails("", "line 1");
}

TEST(spec_reads_all_that_are_in_the_tree)
{
    DIR *dir = opendir("tests/data_specs");
    int n = 0;

    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        struct arena *a = arena_create();
        char path[512], text[4096];

        snprintf(path, sizeof path, "tests/data_specs/%s", e->d_name);
        if (strstr(e->d_name, ".json")) {
            FILE *f = fopen(path, "rb");
            const size_t len = fread(text, 1, sizeof text, f);

            fclose(f);
            CHECK_OK(dataset_spec_parse(a, text, len, &spec));
            n++;
        }
        arena_destroy(a);
    }
    closedir(dir);
    CHECK(n >= 21);
}
