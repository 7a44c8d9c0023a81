/* SPDX-License-Identifier: Apache-2.0 */
/* Equal bytes everywhere.
 *
 *   exact c|cpus [--every N] [--only PART] [--all] WORK_FOLDER CASE...
 *
 * A case is an ONNX file, a folder with a model.onnx and perhaps test data, or a
 * folder of such folders.  Each runs on its data, on perturbed data, and on data
 * full of values that are special to floats; what the reference interpreter makes
 * of it is what has to come out, byte by byte, NaN for NaN:
 *
 *   c      of the C output: its files compile alone without a warning, the header as
 *          C99 and C++11, and every compiler's program gives the bytes (--all: more
 *          compilers and levels)
 *   cpus   of the machine code for each processor in a list, for every output that
 *          the bundle's report calls exact (class E)
 *
 * Missing cross compilers and emulators are left out, with a line that says so.
 * Models that do not import are skipped: other tests count them.
 */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "codegen/child.h"
#include "codegen/compile_model.h"
#include "tests/conformance/onnx_case.h"

enum { MAX_CASES = 4096, N_SETS = 3, SECONDS_PER_CASE = 1200 };

static const char *const set_names[N_SETS] = {"data", "perturbed", "special"};

struct exact {
    const char *name;
    struct onnx_case on;
    struct compile *compile;
    const struct ir_graph *graph; /* after the passes */
    struct tensor *in[N_SETS];    /* in the order of the graph's inputs */
    struct interpretation want[N_SETS];
    int n_wrong, n_compared;
    bool all;
};

