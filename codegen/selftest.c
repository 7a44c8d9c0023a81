/* SPDX-License-Identifier: Apache-2.0 */
/* foo_selftest.c and foo_probe.h: a program that checks the library on the device.
 *
 * Inputs are made by a small generator, the same here and there; expected outputs
 * come from the reference interpreter, a sample of at most MAX_SAMPLES elements of
 * each, so that the files stay small.  A model of more than MAX_FLOPS is not
 * interpreted: its self-test only checks that it runs.
 */
#include <string.h>

#include "codegen/bundle.h"
#include "codegen/c_emit.h"

enum { MAX_SAMPLES = 256 };
#define MAX_FLOPS INT64_C(3000000000)

/* ---- inputs ---------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* The same text is in the generated program: put_generator(). */
static double probe_value(enum dtype dtype, uint32_t r)
{
    switch (dtype) {
    case DT_f32:
    case DT_f64:
        return (double)r / 8388608.0 - 1.0;
    case DT_f16: /* bits of 0.5 to 1 */
        return 0x3800 + (double)(r & 0x3ff);
    case DT_bf16:
        return 0x3f00 + (double)(r & 0x7f);
    case DT_u8:
        return r & 0xff;
    case DT_i8:
        return (double)(r & 0xff) - 128;
    default: /* sizes, indices, tokens, truth values */
        return r & 1;
    }
}

static void put_generator(struct text *t)
{
    text_puts(t,
              "static uint32_t probe_state = 1;\n\n"
              "static uint32_t probe_next(void)\n"
              "{\n"
              "    probe_state = probe_state * 1664525u + 1013904223u;\n"
              "    return probe_state >> 8;\n"
              "}\n\n");
}

static const char *probe_expression(enum dtype dtype)
{
    switch (dtype) {
    case DT_f32:
    case DT_f64:
        return "(double)probe_next() / 8388608.0 - 1.0";
    case DT_f16:
        return "0x3800 + (probe_next() & 0x3ff)";
    case DT_bf16:
        return "0x3f00 + (probe_next() & 0x7f)";
    case DT_u8:
        return "probe_next() & 0xff";
    case DT_i8:
        return "(int)(probe_next() & 0xff) - 128";
    default:
        return "probe_next() & 1";
    }
}

static void store(enum dtype dtype, void *data, int64_t i, double value)
{
    switch (dtype) {
    case DT_f32:
        ((float *)data)[i] = (float)value;
        break;
    case DT_f64:
        ((double *)data)[i] = value;
        break;
    default:
        /* Little-endian: the low bytes of an integer. */
        memcpy((uint8_t *)data + i * dtype_info[dtype].bytes, &(int64_t){(int64_t)value},
               (size_t)dtype_info[dtype].bytes);
    }
}

static struct tensor *make_inputs(struct arena *a, const struct ir_graph *g)
{
    struct tensor *in = arena_new_array(a, struct tensor, g->n_in + 1);
    uint32_t state = 1;

    for (int i = 0; i < g->n_in; i++) {
        const struct ir_value *v = g->in[i];

        in[i] = (struct tensor){.dtype = v->dtype, .rank = v->rank};
        memcpy(in[i].dim, v->dim, sizeof in[i].dim);
        in[i].data = arena_alloc(a, (size_t)ir_bytes(v) + 1);
        for (int64_t k = 0; k < ir_count(v); k++)
            store(v->dtype, in[i].data, k, probe_value(v->dtype, next_random(&state)));
    }
    return in;
}

/* ---- expected outputs ------------------------------------------------------------ */

static bool is_float(enum dtype dtype)
{
    return dtype == DT_f32 || dtype == DT_f64;
}

static int64_t count_of(const struct tensor *t)
{
    int64_t n = 1;

    for (int i = 0; i < t->rank; i++)
        n *= t->dim[i];
    return n;
}

static int64_t sample_count(int64_t n)
{
    return n < MAX_SAMPLES ? n : MAX_SAMPLES;
}

/* Position of sample k of s among n elements: spread evenly. */
static int64_t sample_at(int64_t k, int64_t s, int64_t n)
{
    return k * (n / s);
}

