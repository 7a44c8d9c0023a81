/* SPDX-License-Identifier: Apache-2.0 */
/* ONNX file -> bundle: import, passes, layout, program, planner, folder. */
#include "codegen/compile_model.h"

#include <string.h>

#include "codegen/child.h"
#include "plan/fusion.h"

const char *model_short_name(struct arena *a, const char *path)
{
    const char *end = path + strlen(path);
    const char *base = strrchr(path, '/');

    base = base ? base + 1 : path;
    if (end - base > 5 && strcmp(end - 5, ".onnx") == 0)
        end -= 5;
    if (end - base == 5 && strncmp(base, "model", 5) == 0 && base > path + 1) {
        const char *folder_end = base - 1, *folder = folder_end;

        while (folder > path && folder[-1] != '/')
            folder--;
        if (folder_end > folder && *folder != '.')
            return arena_strndup(a, folder, (size_t)(folder_end - folder));
    }
    return arena_strndup(a, base, (size_t)(end - base));
}

struct status *compile_graph(struct compile *c, const char *path,
                             const struct compile_options *o, const struct isa *isa,
                             struct ir_graph **out)
{
    RETURN_IF_FAIL(onnx_import(c, path, &o->onnx, NULL, out));
    RETURN_IF_FAIL(passes_run(c, *out, &o->passes));
    if (o->compress) {
        RETURN_IF_FAIL(o->compress(c, *out, o->compress_arg));
        RETURN_IF_FAIL(passes_run(c, *out, &o->passes));
    }
    if (!isa)
        return OK;
    RETURN_IF_FAIL(pass_channels_last(c, *out));
    return int_prefers_unsigned(isa) ? pass_unsigned_codes(c, *out) : OK;
}

static const char *folder_of(struct arena *a, const char *path,
                             const struct compile_options *o)
{
    return o->folder ? o->folder
                     : arena_printf(a, "%s.%s", model_short_name(a, path), o->target);
}

struct status *compile_check_folder(const char *path, const struct compile_options *o)
{
    struct arena *a = arena_create();
    struct status *s = bundle_check_folder(folder_of(a, path, o));

    arena_destroy(a);
    return s;
}

struct job {
    const char *path;
    const struct compile_options *o;
    const struct target *target;
    struct device device;
    struct isa isa;
    uint64_t cpu_features;
};

/* A plan is about the steps that the target's code would have. */
static bool is_machine_code(const struct job *job)
{
    return emit_is_machine_code(job->o->kind)
           || (job->o->kind == EMIT_PLAN && job->target->emits == EMITS_CODE);
}

static struct status *write_bundle(struct compile *c, const struct job *job)
{
    const struct compile_options *o = job->o;
    const struct isa *isa = is_machine_code(job) ? &job->isa : NULL;
    const int max_workers = o->max_workers > 0 ? o->max_workers : 1;
    struct ir_graph *graph;
    struct program *program;

    RETURN_IF_FAIL(compile_graph(c, job->path, o, isa, &graph));

    struct plan *plan = o->plan ? *o->plan : plan_float(graph, o->target);

    if (!o->plan && o->limits_fusion)
        fusion_set(plan, o->fusion);

    if (!o->plan && o->update)
        plan->update = *o->update;

    const struct program_options program_options = {
        .keep_all = o->keep_all, .max_workers = max_workers, .plan = plan};

    RETURN_IF_FAIL(program_build(c, graph, isa, &program_options, &program));
    planner_place(program);

    const char *short_name = model_short_name(c->perm, job->path);
    const struct bundle_options bundle = {
        .folder = folder_of(c->perm, job->path, o),
        .prefix = o->prefix ? o->prefix : short_name,
        .model_path = job->path,
        .target = job->target,
        .isa = job->isa,
        .cpu_features = job->cpu_features,
        .kind = o->kind,
        .embed = o->embed,
        .max_workers = max_workers,
        .device = &job->device,
        .plan = plan,
        .compression = o->compression,
        .command_options = o->command_options ? o->command_options : "",
    };

    return bundle_write(c, program, &bundle);
}

static struct status *write_bundle_in_child(void *arg, FILE *out)
{
    const struct job *job = arg;
    struct compile *c = compile_create();
    struct status *s = write_bundle(c, job);

    (void)out;
    compile_destroy(c);
    return s;
}

struct status *compile_check_kind(const struct target *t, enum emit_kind kind)
{
    if (t->emits == EMITS_PLAN && kind != EMIT_PLAN)
        return FAIL(UNSUPPORTED,
                    "there is no code for '%s' yet; --emit plan writes the plan and"
                    " the report",
                    t->name);
    if (t->emits == EMITS_C && emit_is_machine_code(kind))
        return FAIL(UNSUPPORTED,
                    "there is C for '%s', no machine code: --emit c, or --emit plan"
                    " for plan and report alone",
                    t->name);
    return OK;
}

/* A target without machine code has no processors to choose from. */
static struct status *resolve(struct arena *a, struct job *job)
{
    const struct target *t = job->target;

    RETURN_IF_FAIL(compile_check_kind(t, job->o->kind));
    RETURN_IF_FAIL(target_device(a, t, job->o->device, &job->device));
    if (t->resolve) {
        RETURN_IF_FAIL(t->resolve(a, job->o->cpu, &job->isa, &job->cpu_features));
        target_fit_device(&job->isa, job->o->device, &job->device);
        return OK;
    }
    return job->o->cpu ? FAIL(BAD_USAGE,
                              "--cpu %s: target '%s' has no processors to choose from",
                              job->o->cpu, t->name)
                       : OK;
}

struct status *compile_model(const char *path, const struct compile_options *o)
{
    struct arena *a = arena_create();
    struct job job = {.path = path, .o = o, .target = target_find(o->target)};
    struct bytes nothing;
    struct status *s;

    if (!job.target)
        s = FAIL(BAD_USAGE, "no target '%s'; `hadmcc targets` lists them", o->target);
    else
        s = resolve(a, &job);
    if (!s)
        s = child_run(a, "compiling", write_bundle_in_child, &job, NULL, &nothing);
    arena_destroy(a);
    return status_note(s, "while compiling '%s' for target '%s'", path, o->target);
}