static void complain(struct exact *x, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void complain(struct exact *x, const char *format, ...)
{
    va_list args;

    printf("WRONG %s: ", x->name);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    x->n_wrong++;
}

/* Says once what is not here. */
static bool have(const char *program)
{
    static const char *missing[8];
    int k = 0;

    if (child_find_program((const char *const[]){program, NULL}) != NULL)
        return true;
    while (k < 8 && missing[k] && strcmp(missing[k], program) != 0)
        k++;
    if (k < 8 && !missing[k]) {
        missing[k] = program;
        printf("left out: no %s here\n", program);
    }
    return false;
}

/* ---- inputs ---------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static struct tensor random_tensor(struct arena *a, const struct ir_value *v,
                                   uint32_t *state)
{
    const int bytes = dtype_info[v->dtype].bytes;
    struct tensor t = {.dtype = v->dtype, .rank = v->rank};

    memcpy(t.dim, v->dim, sizeof t.dim);
    t.data = arena_alloc(a, (size_t)ir_bytes(v) + 1);
    for (int64_t i = 0; i < ir_count(v); i++) {
        const uint32_t r = next_random(state);
        const float f = (float)r / 4194304.0f - 2.0f;
        const int64_t n = v->dtype == DT_u8 || v->dtype == DT_i8 ? r & 255 : r & 1;

        if (v->dtype == DT_f32)
            ((float *)t.data)[i] = f;
        else if (v->dtype == DT_f64)
            ((double *)t.data)[i] = (double)f;
        else
            memcpy((uint8_t *)t.data + i * bytes, &n, (size_t)bytes);
    }
    return t;
}

/* Two in three floats become something that is easily got wrong. */
static struct tensor make_special(struct arena *a, const struct tensor *t)
{
    static const uint32_t f32[] = {
        0x00000000, 0x80000000, 0x7fc00000, 0xffc00000, 0x7f800000, 0xff800000,
        0x00000001, 0x80000001, 0x007fffff, 0x00800000, 0x80800000, 0x7f7fffff,
        0xff7fffff, 0x3f000000, 0xbf000000, 0x3fc00000, 0x40200000, 0xc0200000,
        0x4f000000, 0xcf000000, 0x4effffff, 0x5f000000, 0x4b000001, 0x4b7fffff,
        0x3f800000, 0xbf800000, 0x42b17218, 0xc2aeac50, 0x33000000, 0x322bcc77,
    };
    static const uint16_t f16[] = {0x0000, 0x8000, 0x7e00, 0x7c00, 0xfc00,
                                   0x0001, 0x8001, 0x03ff, 0x0400, 0x7bff,
                                   0xfbff, 0x3800, 0x3e00, 0xc100};
    static const uint16_t bf16[] = {0x0000, 0x8000, 0x7fc0, 0x7f80, 0xff80,
                                    0x0001, 0x007f, 0x0080, 0x7f7f, 0xff7f,
                                    0x3f00, 0x3fc0, 0xc020};
    const int64_t n = onnx_case_count(t), size = dtype_info[t->dtype].bytes;
    struct tensor s = *t;
    uint32_t state = 99;

    s.data = arena_copy(a, t->data, (size_t)(n * size));
    for (int64_t i = 0; i < n; i++) {
        const uint32_t r = next_random(&state) / 8;
        float f;

        memcpy(&f, &f32[r / 3 % (sizeof f32 / sizeof *f32)], sizeof f);
        if (r % 3 == 0)
            continue;
        if (t->dtype == DT_f32)
            ((float *)s.data)[i] = f;
        else if (t->dtype == DT_f64)
            ((double *)s.data)[i] = (double)f;
        else if (t->dtype == DT_f16)
            ((uint16_t *)s.data)[i] = f16[r / 3 % (sizeof f16 / sizeof *f16)];
        else if (t->dtype == DT_bf16)
            ((uint16_t *)s.data)[i] = bf16[r / 3 % (sizeof bf16 / sizeof *bf16)];
    }
    return s;
}

/* Some test data has other dims than the model says, or bfloat16 as uint16. */
static bool fits(const struct tensor *t, const struct ir_value *v)
{
    bool same = t && t->data && t->rank == v->rank
                && dtype_info[t->dtype].bytes == dtype_info[v->dtype].bytes;

    for (int d = 0; same && d < v->rank; d++)
        same = t->dim[d] == v->dim[d];
    return same;
}

static void make_inputs(struct exact *x)
{
    struct arena *a = x->on.arena;
    const int n = x->graph->n_in;
    uint32_t state = 1;

    for (int s = 0; s < N_SETS; s++)
        x->in[s] = arena_new_array(a, struct tensor, n + 1);
    for (int i = 0; i < n; i++) {
        const struct ir_value *v = x->graph->in[i];
        const struct tensor *data = onnx_case_find(&x->on.data, v->name);

        x->in[0][i] = fits(data, v) ? *data : random_tensor(a, v, &state);
        x->in[0][i].dtype = v->dtype;
        x->in[1][i] = onnx_case_perturb(a, &x->in[0][i]);
        x->in[2][i] = make_special(a, &x->in[0][i]);
    }
}

/* ---- outputs -----------------------------------------------------------------------
 */

static bool is_nan(enum dtype dtype, const uint8_t *at)
{
    uint16_t h;
    float f;
    double d;

    switch (dtype) {
    case DT_f32:
        memcpy(&f, at, sizeof f);
        return f != f;
    case DT_f64:
        memcpy(&d, at, sizeof d);
        return d != d;
    case DT_f16:
        memcpy(&h, at, sizeof h);
        return (h & 0x7fff) > 0x7c00;
    case DT_bf16:
        memcpy(&h, at, sizeof h);
        return (h & 0x7fff) > 0x7f80;
    default:
        return false;
    }
}

static void print_element(enum dtype dtype, const uint8_t *at)
{
    float f;

    for (int k = dtype_info[dtype].bytes - 1; k >= 0; k--)
        printf("%02x", at[k]);
    memcpy(&f, at, sizeof f < (size_t)dtype_info[dtype].bytes ? sizeof f : 1);
    if (dtype == DT_f32) {
        memcpy(&f, at, sizeof f);
        printf(" (%.9g)", (double)f);
    }
}

static void compare(struct exact *x, int set, int output, const struct tensor *got,
                    const char *how)
{
    const struct tensor *want = &x->want[set].by_id[x->graph->out[output]->id];
    const int bytes = dtype_info[want->dtype].bytes;
    const int64_t n = onnx_case_count(want);
    int64_t n_different = 0, first = 0;

    x->n_compared++;
    for (int d = 0; d < want->rank; d++)
        if (got->dim[d] != want->dim[d]) {
            complain(x, "%s: set %s, output %d: dimension %d is %lld, not %lld", how,
                     set_names[set], output, d, (long long)got->dim[d],
                     (long long)want->dim[d]);
            return;
        }
    for (int64_t i = 0; i < n; i++) {
        const uint8_t *g = (const uint8_t *)got->data + i * bytes;
        const uint8_t *w = (const uint8_t *)want->data + i * bytes;

        if (memcmp(g, w, (size_t)bytes) == 0
            || (is_nan(want->dtype, g) && is_nan(want->dtype, w)))
            continue;
        if (n_different++ == 0)
            first = i;
    }
    if (n_different == 0)
        return;
    complain(x, "%s: set %s, output %d: %lld of %lld elements differ", how,
             set_names[set], output, (long long)n_different, (long long)n);
    printf("    element %lld is ", (long long)first);
    print_element(want->dtype, (const uint8_t *)got->data + first * bytes);
    printf(", the interpreter's ");
    print_element(want->dtype, (const uint8_t *)want->data + first * bytes);
    printf("\n");
}

/* ---- c: a program around the C output
 * ---------------------------------------------------- */

/* Reads sets of inputs from standard input, writes sets of outputs.  It keeps to
 * read and write, so that it also runs without a C library. */
static const char driver_start[] =
    "#include \"m.h\"\n"
    "#if defined(__arm__) && !defined(__linux__)\n"
    "static long call(long n, long a, const void *b, unsigned long c)\n"
    "{\n"
    "    register long r7 __asm__(\"r7\") = n;\n"
    "    register long r0 __asm__(\"r0\") = a;\n"
    "    register const void *r1 __asm__(\"r1\") = b;\n"
    "    register unsigned long r2 __asm__(\"r2\") = c;\n"
    "    __asm__ volatile(\"svc 0\" : \"+r\"(r0) : \"r\"(r7), \"r\"(r1), \"r\"(r2) : "
    "\"memory\");\n"
    "    return r0;\n"
    "}\n"
    "static long read(int f, void *p, unsigned long n) { return call(3, f, p, n); }\n"
    "static long write(int f, const void *p, unsigned long n) { return call(4, f, p, "
    "n); }\n"
    "int main(void);\n"
    "void _start(void) { call(1, main(), 0, 0); }\n"
    "#else\n"
    "#include <unistd.h>\n"
    "#endif\n"
    "static int get(void *p, size_t n)\n"
    "{\n"
    "    size_t done = 0;\n"
    "    while (done < n) {\n"
    "        const long k = (long)read(0, (char *)p + done, n - done);\n"
    "        if (k <= 0) return 0;\n"
    "        done += (size_t)k;\n"
    "    }\n"
    "    return 1;\n"
    "}\n"
    "static void put(const void *p, size_t n)\n"
    "{\n"
    "    size_t done = 0;\n"
    "    while (done < n) {\n"
    "        const long k = (long)write(1, (const char *)p + done, n - done);\n"
    "        if (k <= 0) return;\n"
    "        done += (size_t)k;\n"
    "    }\n"
    "}\n"
    "static _Alignas(64) unsigned char w[M_WEIGHTS_BYTES], ws[M_WORKSPACE_BYTES + "
    "1];\n";

static int64_t at_least_one(int64_t n)
{
    return n > 0 ? n : 1;
}

static const struct ir_value *door(const struct exact *x, int i)
{
    const struct ir_graph *g = x->graph;

    return i < g->n_in ? g->in[i] : g->out[i - g->n_in];
}

static void put_main(FILE *f, const struct exact *x)
{
    const struct ir_graph *g = x->graph;
    const int n = g->n_in + g->n_out;

    fprintf(f,
            "int main(void)\n{\n    struct m m;\n\n"
            "    if (!get(w, sizeof w)) return 3;\n"
            "    if (m_open(&m, w, sizeof w, ws, M_WORKSPACE_BYTES, M_CHECK_PAYLOAD))"
            " return 5;\n"
            "    for (int set = 0; set < %d; set++) {\n",
            N_SETS);
    for (int i = 0; i < g->n_in; i++)
        fprintf(f, "        if (!get(d%d, %lld)) return 4;\n", i,
                (long long)ir_bytes(g->in[i]));
    fprintf(f, "        m_run(&m, &(struct m_in){");
    for (int i = 0; i < g->n_in; i++)
        fprintf(f, "%sd%d", i ? ", " : "", i);
    fprintf(f, "%s}, &(struct m_out){", g->n_in ? "" : "0");
    for (int i = g->n_in; i < n; i++)
        fprintf(f, "%sd%d", i > g->n_in ? ", " : "", i);
    for (int i = g->n_in; i < n; i++)
        if (door(x, i)->dynamic)
            fprintf(f, ", n%d", i);
    fprintf(f, "});\n");
    for (int i = g->n_in; i < n; i++) {
        if (door(x, i)->dynamic)
            fprintf(f, "        put(n%d, sizeof n%d);\n", i, i);
        fprintf(f, "        put(d%d, %lld);\n", i, (long long)ir_bytes(door(x, i)));
    }
    fprintf(f, "    }\n    return 0;\n}\n");
}

static void write_driver(const struct exact *x, const char *folder)
{
    const int n = x->graph->n_in + x->graph->n_out;
    FILE *f = fopen(arena_printf(x->on.arena, "%s/driver.c", folder), "w");

    fputs(driver_start, f);
    for (int i = 0; i < n; i++) {
        const struct ir_value *v = door(x, i);

        fprintf(f, "static %s d%d[%lld];\n", dtype_info[v->dtype].ctype, i,
                (long long)at_least_one(ir_count(v)));
        if (v->dynamic)
            fprintf(f, "static int64_t n%d[%d];\n", i, v->rank ? v->rank : 1);
    }
    put_main(f, x);
    fclose(f);
    f = fopen(arena_printf(x->on.arena, "%s/header.c", folder), "w");
    fputs("#include \"m.h\"\nextern struct m m;\n", f);
    fclose(f);
}

static void write_inputs(const struct exact *x, const char *folder)
{
    const char *command =
        arena_printf(x->on.arena, "cp %s/m.weights %s/in", folder, folder);

    if (system(command) != 0)
        return;
    FILE *f = fopen(arena_printf(x->on.arena, "%s/in", folder), "ab");

    for (int s = 0; s < N_SETS; s++)
        for (int i = 0; i < x->graph->n_in; i++)
            fwrite(x->in[s][i].data, 1, (size_t)ir_bytes(x->graph->in[i]), f);
    fclose(f);
}

static void read_outputs(struct exact *x, const char *folder, const char *how)
{
    FILE *f = fopen(arena_printf(x->on.arena, "%s/out", folder), "rb");
    bool whole = f != NULL;

    for (int s = 0; whole && s < N_SETS; s++)
        for (int i = 0; whole && i < x->graph->n_out; i++) {
            const struct ir_value *v = x->graph->out[i];
            const size_t n = (size_t)ir_bytes(v),
                         n_dims = v->rank ? (size_t)v->rank : 1;
            struct tensor t = {
                .dtype = v->dtype, .rank = v->rank, .data = malloc(n + 1)};

            memcpy(t.dim, v->dim, sizeof t.dim);
            if (v->dynamic)
                whole = fread(t.dim, sizeof *t.dim, n_dims, f) == n_dims;
            whole = whole && fread(t.data, 1, n, f) == n;
            if (whole)
                compare(x, s, i, &t, how);
            free(t.data);
        }
    if (!whole)
        complain(x, "%s: writes too little", how);
    if (f)
        fclose(f);
}

/* A compiler with options, what runs its programs. */
struct build {
    bool always;
    const char *compiler, *options, *run_with;
};

#define CORTEX_M4 "-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16"

static const struct build builds[] = {
    {true, "gcc", "-O0", ""},
    {false, "gcc", "-O1", ""},
    {true, "gcc", "-O2", ""},
    {false, "gcc", "-O3", ""},
    {false, "gcc", "-O3 -march=native -std=gnu11", ""},
    {false, "gcc", "-Os -march=haswell", ""},
    {false, "clang-19", "-O0", ""},
    {false, "clang-19", "-O1", ""},
    {false, "clang-19", "-O2", ""},
    {true, "clang-19", "-O3", ""},
    {false, "clang-19", "-O3 -march=native -std=gnu11", ""},
    {false, "aarch64-linux-gnu-gcc", "-O2 -static", "qemu-aarch64-static"},
    {false, "arm-none-eabi-gcc", CORTEX_M4 " -O2 -nostartfiles -lc", "qemu-arm-static"},
};

static void check_build(struct exact *x, const char *folder, const struct build *b)
{
    struct arena *a = x->on.arena;
    const char *how = arena_printf(a, "%s %s", b->compiler, b->options);
    const char *line = arena_printf(
        a,
        "cd %s && rm -f run out && %s -std=%s -Wall -Wextra %s -Werror driver.c m.c"
        " m_kernels.c -o run %s 2>&1",
        folder, b->compiler, strstr(b->options, "nostart") ? "gnu11" : "c11",
        strstr(b->options, "nostart") ? "-ffreestanding" : "-D_GNU_SOURCE -pedantic",
        b->options);

    if (system(line) != 0) {
        complain(x, "%s: does not compile", how);
        return;
    }
    line = arena_printf(a, "cd %s && %s ./run < in > out", folder, b->run_with);
    if (system(line) != 0) {
        complain(x, "%s: does not run", how);
        return;
    }
    read_outputs(x, folder, how);
}

static void check_alone(struct exact *x, const char *folder, const char *command)
{
    if (!have(arena_strndup(x->on.arena, command, strcspn(command, " "))))
        return;
    if (system(arena_printf(x->on.arena, "cd %s && %s -Wall -Wextra -Werror 2>&1",
                            folder, command))
        != 0)
        complain(x, "warnings from: %s", command);
}

static void check_c(struct exact *x, const char *folder)
{
    static const char *const alone[] = {
        "gcc -std=c99 -pedantic-errors -fsyntax-only header.c",
        "g++ -std=c++11 -pedantic-errors -fsyntax-only -x c++ header.c",
        "clang-19 -std=c99 -pedantic-errors -fsyntax-only header.c",
        "clang-19 -std=c++11 -pedantic-errors -fsyntax-only -x c++ header.c",
        "arm-none-eabi-gcc " CORTEX_M4 " -O2 -std=c11 -pedantic -c m.c -o /dev/null",
        "arm-none-eabi-gcc " CORTEX_M4
        " -O2 -std=c11 -pedantic -c m_kernels.c -o /dev/null",
    };

    write_driver(x, folder);
    write_inputs(x, folder);
    for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++)
        check_alone(x, folder, alone[i]);
    for (size_t i = 0; i < sizeof builds / sizeof builds[0]; i++) {
        const struct build *b = &builds[i];

        if ((b->always || x->all) && have(b->compiler)
            && (!*b->run_with || have(b->run_with)))
            check_build(x, folder, b);
    }
}

