/* SPDX-License-Identifier: Apache-2.0 */
// links: codegen targets frontend kernels
/* Whole bundles of machine code, used as their user would: with a C compiler. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codegen/bundle.h"
#include "tests/test.h"

static const char *const relu_ir = "graph t(%x: f32[6]) {\n"
                                   "  %w = const f32[6] {1, 2, 3, 4, 5, 6}\n"
                                   "  %s = Add(%x, %w) : f32[6]\n"
                                   "  %y = Relu(%s) : f32[6]\n"
                                   "  return %y\n"
                                   "}\n";
static const char *const difference_ir = "graph t(%x: f32[6]) {\n"
                                         "  %w = const f32[6] {1, 2, 3, 4, 5, 6}\n"
                                         "  %s = Sub(%x, %w) : f32[6]\n"
                                         "  %y = Relu(%s) : f32[6]\n"
                                         "  return %y\n"
                                         "}\n";
static const char *const product_ir = "graph t(%x: f32[2,3]) {\n"
                                      "  %w = const f32[3,2] {1, 2, 3, 4, 5, 6}\n"
                                      "  %y = MatMul(%x, %w) : f32[2,2]\n"
                                      "  return %y\n"
                                      "}\n";

struct made {
    char folder[64]; /* a fresh one; bundles lie in it */
};

static struct status *bundle(const char *ir, const char *prefix, const char *folder,
                             bool embed, enum emit_kind kind)
{
    struct compile *c = compile_create();
    struct ir_graph *g;
    struct program *p;
    struct bundle_options o = {.folder = folder, .prefix = prefix, .model_path = "m.onnx",
                               .target = target_find("host"), .embed = embed, .kind = kind,
                               .max_workers = 2, .command_options = "--some"};
    const struct isa *isa = kind == EMIT_C ? NULL : &o.isa;

    CHECK_OK(o.target->resolve(c->perm, NULL, &o.isa, &o.cpu_features));
    CHECK_OK(ir_parse(c, ir, strlen(ir), &g));
    CHECK_OK(program_build(c, g, isa, &(struct program_options){.max_workers = 2}, &p));
    planner_place(p);
    struct status *s = bundle_write(c, p, &o);

    compile_destroy(c);
    return s;
}

static struct made make(const char *ir, const char *prefix, bool embed, enum emit_kind kind)
{
    struct made m = {.folder = "/tmp/glue_test_XXXXXX"};
    char path[100];

    assert_non_null(mkdtemp(m.folder));
    snprintf(path, sizeof path, "%s/b", m.folder);
    CHECK_OK(bundle(ir, prefix, path, embed, kind));
    return m;
}

/* Output of a shell command in the folder. */
static const char *shell(const struct made *m, const char *command)
{
    static char out[4000];
    char line[4000];

    snprintf(line, sizeof line, "cd %s && { %s; } 2>&1", m->folder, command);
    FILE *f = popen(line, "r");
    const size_t n = fread(out, 1, sizeof out - 1, f);

    out[n] = '\0';
    pclose(f);
    return out;
}

static void drop(const struct made *m)
{
    shell(m, "rm -r \"$PWD\"");
}

static void write_file(const struct made *m, const char *name, const char *text)
{
    char path[100];

    snprintf(path, sizeof path, "%s/%s", m->folder, name);
    FILE *f = fopen(path, "w");

    fputs(text, f);
    fclose(f);
}

/* ---- what a library shows -------------------------------------------------------- */

TEST(a_library_needs_nothing_but_memcpy_and_memset)
{
    const struct made m = make(product_ir, "m", false, EMIT_OBJECT);

    CHECK_TEXT(
        shell(&m, "nm -u b/libm.a | awk '/ U /{print $2}' | grep -v ^m_ | grep -vx memcpy"
                  " | grep -vx memset"),
        "");
    drop(&m);
}

