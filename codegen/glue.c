/* SPDX-License-Identifier: Apache-2.0 */
/* The model's functions and descriptor as an object: what a C compiler would make of
 * foo.c, without needing one.  The runtime is bitcode inside hadmcc.
 *
 * Compiled for the plainest processor of the architecture: it is this code that
 * finds out that a processor lacks what the kernels need.
 */
#include <string.h>

#include <llvm-c/Core.h>

#include "codegen/module.h"

enum { N_STEP_FIELDS = 6, N_MODEL_FIELDS = 9, HASH_BYTES = 32 };

struct glue {
    struct emitter e;
    const struct program *program;
    const struct model_names *names;
    const struct hadm_model *model;
    struct arena *arena;
    LLVMTypeRef step_t, model_t, kernel_t;
};

static LLVMValueRef i32_of(const struct glue *g, uint64_t value)
{
    return LLVMConstInt(g->e.i32, value, false);
}

static LLVMValueRef i64_of(const struct glue *g, uint64_t value)
{
    return LLVMConstInt(g->e.i64, value, false);
}

/* ---- the descriptor -------------------------------------------------------------- */

/* struct hadm_step and struct hadm_model, field by field as in hadm.h. */
static void define_types(struct glue *g)
{
    const struct emitter *e = &g->e;
    LLVMTypeRef step[N_STEP_FIELDS] = {e->ptr, e->i64, e->i64, e->i64, e->i32, e->i32};
    LLVMTypeRef model[N_MODEL_FIELDS] = {
        e->i32, e->i32, e->ptr, LLVMArrayType2(e->i8, HASH_BYTES),
        e->i64, e->i64, e->i64, e->i32, e->i32,
    };
    LLVMTypeRef kernel[] = {e->ptr, e->ptr, e->ptr, e->i64, e->i64, e->i64};

    g->step_t = LLVMStructTypeInContext(e->context, step, N_STEP_FIELDS, false);
    g->model_t = LLVMStructTypeInContext(e->context, model, N_MODEL_FIELDS, false);
    g->kernel_t = LLVMFunctionType(e->void_t, kernel, 6, false);
}

static LLVMValueRef constant_global(const struct glue *g, const char *name,
                                    LLVMTypeRef type, LLVMValueRef value)
{
    LLVMValueRef global = LLVMAddGlobal(g->e.module, type, name);

    LLVMSetInitializer(global, value);
    LLVMSetGlobalConstant(global, true);
    LLVMSetLinkage(global, LLVMInternalLinkage);
    return global;
}

/* The kernel of step i: defined by the other object of the library. */
static LLVMValueRef kernel_of(const struct glue *g, uint32_t i)
{
    if (g->model->steps[i].kind != HADM_CALL)
        return LLVMConstNull(g->e.ptr);

    LLVMValueRef fn = LLVMAddFunction(
        g->e.module,
        arena_printf(g->arena, "%s_%s", g->names->prefix, g->program->steps[i].name),
        g->kernel_t);

    LLVMSetVisibility(fn, LLVMHiddenVisibility);
    return fn;
}

static LLVMValueRef build_steps(const struct glue *g)
{
    const uint32_t n = g->model->n_steps;
    LLVMValueRef *rows = arena_new_array(g->arena, LLVMValueRef, n + 1);

    for (uint32_t i = 0; i < n; i++) {
        const struct hadm_step *s = &g->model->steps[i];
        LLVMValueRef fields[N_STEP_FIELDS] = {
            kernel_of(g, i), i64_of(g, (uint64_t)s->n_units), i64_of(g, (uint64_t)s->grain),
            i64_of(g, (uint64_t)s->at), i32_of(g, (uint64_t)s->kind),
            i32_of(g, (uint64_t)(int64_t)s->target),
        };

        rows[i] = LLVMConstStructInContext(g->e.context, fields, N_STEP_FIELDS, false);
    }
    return constant_global(g, "steps", LLVMArrayType2(g->step_t, n),
                           LLVMConstArray2(g->step_t, rows, n));
}

static LLVMValueRef build_model(const struct glue *g)
{
    const struct hadm_model *m = g->model;
    LLVMValueRef fields[N_MODEL_FIELDS] = {
        i32_of(g, m->abi),
        i32_of(g, m->n_steps),
        build_steps(g),
        LLVMConstStringInContext2(g->e.context, (const char *)m->structure_hash, HASH_BYTES,
                                  true),
        i64_of(g, m->payload_bytes),
        i64_of(g, m->workspace_bytes),
        i64_of(g, m->cpu_features),
        i32_of(g, m->n_io),
        i32_of(g, m->max_workers),
    };

    return constant_global(
        g, "model", g->model_t,
        LLVMConstStructInContext(g->e.context, fields, N_MODEL_FIELDS, false));
}

/* ---- the functions --------------------------------------------------------------- */

/* foo_<name> that passes its parameters on to hadm_<name>, with `extra` (NULL: none)
 * inserted behind the first one. */
static void build_wrapper(const struct glue *g, const char *name, LLVMTypeRef result,
                          int n_params, const LLVMTypeRef *params, LLVMValueRef extra)
{
    LLVMTypeRef inner_t[8];
    LLVMValueRef args[8];
    int n = 0;
    LLVMValueRef fn = LLVMAddFunction(
        g->e.module, arena_printf(g->arena, "%s_%s", g->names->prefix, name),
        LLVMFunctionType(result, (LLVMTypeRef *)params, (unsigned)n_params, false));

    for (int i = 0; i < n_params; i++) {
        args[n] = LLVMGetParam(fn, (unsigned)i);
        inner_t[n++] = params[i];
        if (i == 0 && extra) {
            args[n] = extra;
            inner_t[n++] = g->e.ptr;
        }
    }

    LLVMTypeRef type = LLVMFunctionType(result, inner_t, (unsigned)n, false);
    LLVMValueRef inner = LLVMAddFunction(g->e.module,
                                         arena_printf(g->arena, "hadm_%s", name), type);

    LLVMPositionBuilderAtEnd(g->e.builder,
                             LLVMAppendBasicBlockInContext(g->e.context, fn, ""));
    LLVMBuildRet(g->e.builder,
                 LLVMBuildCall2(g->e.builder, type, inner, args, (unsigned)n, ""));
    llvm_fn_attr(g->e.context, fn, "nounwind");
}

