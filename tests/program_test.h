/* SPDX-License-Identifier: Apache-2.0 */
/* Running graphs through the whole middle in this process, for tests: program,
 * placement, LLVM, and the object loaded with ORC; the interpreter says what is
 * right. */
#ifndef HADMC_TESTS_PROGRAM_TEST_H
#define HADMC_TESTS_PROGRAM_TEST_H

#include "tests/test.h"

#include <math.h>
#include <stdlib.h>

#include <llvm-c/LLJIT.h>
#include <llvm-c/OrcEE.h>
#include <llvm-c/Target.h>

#include "codegen/codegen.h"
#include "frontend/interpret.h"

/* ---- running an object -------------------------------------------------- */

static inline void check_llvm(LLVMErrorRef error)
{
    if (!error)
        return;
    char *words = LLVMGetErrorMessage(error);

    print_error("LLVM: %s\n", words);
    LLVMDisposeErrorMessage(words);
    fail();
}

/* `ptr table[]` with the address of every step's function. */
static inline LLVMMemoryBufferRef table_object(const struct program *p,
                                               LLVMTargetMachineRef machine)
{
    const LLVMContextRef c = LLVMContextCreate();
    const LLVMModuleRef m = LLVMModuleCreateWithNameInContext("table", c);
    const LLVMTypeRef ptr = LLVMPointerTypeInContext(c, 0);
    const LLVMTypeRef fn = LLVMFunctionType(LLVMVoidTypeInContext(c), NULL, 0, false);
    LLVMValueRef *rows = calloc((size_t)p->n_steps + 1, sizeof *rows);
    LLVMMemoryBufferRef object;
    char *why = NULL, name[200];

    for (int i = 0; i < p->n_steps; i++) {
        snprintf(name, sizeof name, "t_%s", p->steps[i].name);
        rows[i] = p->steps[i].kind == STEP_BRANCH || p->steps[i].kind == STEP_JUMP
                      ? LLVMConstNull(ptr)
                      : LLVMAddFunction(m, name, fn);
    }
    const LLVMValueRef array = LLVMConstArray2(ptr, rows, (uint64_t)p->n_steps);

    LLVMSetInitializer(LLVMAddGlobal(m, LLVMTypeOf(array), "table"), array);
    LLVMSetTarget(m, p->isa->triple);
    assert_false(
        LLVMTargetMachineEmitToMemoryBuffer(machine, m, LLVMObjectFile, &why, &object));
    free(rows);
    LLVMDisposeModule(m);
    LLVMContextDispose(c);
    return object;
}

static inline LLVMTargetMachineRef machine_of(const struct isa *isa)
{
    LLVMTargetRef t;
    char *why = NULL;

    assert_false(LLVMGetTargetFromTriple(isa->triple, &t, &why));
    return LLVMCreateTargetMachine(t, isa->triple, "", "", LLVMCodeGenLevelNone,
                                   LLVMRelocPIC, LLVMCodeModelDefault);
}

static inline LLVMOrcLLJITRef load(const struct program *p, struct bytes object,
                                   hadm_kernel ***table)
{
    LLVMOrcLLJITRef jit;
    LLVMOrcExecutorAddress at;
    const LLVMTargetMachineRef machine = machine_of(p->isa);

    check_llvm(LLVMOrcCreateLLJIT(&jit, NULL));
    const LLVMOrcJITDylibRef lib = LLVMOrcLLJITGetMainJITDylib(jit);
    LLVMOrcDefinitionGeneratorRef process;

    check_llvm(LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(
        &process, LLVMOrcLLJITGetGlobalPrefix(jit), NULL, NULL));
    LLVMOrcJITDylibAddGenerator(lib, process);
    check_llvm(LLVMOrcLLJITAddObjectFile(
        jit, lib,
        LLVMCreateMemoryBufferWithMemoryRangeCopy(object.at, object.len, "object")));
    check_llvm(LLVMOrcLLJITAddObjectFile(jit, lib, table_object(p, machine)));
    check_llvm(LLVMOrcLLJITLookup(jit, &at, "table"));
    *table = (hadm_kernel **)(uintptr_t)at;
    LLVMDisposeTargetMachine(machine);
    return jit;
}

static inline uint8_t *payload_of(const struct program *p)
{
    uint8_t *w = aligned_alloc(64, ((size_t)p->payload_bytes + 127) / 64 * 64);

    for (int t = 0; t < p->n_tensors; t++)
        if (p->tensors[t].place == IN_WEIGHTS && p->tensors[t].first >= 0)
            memcpy(w + p->tensors[t].offset, p->tensors[t].data,
                   (size_t)p->tensors[t].bytes);
    return w;
}

/* Is the condition of a branch 0? */
static inline bool leaves(const struct hadm_step *s, const uint8_t *ws, void *const *io)
{
    return !(s->kind == HADM_BRANCH ? ws[s->at] : ((uint8_t *)io[s->n_units])[s->at]);
}

/* Runs the steps; units are split in three uneven parts where that is allowed, each
 * by a worker of its own. */
static inline void run_steps(const struct program *p, const struct hadm_model *m,
                             hadm_kernel *const *table, uint8_t *ws, const uint8_t *w,
                             void *const *io)
{
    for (int i = 0; i < p->n_steps; i++) {
        const struct hadm_step *s = &m->steps[i];
        const int64_t n = s->n_units;
        const bool serial =
            p->steps[i].kind == STEP_LIBRARY && p->steps[i].u.call->serial;
        const int64_t cut[] = {0, serial ? 0 : n / 3, serial ? 0 : n - n / 4, n};

        if (s->kind == HADM_JUMP)
            i = s->target - 1;
        else if (s->kind != HADM_CALL)
            i = leaves(s, ws, io) ? s->target - 1 : i;
        for (int k = 0; k < 3 && s->kind == HADM_CALL; k++)
            if (cut[k] < cut[k + 1])
                table[s - m->steps](ws, w, io, cut[k], cut[k + 1], k);
    }
}

