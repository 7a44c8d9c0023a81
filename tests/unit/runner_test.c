/* SPDX-License-Identifier: Apache-2.0 */
/* links: codegen */
/* Bundles written by hand in C, run in every way there is.  The model doubles its
 * input of three floats in two steps and counts them in a dynamic output. */
#include "codegen/codegen.h"
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char model_c[] =
    "#include <stdint.h>\n"
    "#include <stddef.h>\n"
    "typedef void kernel(uint8_t *, const uint8_t *, void *const *, int64_t, int64_t,\n"
    "                    int64_t);\n"
    "struct step { kernel *fn; int64_t n_units, grain, at; int32_t kind, target; };\n"
    "struct descriptor { uint32_t abi, n_steps; const struct step *steps; };\n"
    "struct foo { const struct descriptor *model; const uint8_t *payload; uint8_t "
    "*ws;\n"
    "             void *parallel_for, *pool; uint64_t n_workers, reserved[2]; };\n"
    "kernel k_double, k_count;\n"
    "static const struct step steps[] = {{k_double, 3, 1, 0, 0, 0},\n"
    "                                    {k_count, 1, 1, 0, 0, 0}};\n"
    "static const struct descriptor the_model = {1, 2, steps};\n"
    "int foo_open(struct foo *f, const uint8_t *w, size_t len, uint8_t *ws, size_t n,\n"
    "             unsigned flags)\n"
    "{\n"
    "    f->model = &the_model; f->payload = w; f->ws = ws;\n"
    "    f->parallel_for = NULL;\n"
    "    if (flags == 1 && w[3] == '?') return 6;\n"
    "    return w[0] == 'c' ? 3 : len == 4 && n == 64 && w[0] == 'w' ? 0 : 1;\n"
    "}\n"
    "int foo_use_workers(struct foo *f, void *p, void *pool, uint64_t n)\n"
    "{\n"
    "    f->parallel_for = p; f->pool = pool; f->n_workers = n;\n"
    "    return 0;\n"
    "}\n"
    "void foo_run(const struct foo *f, void *const *in, void *const *out)\n"
    "{\n"
    "    void *io[3] = {in[0], out[0], out[1]};\n"
    "    for (int i = 0; i < 2; i++)\n"
    "        steps[i].fn(f->ws, f->payload, io, 0, steps[i].n_units, 0);\n"
    "}\n";

static const char kernels_c[] =
    "#include <stdint.h>\n"
    "void k_double(uint8_t *ws, const uint8_t *w, void *const *io, int64_t begin,\n"
    "              int64_t end, int64_t worker)\n"
    "{\n"
    "    const float *x = io[0];\n"
    "    float *y = io[1];\n"
    "    for (int64_t i = begin; i < end; i++) y[i] = 2 * x[i];\n"
    "    ws[0] = 7; (void)w; (void)worker;\n"
    "}\n"
    "void k_count(uint8_t *ws, const uint8_t *w, void *const *io, int64_t begin,\n"
    "             int64_t end, int64_t worker)\n"
    "{\n"
    "    *(int64_t *)io[2] = ((float *)io[0])[0] < 0 ? 4 : 2;\n"
    "    if (((float *)io[0])[0] == 99) ((float *)io[1])[3] = 1;\n"
    "    (void)ws; (void)w; (void)begin; (void)end; (void)worker;\n"
    "}\n";

static const char report[] =
    "{\"format\": 1, \"prefix\": \"foo\", \"target\": \"host\", \"cpu\": \"fast-1\",\n"
    " \"emit\": \"%s\", \"embed\": false, \"workspace_bytes\": 64, \"weights_bytes\": "
    "4,\n"
    " \"max_workers\": 2,\n"
    " \"inputs\": [{\"name\": \"x\", \"dtype\": \"f32\", \"dims\": [3]}],\n"
    " \"outputs\": [{\"name\": \"y\", \"dtype\": \"f32\", \"dims\": [3], \"dynamic\": "
    "true}],\n"
    " \"steps\": [{\"name\": \"k_double\", \"node\": \"a\", \"covers\": \"Mul\", "
    "\"flops\": 3},\n"
    "           {\"name\": \"k_count\", \"node\": \"b\", \"covers\": \"Shape\", "
    "\"flops\": 0}]}\n";