static void put_element(struct text *t, const struct tensor *x, int64_t i)
{
    int64_t value = 0;

    if (x->dtype == DT_f32 || x->dtype == DT_f64) {
        const double v = x->dtype == DT_f32 ? (double)((const float *)x->data)[i]
                                            : ((const double *)x->data)[i];

        if (v != v)
            text_puts(t, "NAN");
        else if (v - v != 0)
            text_puts(t, v < 0 ? "-INFINITY" : "INFINITY");
        else
            text_printf(t, "%.17g", v);
        return;
    }
    const int bytes = dtype_info[x->dtype].bytes;
    const bool is_signed = x->dtype == DT_i8 || x->dtype == DT_i16 || x->dtype == DT_i32
                        || x->dtype == DT_i64 || x->dtype == DT_i4;

    memcpy(&value, (const uint8_t *)x->data + i * bytes, (size_t)bytes);
    if (is_signed && bytes < 8)
        value = (int64_t)((uint64_t)value << (64 - 8 * bytes)) >> (64 - 8 * bytes);
    c_put_i64(t, value);
}

static void put_expected(struct text *t, const struct bundle_job *job, int io,
                         const struct tensor *x)
{
    const char *name = job->names->io[io];
    const int64_t n = count_of(x), s = sample_count(n);

    if (bundle_door(job, io)->dynamic && x->rank > 0) {
        text_printf(t, "static const int64_t expected_%s_dims[%d] = {", name, x->rank);
        for (int d = 0; d < x->rank; d++)
            text_printf(t, "%s%lld", d ? ", " : "", (long long)x->dim[d]);
        text_puts(t, "};\n");
    }
    if (s == 0)
        return;
    text_printf(t, "/* every %lld%s element of %s */\n", (long long)(n / s),
                n / s == 1 ? "st" : n / s == 2 ? "nd" : n / s == 3 ? "rd" : "th", name);
    text_printf(t, "static const %s expected_%s[%lld] = {",
                is_float(x->dtype) ? "double" : "int64_t", name, (long long)s);
    for (int64_t k = 0; k < s; k++) {
        text_puts(t, k % 4 ? " " : "\n    ");
        put_element(t, x, sample_at(k, s, n));
        text_puts(t, ",");
    }
    text_puts(t, "\n};\n\n");
}

/* ---- the program ----------------------------------------------------------------- */

static void put_arrays(struct text *t, const struct bundle_job *job)
{
    const struct ir_graph *g = job->program->graph;

    for (int i = 0; i < g->n_in + g->n_out; i++) {
        const struct ir_value *v = bundle_door(job, i);
        const int64_t n = ir_count(v);

        text_printf(t, "static %s door_%s[%lld];\n", dtype_info[v->dtype].ctype,
                    job->names->io[i], (long long)(n ? n : 1));
        if (v->dynamic)
            text_printf(t, "static int64_t door_%s_dims[%d];\n", job->names->io[i],
                        v->rank ? v->rank : 1);
    }
    text_printf(
        t, "static _Alignas(%s_WORKSPACE_ALIGN) uint8_t memory[%s_WORKSPACE_BYTES + 1];\n",
        job->names->upper, job->names->upper);
    if (!job->options->embed)
        text_printf(t, "static _Alignas(64) uint8_t weights[%s_WEIGHTS_BYTES];\n",
                    job->names->upper);
    text_puts(t, "\n");
}

static void put_fill(struct text *t, const struct bundle_job *job)
{
    text_puts(t, "static void make_inputs(void)\n{\n    probe_state = 1;\n");
    for (int i = 0; i < job->program->graph->n_in; i++) {
        const struct ir_value *v = bundle_door(job, i);

        text_printf(
            t, "    for (long i = 0; i < %lldL; i++)\n        door_%s[i] = (%s)(%s);\n",
            (long long)ir_count(v), job->names->io[i], dtype_info[v->dtype].ctype,
            probe_expression(v->dtype));
    }
    text_puts(t, "}\n\n");
}