/* ---- comparing ---------------------------------------------------------- */

static uint32_t seed;

static inline uint32_t draw(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

static inline void fill(void *data, enum dtype dtype, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        switch (dtype) {
        case DT_f32:
            ((float *)data)[i] = (float)(draw() % 4096) / 512.0f - 4.0f;
            break;
        case DT_bool:
            ((uint8_t *)data)[i] = draw() % 2;
            break;
        case DT_i64:
            ((int64_t *)data)[i] = draw() % 5;
            break;
        case DT_i32:
            ((int32_t *)data)[i] = (int32_t)(draw() % 9) - 4;
            break;
        default:
            ((uint8_t *)data)[i] = (uint8_t)draw();
        }
}

static inline void compare(const struct ir_value *v, const void *got, const void *want,
                           float tolerance)
{
    if (tolerance == 0.0f || v->dtype != DT_f32) {
        CHECK_BYTES(got, want, (size_t)ir_bytes(v));
        return;
    }
    for (int64_t i = 0; i < ir_count(v); i++) {
        const float g = ((const float *)got)[i], w = ((const float *)want)[i];

        if (!(fabsf(g - w) <= tolerance * (1.0f + fabsf(w))))
            fail_msg("%s[%lld] is %g, not %g", v->name, (long long)i, (double)g,
                     (double)w);
    }
}

struct outcome {
    int n_steps, n_chains, n_emitted;
    int64_t workspace, payload;
};

/* The processor that run_graph() compiles for; NULL: this one. */
static const char *test_cpu;

static inline struct isa host_isa(struct arena *a)
{
    struct isa isa;
    uint64_t features;

    CHECK_OK(target_find("host")->resolve(a, test_cpu, &isa, &features));
    return isa;
}

/* Can this machine run code for `cpu`, one of x86-64? */
static inline bool runs_cpu(const char *cpu)
{
#ifdef __x86_64__
    struct arena *a = arena_create();
    struct isa isa;
    uint64_t features;

    CHECK_OK(target_find("x86_64")->resolve(a, cpu, &isa, &features));
    arena_destroy(a);
    return (features & hadm_cpu_features()) == features;
#else
    (void)cpu;
    return false;
#endif
}

/* What may be fused; NULL: everything. */
static const struct plan *test_plan;

static inline struct outcome run_graph(struct compile *c, struct ir_graph *g,
                                       bool keep_all, float tolerance)
{
    struct arena *a = arena_create();
    const struct isa isa = host_isa(a);
    const struct program_options options = {
        .keep_all = keep_all, .max_workers = 3, .plan = test_plan};
    struct tensor *in = arena_new_array(a, struct tensor, g->n_in + 1);
    struct interpretation want;
    struct program *p;
    struct bytes object;
    hadm_kernel **table;
    void *io[64];

    for (int i = 0; i < g->n_in; i++) {
        in[i].dtype = g->in[i]->dtype;
        in[i].rank = g->in[i]->rank;
        memcpy(in[i].dim, g->in[i]->dim, sizeof in[i].dim);
        io[i] = in[i].data = arena_alloc(a, (size_t)ir_bytes(g->in[i]) + 1);
        fill(in[i].data, in[i].dtype, ir_count(g->in[i]));
    }
    for (int i = 0; i < g->n_out; i++)
        io[g->n_in + i] = arena_alloc(a, (size_t)ir_bytes(g->out[i]) + 1);
    CHECK_OK(interpret(a, g, in, &want));
    CHECK_OK(program_build(c, g, &isa, &options, &p));
    planner_place(p);
    CHECK_OK(module_emit(a, p, &(struct model_names){.prefix = "t", .upper = "T"},
                         EMIT_OBJECT, &object));
    const LLVMOrcLLJITRef jit = load(p, object, &table);
    uint8_t *w = payload_of(p);
    uint8_t *ws = aligned_alloc(64, ((size_t)p->workspace_bytes + 127) / 64 * 64);

    memset(ws, 0xee, (size_t)p->workspace_bytes);
    run_steps(p, model_describe(a, p, 0), table, ws, w, io);
    for (int i = 0; i < g->n_out; i++)
        compare(g->out[i], io[g->n_in + i], want.by_id[g->out[i]->id].data, tolerance);
    struct outcome out = {.n_steps = p->n_steps,
                          .workspace = p->workspace_bytes,
                          .payload = p->payload_bytes};
    for (int i = 0; i < p->n_steps; i++) {
        out.n_chains += p->steps[i].kind == STEP_CHAIN;
        out.n_emitted += step_is_emitted(&p->steps[i]);
    }
    check_llvm(LLVMOrcDisposeLLJIT(jit));
    free(w);
    free(ws);
    arena_destroy(a);
    return out;
}

/* The graph of `text` gives the interpreter's bytes, fused and unfused. */
static inline struct outcome run_text(const char *text, float tolerance)
{
    struct compile *c = compile_create();
    struct ir_graph *g;

    CHECK_OK(ir_parse(c, text, strlen(text), &g));
    run_graph(c, g, true, tolerance);
    const struct outcome out = run_graph(c, g, false, tolerance);

    compile_destroy(c);
    return out;
}

#endif /* HADMC_TESTS_PROGRAM_TEST_H */
