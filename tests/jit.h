/* SPDX-License-Identifier: Apache-2.0 */
/* Emitted kernels, compiled and loaded into this process; for tests and benches.
 *
 *     struct jit j = jit_open(&jit_isas[i]);      // an emitter ...
 *     emit_conv(&j.emitter, ..., "core");
 *     jit_finish(&j);                             // ... its code ...
 *     core_fn *core = jit_find(&j, "core");
 *     jit_close(&j);
 */
#ifndef HADMC_TESTS_JIT_H
#define HADMC_TESTS_JIT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>

#include "codegen/emit.h"

typedef void core_fn(const float *in, const float *weights, const float *bias,
                     const float *residual, float *out, uint8_t *scratch, int64_t begin,
                     int64_t end);

struct jit {
    struct emitter emitter;
    LLVMOrcLLJITRef lljit;
};

#define JIT_TRIPLE "x86_64-unknown-linux-gnu"

/* The levels that emitted kernels are written for, best first. */
static const struct isa jit_isas[] = {
    {JIT_TRIPLE, "x86-64-v4", "+avx512vnni", 64, 32, true, false, true, true, true,
     true, false, 48 << 10, 1 << 20},
    {JIT_TRIPLE, "x86-64-v3", "", 32, 16, true, false, false, false, true, true, false,
     32 << 10, 512 << 10},
    {JIT_TRIPLE, "x86-64", "", 16, 16, false, false, false, false, true, false, false,
     32 << 10, 256 << 10},
};

enum { JIT_N_ISAS = sizeof jit_isas / sizeof jit_isas[0] };

/* The first level that this machine has. */
static inline int jit_first_isa(void)
{
    if (__builtin_cpu_supports("x86-64-v4"))
        return 0;
    return __builtin_cpu_supports("x86-64-v3") ? 1 : 2;
}

static inline void jit_check(LLVMErrorRef error)
{
    if (!error)
        return;
    fprintf(stderr, "jit: %s\n", LLVMGetErrorMessage(error));
    abort();
}

static inline void jit_check_status(struct status *s)
{
    if (!s)
        return;
    status_print(s, stderr);
    abort();
}

static inline struct jit jit_open(const struct isa *isa)
{
    struct jit j = {0};

    jit_check_status(emitter_create(isa, "jit", &j.emitter));
    return j;
}

static inline void jit_finish(struct jit *j)
{
    struct emitter *e = &j->emitter;
    LLVMMemoryBufferRef object;
    char *why = NULL;

    jit_check_status(emitter_light_passes(e));
    for (LLVMValueRef f = LLVMGetFirstFunction(e->module); f;
         f = LLVMGetNextFunction(f))
        LLVMSetLinkage(f, LLVMExternalLinkage);
    if (LLVMTargetMachineEmitToMemoryBuffer(e->machine, e->module, LLVMObjectFile, &why,
                                            &object)) {
        fprintf(stderr, "jit: %s\n", why);
        abort();
    }
    jit_check(LLVMOrcCreateLLJIT(&j->lljit, NULL));
    jit_check(LLVMOrcLLJITAddObjectFile(j->lljit, LLVMOrcLLJITGetMainJITDylib(j->lljit),
                                        object));
}

static inline core_fn *jit_find(struct jit *j, const char *name)
{
    LLVMOrcExecutorAddress at = 0;
    core_fn *f;

    jit_check(LLVMOrcLLJITLookup(j->lljit, &at, name));
    memcpy(&f, &at, sizeof f);
    return f;
}

static inline void jit_close(struct jit *j)
{
    if (j->lljit)
        jit_check(LLVMOrcDisposeLLJIT(j->lljit));
    emitter_destroy(&j->emitter);
}

#endif /* HADMC_TESTS_JIT_H */