TEST(a_library_shows_only_names_of_its_model)
{
    const struct made m = make(product_ir, "m", true, EMIT_OBJECT);

    CHECK_TEXT(
        shell(&m, "nm -g --defined-only b/libm.a | awk 'NF == 3 {print $3}' | grep -v ^m_"),
        "");
    CHECK_TEXT(shell(&m, "nm -g --defined-only b/libm.a | awk 'NF == 3 {print $3}'"
                         " | grep -v ^m_k | sort | tr '\\n' ' '"),
               "m_open m_run m_strerror m_use_workers m_weights ");
    drop(&m);
}

TEST(the_header_is_c99_and_cxx11)
{
    const struct made m = make(relu_ir, "m", false, EMIT_OBJECT);

    write_file(
        &m, "t.c",
        "#include \"b/m.h\"\nint main(void) { struct m m; return sizeof m != 64; }\n");
    CHECK_TEXT(
        shell(&m,
              "gcc -std=c99 -Wall -Wextra -pedantic -Werror t.c -o t && ./t && echo ok"),
        "ok\n");
    CHECK_TEXT(shell(&m, "g++ -std=c++11 -x c++ -Wall -Wextra -pedantic -Werror t.c -o t "
                         "&& ./t && echo ok"),
               "ok\n");
    drop(&m);
}

TEST(foo_c_compiles_alone_and_replaces_the_librarys_own_glue)
{
    const struct made m = make(product_ir, "m", false, EMIT_OBJECT);

    for (const char *const *cc = (const char *const[]){"gcc", "clang-19", NULL}; *cc;
         cc++) {
        char line[300];

        snprintf(line, sizeof line,
                 "cd b && %s -std=c11 -Wall -Wextra -pedantic -Werror -c m.c -o ../m.o"
                 " && %s -std=c11 m_selftest.c ../m.o m_kernels.o -lm -o ../t"
                 " && ../t m.weights; rm -f ../m.o ../t",
                 *cc, *cc);
        CHECK_TEXT(shell(&m, line), "m: 0 wrong: passed\n");
    }
    drop(&m);
}

/* ---- using it -------------------------------------------------------------------- */

TEST(two_models_link_into_one_program)
{
    const struct made m = make(relu_ir, "one", true, EMIT_OBJECT);
    char path[100];

    snprintf(path, sizeof path, "%s/c", m.folder);
    CHECK_OK(bundle(product_ir, "two", path, true, EMIT_OBJECT));
    write_file(&m, "t.c",
               "#include \"b/one.h\"\n#include \"c/two.h\"\n#include <stdio.h>\n"
               "static _Alignas(64) unsigned char a[ONE_WORKSPACE_BYTES + 1], "
               "b[TWO_WORKSPACE_BYTES + 1];\n"
               "int main(void)\n{\n"
               "    struct one one; struct two two;\n"
               "    const float x[6] = {-9, 0, 1, -5, 0, 0}; float y[6], z[4];\n"
               "    if (one_open(&one, one_weights, ONE_WEIGHTS_BYTES, a, sizeof a, "
               "ONE_CHECK_PAYLOAD)\n"
               "        || two_open(&two, two_weights, TWO_WEIGHTS_BYTES, b, sizeof b, 0)) "
               "return 1;\n"
               "    one_run(&one, &(struct one_in){x}, &(struct one_out){y});\n"
               "    two_run(&two, &(struct two_in){x}, &(struct two_out){z});\n"
               "    printf(\"%g %g %g %g %g %g|%g %g %g %g\", y[0], y[1], y[2], y[3], "
               "y[4], y[5],\n"
               "           z[0], z[1], z[2], z[3]);\n"
               "    return 0;\n}\n");
    /* [-9 0 1] W = [-9+5, -18+6], [-5 0 0] W = [-5, -10] */
    CHECK_TEXT(shell(&m, "gcc -std=c11 -Wall t.c b/libone.a c/libtwo.a -o t && ./t"),
               "0 2 4 0 5 6|-4 -12 -5 -10");
    drop(&m);
}

