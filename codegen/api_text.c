/* SPDX-License-Identifier: Apache-2.0 */
/* foo.h and foo.c: the model's C interface as text.
 *
 * foo.c is the runtime's own sources as static functions, the descriptor, and the
 * foo_* functions around them; libfoo.a holds the same through LLVM (glue.c).
 */
#include <string.h>

#include "codegen/bundle.h"

/* ---- foo.h: opening comment ------------------------------------------------------ */

static void put_members(struct text *t, const struct bundle_job *job, int from, int to)
{
    for (int i = from; i < to; i++)
        text_printf(t, "%s.%s = %s", i > from ? ",\n *                 " : "",
                    job->names->io[i], job->names->io[i]);
}

static void put_usage(struct text *t, const struct bundle_job *job)
{
    const char *foo = job->names->prefix, *FOO = job->names->upper;
    const struct ir_graph *g = job->program->graph;

    text_printf(t,
                " *\n"
                " *     static _Alignas(%s_WORKSPACE_ALIGN)\n"
                " *         uint8_t memory[%s_WORKSPACE_BYTES];\n"
                " *     struct %s m;\n"
                " *     if (%s_open(&m, weights, weights_len, memory, sizeof memory, 0)\n"
                " *         == %s_OK)\n"
                " *         %s_run(&m,\n"
                " *             &(struct %s_in){",
                FOO, FOO, foo, foo, FOO, foo, foo);
    put_members(t, job, 0, g->n_in);
    text_printf(t, "},\n *             &(struct %s_out){", foo);
    put_members(t, job, g->n_in, g->n_in + g->n_out);
    text_puts(t, "});\n *\n");
}

static void put_opening(struct text *t, const struct bundle_job *job)
{
    const char *foo = job->names->prefix;

    c_put_banner(t, job, "a compiled neural network");
    put_usage(t, job);
    if (job->options->embed)
        text_printf(t, " * `weights` is %s_weights, which is linked in.\n", foo);
    else
        text_printf(
            t,
            " * `weights` are the bytes of %s.weights at an address that is a multiple\n"
            " * of 64: a mapped file, or flash.  They are used in place.\n",
            foo);
    text_puts(
        t, " *\n"
           " * No allocation, no globals.  One context per thread; any number of contexts\n"
           " * may share one read-only `weights`.  Weights and workspace must outlive the\n"
           " * context, which needs no closing.\n"
           " */\n");
}

/* ---- foo.h: macros and statuses -------------------------------------------------- */

static void put_macro(struct text *t, const struct bundle_job *job, const char *name,
                      const char *value, const char *comment)
{
    text_printf(t, "#define %s_%-16s %-9s /* %s */\n", job->names->upper, name, value,
                comment);
}

static void put_macros(struct text *t, const struct bundle_job *job)
{
    struct arena *a = job->arena;
    const bool c = job->options->kind == EMIT_C;

    put_macro(t, job, "ABI_VERSION", arena_printf(a, "%d", HADM_ABI),
              "of this header's functions and of the weights");
    put_macro(t, job, "WORKSPACE_BYTES",
              arena_printf(a, "%llu", (unsigned long long)job->model->workspace_bytes),
              "exact peak, scratch included");
    put_macro(t, job, "WORKSPACE_ALIGN", "64", "of its address");
    put_macro(t, job, "WEIGHTS_BYTES",
              arena_printf(a, "%llu", (unsigned long long)job->weights_bytes),
              "size of the weights file");
    put_macro(t, job, "STACK_BYTES", arena_printf(a, "%lld", (long long)job->stack_bytes),
              c ? "an estimate: your compiler decides"
                : "at most, below the caller of any function");
    put_macro(t, job, "MAX_WORKERS", arena_printf(a, "%u", job->model->max_workers),
              "workers that the workspace has room for");
    put_macro(t, job, "CHECK_PAYLOAD", "1u", "flag of open: check every byte's digest");
    text_puts(t, "\n");
}

