/* SPDX-License-Identifier: Apache-2.0 */
// links: hal
/* device.json: what is read, what follows from it, what is refused. */
#include "hal/device.h"
#include "support/text.h"
#include "tests/test.h"

#define SOURCE                                                                         \
    ", \"origin\": \"datasheet\", \"source\": \"a document with a long name\"}"
#define FIG(name, value, unit)                                                         \
    "{\"name\": \"" name "\", \"value\": " value ", \"unit\": \"" unit "\"" SOURCE
#define DEVICE(figures)                                                                \
    "{\"device\": \"toy\", \"about\": \"for tests\", \"figures\": [" figures "]}"

#define KERNELS(list)                                                                  \
    "{\"device\": \"toy\", \"about\": \"for tests\", \"figures\": [" TOY               \
    "], \"kernels\": [" list "]}"
#define TABLE(channels, depth, ns)                                                     \
    "{\"kind\": \"window\", \"weight_bits\": 8, \"activation_bits\": 8, "              \
    "\"channels\": " channels ", \"depth\": " depth ", \"rows\": [1], \"ns\": [" ns    \
    "]}"

/* The same kernels with and without zero points of weights. */
#define ZEROS_TABLE(zeros, ns)                                                         \
    "{\"kind\": \"window\", \"weight_bits\": 8, \"activation_bits\": 8, "              \
    "\"weight_zeros\": " zeros ", \"channels\": [1], \"depth\": [1], \"rows\": [1], "  \
    "\"ns\": [" ns "]}"

/* 8 flop a cycle at 2 Hz, 64 B/s of memory. */
#define TOY                                                                            \
    FIG("f32_flop_per_cycle", "8", "flop/cycle")                                       \
    ", " FIG("clock_max", "2", "Hz") ", " FIG("memory_bandwidth", "64", "B/s")

static struct status *parse(struct arena *a, const char *json, struct device *out)
{
    return device_parse(a, "toy.json", json, strlen(json), out);
}

TEST(a_figure_keeps_value_unit_origin_and_source)
{
    struct arena *a = arena_create();
    struct device d;

    CHECK_OK(parse(a, DEVICE(TOY ", " FIG("l2", "512", "B per core")), &d));
    CHECK_TEXT(d.name, "toy");
    CHECK(d.figures[FIGURE_L2_BYTES].value == 512);
    CHECK_TEXT(d.figures[FIGURE_L2_BYTES].unit, "B per core");
    CHECK_EQ(d.figures[FIGURE_L2_BYTES].origin, FIGURE_DATASHEET);
    CHECK_TEXT(d.figures[FIGURE_L2_BYTES].source, "a document with a long name");
    CHECK(d.figures[FIGURE_L1_BYTES].value == 0);
    arena_destroy(a);
}

TEST(a_rate_is_the_stated_peak_or_per_cycle_times_clock)
{
    struct arena *a = arena_create();
    struct device d;

    CHECK_OK(parse(a, DEVICE(TOY), &d));
    CHECK(device_peak(&d, PRECISION_F32) == 16);
    CHECK_OK(parse(a, DEVICE(TOY ", " FIG("f32_peak", "15", "flop/s")), &d));
    CHECK(device_peak(&d, PRECISION_F32) == 15);
    arena_destroy(a);
}

/* No float16: as fast as float32.  8-bit: 32 x 2.  4-bit: as 8-bit. */
TEST(a_missing_precision_has_the_rate_of_the_next_wider_one)
{
    struct arena *a = arena_create();
    struct device d;

    CHECK_OK(parse(a, DEVICE(TOY ", " FIG("i8_op_per_cycle", "32", "op/cycle")), &d));
    CHECK(device_peak(&d, PRECISION_F16) == 16);
    CHECK(device_peak(&d, PRECISION_I8) == 64);
    CHECK(device_peak(&d, PRECISION_I4) == 64);
    CHECK(device_has(&d, PRECISION_I8) && !device_has(&d, PRECISION_I4));
    arena_destroy(a);
}