/* Every refusal of open; a sound file stays sound at another address. */
static const char refusals[] =
    "#include \"b/m.h\"\n#include <stdio.h>\n#include <string.h>\n"
    "static _Alignas(64) unsigned char w[M_WEIGHTS_BYTES + 64], ws[M_WORKSPACE_BYTES + "
    "65];\n"
    "static struct m m;\n"
    "static const char *open(const void *at, size_t n, void *ws, size_t ws_n, unsigned "
    "flags)\n"
    "{\n    return m_strerror(m_open(&m, at, n, ws, ws_n, flags));\n}\n"
    "int main(void)\n{\n"
    "    FILE *f = fopen(\"b/m.weights\", \"rb\");\n"
    "    const size_t n = fread(w, 1, sizeof w, f), s = M_WORKSPACE_BYTES;\n"
    "    printf(\"%s\\n\", open(w, n, ws, s, M_CHECK_PAYLOAD));\n"
    "    printf(\"%s\\n\", open(NULL, 0, ws, s, 0));\n"
    "    printf(\"%s\\n\", open(w, n - 1, ws, s, 0));\n"
    "    printf(\"%s\\n\", open(w, n, ws + 1, s, 0));\n"
    "    memmove(w + 4, w, n);\n"
    "    printf(\"%s\\n\", open(w + 4, n, ws, s, 0));\n"
    "    memmove(w, w + 4, n);\n"
    "    w[n - 1] ^= 1;\n"
    "    printf(\"%s\\n\", open(w, n, ws, s, 0));\n"
    "    printf(\"%s\\n\", open(w, n, ws, s, M_CHECK_PAYLOAD));\n"
    "    printf(\"%s\\n\", m_strerror(m_use_workers(&m, NULL, NULL, 3)));\n"
    "    return 0;\n}\n";

TEST(open_refuses_what_it_should_and_says_why)
{
    const struct made m = make(relu_ir, "m", false, EMIT_OBJECT);

    write_file(&m, "t.c", refusals);
    CHECK_TEXT(shell(&m, "gcc -std=c11 -Wall t.c b/libm.a -o t && ./t"),
               "done\n"
               "not a weights file, truncated, or damaged\n"
               "not a weights file, truncated, or damaged\n"
               "the workspace is too small or not aligned\n"
               "the weights are not aligned to 64 bytes\n"
               "done\n"
               "the weights do not match their digests\n"
               "more workers than the code was compiled for\n");
    drop(&m);
}

TEST(weights_of_another_model_are_refused)
{
    const struct made m = make(relu_ir, "m", false, EMIT_OBJECT);
    char path[100];

    snprintf(path, sizeof path, "%s/c", m.folder);
    CHECK_OK(bundle(difference_ir, "m", path, false, EMIT_OBJECT));
    CHECK_TEXT(
        shell(&m,
              "gcc b/m_selftest.c b/libm.a -lm -o t && ./t c/m.weights; ./t b/m.weights"),
        "m: the weights file belongs to another model or another build of it\n"
        "m: 0 wrong: passed\n");
    drop(&m);
}

/* ---- the folder ------------------------------------------------------------------ */

TEST(equal_inputs_give_equal_bundles)
{
    for (enum emit_kind kind = EMIT_OBJECT; kind <= EMIT_C; kind++) {
        const struct made m = make(relu_ir, "m", true, kind);

        shell(&m, "mv b first");
        char path[100];

        snprintf(path, sizeof path, "%s/b", m.folder);
        CHECK_OK(bundle(relu_ir, "m", path, true, kind));
        CHECK_TEXT(shell(&m, "diff -r first b && echo same"), "same\n");
        drop(&m);
    }
}

