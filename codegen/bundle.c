/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the bundle folder: everything into a temporary sibling, which then takes
 * the place of the folder in one step (bundle_folder.c). */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codegen/bundle.h"
#include "codegen/runner.h"
#include "plan/plan.h"
#include "support/scratch_folder.h"

#include <llvm-c/Core.h>

enum { C_STACK_ESTIMATE = 4096 };

/* ---- files ----------------------------------------------------------------------- */

static struct status *put_file(const struct bundle_job *job, const char *folder,
                               const char *suffix, const void *bytes, size_t len)
{
    const char *prefix = job->names->prefix;
    const char *name = arena_printf(job->arena, "%s%s", prefix, suffix);
    const char *path = arena_printf(job->arena, "%s/%s", folder, name);

    assert(bundle_folder_knows(prefix, name));

    struct status *s = runner_write_file(path, bytes, len);

    if (!s && chmod(path, 0644) != 0)
        s = FAIL(IO_ERROR, "cannot set the mode of '%s': %s", path, strerror(errno));
    return s;
}

/* Takes what is in `t`. */
static struct status *put_text(const struct bundle_job *job, const char *folder,
                               const char *suffix, struct text *t)
{
    struct status *s = put_file(job, folder, suffix, t->bytes, t->len);

    text_free(t);
    return s;
}

static struct status *put_weights(struct bundle_job *job, const char *folder)
{
    unsigned major, minor, patch;

    LLVMGetVersion(&major, &minor, &patch);
    const struct bundle_options *o = job->options;
    const struct weights_info info = {
        .structure_hash = job->model->structure_hash,
        .model_name = job->compile->model_name,
        .model_sha256 = job->compile->model_sha256,
        .opset = job->compile->opset,
        .target = o->target->name,
        .cpu = emit_is_machine_code(o->kind) ? o->isa.cpu : "any",
        .options = o->command_options,
        .tool_version = arena_printf(job->arena, "hadmcc %s", hadmcc_version()),
        .llvm_version = arena_printf(job->arena, "%u.%u.%u", major, minor, patch),
    };
    const char *path =
        arena_printf(job->arena, "%s/%s.weights", folder, job->names->prefix);

    RETURN_IF_FAIL(weights_write(path, job->program, &info, &job->weights_bytes));
    return chmod(path, 0644) == 0 ? OK
                                  : FAIL(IO_ERROR, "cannot set the mode of '%s': %s", path,
                                         strerror(errno));
}

/* ---- code ------------------------------------------------------------------------ */

static struct status *put_library(struct bundle_job *job, const char *folder,
                                  struct bytes kernels)
{
    struct arena *a = job->arena;
    const char *foo = job->names->prefix;
    struct archive_member members[3];
    struct bytes glue, weights;
    int64_t glue_stack;
    struct text library = {0};
    int n = 0;

    RETURN_IF_FAIL(glue_emit(a, job->program, job->names, job->model, &glue,
                             &glue_stack));
    members[n++] = (struct archive_member){arena_printf(a, "%s.o", foo), glue};
    members[n++] = (struct archive_member){arena_printf(a, "%s_kernels.o", foo), kernels};
    if (job->options->embed) {
        RETURN_IF_FAIL(runner_read_file(a, arena_printf(a, "%s/%s.weights", folder, foo),
                                        &weights));
        members[n++] =
            (struct archive_member){arena_printf(a, "%s_weights.o", foo),
                                    elf_blob(a, job->options->isa.triple,
                                             arena_printf(a, "%s_weights", foo), weights)};
    }
    job->stack_bytes += glue_stack;
    job->code_bytes = elf_loaded_bytes(glue) + elf_loaded_bytes(kernels);
    RETURN_IF_FAIL(archive_write(members, n, &library));

    const char *path = arena_printf(a, "%s/lib%s.a", folder, foo);
    struct status *s = runner_write_file(path, library.bytes, library.len);

    text_free(&library);
    if (!s && chmod(path, 0644) != 0)
        s = FAIL(IO_ERROR, "cannot set the mode of '%s': %s", path, strerror(errno));
    return s;
}

static struct status *put_machine_code(struct bundle_job *job, const char *folder)
{
    static const char *const suffix[] = {[EMIT_OBJECT] = "_kernels.o",
                                         [EMIT_LLVM] = "_kernels.ll",
                                         [EMIT_ASM] = "_kernels.s"};
    const enum emit_kind kind = job->options->kind;
    struct bytes object, shown;

    RETURN_IF_FAIL(module_emit_sized(job->arena, job->program, job->names, EMIT_OBJECT,
                                     &object, &job->stack_bytes));
    shown = object;
    if (kind != EMIT_OBJECT)
        RETURN_IF_FAIL(module_emit(job->arena, job->program, job->names, kind, &shown));
    RETURN_IF_FAIL(put_file(job, folder, suffix[kind], shown.at, shown.len));
    return put_library(job, folder, object);
}

static struct status *put_embedded_text(struct bundle_job *job, const char *folder)
{
    const char *foo = job->names->prefix;
    struct bytes weights;
    struct text t = {0};