static void put_load(struct text *t, const struct bundle_job *job)
{
    if (job->options->embed)
        return;
    text_printf(t,
                "static int load_weights(const char *path)\n"
                "{\n"
                "    FILE *f = fopen(path, \"rb\");\n"
                "    const size_t n = f ? fread(weights, 1, sizeof weights, f) : 0;\n\n"
                "    if (f)\n"
                "        fclose(f);\n"
                "    return n == sizeof weights;\n"
                "}\n\n");
}

/* What a float may be off, as a part of the largest expected one: nothing in C, which
 * has the interpreter's bytes; elsewhere sums may have another order, and where
 * a model rounds them to codes on the way, a last bit can become a whole code. */
static const char *tolerance(const struct bundle_job *job)
{
    if (job->options->kind == EMIT_C)
        return "0";
    for (const struct ir_node *n = job->program->graph->first; n; n = n->next)
        if (strstr(op_info[n->op].name, "Quantize"))
            return "0.25";
    return "1e-4";
}

static void put_checks(struct text *t, const struct bundle_job *job,
                       const struct tensor *out)
{
    const struct ir_graph *g = job->program->graph;

    text_puts(
        t, "/* Number of elements that are wrong. */\nstatic long check_outputs(void)\n{\n"
           "    long wrong = 0;\n\n");
    for (int i = 0; out && i < g->n_out; i++) {
        const struct tensor *x = &out[i];
        const char *name = job->names->io[g->n_in + i];
        const int64_t n = count_of(x), s = sample_count(n);

        if (g->out[i]->dynamic && x->rank > 0)
            text_printf(t, "    wrong += memcmp(door_%s_dims, expected_%s_dims, sizeof"
                           " expected_%s_dims) != 0;\n", name, name, name);
        if (s == 0)
            continue;
        if (is_float(x->dtype))
            text_printf(
                t,
                "    {\n"
                "        double largest = 0;\n\n"
                "        for (long k = 0; k < %lldL; k++)\n"
                "            if (fabs(expected_%s[k]) > largest)\n"
                "                largest = fabs(expected_%s[k]);\n"
                "        for (long k = 0; k < %lldL; k++) {\n"
                "            const double want = expected_%s[k], got = (double)door_%s[k * "
                "%lldL];\n\n"
                "            wrong += !(fabs(got - want) <= %s * largest || got == want\n"
                "                       || (got != got && want != want));\n"
                "        }\n"
                "    }\n",
                (long long)s, name, name, (long long)s, name, name, (long long)(n / s),
                tolerance(job));
        else
            text_printf(t,
                        "    for (long k = 0; k < %lldL; k++)\n"
                        "        wrong += (int64_t)door_%s[k * %lldL] != expected_%s[k];\n",
                        (long long)s, name, (long long)(n / s), name);
    }
    text_puts(t, "    return wrong;\n}\n\n");
}

static void put_struct(struct text *t, const struct bundle_job *job, bool outputs)
{
    const struct ir_graph *g = job->program->graph;
    const int from = outputs ? g->n_in : 0, to = outputs ? g->n_in + g->n_out : g->n_in;

    text_printf(t, "    const struct %s_%s %s = {", job->names->prefix,
                outputs ? "out" : "in", outputs ? "out" : "in");
    for (int i = from; i < to; i++) {
        text_printf(t, "%s.%s = door_%s", i > from ? ",\n        " : "", job->names->io[i],
                    job->names->io[i]);
        if (bundle_door(job, i)->dynamic && outputs)
            text_printf(t, ", .%s_dims = door_%s_dims", job->names->io[i],
                        job->names->io[i]);
    }
    if (!outputs && g->n_in == 0)
        text_puts(t, ".none = NULL");
    text_puts(t, "};\n");
}