static void put_statuses(struct text *t, const struct bundle_job *job)
{
    static const struct {
        const char *name, *comment;
    } rows[] = {
        {"OK = 0", "done"},
        {"BAD_WEIGHTS", "not a weights file, truncated, or damaged"},
        {"OTHER_MODEL", "a sound file that belongs to another structure"},
        {"WRONG_CPU", "this processor lacks a feature the code needs"},
        {"BAD_MEMORY", "workspace NULL, too small or not aligned"},
        {"BAD_ALIGNMENT", "weights not aligned to 64 bytes"},
        {"DAMAGED", "digests do not match (CHECK_PAYLOAD)"},
        {"BAD_WORKERS", "more than MAX_WORKERS"},
    };

    text_printf(t, "enum %s_status {\n", job->names->prefix);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        text_printf(
            t, "    %s_%s%s%*s/* %-46s */\n", job->names->upper, rows[i].name,
            i + 1 < sizeof rows / sizeof rows[0] ? "," : "",
            (int)(16 - strlen(rows[i].name) - (i + 1 < sizeof rows / sizeof rows[0])), "",
            rows[i].comment);
    text_puts(t, "};\n\n");
}

/* ---- foo.h: doors ---------------------------------------------------------------- */

static const char *content_of(enum dtype dtype)
{
    switch (dtype) {
    case DT_f16:
        return "IEEE half precision bits, ";
    case DT_bf16:
        return "bfloat16 bits, ";
    case DT_bool:
        return "0 or 1, ";
    case DT_i4:
        return "-8 to 7, ";
    case DT_u4:
        return "0 to 15, ";
    default:
        return "";
    }
}

static void put_door(struct text *t, const struct bundle_job *job, int i, bool is_output)
{
    const struct ir_value *v = bundle_door(job, i);
    const int bytes = dtype_info[v->dtype].bytes;

    text_printf(t, "    %s%s *%s; /* ", is_output ? "" : "const ",
                dtype_info[v->dtype].ctype, job->names->io[i]);
    text_puts(t, content_of(v->dtype));
    if (v->dynamic)
        text_puts(t, "room for ");
    c_put_shape(t, v);
    if (v->rank > 1)
        text_puts(t, " row-major");
    if (bytes > 1)
        text_printf(t, "; any %d-byte alignment", bytes);
    if (strcmp(job->names->io[i], job->names->onnx[i]) != 0) {
        text_puts(t, "; ONNX name \"");
        c_put_comment(t, job->names->onnx[i]);
        text_puts(t, "\"");
    }
    text_puts(t, " */\n");
}

static void put_doors(struct text *t, const struct bundle_job *job)
{
    const char *foo = job->names->prefix;
    const struct ir_graph *g = job->program->graph;

    text_printf(t, "struct %s_in {\n", foo);
    for (int i = 0; i < g->n_in; i++)
        put_door(t, job, i, false);
    if (g->n_in == 0)
        text_puts(t, "    const void *none; /* the model has no inputs */\n");
    text_puts(t, "};\n\n/* Outputs may not overlap each other or an input. */\n");
    text_printf(t, "struct %s_out {\n", foo);
    for (int i = g->n_in; i < g->n_in + g->n_out; i++)
        put_door(t, job, i, true);
    for (int i = g->n_in; i < g->n_in + g->n_out; i++)
        if (bundle_door(job, i)->dynamic)
            text_printf(t,
                        "    int64_t *%s_dims; /* [%d] actual dims of %s, set by run */\n",
                        job->names->io[i], bundle_door(job, i)->rank, job->names->io[i]);
    text_puts(t, "};\n\n");
}

/* ---- foo.h: functions ------------------------------------------------------------ */

/* The four functions, declared in foo.h and defined in foo.c. */
enum api_function { API_OPEN, API_RUN, API_USE_WORKERS, API_STRERROR };

static void put_prototype(struct text *t, const struct bundle_job *job, enum api_function f)
{
    struct arena *a = job->arena;
    const char *foo = job->names->prefix;
    const char *status = arena_printf(a, "enum %s_status", foo);
    const char *m = arena_printf(a, "struct %s *m", foo);
    const char *open[] = {m, "const void *weights", "size_t weights_len", "void *workspace",
                          "size_t workspace_len", "unsigned flags"};
    const char *run[] = {arena_printf(a, "const struct %s *m", foo),
                         arena_printf(a, "const struct %s_in *in", foo),
                         arena_printf(a, "const struct %s_out *out", foo)};
    const char *workers[] = {m, arena_printf(a, "%s_parallel_for *parallel_for", foo),
                             "void *pool", "uint64_t n_workers"};
    const char *code = arena_printf(a, "enum %s_status status", foo);

    switch (f) {
    case API_OPEN:
        c_put_prototype(t, status, arena_printf(a, "%s_open", foo), 6, open);
        break;
    case API_RUN:
        c_put_prototype(t, "void", arena_printf(a, "%s_run", foo), 3, run);
        break;
    case API_USE_WORKERS:
        c_put_prototype(t, status, arena_printf(a, "%s_use_workers", foo), 4, workers);
        break;
    case API_STRERROR:
        c_put_prototype(t, "const char", arena_printf(a, "*%s_strerror", foo), 1, &code);
    }
}