    RETURN_IF_FAIL(runner_read_file(
        job->arena, arena_printf(job->arena, "%s/%s.weights", folder, foo), &weights));
    c_put_banner(&t, job, "the weights file as an array");
    text_printf(&t, " */\n#include \"%s.h\"\n\n_Alignas(64) const unsigned char"
                    " %s_weights[%s_WEIGHTS_BYTES] = {", foo, foo, job->names->upper);
    for (size_t i = 0; i < weights.len; i++)
        text_printf(&t, "%s%d,", i % 20 ? "" : "\n", ((const uint8_t *)weights.at)[i]);
    text_puts(&t, "\n};\n");
    return put_text(job, folder, "_weights.c", &t);
}

static struct status *put_c(struct bundle_job *job, const char *folder)
{
    struct text kernels = {0};
    struct status *s = c_emit_kernels(job->program, job->names, &kernels);

    if (s) {
        text_free(&kernels);
        return s;
    }
    job->stack_bytes = C_STACK_ESTIMATE;
    RETURN_IF_FAIL(put_text(job, folder, "_kernels.c", &kernels));
    return job->options->embed ? put_embedded_text(job, folder) : OK;
}

/* ---- the folder ------------------------------------------------------------------ */

/* What compression did: nothing yet. */
static void plan_file(const struct bundle_job *job, struct text *out)
{
    const struct bundle_options *o = job->options;

    plan_write(o->plan ? o->plan : plan_float(job->program->graph, o->target->name), out);
}

/* The page about the search, with a link to the report before its end. */
static struct status *put_search_page(struct bundle_job *job, const char *folder,
                                      const char *page)
{
    static const char end[] = "</body>";
    const char *at = strstr(page, end);
    struct text t = {0};

    text_printf(&t, "%.*s", (int)(at ? at - page : (ptrdiff_t)strlen(page)), page);
    text_printf(&t, "<p><a href=\"%s.report.html\">The compiled network</a></p>\n",
                job->names->prefix);
    text_puts(&t, at ? at : "");
    return put_text(job, folder, ".search.html", &t);
}

static struct status *put_texts(struct bundle_job *job, const char *folder)
{
    typedef void writer(const struct bundle_job *job, struct text *out);
    static const struct {
        const char *suffix;
        writer *write;
        bool has_code; /* is for those who compile or link */
    } rows[] = {
        {".h", api_header, true},
        {".plan.json", plan_file, false},
        {".report.json", report_json, false},
        {".report.html", report_html, false},
        {".pc", package_pkg_config, true},
        {"-config.cmake", package_cmake, true},
        {".d", package_depfile, false},
    };
    const struct compression *k = job->options->compression;
    const bool has_code = job->options->kind != EMIT_PLAN;
    struct text t = {0}, probe = {0};

    if (k && k->evaluations) {
        text_puts(&t, k->evaluations);
        RETURN_IF_FAIL(put_text(job, folder, ".search.jsonl", &t));
    }
    if (k && k->search_page)
        RETURN_IF_FAIL(put_search_page(job, folder, k->search_page));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].has_code && !has_code)
            continue;
        rows[i].write(job, &t);
        RETURN_IF_FAIL(put_text(job, folder, rows[i].suffix, &t));
    }
    if (!has_code)
        return OK;
    RETURN_IF_FAIL(api_source(job, &t));
    RETURN_IF_FAIL(put_text(job, folder, ".c", &t));
    RETURN_IF_FAIL(selftest_source(job, &t, &probe));
    RETURN_IF_FAIL(put_text(job, folder, "_selftest.c", &t));
    return put_text(job, folder, "_probe.h", &probe);
}

/* Of a plan alone only their size is told: there is no code that would read them. */
static struct status *remove_weights(const struct bundle_job *job, const char *folder)
{
    const char *path =
        arena_printf(job->arena, "%s/%s.weights", folder, job->names->prefix);

    return unlink(path) == 0 ? OK
                             : FAIL(IO_ERROR, "cannot remove '%s': %s", path,
                                    strerror(errno));
}

static struct status *fill(struct bundle_job *job, const char *folder)
{
    const enum emit_kind kind = job->options->kind;

    RETURN_IF_FAIL(put_weights(job, folder));
    if (kind == EMIT_PLAN)
        RETURN_IF_FAIL(remove_weights(job, folder));
    else
        RETURN_IF_FAIL(kind == EMIT_C ? put_c(job, folder)
                                      : put_machine_code(job, folder));
    return put_texts(job, folder);
}

struct status *bundle_write(struct compile *c, struct program *p,
                            const struct bundle_options *o)
{
    const struct model_names *names = model_names_create(c->perm, p->graph, o->prefix);
    struct bundle_job job = {
        .compile = c,
        .arena = c->perm,
        .program = p,
        .options = o,
        .names = names,
        .model = model_describe(c->perm, p,
                                emit_is_machine_code(o->kind) ? o->cpu_features : 0),
    };
    const char *folder;
    char *fresh;

    RETURN_IF_FAIL(bundle_folder_find(c->perm, o->folder, &folder));
    RETURN_IF_FAIL(scratch_folder_make_beside(c->perm, folder, &fresh));

    struct status *s = chmod(fresh, 0755) == 0
                           ? fill(&job, fresh)
                           : FAIL(IO_ERROR, "cannot set the mode of '%s': %s", fresh,
                                  strerror(errno));

    if (!s)
        s = bundle_folder_replace(fresh, folder);
    if (s)
        scratch_folder_remove(fresh);
    return status_note(s, "while writing the bundle '%s'", folder);
}
