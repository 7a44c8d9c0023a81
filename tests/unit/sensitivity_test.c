/* SPDX-License-Identifier: Apache-2.0 */
// links: search plan hal frontend kernels runtime
/* Sensitivity tables: costs from a device, the way to the programme, the file. */
#include <math.h>

#include "search/sensitivity.h"
#include "tests/test.h"

#define HASH "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"

static const char whole[] = "{\n"
                            "  \"format\": 1,\n"
                            "  \"model_sha256\": \"" HASH "\",\n"
                            "  \"target\": \"toaster\",\n"
                            "  \"samples\": 512,\n"
                            "  \"seed\": 7,\n"
                            "  \"time_origin\": \"measured\",\n"
                            "  \"levels\": [\n"
                            "    {\"weight_bits\": 32, \"activation_bits\": 32},\n"
                            "    {\"weight_bits\": 4, \"activation_bits\": 8}\n"
                            "  ],\n"
                            "  \"units\": [\n"
                            "    {\"name\": \"conv1\", \"kl\": [0.0, null], \"ns\": "
                            "[50, 20], \"bytes\": [40, 5]},\n"
                            "    {\"name\": \"fc\", \"kl\": [0.0, 0.125], \"ns\": [30, "
                            "10], \"bytes\": [80, 10]}\n"
                            "  ]\n"
                            "}\n";

static struct status *parse(struct arena *a, const char *text, struct sensitivity **out)
{
    return sensitivity_parse(a, "s.json", text, strlen(text), out);
}

TEST(a_table_reads_as_it_is_written_and_writes_the_same_bytes)
{
    struct arena *a = arena_create();
    struct text t = {0};
    struct sensitivity *s;

    CHECK_OK(parse(a, whole, &s));
    CHECK(s->n_units == 2 && s->n_levels == 2 && s->samples == 512 && s->seed == 7);
    CHECK_EQ(s->time_origin, COST_MEASURED);
    CHECK_EQ(s->model_sha256[0], 0xcd);
    CHECK(s->levels[1].weight_bits == 4 && s->levels[1].activation_bits == 8);
    CHECK_TEXT(s->names[1], "fc");
    CHECK(isinf(s->kl[1]) && s->kl[3] == 0.125);
    CHECK(s->ns[2] == 30 && s->bytes[3] == 10);
    sensitivity_write(s, &t);
    CHECK_TEXT(t.bytes, whole);
    text_free(&t);
    arena_destroy(a);
}

/* conv1 has only its first level; 50 + 10 ns and 40 + 10 B with fc at the second. */
TEST(a_table_is_a_problem_for_the_programme)
{
    struct arena *a = arena_create();
    struct sensitivity *s;

    CHECK_OK(parse(a, whole, &s));

    struct bits_problem p = sensitivity_problem(s);

    p.max_ns = 70;

    const struct bits_answer r = bits_programme(a, &p);

    CHECK(r.blocked == BITS_FITS && r.kl == 0.125 && r.ns == 60 && r.bytes == 50);
    arena_destroy(a);
}

/* 1 op and 1 B a ns, 8-bit ops twice as fast.  10 channels of 100 macs, 1000 weights,
 * 10 in and 10 out: 2000 ns for the ops against 4080 B, so 4080 ns; with 8 bits 1000 ns
 * against 1000 + 4 * 10 + 20 = 1060 B. */
TEST(costs_come_from_the_device)
{
    const struct unit units[2] = {
        {.name = "a",
         .channels = 10,
         .n_weights = 1000,
         .k = 100,
         .macs = 1000,
         .in_elements = 10,
         .out_elements = 10},
        {.name = "b",
         .channels = 10,
         .n_weights = 1000,
         .k = 100,
         .macs = 1000,
         .in_elements = 10,
         .out_elements = 10},
    };
    struct device d = {0};
    struct arena *a = arena_create();
    struct sensitivity *s = sensitivity_create(a, 2, 2);

    d.figures[FIGURE_F32_PEAK].value = 1e9;
    d.figures[FIGURE_I8_PEAK].value = 2e9;
    d.figures[FIGURE_MEMORY_BANDWIDTH].value = 1e9;
    s->levels[0] = (struct sensitivity_level){32, 32};
    s->levels[1] = (struct sensitivity_level){8, 8};
    sensitivity_model_costs(s, &d, units);
    CHECK_TEXT(s->names[1], "b");
    CHECK(s->ns[0] == 4080 && s->ns[1] == 1060);
    CHECK(s->bytes[2] == 4000 && s->bytes[3] == 1040);
    CHECK_EQ(s->time_origin, COST_MODELLED);

    /* 10 numbers: 40 B read and 10 written, or the other way round. */
    const int64_t *c = sensitivity_conversions(a, s, &d, units);

    CHECK(c[4] == 0 && c[5] == 50 && c[6] == 50 && c[7] == 0);
    arena_destroy(a);
}

TEST(what_is_wrong_in_a_table_is_named)
{
    static const struct {
        const char *find, *put, *words;
    } rows[] = {
        {"\"format\": 1", "\"format\": 9", "'s.json': 'format' is 9"},
        {"\"seed\": 7", "\"sead\": 7", "unknown key 'sead'"},
        {"cdcd\",", "cd\",", "'model_sha256' is not 64 digits"},
        {"\"measured\"", "\"guessed\"", "it may be modelled or measured"},
        {"\"activation_bits\": 8", "\"activation_bits\": 0",
         "level 1: 'activation_bits' is 0"},
        {"\"fc\"", "\"conv1\"", "unit 'conv1': is there twice"},
        {"[0.0, 0.125]", "[0.0]", "unit 'fc': 'kl' has 1 entries"},
        {"0.125", "-0.125", "unit 'fc': 'kl' of level 1 is neither null nor"},
        {"0.125", "1e300", "unit 'fc': 'kl' of level 1"},
        {"[30, 10]", "[30, 1.5]", "'ns' of level 1 is not a whole number"},
        {"[80, 10]", "[80, -1]", "'bytes' of level 1 is not a whole number"},
        {"[80, 10]", "[80, 1099511627777]", "'bytes' of level 1 is not"},
    };
    struct arena *a = arena_create();
    struct sensitivity *s;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *at = strstr(whole, rows[i].find);

        assert_non_null(at);
        CHECK_FAILS(parse(a,
                          arena_printf(a, "%.*s%s%s", (int)(at - whole), whole,
                                       rows[i].put, at + strlen(rows[i].find)),
                          &s),
                    INVALID, rows[i].words);
    }
    CHECK_FAILS(sensitivity_read(a, "nowhere.json", &s), IO_ERROR, "cannot read");
    arena_destroy(a);
}
