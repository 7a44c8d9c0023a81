/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the LLVM C API that need care: sessions with their complaints,
 * linking bitcode, running passes, emitting. */
#include <stdlib.h>
#include <string.h>
#include <threads.h>

#include <llvm-c/Analysis.h>
#include <llvm-c/BitReader.h>
#include <llvm-c/Error.h>
#include <llvm-c/Linker.h>
#include <llvm-c/Support.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>

#include "codegen/embedded.h"
#include "codegen/module.h"

/* "<unknown>:0:0: stack frame size (96) exceeds limit (0) in function 'f'": functions
 * are asked for this warning, it is how their frames become known. */
static void note_frame(struct llvm_session *s, const char *words)
{
    static const char start[] = "stack frame size (";
    const char *at = strstr(words, start);

    if (!at)
        return;
    const int64_t bytes = strtoll(at + sizeof start - 1, NULL, 10);

    s->all_frames_bytes += bytes;
    if (bytes > s->frame_bytes[0]) {
        s->frame_bytes[1] = s->frame_bytes[0];
        s->frame_bytes[0] = bytes;
    } else if (bytes > s->frame_bytes[1]) {
        s->frame_bytes[1] = bytes;
    }
}

/* Errors of code generation do not fail the call that made them: they arrive here. */
static void on_diagnostic(LLVMDiagnosticInfoRef info, void *closure)
{
    struct llvm_session *s = closure;
    char *words = LLVMGetDiagInfoDescription(info);

    note_frame(s, words);
    if (LLVMGetDiagInfoSeverity(info) == LLVMDSError && !s->complaint.len)
        text_puts(&s->complaint, words);
    LLVMDisposeMessage(words);
}

/* Two frames, and the return addresses that LLVM does not count. */
int64_t llvm_stack_bytes(const struct llvm_session *s)
{
    return s->frame_bytes[0] + s->frame_bytes[1] + 64;
}

static void ask_for_frames(const struct llvm_session *s, LLVMModuleRef m)
{
    for (LLVMValueRef f = LLVMGetFirstFunction(m); f; f = LLVMGetNextFunction(f))
        if (!LLVMIsDeclaration(f))
            llvm_fn_text_attr(s->context, f, "warn-stack-size", "0");
}

/* Loop strength reduction takes three quarters of the time of code generation on
 * unrolled tiles and gains nothing measurable: addresses are cheap already. */
static void set_options(void)
{
    static const char *const options[] = {"hadmcc", "-disable-lsr"};

    LLVMParseCommandLineOptions(2, options, NULL);
}

static void register_targets(void)
{
    static once_flag once = ONCE_FLAG_INIT;

    call_once(&once, set_options);
    LLVMInitializeAllTargetInfos();
    LLVMInitializeAllTargets();
    LLVMInitializeAllTargetMCs();
    LLVMInitializeAllAsmPrinters();
    LLVMInitializeAllAsmParsers();
}

struct status *llvm_open(struct llvm_session *s, const struct isa *isa)
{
    LLVMTargetRef target;
    char *why = NULL;
    struct status *failed = OK;

    *s = (struct llvm_session){0};
    register_targets();
    if (LLVMGetTargetFromTriple(isa->triple, &target, &why)) {
        failed =
            FAIL(UNSUPPORTED, "this LLVM cannot target '%s': %s", isa->triple, why);
        LLVMDisposeMessage(why);
        return failed;
    }
    s->machine = LLVMCreateTargetMachine(target, isa->triple, isa->cpu ? isa->cpu : "",
                                         isa->features ? isa->features : "",
                                         LLVMCodeGenLevelDefault, LLVMRelocPIC,
                                         LLVMCodeModelDefault);
    if (!s->machine)
        return FAIL(UNSUPPORTED, "no code generator for cpu '%s' with features '%s'",
                    isa->cpu, isa->features);
    s->context = LLVMContextCreate();
    LLVMContextSetDiagnosticHandler(s->context, on_diagnostic, s);
    return OK;
}