TEST(a_tile_that_is_not_stated_is_one_channel)
{
    struct arena *a = arena_create();
    struct device d;

    CHECK_OK(parse(a, DEVICE(TOY), &d));
    CHECK_EQ(device_tile_outputs(&d, PRECISION_I8), 1);
    CHECK_EQ(device_tile_inputs(&d, PRECISION_I8), 1);
    CHECK_OK(parse(a,
                   DEVICE(TOY ", " FIG("tile_channels", "16", "channels") ", " FIG(
                       "tile_inputs_i8", "4", "channels")),
                   &d));
    CHECK_EQ(device_tile_outputs(&d, PRECISION_I8), 16);
    CHECK_EQ(device_tile_outputs(&d, PRECISION_F32), 16);
    CHECK_EQ(device_tile_inputs(&d, PRECISION_I8), 4);
    CHECK_EQ(device_tile_inputs(&d, PRECISION_F32), 1);
    CHECK_OK(parse(a,
                   DEVICE(TOY ", " FIG("tile_channels", "16", "channels") ", " FIG(
                       "tile_channels_f32", "4", "channels")),
                   &d));
    CHECK_EQ(device_tile_outputs(&d, PRECISION_F32), 4);
    arena_destroy(a);
}

TEST(figures_are_those_of_the_widest_vectors_that_a_rate_is_stated_for)
{
    static const int bytes[] = {64, 32, 16};
    static const double slower[] = {1, 1, 4};
    struct arena *a = arena_create();
    struct device d;

    for (int i = 0; i < 3; i++) {
        CHECK_OK(parse(
            a,
            DEVICE(TOY ", " FIG("f32_flop_per_cycle_v3", "32", "flop/cycle") ", " FIG(
                "i8_peak", "1000", "op/s") ", " FIG("output_time", "1e-9", "s")),
            &d));
        device_use_vectors(&d, bytes[i]);
        CHECK(device_peak(&d, PRECISION_F32) == 64 / slower[i]);
        CHECK(device_peak(&d, PRECISION_I8) == 1000 / slower[i]);
        CHECK(d.figures[FIGURE_OUTPUT_TIME].value == 1e-9 * slower[i]);
    }
    arena_destroy(a);
}

TEST(code_without_products_of_bytes_has_multiples_of_the_float_rate)
{
    struct arena *a = arena_create();
    struct device d;

    CHECK_OK(parse(a, DEVICE(TOY ", " FIG("i8_peak", "1000", "op/s")), &d));
    CHECK(device_peak(&d, PRECISION_F32) == 16);
    CHECK(device_peak(&d, PRECISION_I4) == 1000);
    device_use_multiples(&d, 2, 4);
    CHECK(device_peak(&d, PRECISION_I8) == 32);
    CHECK(device_peak(&d, PRECISION_I4) == 64);
    arena_destroy(a);
}

/* 100 B in L1, 1000 B in L2; L1 states 50 B/s, L2 none, memory 64. */
TEST(a_level_holds_what_fits_and_is_never_faster_than_the_one_before)
{
    struct arena *a = arena_create();
    struct device d;

    CHECK_OK(parse(a,
                   DEVICE(TOY ", " FIG("l1d", "100", "B") ", " FIG(
                       "l2", "1000", "B") ", " FIG("l1_bandwidth", "50", "B/s")),
                   &d));
    CHECK_EQ(device_level_for(&d, 100), LEVEL_L1);
    CHECK_EQ(device_level_for(&d, 101), LEVEL_L2);
    CHECK_EQ(device_level_for(&d, 1001), LEVEL_MEMORY);
    CHECK(device_bandwidth(&d, LEVEL_L1) == 50);
    CHECK(device_bandwidth(&d, LEVEL_MEMORY) == 50);
    arena_destroy(a);
}

TEST(what_is_written_reads_back_with_its_kernels)
{
    struct arena *a = arena_create();
    struct text first = {0}, second = {0};
    struct device d;

    CHECK_OK(parse(a, KERNELS(TABLE("[2, 4]", "[9]", "70.5, 125")), &d));
    d.code = "some target";
    CHECK_EQ(d.n_kernels, 1);
    CHECK(d.kernels[0].ns[1] == 125 && d.kernels[0].at[AXIS_CHANNELS][1] == 4);
    CHECK(device_kernels(&d, WORK_WINDOW, 4, 8, false) == &d.kernels[0]);
    CHECK(device_kernels(&d, WORK_WINDOW, 32, 32, false) == NULL);
    CHECK(device_kernels(&d, WORK_FIRST, 8, 8, false) == NULL);
    device_write(&d, &first);
    CHECK_OK(parse(a, first.bytes, &d));
    device_write(&d, &second);
    CHECK_TEXT(second.bytes, first.bytes);
    text_free(&first);
    text_free(&second);
    arena_destroy(a);
}