static LLVMValueRef element(const struct glue *g, LLVMValueRef base, int i)
{
    LLVMValueRef index = i64_of(g, (uint64_t)i);

    return LLVMBuildInBoundsGEP2(g->e.builder, g->e.ptr, base, &index, 1, "");
}

/* void foo_run(m, in, out): the members of both structs are pointers, in the order
 * of the runtime's io[]. */
static void build_run(const struct glue *g)
{
    const struct emitter *e = &g->e;
    const int n_io = (int)g->model->n_io, n_in = g->program->graph->n_in;
    LLVMTypeRef params[] = {e->ptr, e->ptr, e->ptr};
    LLVMValueRef fn = LLVMAddFunction(e->module,
                                      arena_printf(g->arena, "%s_run", g->names->prefix),
                                      LLVMFunctionType(e->void_t, params, 3, false));
    LLVMTypeRef run_t = LLVMFunctionType(e->void_t, params, 2, false);
    LLVMValueRef run = LLVMAddFunction(e->module, "hadm_run", run_t);

    LLVMPositionBuilderAtEnd(e->builder, LLVMAppendBasicBlockInContext(e->context, fn, ""));
    LLVMValueRef io = LLVMBuildArrayAlloca(e->builder, e->ptr,
                                           i32_of(g, n_io ? (uint64_t)n_io : 1), "io");

    for (int i = 0; i < n_io; i++) {
        LLVMValueRef from = LLVMGetParam(fn, i < n_in ? 1 : 2);
        LLVMValueRef at = element(g, from, i < n_in ? i : i - n_in);

        LLVMBuildStore(e->builder, LLVMBuildLoad2(e->builder, e->ptr, at, ""),
                       element(g, io, i));
    }
    LLVMValueRef args[] = {LLVMGetParam(fn, 0), io};
    LLVMBuildCall2(e->builder, run_t, run, args, 2, "");
    LLVMBuildRetVoid(e->builder);
    llvm_fn_attr(e->context, fn, "nounwind");
}

static void build_functions(const struct glue *g)
{
    const struct emitter *e = &g->e;
    const LLVMTypeRef open[] = {e->ptr, e->ptr, e->i64, e->ptr, e->i64, e->i32};
    const LLVMTypeRef workers[] = {e->ptr, e->ptr, e->ptr, e->i64};

    build_wrapper(g, "open", e->i32, 6, open, build_model(g));
    build_wrapper(g, "use_workers", e->i32, 4, workers, NULL);
    build_wrapper(g, "strerror", e->ptr, 1, &e->i32, NULL);
    build_run(g);
}

/* ---- the object ------------------------------------------------------------------ */

/* Only the kernels, memcpy and memset may come from elsewhere. */
static struct status *check_imports(const struct glue *g)
{
    const size_t len = strlen(g->names->prefix);

    for (LLVMValueRef f = LLVMGetFirstFunction(g->e.module); f;
         f = LLVMGetNextFunction(f)) {
        const char *name = LLVMGetValueName(f);

        if (!LLVMIsDeclaration(f) || strncmp(name, "llvm.", 5) == 0 || !LLVMGetFirstUse(f)
            || strcmp(name, "memcpy") == 0 || strcmp(name, "memset") == 0
            || (strncmp(name, g->names->prefix, len) == 0 && name[len] == '_'))
            continue;
        return FAIL(INTERNAL, "the runtime would need the function '%s'", name);
    }
    return OK;
}

static struct status *compile(struct glue *g, struct llvm_session *s,
                              const struct isa *plain, struct bytes *out,
                              int64_t *stack_bytes)
{
    define_types(g);
    build_functions(g);
    RETURN_IF_FAIL(llvm_link_library(s, g->e.module, plain, "runtime"));
    RETURN_IF_FAIL(llvm_verify(g->e.module));
    RETURN_IF_FAIL(llvm_optimise(s, g->e.module, "default<Os>"));
    RETURN_IF_FAIL(check_imports(g));
    RETURN_IF_FAIL(llvm_emit(g->arena, s, g->e.module, EMIT_OBJECT, out));
    *stack_bytes = s->all_frames_bytes; /* calls are few and nest little: a bound */
    return OK;
}

struct status *glue_emit(struct arena *a, const struct program *p,
                         const struct model_names *names, const struct hadm_model *model,
                         struct bytes *out, int64_t *stack_bytes)
{
    const struct isa plain = {.triple = p->isa->triple, .cpu = "", .features = ""};
    struct glue g = {.program = p, .names = names, .model = model, .arena = a};
    struct llvm_session s;
    struct status *failed = llvm_open(&s, &plain);

    if (!failed) {
        llvm_emitter(&g.e, &s, &plain, names->prefix);
        failed = compile(&g, &s, &plain, out, stack_bytes);
    }
    if (g.e.builder)
        LLVMDisposeBuilder(g.e.builder);
    if (g.e.module)
        LLVMDisposeModule(g.e.module);
    llvm_close(&s);
    return status_note(failed, "while compiling the model's functions");
}