static struct arena *arena;
static const char *folder;

static void write_text(const char *name, const char *text)
{
    FILE *f = fopen(arena_printf(arena, "%s/%s", folder, name), "w");

    fputs(text, f);
    fclose(f);
}

static void shell(const char *command)
{
    CHECK_EQ(system(command), 0);
}

/* The bundle, as C sources or (with "obj") as an archive. */
static void make_bundle(const char *kind)
{
    char name[] = "/tmp/runner_test-XXXXXX";

    if (!arena)
        arena = arena_create();
    CHECK(mkdtemp(name) != NULL);
    folder = arena_strdup(arena, name);
    write_text("foo.c", model_c);
    write_text("foo_kernels.c", kernels_c);
    write_text("foo.weights", "wxyz");
    write_text("foo.report.json", arena_printf(arena, report, kind));
    if (strcmp(kind, "obj") == 0)
        shell(arena_printf(arena,
                           "cd %s && cc -O2 -fPIC -c foo.c foo_kernels.c "
                           "&& ar rcs libfoo.a foo.o foo_kernels.o",
                           folder));
}

static void drop_bundle(void)
{
    shell(arena_printf(arena, "rm -r %s", folder));
}

static struct status *run(float first, const struct run_options *o,
                          struct run_result *out)
{
    float x[] = {first, 2, 3};
    const struct tensor in = {DT_f32, 1, {3}, x};
    struct bundle_meta meta;

    RETURN_IF_FAIL(bundle_read_meta(arena, folder, &meta));
    return bundle_run(arena, folder, &meta, &in, o, out);
}

static void check_doubled(const struct tensor *y)
{
    const float want[] = {2, 4};

    CHECK_EQ(y->dim[0], 2); /* the actual size, not the capacity */
    CHECK_BYTES(y->data, want, sizeof want);
}

TEST(a_library_runs_in_a_child)
{
    struct run_result r;

    make_bundle("obj");
    CHECK_OK(run(1, &(struct run_options){.repeat = 1}, &r));
    check_doubled(&r.outputs[0]);
    drop_bundle();
}

TEST(a_library_runs_as_a_linked_program_and_tells_its_peak_memory)
{
    struct run_result r;

    make_bundle("obj");
    CHECK_OK(run(1, &(struct run_options){.repeat = 1, .as_program = true}, &r));
    check_doubled(&r.outputs[0]);
    CHECK(r.peak_rss_bytes > 0 && r.peak_rss_bytes < 4 << 20);
    drop_bundle();
}

/* The emulator is a package that cmake/install_dependencies.sh installs. */
/* The program has names of its own for the model's functions. */
TEST(a_library_may_be_called_model)
{
    struct run_result r;

    make_bundle("obj");
    shell(arena_printf(
        arena,
        "cd %s && sed -i 's/foo/model/g' foo.c foo.report.json "
        "&& mv foo.weights model.weights && mv foo.report.json m.report.json "
        "&& cc -O2 -fPIC -c foo.c && ar rcs libmodel.a foo.o foo_kernels.o",
        folder));
    CHECK_OK(run(1, &(struct run_options){.repeat = 1, .as_program = true}, &r));
    check_doubled(&r.outputs[0]);
    drop_bundle();
}