/* Also after writing and reading; where there is but one table, it serves both. */
TEST(weights_with_zero_points_have_kernels_of_their_own)
{
    struct arena *a = arena_create();
    struct text written = {0};
    struct device d;

    CHECK_OK(
        parse(a, KERNELS(ZEROS_TABLE("true", "3") ", " ZEROS_TABLE("false", "2")), &d));
    d.code = "some target";
    device_write(&d, &written);
    CHECK_OK(parse(a, written.bytes, &d));
    CHECK(device_kernels(&d, WORK_WINDOW, 8, 8, true)->ns[0] == 3);
    CHECK(device_kernels(&d, WORK_WINDOW, 8, 8, false)->ns[0] == 2);
    d.n_kernels = 1;
    CHECK(device_kernels(&d, WORK_WINDOW, 8, 8, false)->ns[0] == 3);
    text_free(&written);
    arena_destroy(a);
}

/* A file from before there was such a table, or of a machine without such kernels. */
TEST(kinds_that_were_not_measured_count_as_the_nearest)
{
    struct arena *a = arena_create();
    struct device d;

    CHECK_OK(parse(a, KERNELS(TABLE("[2, 4]", "[9]", "70.5, 125")), &d));
    CHECK(device_kernels(&d, WORK_WINOGRAD, 8, 8, false) == &d.kernels[0]);
    CHECK(device_kernels(&d, WORK_SOFTMAX, 8, 8, false) == NULL);
    d.kernels[0].kind = WORK_MOVE;
    CHECK(device_kernels(&d, WORK_SOFTMAX, 8, 8, false) == &d.kernels[0]);
    arena_destroy(a);
}

TEST(what_is_wrong_in_a_device_file_is_named)
{
    static const struct {
        const char *json, *words;
    } rows[] = {
        {"[]", "'toy.json': holds no JSON object"},
        {"{\"device\": 1", "'toy.json': line 1"},
        {"{\"device\": \"a\", \"device\": \"b\"}", "duplicate object key"},
        {"{\"device\": \"toy\", \"figures\": []}", "'about' is missing, not a text"},
        {"{\"gadget\": 1}",
         "unknown key 'gadget'; it may be device, about, code, figures"},
        {DEVICE(""), "'figures' has 0 entries"},
        {DEVICE("3"), "figure 0: is not an object"},
        {DEVICE(FIG("cpu_l4", "1", "B")),
         "figure 0: 'name' is \"cpu_l4\"; it may be cores, clock_max,"},
        {DEVICE(FIG("l2", "-1", "B")),
         "figure 'l2': 'value' is -1, not a number from 1 to"},
        {DEVICE(FIG("l2", "1e99", "B")), "'value' is 1e99, not a number"},
        {DEVICE(FIG("l2", "0", "B")), "'value' is 0, not a number from 1 to"},
        {DEVICE(FIG("l2", "\"1\"", "B")), "'value' is \"1\", not a number"},
        {DEVICE(FIG("l2", "1", "KiB")), "'unit' is 'KiB', not 'B'"},
        {DEVICE(FIG("l2", "1", "Bytes")), "'unit' is 'Bytes', not 'B'"},
        {DEVICE("{\"name\": \"l2\", \"value\": 1, \"unit\": \"B\", \"origin\":"
                " \"datasheet\", \"source\": \"hearsay\"}"),
         "'source' is 'hearsay'; it names a document"},
        {DEVICE("{\"name\": \"l2\", \"value\": 1, \"unit\": \"B\", \"origin\":"
                " \"guess\", \"source\": \"a document with a long name\"}"),
         "'origin' is \"guess\"; it may be datasheet, computed or measured"},
        {DEVICE(TOY ", " FIG("clock_max", "3", "Hz")),
         "figure 'clock_max': is stated twice"},
        {DEVICE(FIG("memory_bandwidth", "64", "B/s")), "states neither 'f32_peak' nor"},
        {DEVICE(FIG("f32_peak", "64", "flop/s")), "does not state 'memory_bandwidth'"},
        {KERNELS("{\"kind\": \"cube\"}"),
         "kernels 0: 'kind' is \"cube\"; it may be product, pointwise,"},
        {KERNELS(ZEROS_TABLE("1", "1")), "'weight_zeros' is neither true nor false"},
        {KERNELS(TABLE("[4, 2]", "[1]", "1, 1")),
         "'channels' does not rise at place 1"},
        {KERNELS(TABLE("[0]", "[1]", "1")), "'channels' has no number from 1 to"},
        {KERNELS(TABLE("[2, 4]", "[1]", "1")), "'ns' has 1 entries"},
        {KERNELS(TABLE("[2, 4]", "[1]", "1, -1")), "'ns' has no number from 0.001 to"},
    };
    struct arena *a = arena_create();
    struct device d;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_FAILS(parse(a, rows[i].json, &d), INVALID, rows[i].words);
    arena_destroy(a);
}