static void put_functions(struct text *t, const struct bundle_job *job)
{
    const char *foo = job->names->prefix, *FOO = job->names->upper;

    text_printf(t, "struct %s { uint64_t private_[8]; };\n\n", foo);
    text_printf(
        t,
        "/* Check everything once: the weights' whole structure, that they belong to\n"
        " * this code, the processor, the workspace.  After %s_OK, running cannot\n"
        " * fail.  `flags` is 0 or %s_CHECK_PAYLOAD. */\n",
        FOO, FOO);
    put_prototype(t, job, API_OPEN);
    text_puts(t, ";\n\n/* One inference; every element of every output is written. */\n");
    put_prototype(t, job, API_RUN);
    text_printf(
        t,
        ";\n\n"
        "/* Share the work of runs among `n_workers` threads of yours, the caller "
        "included.\n"
        " * parallel_for has to call body(arg, begin, end, worker) on disjoint ranges "
        "that\n"
        " * cover [0, n), with worker in 0 .. n_workers-1 and never two at once with one\n"
        " * number, and to return when all are done; less than `grain` is not worth a\n"
        " * thread.  Results do not depend on it.  NULL: back to one thread. */\n"
        "typedef void %s_body(void *arg, int64_t begin, int64_t end, int64_t worker);\n"
        "typedef void %s_parallel_for(void *pool, %s_body *body, void *arg,\n"
        "        int64_t n, int64_t grain);\n",
        foo, foo, foo);
    put_prototype(t, job, API_USE_WORKERS);
    text_puts(t, ";\n\n");
    put_prototype(t, job, API_STRERROR);
    text_puts(t, ";\n\n");
    if (job->options->embed)
        text_printf(t, "extern const unsigned char %s_weights[%s_WEIGHTS_BYTES];\n\n", foo,
                    FOO);
}

void api_header(const struct bundle_job *job, struct text *t)
{
    const char *FOO = job->names->upper;

    put_opening(t, job);
    text_printf(t,
                "#ifndef %s_H\n#define %s_H\n\n#include <stddef.h>\n#include <stdint.h>\n\n"
                "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n",
                FOO, FOO);
    put_macros(t, job);
    put_statuses(t, job);
    put_doors(t, job);
    put_functions(t, job);
    text_printf(t, "#ifdef __cplusplus\n}\n#endif\n#endif /* %s_H */\n", FOO);
}

/* ---- foo.c ----------------------------------------------------------------------- */

static struct status *put_runtime(struct text *t)
{
    static const char *const files[] = {
        "runtime/mem.h", "runtime/hadm.h", "runtime/sha256.h",
        "runtime/weights_reader.h", "runtime/sha256.c", "runtime/weights_reader.c",
        "runtime/hadm.c",
    };

    text_puts(t, "#define HADM_API static\n\n");
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        text_printf(t, "/* ==== %s ==== */\n\n", files[i]);
        RETURN_IF_FAIL(c_put_source(t, files[i]));
        text_puts(t, "\n");
    }
    return OK;
}

static void put_steps(struct text *t, const struct bundle_job *job)
{
    const char *foo = job->names->prefix;
    const struct hadm_model *m = job->model;

    for (uint32_t i = 0; i < m->n_steps; i++)
        if (m->steps[i].kind == HADM_CALL)
            text_printf(t, "extern hadm_kernel %s_%s;\n", foo, job->program->steps[i].name);
    text_puts(t, "\n/* function, units, grain, at, kind, target */\n");
    text_printf(t, "static const struct hadm_step %s_steps[] = {\n", foo);
    for (uint32_t i = 0; i < m->n_steps; i++) {
        static const char *const kinds[] = {"HADM_CALL", "HADM_BRANCH", "HADM_BRANCH_IO",
                                            "HADM_JUMP"};
        const struct hadm_step *s = &m->steps[i];

        if (s->kind == HADM_CALL)
            text_printf(t, "    {%s_%s", foo, job->program->steps[i].name);
        else
            text_puts(t, "    {NULL");
        text_printf(t, ", %lld, %lld, %lld, %s, %d},\n", (long long)s->n_units,
                    (long long)s->grain, (long long)s->at, kinds[s->kind], s->target);
    }
    if (m->n_steps == 0)
        text_puts(t, "    {NULL, 0, 0, 0, HADM_JUMP, 0}, /* never reached */\n");
    text_puts(t, "};\n\n");
}