TEST(a_library_for_another_processor_runs_under_its_emulator)
{
    const struct target arm = {.run_with = {"qemu-aarch64", "-cpu", "cortex-a76"}};
    struct run_result r;

    make_bundle("obj");
    shell(
        arena_printf(arena,
                     "cd %s && rm libfoo.a && clang-19 --target=aarch64-linux-gnu -O2 "
                     "-ffreestanding -c foo.c foo_kernels.c "
                     "&& ar rcs libfoo.a foo.o foo_kernels.o",
                     folder));
    CHECK_OK(run(
        1, &(struct run_options){.repeat = 2, .per_step = true, .target = &arm}, &r));
    check_doubled(&r.outputs[0]);
    CHECK(r.emulated && r.step_us[0] > 0);
    drop_bundle();
}

TEST(without_an_emulator_the_package_is_named)
{
    const struct target arm = {.run_with = {"no-such-emulator"}};
    struct run_result r;

    make_bundle("obj");
    shell(
        arena_printf(arena,
                     "cd %s && rm libfoo.a && clang-19 --target=aarch64-linux-gnu -O2 "
                     "-ffreestanding -c foo.c && ar rcs libfoo.a foo.o",
                     folder));
    CHECK_FAILS(run(1, &(struct run_options){.repeat = 1, .target = &arm}, &r),
                UNSUPPORTED,
                "install no-such-emulator (Debian package qemu-user-static)");
    drop_bundle();
}

TEST(c_sources_are_compiled_first)
{
    struct run_result r;

    make_bundle("c");
    CHECK_OK(run(1, &(struct run_options){.repeat = 1}, &r));
    check_doubled(&r.outputs[0]);
    drop_bundle();
}

TEST(runs_and_steps_are_timed_and_the_workspace_comes_back)
{
    struct run_result r;

    make_bundle("obj");
    CHECK_OK(run(1,
                 &(struct run_options){.repeat = 3,
                                       .warm_up = 1,
                                       .per_step = true,
                                       .keep_workspace = true,
                                       .n_workers = 2},
                 &r));
    check_doubled(&r.outputs[0]);
    CHECK_EQ(r.n_steps, 2);
    CHECK_TEXT(r.step_name[0], "k_double");
    CHECK(r.wall_us[2] > 0 && r.step_us[0] > 0 && r.open_us > 0);
    CHECK_EQ(r.workspace[0], 7);
    drop_bundle();
}

TEST(sets_on_all_cores_give_what_they_give_in_turn)
{
    enum { N = 500 };
    static float x[N][3];
    static struct tensor in[N];
    const struct run_options in_turn = {.repeat = 1},
                             o = {.repeat = 1, .all_cores = true};
    struct bundle_meta meta;
    struct run_result a, b;

    make_bundle("obj");
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < 3; k++)
            x[i][k] = (float)(i % 7 + k);
        in[i] = (struct tensor){.dtype = DT_f32, .rank = 1, .dim = {3}, .data = x[i]};
    }
    CHECK_OK(bundle_read_meta(arena, folder, &meta));
    CHECK_OK(bundle_run_many(arena, folder, &meta, N, in, &in_turn, &a));
    CHECK_OK(bundle_run_many(arena, folder, &meta, N, in, &o, &b));
    for (int i = 0; i < N; i++) {
        CHECK_EQ(b.outputs[i].dim[0], a.outputs[i].dim[0]);
        CHECK_BYTES(b.outputs[i].data, a.outputs[i].data,
                    (size_t)a.outputs[i].dim[0] * sizeof(float));
    }
    drop_bundle();
}

TEST(modelled_times_of_a_report_are_read_and_may_be_missing)
{
    struct bundle_meta meta;

    make_bundle("c");
    CHECK_OK(bundle_read_meta(arena, folder, &meta));
    CHECK_EQ(meta.steps[0].modelled_ns, -1);
    shell(arena_printf(arena,
                       "sed -i 's/\"flops\": 3/\"flops\": 3, \"modelled_ns\": 12/' "
                       "%s/foo.report.json",
                       folder));
    CHECK_OK(bundle_read_meta(arena, folder, &meta));
    CHECK_EQ(meta.steps[0].modelled_ns, 12);
    CHECK_EQ(meta.steps[1].modelled_ns, -1);
    shell(arena_printf(arena, "sed -i 's/: 12/: -12/' %s/foo.report.json", folder));
    CHECK_FAILS(bundle_read_meta(arena, folder, &meta), INVALID, "'modelled_ns'");
    drop_bundle();
}

