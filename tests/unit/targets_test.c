/* SPDX-License-Identifier: Apache-2.0 */
// links: targets codegen hal runtime frontend kernels
/* Targets: each is complete, and what its processors can do. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <llvm-c/Target.h>

#include "codegen/embedded.h"
#include "codegen/target.h"
#include "hal/device.h"
#include "runtime/hadm.h"
#include "tests/test.h"

TEST(every_target_resolves_to_a_processor_that_the_build_carries_kernels_for)
{
    struct arena *a = arena_create();

    for (int i = 0; all_targets[i]; i++) {
        struct isa isa;
        uint64_t features;

        CHECK(target_find(all_targets[i]->name) == all_targets[i]);
        CHECK((all_targets[i]->emits == EMITS_CODE)
              == (all_targets[i]->resolve != NULL));
        if (!all_targets[i]->resolve)
            continue;
        CHECK_OK(all_targets[i]->resolve(a, NULL, &isa, &features));
        CHECK(embedded_bitcode("kernels", isa.triple).at != NULL);
        CHECK(isa.vector_bytes >= 16 && isa.n_registers >= 16 && isa.l1_bytes > 0);
    }
    CHECK(target_find("toaster") == NULL);
    arena_destroy(a);
}

TEST(an_unknown_cpu_is_answered_with_the_list)
{
    struct arena *a = arena_create();
    struct isa isa;
    uint64_t features;

    CHECK_FAILS(target_find("x86_64")->resolve(a, "z80", &isa, &features), BAD_USAGE,
                "it knows x86-64 x86-64-v2");
    CHECK_FAILS(target_find("orin")->resolve(a, "haswell", &isa, &features), BAD_USAGE,
                "it knows generic cortex-a53");
    arena_destroy(a);
}

TEST(the_host_is_not_asked_for_more_than_it_has)
{
    struct arena *a = arena_create();
    struct isa isa;
    uint64_t need;

    CHECK_OK(target_find("host")->resolve(a, NULL, &isa, &need));
    CHECK_EQ(need & ~hadm_cpu_features(), 0);
    arena_destroy(a);
}

TEST(levels_of_x86_differ_in_vectors_and_in_what_they_need)
{
    static const struct {
        const char *cpu;
        int vector_bytes, n_registers;
        bool fma, masks;
        uint64_t need;
    } rows[] = {
        {"x86-64", 16, 16, false, false, 0},
        {"haswell", 32, 16, true, false, HADM_CPU_SSE42 | HADM_CPU_AVX2},
        {"skylake-avx512", 64, 32, true, true,
         HADM_CPU_SSE42 | HADM_CPU_AVX2 | HADM_CPU_AVX512},
    };
    struct arena *a = arena_create();

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct isa isa;
        uint64_t need;

        CHECK_OK(target_find("x86_64")->resolve(a, rows[i].cpu, &isa, &need));
        CHECK_EQ(isa.vector_bytes, rows[i].vector_bytes);
        CHECK_EQ(isa.n_registers, rows[i].n_registers);
        CHECK(isa.fma == rows[i].fma && isa.masks == rows[i].masks);
        CHECK_EQ(need, rows[i].need);
    }
    arena_destroy(a);
}

TEST(processors_have_products_of_bytes_and_tables_in_registers_or_not)
{
    static const struct {
        const char *target, *cpu;
        bool dot, table;
    } rows[] = {
        {"x86_64", "haswell", false, false},
        {"x86_64", "alderlake", true, false},
        {"x86_64", "skylake-avx512", false, false},
        {"x86_64", "cascadelake", true, false},
        {"x86_64", "znver4", true, true},
        {"aarch64", "cortex-a53", false, true},
        {"aarch64", "cortex-a76", true, true},
    };
    struct arena *a = arena_create();

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct isa isa;
        uint64_t need;

        CHECK_OK(target_find(rows[i].target)->resolve(a, rows[i].cpu, &isa, &need));
        CHECK(isa.dot == rows[i].dot && isa.table == rows[i].table);
    }
    arena_destroy(a);
}

/* Of a processor: 8-bit and 4-bit products for each float32 one. */
TEST(rates_of_codes_are_those_of_the_processor_unless_a_file_states_them)
{
    static const struct {
        const char *target, *cpu;
        double i8, i4;
    } rows[] = {
        {"x86_64", "nehalem", 2, 2},
        {"x86_64", "haswell", 2, 4},
        {"x86_64", "skylake-avx512", 2, 2},
    };
    struct arena *a = arena_create();

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct target *t = target_find(rows[i].target);
        struct device own, files;
        struct isa isa;
        uint64_t need;

        CHECK_OK(t->resolve(a, rows[i].cpu, &isa, &need));
        CHECK_OK(target_device(a, t, NULL, &own));
        files = own;
        target_fit_device(&isa, NULL, &own);
        target_fit_device(&isa, "mine.json", &files);
        const double f32 = device_peak(&own, PRECISION_F32);

        CHECK(device_peak(&own, PRECISION_I8) == rows[i].i8 * f32);
        CHECK(device_peak(&own, PRECISION_I4) == rows[i].i4 * f32);
        CHECK(device_peak(&files, PRECISION_I8) > rows[i].i8 * f32);
    }
    arena_destroy(a);
}