static void put_model(struct text *t, const struct bundle_job *job)
{
    const char *foo = job->names->prefix;
    const struct hadm_model *m = job->model;

    text_printf(t,
                "static const struct hadm_model %s_model = {\n    %u, %u, %s_steps,\n    {",
                foo, m->abi, m->n_steps, foo);
    for (int i = 0; i < 32; i++)
        text_printf(t, "%s0x%02x", i == 0 ? "" : i % 12 == 0 ? ",\n     " : ", ",
                    m->structure_hash[i]);
    text_printf(t, "},\n    %llu, %llu, %llu, %u, %u,\n};\n\n",
                (unsigned long long)m->payload_bytes,
                (unsigned long long)m->workspace_bytes, (unsigned long long)m->cpu_features,
                m->n_io, m->max_workers);
}

/* The context is copied in and out of the caller's opaque struct: that is defined
 * behaviour whatever the optimiser thinks of types. */
static void put_wrappers(struct text *t, const struct bundle_job *job)
{
    const char *foo = job->names->prefix;

    text_printf(t,
                "_Static_assert(sizeof(struct hadm_context) <= sizeof(struct %s), "
                "\"context\");\n\n",
                foo);
    put_prototype(t, job, API_OPEN);
    text_printf(
        t,
        "\n{\n"
        "    struct hadm_context c;\n"
        "    const enum hadm_status status = hadm_open(\n"
        "        &c, &%s_model, weights, weights_len, workspace, workspace_len, flags);\n\n"
        "    if (status == HADM_OK)\n"
        "        memcpy(m->private_, &c, sizeof c);\n"
        "    return (enum %s_status)status;\n"
        "}\n\n",
        foo, foo);
    put_prototype(t, job, API_USE_WORKERS);
    text_printf(t,
                "\n{\n"
                "    struct hadm_context c;\n"
                "    enum hadm_status status;\n\n"
                "    memcpy(&c, m->private_, sizeof c);\n"
                "    status = hadm_use_workers(&c, parallel_for, pool, n_workers);\n"
                "    memcpy(m->private_, &c, sizeof c);\n"
                "    return (enum %s_status)status;\n"
                "}\n\n",
                foo);
    put_prototype(t, job, API_STRERROR);
    text_puts(t, "\n{\n    return hadm_strerror((enum hadm_status)status);\n}\n\n");
}

static void put_run(struct text *t, const struct bundle_job *job)
{
    const struct ir_graph *g = job->program->graph;
    const char *const *io = job->names->io;
    int k = 0;

    put_prototype(t, job, API_RUN);
    text_printf(t,
                "\n{\n"
                "    struct hadm_context c;\n"
                "    void *io[%u];\n\n"
                "    memcpy(&c, m->private_, sizeof c);\n",
                job->model->n_io ? job->model->n_io : 1);
    for (int i = 0; i < g->n_in; i++)
        text_printf(t, "    io[%d] = (void *)in->%s;\n", k++, io[i]);
    for (int i = g->n_in; i < g->n_in + g->n_out; i++)
        text_printf(t, "    io[%d] = out->%s;\n", k++, io[i]);
    for (int i = g->n_in; i < g->n_in + g->n_out; i++)
        if (bundle_door(job, i)->dynamic)
            text_printf(t, "    io[%d] = out->%s_dims;\n", k++, io[i]);
    if (g->n_in == 0)
        text_puts(t, "    (void)in;\n");
    if (g->n_out == 0)
        text_puts(t, "    (void)out;\n");
    if (k == 0)
        text_puts(t, "    io[0] = NULL;\n");
    text_puts(t, "    hadm_run(&c, io);\n}\n");
}

struct status *api_source(const struct bundle_job *job, struct text *t)
{
    const char *foo = job->names->prefix;

    c_put_banner(t, job, "the runtime and the model's functions");
    text_printf(t, " */\n#include \"%s.h\"\n\n", foo);
    RETURN_IF_FAIL(put_runtime(t));
    text_puts(t, "/* ==== the model ==== */\n\n");
    put_steps(t, job);
    put_model(t, job);
    put_wrappers(t, job);
    put_run(t, job);
    return OK;
}