void llvm_close(struct llvm_session *s)
{
    if (s->machine)
        LLVMDisposeTargetMachine(s->machine);
    if (s->context)
        LLVMContextDispose(s->context);
    text_free(&s->complaint);
    *s = (struct llvm_session){0};
}

struct status *llvm_check(const struct llvm_session *s, const char *while_doing)
{
    if (!s->complaint.len)
        return OK;
    return FAIL(INTERNAL, "LLVM complained while %s: %s", while_doing,
                s->complaint.bytes);
}

void llvm_emitter(struct emitter *e, const struct llvm_session *s,
                  const struct isa *isa, const char *module_name)
{
    const LLVMContextRef c = s->context;
    const LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(s->machine);

    *e = (struct emitter){
        .isa = isa,
        .context = c,
        .module = LLVMModuleCreateWithNameInContext(module_name, c),
        .builder = LLVMCreateBuilderInContext(c),
        .machine = s->machine,
        .void_t = LLVMVoidTypeInContext(c),
        .ptr = LLVMPointerTypeInContext(c, 0),
        .i1 = LLVMInt1TypeInContext(c),
        .i8 = LLVMInt8TypeInContext(c),
        .i16 = LLVMInt16TypeInContext(c),
        .i32 = LLVMInt32TypeInContext(c),
        .i64 = LLVMInt64TypeInContext(c),
        .f32 = LLVMFloatTypeInContext(c),
        .f64 = LLVMDoubleTypeInContext(c),
    };
    LLVMSetTarget(e->module, isa->triple);
    LLVMSetModuleDataLayout(e->module, layout);
    LLVMDisposeTargetData(layout);
}

void llvm_fn_attr(LLVMContextRef c, LLVMValueRef fn, const char *name)
{
    const unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));

    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(c, kind, 0));
}

void llvm_fn_text_attr(LLVMContextRef c, LLVMValueRef fn, const char *key,
                       const char *value)
{
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateStringAttribute(c, key, (unsigned)strlen(key),
                                                      value, (unsigned)strlen(value)));
}

void llvm_param_attr(LLVMContextRef c, LLVMValueRef fn, int param, const char *name)
{
    const unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));

    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)(param + 1),
                            LLVMCreateEnumAttribute(c, kind, 0));
}