/* ---- cpus: machine code
 * -------------------------------------------------------------------- */

static const struct {
    const char *target, *cpu;
} processors[] = {
    {"x86_64", "x86-64"},      {"x86_64", "haswell"}, {"host", NULL},
    {"aarch64", "cortex-a53"}, {"orin", NULL},
};

/* exact[i]: the report says that output i is of class E. */
static bool *read_classes(struct exact *x, const char *folder)
{
    bool *exact = arena_new_array(x->on.arena, bool, x->graph->n_out + 1);
    json_t *report =
        json_load_file(arena_printf(x->on.arena, "%s/m.report.json", folder), 0, NULL);

    for (int i = 0; i < x->graph->n_out; i++) {
        const char *class = json_string_value(json_object_get(
            json_array_get(json_object_get(report, "outputs"), (size_t)i), "class"));

        exact[i] = class && strcmp(class, "E") == 0;
    }
    json_decref(report);
    return exact;
}

static struct status *run_bundle(struct exact *x, const char *folder, const char *how)
{
    struct arena *a = x->on.arena;
    const bool *exact = read_classes(x, folder);
    const int n_in = x->graph->n_in, n_out = x->graph->n_out;
    struct tensor *in = arena_new_array(a, struct tensor, N_SETS * n_in + 1);
    struct run_options o = {.repeat = 1};
    struct bundle_meta meta;
    struct run_result got;