TEST(every_device_file_passes_the_door_and_gives_costs)
{
    struct arena *a = arena_create();

    for (int i = 0; all_targets[i]; i++) {
        const char *json = all_targets[i]->device_json;
        struct device d;

        CHECK_OK(device_parse(a, all_targets[i]->name, json, strlen(json), &d));
        CHECK(device_peak(&d, PRECISION_I8) > device_peak(&d, PRECISION_F32));
        CHECK(d.figures[FIGURE_TILE_CHANNELS].value >= 1);
    }
    arena_destroy(a);
}

/* Code multiplies float32 whatever the device could; plans are for what it can. */
TEST(what_becomes_of_16_bits_is_the_targets)
{
    static const struct {
        const char *target;
        enum cost_halves halves;
    } rows[] = {
        {"host", HALVES_READ},
        {"orin", HALVES_READ},
        {"cortex-m", HALVES_WIDENED},
        {"a100", HALVES_MULTIPLIED},
        {"ascend310", HALVES_MULTIPLIED},
    };
    struct arena *a = arena_create();
    struct device d;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct target *t = target_find(rows[i].target);

        CHECK_OK(target_device(a, t, NULL, &d));
        CHECK_EQ(target_halves(t, &d), rows[i].halves);
    }
    d.figures[FIGURE_F16_PEAK].value = 0; /* an Ascend 310 without float16 */
    CHECK_EQ(target_halves(target_find("ascend310"), &d), HALVES_NONE);
    arena_destroy(a);
}

TEST(machine_code_stores_a_byte_for_each_depthwise_weight)
{
    CHECK_EQ(target_depthwise_bits(target_find("host"), false), 8);
    CHECK_EQ(target_depthwise_bits(target_find("host"), true), 4);
    CHECK_EQ(target_depthwise_bits(target_find("cortex-m"), false), 4);
    CHECK_EQ(target_depthwise_bits(target_find("a100"), false), 4);
}

static double rate(const char *name, enum precision p)
{
    struct arena *a = arena_create();
    struct device d;

    CHECK_OK(target_device(a, target_find(name), NULL, &d));

    const double peak = device_has(&d, p) ? device_peak(&d, p) : 0;

    arena_destroy(a);
    return peak;
}

/* Dense rates: float16 of an A100 is 16 times its float32, not the other way round, and
 * a rating in 8 bits is not multiplied once more. */
TEST(rates_are_dense_and_each_of_its_own_precision)
{
    CHECK(rate("a100", PRECISION_F32) == 19.5e12
          && rate("a100", PRECISION_F16) == 312e12);
    CHECK(rate("a100", PRECISION_TF32) == 156e12
          && rate("a100", PRECISION_I8) == 624e12);
    CHECK(rate("orin-gpu", PRECISION_I8) == 85e12);
    CHECK(rate("h200", PRECISION_I8) == 1979e12 && rate("h200", PRECISION_I4) == 0);
    CHECK(rate("ascend310", PRECISION_I8) == 22.28e12);
    CHECK(rate("ascend310", PRECISION_I4) == 0);
    CHECK(rate("ascend310b", PRECISION_I4) > 0);
    CHECK(rate("host", PRECISION_F32) < rate("a100", PRECISION_F32));
}

static const char *write_board(struct arena *a, const char *code)
{
    char *path = arena_printf(a, "%s", "/tmp/hadmc-board-XXXXXX");
    const int fd = mkstemp(path);

    CHECK(fd >= 0);
    dprintf(
        fd,
        "{\"device\": \"board\", \"about\": \"\"%s, \"figures\": ["
        "{\"name\": \"f32_peak\", \"value\": 8, \"unit\": \"flop/s\","
        " \"origin\": \"datasheet\", \"source\": \"a document with a long name\"},"
        "{\"name\": \"memory_bandwidth\", \"value\": 4, \"unit\": \"B/s\","
        " \"origin\": \"datasheet\", \"source\": \"a document with a long name\"}]}",
        code);
    close(fd);
    return path;
}

TEST(a_users_file_names_the_target_whose_code_its_device_runs)
{
    struct arena *a = arena_create();
    const struct target *t;
    struct device d;
    const char *good = write_board(a, ", \"code\": \"aarch64\"");
    const char *odd = write_board(a, ", \"code\": \"toaster\"");
    const char *none = write_board(a, "");

    CHECK_OK(target_of_file(a, good, &t));
    CHECK_TEXT(t->name, "aarch64");
    CHECK_OK(target_device(a, t, good, &d));
    CHECK(device_peak(&d, PRECISION_F32) == 8);
    CHECK_FAILS(target_of_file(a, odd, &t), INVALID, "'code' is 'toaster', no target;");
    CHECK_FAILS(target_of_file(a, none, &t), INVALID, "'code' is missing;");
    CHECK_FAILS(target_of_file(a, "/tmp/no/board.json", &t), IO_ERROR, "board.json");
    unlink(good);
    unlink(odd);
    unlink(none);
    arena_destroy(a);
}
