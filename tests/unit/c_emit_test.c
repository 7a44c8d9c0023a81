/* SPDX-License-Identifier: Apache-2.0 */
// links: codegen targets frontend kernels
/* The C output: what any compiler makes of it gives the interpreter's bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "codegen/bundle.h"
#include "tests/test.h"

/* ---- a bundle in a folder of its own, and a program around it -------------------- */

static struct program *make_bundle(struct compile *c, const char *text, const char *folder)
{
    struct ir_graph *g;
    struct program *p;
    const struct bundle_options o = {
        .folder = folder, .prefix = "m", .model_path = "m.onnx", .kind = EMIT_C,
        .target = target_find("host"), .max_workers = 1, .command_options = "",
    };

    c->model_name = "m.onnx";
    CHECK_OK(ir_parse(c, text, strlen(text), &g));
    CHECK_OK(program_build(c, g, NULL, &(struct program_options){.max_workers = 1}, &p));
    planner_place(p);
    CHECK_OK(bundle_write(c, p, &o));
    return p;
}

/* Reads all inputs from stdin, writes all outputs to stdout. */
static void write_driver(const struct program *p, const char *folder)
{
    const struct ir_graph *g = p->graph;
    char path[200];

    snprintf(path, sizeof path, "%s/driver.c", folder);
    FILE *f = fopen(path, "w");

    fprintf(f, "#include \"m.h\"\n#include <stdio.h>\n"
               "static _Alignas(64) unsigned char w[M_WEIGHTS_BYTES], ws[M_WORKSPACE_BYTES "
               "+ 1];\n");
    for (int i = 0; i < g->n_in + g->n_out; i++) {
        const struct ir_value *v = i < g->n_in ? g->in[i] : g->out[i - g->n_in];

        fprintf(f, "static %s d%d[%lld];\n", dtype_info[v->dtype].ctype, i,
                (long long)ir_count(v));
    }
    fprintf(
        f,
        "int main(void)\n{\n    struct m m;\n    FILE *f = fopen(\"m.weights\", \"rb\");\n"
        "    if (!f || fread(w, 1, sizeof w, f) != sizeof w) return 3;\n");
    for (int i = 0; i < g->n_in; i++)
        fprintf(f, "    if (fread(d%d, 1, sizeof d%d, stdin) != sizeof d%d) return 4;\n", i,
                i, i);
    fprintf(f, "    if (m_open(&m, w, sizeof w, ws, M_WORKSPACE_BYTES, M_CHECK_PAYLOAD)) "
               "return 5;\n"
               "    m_run(&m, &(struct m_in){");
    for (int i = 0; i < g->n_in; i++)
        fprintf(f, "%sd%d", i ? ", " : "", i);
    fprintf(f, "}, &(struct m_out){");
    for (int i = g->n_in; i < g->n_in + g->n_out; i++)
        fprintf(f, "%sd%d", i > g->n_in ? ", " : "", i);
    fprintf(f, "});\n");
    for (int i = g->n_in; i < g->n_in + g->n_out; i++)
        fprintf(f, "    fwrite(d%d, 1, sizeof d%d, stdout);\n", i, i);
    fprintf(f, "    return 0;\n}\n");
    fclose(f);
}

/* ---- running --------------------------------------------------------------------- */

static struct tensor *make_inputs(struct arena *a, const struct ir_graph *g,
                                  const char *folder)
{
    struct tensor *in = arena_new_array(a, struct tensor, g->n_in);
    uint32_t state = 1;
    char path[200];

    snprintf(path, sizeof path, "%s/in", folder);
    FILE *f = fopen(path, "wb");

    for (int i = 0; i < g->n_in; i++) {
        in[i] = (struct tensor){.dtype = g->in[i]->dtype, .rank = g->in[i]->rank,
                                .data = arena_alloc(a, (size_t)ir_bytes(g->in[i]))};
        memcpy(in[i].dim, g->in[i]->dim, sizeof in[i].dim);
        for (int64_t k = 0; k < ir_count(g->in[i]); k++) {
            state = state * 1664525u + 1013904223u;
            ((float *)in[i].data)[k] = (float)(int32_t)state / 1e9f;
        }
        fwrite(in[i].data, 1, (size_t)ir_bytes(g->in[i]), f);
    }
    fclose(f);
    return in;
}

static int run_shell(const char *format, const char *folder, const char *rest)
{
    char line[600];

    snprintf(line, sizeof line, format, folder, rest);
    return system(line);
}

static void compare(const struct ir_graph *g, const struct interpretation *want,
                    const char *folder, const char *how)
{
    char path[200];

    snprintf(path, sizeof path, "%s/out", folder);
    FILE *f = fopen(path, "rb");

    for (int i = 0; i < g->n_out; i++) {
        const size_t n = (size_t)ir_bytes(g->out[i]);
        uint8_t *got = malloc(n);

        if (fread(got, 1, n, f) != n
            || memcmp(got, want->by_id[g->out[i]->id].data, n) != 0)
            fail_msg("output %d differs with %s", i, how);
        free(got);
    }
    fclose(f);
}

/* A compiler with options, and what runs its programs. */
static const struct {
    const char *compiler, *options;
} builds[] = {
    {"gcc", "-O0 -lm"},
    {"gcc", "-O3 -march=native"},
    {"gcc", "-O2 -std=gnu11 -march=haswell"},
    {"clang-19", "-O0"},
    /* It calls AVX10 without AVX-512's name, which some processors tell of, invalid. */
    {"clang-19", "-O3 -march=native -Wno-invalid-feature-combination"},
    {"clang-19", "-O1 -w -fgnuc-version=0 -U__clang__ -lm"}, /* neither gcc nor clang */
};