TEST(a_bundle_replaces_an_older_one_and_nothing_else)
{
    const struct made m = make(relu_ir, "older", false, EMIT_OBJECT);
    char path[100];

    snprintf(path, sizeof path, "%s/b", m.folder);
    CHECK_OK(bundle(product_ir, "newer", path, false, EMIT_OBJECT));
    CHECK_TEXT(shell(&m, "ls b | grep older; ls b | grep -c newer; ls"), "13\nb\n");
    shell(&m, "rm -r b && mkdir b && echo mine > b/notes.txt");
    CHECK_FAILS(bundle(product_ir, "newer", path, false, EMIT_OBJECT), IO_ERROR,
                "exists and is not a bundle");
    CHECK_TEXT(shell(&m, "cat b/notes.txt; ls"), "mine\nb\n");
    drop(&m);
}

TEST(no_file_of_a_bundle_knows_where_it_was_made)
{
    const struct made m = make(relu_ir, "m", false, EMIT_OBJECT);

    CHECK_TEXT(shell(&m, "grep -rl \"$PWD\" b | grep -v 'm.d$'"), "");
    drop(&m);
}

TEST(pkg_config_and_cmake_find_the_library)
{
    const struct made m = make(relu_ir, "m", false, EMIT_OBJECT);

    CHECK_TEXT(shell(&m, "cp b/m_selftest.c t.c; cp b/m_probe.h .; gcc t.c "
                         "$(PKG_CONFIG_PATH=b pkg-config"
                         " --cflags --libs m) -lm -o t && ./t b/m.weights"),
               "m: 0 wrong: passed\n");
    write_file(
        &m, "CMakeLists.txt",
        "cmake_minimum_required(VERSION 3.20)\nproject(t C)\n"
        "find_package(m CONFIG REQUIRED PATHS ${CMAKE_SOURCE_DIR}/b NO_DEFAULT_PATH)\n"
        "add_executable(t t.c)\ntarget_link_libraries(t m::m -lm)\n"
        "add_custom_command(TARGET t POST_BUILD COMMAND t ${m_WEIGHTS})\n");
    CHECK_TEXT(shell(&m, "cmake -B o . >/dev/null && cmake --build o | grep wrong"),
               "m: 0 wrong: passed\n");
    drop(&m);
}

/* ---- stack ----------------------------------------------------------------------- */

/* Paints the stack below main, runs, and looks how far the paint is gone.  Linked
 * statically: the dynamic linker would use the same stack to find memcpy. */
static const char paint[] =
    "#include \"b/m.h\"\n#include <stdio.h>\n#include <string.h>\n"
    "static _Alignas(64) unsigned char ws[M_WORKSPACE_BYTES + 1];\n"
    "enum { DEPTH = 60000 };\n"
    "static volatile unsigned char *low;\n"
    "__attribute__((noinline)) static void fill(void)\n"
    "{\n    volatile unsigned char b[DEPTH];\n    for (int i = 0; i < DEPTH; i++) b[i] = "
    "0xa5;\n    low = b;\n}\n"
    "__attribute__((noinline)) static void use(void)\n"
    "{\n    struct m m; static float x[6], y[6];\n"
    "    m_open(&m, m_weights, M_WEIGHTS_BYTES, ws, sizeof ws, M_CHECK_PAYLOAD);\n"
    "    m_run(&m, &(struct m_in){x}, &(struct m_out){y});\n}\n"
    "int main(void)\n{\n    int clean = 0;\n    fill();\n    use();\n"
    "    while (clean < DEPTH && low[clean] == 0xa5) clean++;\n"
    /* 256: frames of use() and of main's call. */
    "    printf(DEPTH - clean <= M_STACK_BYTES + 256 ? \"within\\n\" : \"%d\\n\", DEPTH - "
    "clean);\n"
    "    return 0;\n}\n";

TEST(the_stack_bound_of_the_header_holds)
{
    const struct made m = make(relu_ir, "m", true, EMIT_OBJECT);

    write_file(&m, "t.c", paint);
    CHECK_TEXT(shell(&m, "gcc -O1 -w -static t.c b/libm.a -o t && ./t"), "within\n");
    drop(&m);
}