    RETURN_IF_FAIL(bundle_read_meta(a, folder, &meta));
    o.target = target_find(meta.target);
    for (int s = 0; s < N_SETS; s++)
        for (int i = 0; i < n_in; i++)
            in[s * n_in + i] = x->in[s][i];
    RETURN_IF_FAIL(bundle_run_many(a, folder, &meta, N_SETS, in, &o, &got));
    for (int s = 0; s < N_SETS; s++)
        for (int i = 0; i < n_out; i++)
            if (exact[i])
                compare(x, s, i, &got.outputs[s * n_out + i], how);
    return OK;
}

static void fail_with(struct exact *x, const char *how, struct status *s)
{
    if (!s)
        return;
    complain(x, "%s: %s", how, status_message(s));
    status_free(s);
}

static void check_cpus(struct exact *x, const char *folder)
{
    for (size_t i = 0; i < sizeof processors / sizeof processors[0]; i++) {
        const char *how = processors[i].cpu ? processors[i].cpu : processors[i].target;
        const struct compile_options o = {.target = processors[i].target,
                                          .cpu = processors[i].cpu,
                                          .folder = folder,
                                          .prefix = "m",
                                          .onnx = x->on.onnx};
        struct status *s = compile_model(x->on.model, &o);

        fail_with(x, how, s ? s : run_bundle(x, folder, how));
    }
}

