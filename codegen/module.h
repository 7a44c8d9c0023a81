/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that build the LLVM module share: module.c drives, step_ir.c
 * writes one function per step, chain_ir.c the loops of element chains, llvm.c
 * wraps what the C API makes long. */
#ifndef HADMC_CODEGEN_MODULE_H
#define HADMC_CODEGEN_MODULE_H

#include "codegen/codegen.h"
#include "codegen/emit.h"
#include "codegen/program.h"

/* A function that several steps may call, found by its description. */
struct core {
    const void *key;
    size_t key_len;
    LLVMValueRef fn;
    struct core *next;
};

/* One LLVM module under construction, and what has been put there. */
struct part {
    struct emitter e;
    struct arena *arena;
    const struct program *program;
    struct core *cores;
    int n_cores;
};

/* ---- llvm.c ------------------------------------------------------------- */

/* LLVM's complaints land here; the first one becomes the status. */
struct llvm_session {
    LLVMContextRef context;
    LLVMTargetMachineRef machine;
    struct text complaint;
    int64_t frame_bytes[2];   /* the two largest stack frames of what was emitted */
    int64_t all_frames_bytes; /* the sum of all */
};

struct status *llvm_open(struct llvm_session *s, const struct isa *isa);
void llvm_close(struct llvm_session *s);
/* FAIL when LLVM has complained since llvm_open. */
struct status *llvm_check(const struct llvm_session *s, const char *while_doing);

void llvm_emitter(struct emitter *e, const struct llvm_session *s,
                  const struct isa *isa, const char *module_name);
void llvm_fn_attr(LLVMContextRef c, LLVMValueRef fn, const char *name);
void llvm_fn_text_attr(LLVMContextRef c, LLVMValueRef fn, const char *key,
                       const char *value);
void llvm_param_attr(LLVMContextRef c, LLVMValueRef fn, int param, const char *name);

/* Links the embedded bitcode `name` into `m`: only what is referenced, internal and
 * always inlined. */
struct status *llvm_link_library(const struct llvm_session *s, LLVMModuleRef m,
                                 const struct isa *isa, const char *name);
struct status *llvm_verify(LLVMModuleRef m);
struct status *llvm_optimise(const struct llvm_session *s, LLVMModuleRef m,
                             const char *pipeline);
/* Nothing but memcpy and memset may be missing. */
struct status *llvm_check_imports(LLVMModuleRef m);
/* What a function that calls at most one other uses of the stack; after llvm_emit. */
int64_t llvm_stack_bytes(const struct llvm_session *s);
/* EMIT_OBJECT, EMIT_LLVM, EMIT_ASM.  Changes the module. */
struct status *llvm_emit(struct arena *a, struct llvm_session *s, LLVMModuleRef m,
                         enum emit_kind kind, struct bytes *out);

/* ---- step_ir.c ---------------------------------------------------------- */

/* A core with this description, or NULL; part_add_core remembers a new one. */
LLVMValueRef part_find_core(const struct part *p, const void *key, size_t key_len);
void part_add_core(struct part *p, const void *key, size_t key_len, LLVMValueRef fn);

/* The exported function of step `s`, a hadm_kernel called `name`, and its core. */
struct status *part_add_step(struct part *p, const struct step *s, const char *name);

/* ---- chain_ir.c --------------------------------------------------------- */

/* void fn(in..., out..., begin, end).  store_to[o] >= 0: output o is written through
 * the pointer of that input (same memory) and has no parameter of its own.  Bit k of
 * by_reciprocal: op k is a quantize_T by one scale between 2^-64 and 2^64, and the isa
 * has fma. */
LLVMValueRef emit_chain(struct emitter *e, const struct chain *ch, const int *store_to,
                        uint32_t by_reciprocal, const char *name);

#endif /* HADMC_CODEGEN_MODULE_H */