/* What clang wrote about the processor it was asked to compile for; ours decides. */
static void strip_processor(LLVMValueRef fn)
{
    static const char *const keys[] = {"target-cpu",
                                       "target-features",
                                       "tune-cpu",
                                       "min-legal-vector-width",
                                       "no-builtins",
                                       "frame-pointer",
                                       "stack-protector-buffer-size",
                                       "probe-stack",
                                       "no-trapping-math"};

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        LLVMRemoveStringAttributeAtIndex(fn,
                                         (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                                         keys[i], (unsigned)strlen(keys[i]));
}

static bool is_kernel_name(const char *name)
{
    return strncmp(name, "k_", 2) == 0 || strncmp(name, "e_", 2) == 0;
}

static void adopt_functions(const struct llvm_session *s, LLVMModuleRef m)
{
    for (LLVMValueRef f = LLVMGetFirstFunction(m); f; f = LLVMGetNextFunction(f)) {
        if (LLVMIsDeclaration(f) || LLVMGetLinkage(f) != LLVMLinkOnceODRLinkage)
            continue;
        LLVMSetLinkage(f, LLVMInternalLinkage);
        LLVMSetVisibility(f, LLVMDefaultVisibility);
        if (is_kernel_name(LLVMGetValueName(f)))
            llvm_fn_attr(s->context, f, "alwaysinline");
    }
}

struct status *llvm_link_library(const struct llvm_session *s, LLVMModuleRef m,
                                 const struct isa *isa, const char *name)
{
    const struct embedded bitcode = embedded_bitcode(name, isa->triple);
    LLVMModuleRef library;

    if (!bitcode.at)
        return FAIL(UNSUPPORTED, "hadmcc was built without the %s library for '%s'",
                    name, isa->triple);
    const LLVMMemoryBufferRef buffer =
        LLVMCreateMemoryBufferWithMemoryRange(bitcode.at, bitcode.len, name, 0);

    if (LLVMGetBitcodeModuleInContext2(s->context, buffer, &library))
        return FAIL(INTERNAL, "the embedded %s bitcode does not parse", name);
    if (strcmp(LLVMGetDataLayoutStr(library), LLVMGetDataLayoutStr(m)) != 0) {
        LLVMDisposeModule(library);
        return FAIL(INTERNAL, "the embedded %s bitcode has another data layout", name);
    }
    LLVMSetTarget(library, isa->triple);
    for (LLVMValueRef f = LLVMGetFirstFunction(library); f;
         f = LLVMGetNextFunction(f)) {
        if (LLVMIsDeclaration(f))
            continue;
        strip_processor(f);
        if (LLVMGetLinkage(f) == LLVMExternalLinkage)
            LLVMSetLinkage(f, LLVMLinkOnceODRLinkage);
    }
    if (LLVMLinkModules2(m, library))
        return FAIL(INTERNAL, "the embedded %s bitcode does not link", name);
    adopt_functions(s, m);
    return llvm_check(s, "linking the kernel library");
}

struct status *llvm_verify(LLVMModuleRef m)
{
    char *why = NULL;
    const bool bad = LLVMVerifyModule(m, LLVMReturnStatusAction, &why);
    struct status *failed =
        bad ? FAIL(INTERNAL, "the generated module is not sound: %.2000s", why) : OK;

    LLVMDisposeMessage(why);
    return failed;
}

struct status *llvm_optimise(const struct llvm_session *s, LLVMModuleRef m,
                             const char *pipeline)
{
    const LLVMPassBuilderOptionsRef o = LLVMCreatePassBuilderOptions();

    LLVMPassBuilderOptionsSetLoopVectorization(o, true);
    LLVMPassBuilderOptionsSetSLPVectorization(o, true);
    LLVMPassBuilderOptionsSetLoopUnrolling(o, true);
    LLVMPassBuilderOptionsSetLoopInterleaving(o, true);
    const LLVMErrorRef error = LLVMRunPasses(m, pipeline, s->machine, o);

    LLVMDisposePassBuilderOptions(o);
    if (error) {
        char *words = LLVMGetErrorMessage(error);
        struct status *failed = FAIL(INTERNAL, "passes '%s': %s", pipeline, words);

        LLVMDisposeErrorMessage(words);
        return failed;
    }
    return llvm_check(s, "optimising");
}

struct status *llvm_check_imports(LLVMModuleRef m)
{
    for (LLVMValueRef f = LLVMGetFirstFunction(m); f; f = LLVMGetNextFunction(f)) {
        const char *name = LLVMGetValueName(f);

        if (!LLVMIsDeclaration(f) || strncmp(name, "llvm.", 5) == 0
            || !LLVMGetFirstUse(f) || strcmp(name, "memcpy") == 0
            || strcmp(name, "memset") == 0)
            continue;
        return FAIL(INTERNAL, "generated code would need the function '%s'", name);
    }
    return OK;
}

struct status *llvm_emit(struct arena *a, struct llvm_session *s, LLVMModuleRef m,
                         enum emit_kind kind, struct bytes *out)
{
    LLVMMemoryBufferRef buffer = NULL;
    char *why = NULL;

    if (kind == EMIT_LLVM) {
        char *text = LLVMPrintModuleToString(m);

        *out = (struct bytes){.at = arena_strdup(a, text), .len = strlen(text)};
        LLVMDisposeMessage(text);
        return OK;
    }
    ask_for_frames(s, m);
    if (LLVMTargetMachineEmitToMemoryBuffer(
            s->machine, m, kind == EMIT_ASM ? LLVMAssemblyFile : LLVMObjectFile, &why,
            &buffer)) {
        struct status *failed = FAIL(INTERNAL, "LLVM cannot emit the module: %s", why);

        LLVMDisposeMessage(why);
        return failed;
    }
    out->len = LLVMGetBufferSize(buffer);
    out->at = arena_copy(a, LLVMGetBufferStart(buffer), out->len);
    LLVMDisposeMemoryBuffer(buffer);
    return llvm_check(s, "emitting code");
}