/* ---- a case
 * --------------------------------------------------------------------------------- */

static struct status *prepare(struct exact *x, const struct compile_options *o)
{
    struct ir_graph *g;

    x->compile = compile_create();
    RETURN_IF_FAIL(compile_graph(x->compile, x->on.model, o, NULL, &g));
    x->graph = g;
    make_inputs(x);
    for (int s = 0; s < N_SETS; s++)
        RETURN_IF_FAIL(interpret(x->on.arena, g, x->in[s], &x->want[s]));
    return OK;
}

static int run_case(struct exact *x, bool c, const char *work)
{
    const char *data = arena_printf(x->on.arena, "%s/test_data_set_0", x->on.folder);
    const char *folder = arena_printf(x->on.arena, "%s/b", work);
    struct status *s = OK;
    bool frozen;

    if (access(data, R_OK) == 0)
        s = onnx_read_data(x->on.arena, x->on.model, data, "input", &x->on.data);
    if (!s)
        s = onnx_case_import(&x->on, &frozen);
    if (s) {
        printf("skipped %s: %s\n", x->name, status_message(s));
        return 0;
    }
    const struct compile_options o = {.target = "host",
                                      .folder = folder,
                                      .prefix = "m",
                                      .kind = EMIT_C,
                                      .onnx = x->on.onnx};

    mkdir(work, 0777);
    /* of the case before, with its driver: no bundle that would be replaced */
    if (system(arena_printf(x->on.arena, "rm -rf %s", folder)) != 0)
        complain(x, "'%s' stays", folder);
    s = prepare(x, &o);
    if (!s && c)
        s = compile_model(x->on.model, &o);
    fail_with(x, "the model", s);
    if (!s && c)
        check_c(x, folder);
    else if (!s)
        check_cpus(x, folder);
    printf("%s: %d compared, %d wrong\n", x->name, x->n_compared, x->n_wrong);
    return x->n_wrong != 0;
}