TEST(writing_past_an_output_is_caught)
{
    struct run_result r;

    make_bundle("obj");
    CHECK_FAILS(run(99, &(struct run_options){.repeat = 1}, &r), INTERNAL,
                "the compiled model crashed (Segmentation fault)");
    drop_bundle();
}

TEST(an_output_beyond_its_capacity_is_refused)
{
    struct run_result r;

    make_bundle("obj");
    CHECK_FAILS(run(-1, &(struct run_options){.repeat = 1}, &r), INTERNAL,
                "output 'y' came back larger than its capacity");
    drop_bundle();
}

TEST(more_workers_than_compiled_for_are_refused)
{
    struct run_result r;

    make_bundle("obj");
    CHECK_FAILS(run(1, &(struct run_options){.repeat = 1, .n_workers = 3}, &r),
                BAD_USAGE, "this bundle was compiled for at most 2 workers");
    drop_bundle();
}

TEST(weights_of_another_model_are_a_message)
{
    struct run_result r;

    make_bundle("obj");
    write_text("foo.weights", "no");
    CHECK_FAILS(run(1, &(struct run_options){.repeat = 1}, &r), INVALID,
                "cannot be opened");
    drop_bundle();
}

TEST(a_library_of_another_model_is_named)
{
    struct run_options o = {.repeat = 1};
    struct run_result r;

    make_bundle("obj");
    shell(arena_printf(arena, "cd %s && ar d libfoo.a foo.o", folder));
    CHECK_FAILS(run(1, &o, &r), INVALID, "/libfoo.a' cannot be loaded: ");
    o.as_program = true;
    CHECK_FAILS(run(1, &o, &r), IO_ERROR, "foo_open");
    drop_bundle();
}

TEST(weights_without_a_byte_are_named)
{
    struct run_result r;

    make_bundle("obj");
    write_text("foo.weights", "");
    CHECK_FAILS(run(1, &(struct run_options){.repeat = 1}, &r), INVALID,
                "/foo.weights' is empty");
    drop_bundle();
}

TEST(damaged_weights_are_found_before_they_are_used)
{
    struct run_result r;

    make_bundle("obj");
    write_text("foo.weights", "wxy?");
    CHECK_FAILS(run(1, &(struct run_options){.repeat = 1}, &r), INVALID,
                "the weights do not match their digests");
    drop_bundle();
}

TEST(a_processor_that_lacks_something_is_told_for_which_one_the_code_is)
{
    struct run_result r;

    make_bundle("obj");
    write_text("foo.weights", "cpu!");
    CHECK_FAILS(run(1, &(struct run_options){.repeat = 1}, &r), INVALID,
                "is for 'fast-1': this processor lacks a feature that the code needs");
    drop_bundle();
}

TEST(a_folder_without_a_report_is_no_bundle)
{
    struct bundle_meta meta;

    make_bundle("obj");
    shell(arena_printf(arena, "rm %s/foo.report.json", folder));
    CHECK_FAILS(bundle_read_meta(arena, folder, &meta), INVALID, "is not a bundle");
    drop_bundle();
}

TEST(a_prefix_that_is_a_path_is_refused)
{
    struct bundle_meta meta;

    make_bundle("obj");
    shell(arena_printf(arena, "sed -i 's|\"foo\"|\"../foo\"|' %s/foo.report.json",
                       folder));
    CHECK_FAILS(bundle_read_meta(arena, folder, &meta), INVALID,
                "'../foo' is not a prefix of C names");
    drop_bundle();
}
