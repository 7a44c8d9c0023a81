/* SPDX-License-Identifier: Apache-2.0 */
// links: compress
/* Samples that are made up. */
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compress/synthetic.h"
#include "frontend/dataset.h"

enum { PIXELS = 64 };

/* x 2, then normalized as if its variance were 36: x must have a deviation of 3. */
static const char text[] =
    "graph g(%x: f32[1,1,8,8], %s: f32[4]) {\n"
    "  %w = const f32[1,1,1,1] {2}\n"
    "  %one = const f32[1] {1}\n"
    "  %zero = const f32[1] {0}\n"
    "  %var = const f32[1] {36}\n"
    "  %c = Conv(%x, %w) {kernel_shape=[1,1], pads=[0,0,0,0], strides=[1,1], "
    "dilations=[1,1], group=1} : f32[1,1,8,8]\n"
    "  %y = BatchNormalization(%c, %one, %zero, %zero, %var) {epsilon=0} : "
    "f32[1,1,8,8]\n"
    "  return %y, %s\n"
    "}\n";

static void remove_files(const char *folder)
{
    static const char *const names[] = {"train_0.npy", "train_1.npy", "test_0.npy",
                                        "test_1.npy", "dataset.json"};
    char path[128];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        CHECK(unlink(path) == 0);
    }
    CHECK(rmdir(folder) == 0);
}

TEST(made_up_samples_are_a_data_set_with_the_strength_that_a_model_expects)
{
    const struct synthetic_options o = {.n_train = 6, .n_test = 2, .seed = 5};
    struct compile *c = compile_create();
    struct arena *a = arena_create();
    struct dataset_options want = {0};
    char folder[] = "/tmp/hadmc-synthetic-XXXXXX";
    float x[PIXELS];
    double squares = 0.0;
    struct dataset *d;
    struct ir_graph *g;

    CHECK(mkdtemp(folder));
    CHECK_OK(ir_parse(c, text, strlen(text), &g));
    CHECK_OK(synthetic_write(g, folder, &o));
    CHECK_OK(dataset_inputs_of(g, a, &want));
    CHECK_OK(dataset_open(folder, &want, a, &d));
    CHECK_EQ(d->split[DATASET_TRAIN].n, 6);
    CHECK_EQ(d->split[DATASET_TEST].n, 2);
    for (int64_t i = 0; i < d->n; i++) {
        CHECK_OK(dataset_read(d, i, 0, x));
        for (int k = 0; k < PIXELS; k++)
            squares += (double)x[k] * (double)x[k];
    }
    const double deviation = sqrt(squares / (double)(d->n * PIXELS));

    CHECK(deviation > 2.7 && deviation < 3.3);
    CHECK_OK(dataset_read(d, 0, 1, x)); /* white: four numbers */
    dataset_close(d);
    remove_files(folder);
    arena_destroy(a);
    compile_destroy(c);
}

TEST(integers_are_not_made_up)
{
    static const char ids[] = "graph g(%x: i64[1,4]) {\n  return %x\n}\n";
    const struct synthetic_options o = {.n_train = 1, .n_test = 1, .seed = 5};
    struct compile *c = compile_create();
    struct ir_graph *g;

    CHECK_OK(ir_parse(c, ids, strlen(ids), &g));
    CHECK_FAILS(synthetic_write(g, "/nowhere", &o), UNSUPPORTED, "give --data");
    compile_destroy(c);
}