/* In a process of its own, so that whatever happens is a failure of this case. */
static bool check_case(const char *name, const char *model, const char *folder, bool c,
                       bool all, const char *work)
{
    struct exact x = {.name = name, .all = all};
    int code;

    fflush(stdout);
    const pid_t pid = fork();

    if (pid == 0) {
        setrlimit(RLIMIT_CPU, &(struct rlimit){SECONDS_PER_CASE, SECONDS_PER_CASE});
        x.on = (struct onnx_case){
            .arena = arena_create(), .model = model, .folder = folder, .work = work};
        code = run_case(&x, c, work);
        fflush(stdout);
        _exit(code);
    }
    waitpid(pid, &code, 0);
    if (WIFSIGNALED(code))
        printf("WRONG %s: signal %d\n", name, WTERMSIG(code));
    return code == 0;
}

/* ---- all cases
 * -------------------------------------------------------------------------------- */

struct list {
    struct arena *arena;
    int n;
    struct {
        const char *name, *model, *folder;
    } at[MAX_CASES];
};

static void add(struct list *l, const char *name, const char *model, const char *folder)
{
    if (l->n < MAX_CASES) {
        l->at[l->n].name = name;
        l->at[l->n].model = model;
        l->at[l->n++].folder = folder;
    }
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

static void find_cases(struct list *l, const char *path)
{
    const char *model = arena_printf(l->arena, "%s/model.onnx", path);
    struct dirent **entries;

    if (ends_with(path, ".onnx")) {
        add(l, path, path, path);
        return;
    }
    if (access(model, R_OK) == 0) {
        add(l, path, model, path);
        return;
    }
    const int n = scandir(path, &entries, NULL, alphasort);

    for (int i = 0; i < n; i++) {
        const char *folder = arena_printf(l->arena, "%s/%s", path, entries[i]->d_name);

        model = arena_printf(l->arena, "%s/model.onnx", folder);
        if (entries[i]->d_name[0] != '.' && access(model, R_OK) == 0)
            add(l, arena_strdup(l->arena, entries[i]->d_name), model, folder);
    }
}

int main(int argc, char **argv)
{
    static struct list l;
    const char *work = NULL, *only = "";
    int every = 1, n_wrong = 0, n_run = 0;
    bool all = false;

    l.arena = arena_create();
    for (int i = 2; i < argc; i++) {
        if (!strcmp(argv[i], "--only") && i + 1 < argc)
            only = argv[++i];
        else if (!strcmp(argv[i], "--every") && i + 1 < argc)
            every = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--all"))
            all = true;
        else if (!work)
            work = argv[i];
        else
            find_cases(&l, argv[i]);
    }
    if (l.n == 0 || every < 1) {
        fprintf(stderr,
                "usage: exact c|cpus [--every N] [--only PART] [--all] WORK CASE...\n");
        return 2;
    }
    for (int i = 0; i < l.n; i += every) {
        if (!strstr(l.at[i].name, only))
            continue;
        n_run++;
        n_wrong += !check_case(l.at[i].name, l.at[i].model, l.at[i].folder,
                               strcmp(argv[1], "c") == 0, all, work);
    }
    printf("%d cases, %d wrong\n", n_run, n_wrong);
    return n_wrong != 0;
}