static void put_main(struct text *t, const struct bundle_job *job, bool has_expected)
{
    const char *foo = job->names->prefix, *FOO = job->names->upper;
    const bool embed = job->options->embed;

    text_printf(t, "int main(%s)\n{\n", embed ? "void" : "int argc, char **argv");
    put_struct(t, job, false);
    put_struct(t, job, true);
    text_printf(t, "    struct %s m;\n    enum %s_status status;\n    long wrong;\n\n", foo,
                foo);
    if (embed)
        text_printf(t, "    const unsigned char *weights = %s_weights;\n", foo);
    else
        text_printf(t,
                    "    if (!load_weights(argc > 1 ? argv[1] : \"%s.weights\")) {\n"
                    "        fprintf(stderr, \"usage: %s_selftest %s.weights\\n\");\n"
                    "        return 2;\n    }\n", foo, foo, foo);
    text_printf(
        t,
        "    status = %s_open(&m, weights, %s_WEIGHTS_BYTES, memory, %s_WORKSPACE_BYTES,\n"
        "                     %s_CHECK_PAYLOAD);\n"
        "    if (status != %s_OK) {\n"
        "        fprintf(stderr, \"%s: %%s\\n\", %s_strerror(status));\n"
        "        return 1;\n    }\n"
        "    make_inputs();\n"
        "    %s_run(&m, &in, &out);\n"
        "    wrong = check_outputs();\n",
        foo, FOO, FOO, FOO, FOO, foo, foo, foo);
    if (has_expected)
        text_printf(t,
                    "    printf(\"%s: %%ld wrong: %%s\\n\", wrong, wrong ? \"FAILED\" : "
                    "\"passed\");\n",
                    foo);
    else
        text_printf(t, "    printf(\"%s: ran; too large for expected outputs\\n\");\n",
                    foo);
    text_puts(t, "    return wrong != 0;\n}\n");
}

static void put_program(struct text *t, const struct bundle_job *job,
                        const struct tensor *out)
{
    const char *foo = job->names->prefix;

    c_put_banner(t, job, "checks the library on the machine it is for");
    text_printf(t,
                " *\n"
                " *     cc -std=c11 %s_selftest.c lib%s.a -lm -o selftest\n"
                " *     ./selftest%s\n"
                " *\n"
                " * Prints what is wrong and returns 0 when nothing is.\n"
                " */\n"
                "#include \"%s.h\"\n\n"
                "#include <math.h>\n#include <stdio.h>\n#include <string.h>\n\n"
                "#include \"%s_probe.h\"\n\n",
                foo, foo,
                job->options->embed ? "" : arena_printf(job->arena, " %s.weights", foo),
                foo, foo);
    put_generator(t);
    put_arrays(t, job);
    put_fill(t, job);
    put_load(t, job);
    put_checks(t, job, out);
    put_main(t, job, out != NULL);
}

/* ---- together -------------------------------------------------------------------- */

static int64_t total_flops(const struct program *p)
{
    int64_t sum = 0;

    for (int i = 0; i < p->n_steps; i++)
        sum += p->steps[i].flops;
    return sum;
}

/* The outputs of the graph for the probe's inputs; NULL when the model is too large. */
static struct status *expected_outputs(const struct bundle_job *job, struct arena *a,
                                       struct tensor **out)
{
    const struct ir_graph *g = job->program->graph;
    struct interpretation result;

    *out = NULL;
    if (total_flops(job->program) > MAX_FLOPS)
        return OK;
    RETURN_IF_FAIL(interpret(a, g, make_inputs(a, g), &result));
    *out = arena_new_array(a, struct tensor, g->n_out + 1);
    for (int i = 0; i < g->n_out; i++)
        (*out)[i] = result.by_id[g->out[i]->id];
    return OK;
}

struct status *selftest_source(const struct bundle_job *job, struct text *source,
                               struct text *probe)
{
    struct arena *a = arena_create();
    struct tensor *out;
    struct status *s = expected_outputs(job, a, &out);

    if (!s) {
        c_put_banner(probe, job, "what the model answers to the self-test's inputs");
        text_puts(probe, " */\n#include <stdint.h>\n\n");
        for (int i = 0; out && i < job->program->graph->n_out; i++)
            put_expected(probe, job, job->program->graph->n_in + i, &out[i]);
        put_program(source, job, out);
    }
    arena_destroy(a);
    return status_note(s, "while computing the self-test's expected outputs");
}