/* Every compiler's program answers with the interpreter's bytes. */
static void check_graph(const char *text)
{
    char folder[] = "/tmp/c_emit_test_XXXXXX", rest[300];
    struct compile *c = compile_create();
    struct interpretation want;

    assert_non_null(mkdtemp(folder));
    const struct program *p = make_bundle(c, text, folder);

    write_driver(p, folder);
    CHECK_OK(interpret(c->perm, p->graph, make_inputs(c->perm, p->graph, folder), &want));
    for (size_t i = 0; i < sizeof builds / sizeof builds[0]; i++) {
        /* Options last: -lm has to follow what needs it. */
        snprintf(
            rest, sizeof rest,
            "%s -std=c11 -Wall -Wextra -pedantic -Werror driver.c m.c m_kernels.c -o run %s"
            " && ./run < in > out",
            builds[i].compiler, builds[i].options);
        CHECK_EQ(run_shell("cd %s && %s", folder, rest), 0);
        compare(p->graph, &want, folder, rest);
    }
    run_shell("rm -r %s%s", folder, "");
    compile_destroy(c);
}

/* ---- the tests ------------------------------------------------------------------- */

TEST(c_joins_element_operators_into_a_loop_with_the_interpreters_bytes)
{
    check_graph("graph t(%x: f32[2,3,5,7], %s: f32[3,1,1], %r: f32[7]) {\n"
                "  %a = Mul(%x, %s) : f32[2,3,5,7]\n"
                "  %b = Exp(%a) : f32[2,3,5,7]\n"
                "  %c = Add(%b, %r) : f32[2,3,5,7]\n"
                "  %d = Tanh(%c) : f32[2,3,5,7]\n"
                "  return %b, %d\n"
                "}\n");
}

TEST(c_calls_library_kernels_with_literal_parameters)
{
    check_graph("graph t(%x: f32[1,3,9,8], %w: f32[4,3,3,3]) {\n"
                "  %a = Conv(%x, %w) {pads=[1,1,1,1]} : f32[1,4,9,8]\n"
                "  %b = Relu(%a) : f32[1,4,9,8]\n"
                "  %c = AveragePool(%b) {kernel_shape=[9,8]} : f32[1,4,1,1]\n"
                "  %d = Transpose(%b) {perm=[0,2,3,1]} : f32[1,9,8,4]\n"
                "  %e = Softmax(%d) {axis=3} : f32[1,9,8,4]\n"
                "  return %c, %e\n"
                "}\n");
}

TEST(c_reads_weights_from_the_file)
{
    check_graph("graph t(%x: f32[2,3]) {\n"
                "  %w = const f32[3,2] {1, 2, 3, 4, 5, 6.5}\n"
                "  %y = MatMul(%x, %w) : f32[2,2]\n"
                "  return %y\n"
                "}\n");
}

/* Some kernel of every file, so that all of them share one C file. */
TEST(c_takes_all_kernel_files_into_one_file)
{
    struct compile *c = compile_create();
    struct program p = {.n_steps = 0};
    struct step steps[64] = {{0}};
    struct kcall calls[64];
    struct text t = {0};
    char path[] = "/tmp/c_emit_test_XXXXXX.c", line[400];
    static const int64_t params[256];

    for (int i = 0; i < kernel_count(); i++) {
        const struct kernel_info *k = kernel_at(i);
        bool known = false;

        for (int s = 0; s < p.n_steps; s++)
            known |= strcmp(calls[s].kernel->file, k->file) == 0;
        if (known)
            continue;
        assert_true(p.n_steps < 64);
        calls[p.n_steps] = (struct kcall){.kernel = k, .params = (void *)params};
        steps[p.n_steps] = (struct step){.kind = STEP_LIBRARY, .name = k->file,
                                         .u.call = &calls[p.n_steps]};
        p.n_steps++;
    }
    p.steps = steps;
    CHECK_OK(c_emit_kernels(&p, &(struct model_names){.prefix = "m", .upper = "M"}, &t));
    const int fd = mkstemps(path, 2);

    CHECK_EQ(write(fd, t.bytes, t.len), (ssize_t)t.len);
    close(fd);
    static const char *const cc[] = {"gcc", "clang-19", "arm-none-eabi-gcc"};

    for (size_t i = 0; i < sizeof cc / sizeof cc[0]; i++) {
        snprintf(line, sizeof line,
                 "%s -std=c11 -O1 -Wall -Wextra -pedantic -Werror -c %s -o"
                 " /dev/null",
                 cc[i], path);
        CHECK_EQ(system(line), 0);
    }
    unlink(path);
    text_free(&t);
    compile_destroy(c);
}

TEST(c_refuses_compilers_that_would_change_results)
{
    char folder[] = "/tmp/c_emit_test_XXXXXX";
    struct compile *c = compile_create();

    assert_non_null(mkdtemp(folder));
    make_bundle(c, "graph t(%x: f32[4]) {\n  %y = Relu(%x) : f32[4]\n  return %y\n}\n",
                folder);
    CHECK(run_shell("cd %s && %s", folder,
                    "gcc -std=c11 -ffast-math -c m_kernels.c 2>/dev/null"));
    run_shell("rm -r %s%s", folder, "");
    compile_destroy(c);
}
