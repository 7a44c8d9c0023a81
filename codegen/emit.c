/* SPDX-License-Identifier: Apache-2.0 */
/* The emitter's module, and the words of emit_build.h in which kernels are built. */
#include <assert.h>
#include <string.h>

#include <llvm-c/Analysis.h>
#include <llvm-c/DebugInfo.h>
#include <llvm-c/Error.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>

#include "codegen/conv_shape.h"
#include "codegen/emit_build.h"

static void init_targets(void)
{
    static bool done;

    if (done)
        return;
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
    done = true;
}

static void init_types(struct emitter *e)
{
    e->void_t = LLVMVoidTypeInContext(e->context);
    e->ptr = LLVMPointerTypeInContext(e->context, 0);
    e->i1 = LLVMInt1TypeInContext(e->context);
    e->i8 = LLVMInt8TypeInContext(e->context);
    e->i16 = LLVMInt16TypeInContext(e->context);
    e->i32 = LLVMInt32TypeInContext(e->context);
    e->i64 = LLVMInt64TypeInContext(e->context);
    e->f32 = LLVMFloatTypeInContext(e->context);
    e->f64 = LLVMDoubleTypeInContext(e->context);
}

struct status *emitter_create(const struct isa *isa, const char *name,
                              struct emitter *out)
{
    struct status *s = OK;
    LLVMTargetRef target;
    char *why = NULL;

    init_targets();
    *out = (struct emitter){.isa = isa};
    if (LLVMGetTargetFromTriple(isa->triple, &target, &why)) {
        s = FAIL(UNSUPPORTED, "this LLVM cannot target '%s': %s", isa->triple, why);
        goto out;
    }
    out->machine = LLVMCreateTargetMachine(target, isa->triple, isa->cpu, isa->features,
                                           LLVMCodeGenLevelDefault, LLVMRelocPIC,
                                           LLVMCodeModelDefault);
    if (!out->machine) {
        s = FAIL(UNSUPPORTED, "no code generator for cpu '%s' with features '%s'",
                 isa->cpu, isa->features);
        goto out;
    }
    out->context = LLVMContextCreate();
    out->module = LLVMModuleCreateWithNameInContext(name, out->context);
    out->builder = LLVMCreateBuilderInContext(out->context);
    LLVMSetTarget(out->module, isa->triple);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(out->machine);
    LLVMSetModuleDataLayout(out->module, layout);
    LLVMDisposeTargetData(layout);
    init_types(out);

out:
    LLVMDisposeMessage(why);
    return s;
}

void emitter_destroy(struct emitter *e)
{
    if (e->builder)
        LLVMDisposeBuilder(e->builder);
    if (e->module)
        LLVMDisposeModule(e->module);
    if (e->context)
        LLVMContextDispose(e->context);
    if (e->machine)
        LLVMDisposeTargetMachine(e->machine);
    *e = (struct emitter){0};
}

struct status *emitter_light_passes(struct emitter *e)
{
    static const char *const passes =
        "function(early-cse,instcombine<no-verify-fixpoint>,simplifycfg)";
    struct status *s = OK;
    char *why = NULL;

    if (LLVMVerifyModule(e->module, LLVMReturnStatusAction, &why)) {
        s = FAIL(INTERNAL, "an emitted kernel does not verify: %s", why);
        goto out;
    }
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error = LLVMRunPasses(e->module, passes, e->machine, options);
    LLVMDisposePassBuilderOptions(options);
    if (error) {
        char *text = LLVMGetErrorMessage(error);

        s = FAIL(INTERNAL, "passes on emitted kernels: %s", text);
        LLVMDisposeErrorMessage(text);
    }

out:
    LLVMDisposeMessage(why);
    return s;
}

/* ---- functions --------------------------------------------------------------- */

static LLVMAttributeRef enum_attribute(struct emitter *e, const char *name)
{
    const unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));

    assert(kind);
    return LLVMCreateEnumAttribute(e->context, kind, 0);
}

static void function_attribute(struct emitter *e, LLVMValueRef f, const char *key,
                               const char *value)
{
    LLVMAddAttributeAtIndex(f, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateStringAttribute(e->context, key,
                                                      (unsigned)strlen(key), value,
                                                      (unsigned)strlen(value)));
}

/* What is read may not overlap what is written, except residual and out, which are
 * often the same memory. */
static void parameter_attributes(struct emitter *e, LLVMValueRef f)
{
    for (unsigned i = CORE_IN; i <= CORE_BIAS; i++) {
        LLVMAddAttributeAtIndex(f, i + 1, enum_attribute(e, "noalias"));
        LLVMAddAttributeAtIndex(f, i + 1, enum_attribute(e, "readonly"));
    }
    LLVMAddAttributeAtIndex(f, CORE_RESIDUAL + 1, enum_attribute(e, "readonly"));
}

LLVMValueRef emit_core(struct emitter *e, const char *name)
{
    LLVMTypeRef params[] = {e->ptr, e->ptr, e->ptr, e->ptr,
                            e->ptr, e->ptr, e->i64, e->i64};
    LLVMValueRef f =
        LLVMAddFunction(e->module, name, LLVMFunctionType(e->void_t, params, 8, 0));

    LLVMSetLinkage(f, LLVMInternalLinkage);
    LLVMAddAttributeAtIndex(f, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            enum_attribute(e, "nounwind"));
    LLVMAddAttributeAtIndex(f, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            enum_attribute(e, "noinline"));
    function_attribute(e, f, "target-cpu", e->isa->cpu);
    function_attribute(e, f, "target-features", e->isa->features);
    if (e->isa->vector_bytes == 64)
        function_attribute(e, f, "prefer-vector-width", "512");
    parameter_attributes(e, f);
    LLVMPositionBuilderAtEnd(e->builder,
                             LLVMAppendBasicBlockInContext(e->context, f, "entry"));
    return f;
}

LLVMValueRef emit_intrinsic(struct emitter *e, const char *name, LLVMTypeRef *overload,
                            unsigned n_overload, LLVMValueRef *args, unsigned n_args)
{
    const unsigned id = LLVMLookupIntrinsicID(name, strlen(name));

    assert(id);
    LLVMValueRef f = LLVMGetIntrinsicDeclaration(e->module, id, overload, n_overload);
    return LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(f), f, args, n_args, "");
}

/* ---- numbers and addresses --------------------------------------------------- */

LLVMValueRef emit_int(struct emitter *e, int64_t value)
{
    return LLVMConstInt(e->i64, (uint64_t)value, true);
}

LLVMValueRef emit_f32(struct emitter *e, float value)
{
    return LLVMConstReal(e->f32, (double)value);
}

LLVMValueRef emit_add(struct emitter *e, LLVMValueRef a, int64_t b)
{
    return b ? LLVMBuildNSWAdd(e->builder, a, emit_int(e, b), "") : a;
}

LLVMValueRef emit_mul(struct emitter *e, LLVMValueRef a, int64_t b)
{
    return b == 1 ? a : LLVMBuildNSWMul(e->builder, a, emit_int(e, b), "");
}

LLVMValueRef emit_min(struct emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    LLVMValueRef less = LLVMBuildICmp(e->builder, LLVMIntSLT, a, b, "");

    return LLVMBuildSelect(e->builder, less, a, b, "");
}

LLVMValueRef emit_max(struct emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    LLVMValueRef less = LLVMBuildICmp(e->builder, LLVMIntSLT, a, b, "");

    return LLVMBuildSelect(e->builder, less, b, a, "");
}

LLVMValueRef emit_divide(struct emitter *e, LLVMValueRef a, int64_t b,
                         LLVMValueRef *rest)
{
    if (b == 1) {
        *rest = emit_int(e, 0);
        return a;
    }
    *rest = LLVMBuildURem(e->builder, a, emit_int(e, b), "");
    return LLVMBuildUDiv(e->builder, a, emit_int(e, b), "");
}

/* (a + b - 1) / b rounded down; adding a multiple of b first keeps the dividend of
 * the truncating division positive for all a > -2^40 * b. */
LLVMValueRef emit_divide_up(struct emitter *e, LLVMValueRef a, int64_t b)
{
    const int64_t lift = (int64_t)1 << 40;

    if (b == 1)
        return a;
    LLVMValueRef q =
        LLVMBuildUDiv(e->builder, emit_add(e, a, lift * b + b - 1), emit_int(e, b), "");
    return emit_add(e, q, -lift);
}

void emit_kernel_rows(struct emitter *e, const struct conv *c, LLVMValueRef iy,
                      LLVMValueRef *begin, LLVMValueRef *end)
{
    *begin = emit_int(e, 0);
    *end = emit_int(e, c->kh);
    if (!conv_clips_rows(c))
        return;
    LLVMValueRef above = LLVMBuildSub(e->builder, emit_int(e, 0), iy, "");
    LLVMValueRef below = LLVMBuildSub(e->builder, emit_int(e, c->h), iy, "");

    *begin = emit_max(e, *begin, emit_divide_up(e, above, c->dilation_y));
    *end = emit_min(e, *end, emit_divide_up(e, below, c->dilation_y));
}

LLVMValueRef emit_at_value(struct emitter *e, LLVMValueRef p, LLVMValueRef bytes)
{
    return LLVMBuildGEP2(e->builder, e->i8, p, &bytes, 1, "");
}

LLVMValueRef emit_at(struct emitter *e, LLVMValueRef p, int64_t bytes)
{
    return bytes ? emit_at_value(e, p, emit_int(e, bytes)) : p;
}

LLVMValueRef emit_hide(struct emitter *e, LLVMValueRef p)
{
    LLVMTypeRef type = LLVMFunctionType(e->ptr, &e->ptr, 1, 0);
    LLVMValueRef nothing = LLVMGetInlineAsm(type, "", 0, "=r,0", 4, false, false,
                                            LLVMInlineAsmDialectATT, false);

    return LLVMBuildCall2(e->builder, type, nothing, &p, 1, "");
}

void emit_keep(struct emitter *e, LLVMValueRef x)
{
    LLVMTypeRef of = LLVMTypeOf(x), type = LLVMFunctionType(e->void_t, &of, 1, 0);
    LLVMValueRef nothing = LLVMGetInlineAsm(type, "", 0, "v", 1, true, false,
                                            LLVMInlineAsmDialectATT, false);

    LLVMBuildCall2(e->builder, type, nothing, &x, 1, "");
}

void emit_settle(struct emitter *e, LLVMValueRef *x, int n)
{
    LLVMTypeRef of[EMIT_MAX_CARRY];
    char words[4 * EMIT_MAX_CARRY * 2] = "";
    size_t at = 0;

    for (int i = 0; i < n; i++) {
        of[i] = LLVMTypeOf(x[i]);
        at += (size_t)snprintf(words + at, sizeof words - at, i ? ",=x" : "=x");
    }
    for (int i = 0; i < n; i++)
        at += (size_t)snprintf(words + at, sizeof words - at, ",%d", i);
    LLVMTypeRef all =
        n == 1 ? of[0] : LLVMStructTypeInContext(e->context, of, (unsigned)n, false);
    LLVMTypeRef type = LLVMFunctionType(all, of, (unsigned)n, 0);
    LLVMValueRef nothing = LLVMGetInlineAsm(type, "", 0, words, at, true, false,
                                            LLVMInlineAsmDialectATT, false);
    LLVMValueRef same = LLVMBuildCall2(e->builder, type, nothing, x, (unsigned)n, "");

    for (int i = 0; i < n; i++)
        x[i] = n == 1 ? same : LLVMBuildExtractValue(e->builder, same, (unsigned)i, "");
}

/* ---- vectors ----------------------------------------------------------------- */

int emit_lanes(const struct emitter *e)
{
    return e->isa->vector_bytes / 4;
}

LLVMTypeRef emit_vector(struct emitter *e, int lanes)
{
    return LLVMVectorType(e->f32, (unsigned)lanes);
}

LLVMValueRef emit_splat(struct emitter *e, LLVMValueRef scalar, int lanes)
{
    LLVMTypeRef type = LLVMVectorType(LLVMTypeOf(scalar), (unsigned)lanes);
    LLVMValueRef one = LLVMBuildInsertElement(e->builder, LLVMGetPoison(type), scalar,
                                              LLVMConstInt(e->i32, 0, 0), "");
    LLVMTypeRef index = LLVMVectorType(e->i32, (unsigned)lanes);

    return LLVMBuildShuffleVector(e->builder, one, LLVMGetPoison(type),
                                  LLVMConstNull(index), "");
}

LLVMValueRef emit_constant(struct emitter *e, float value, int lanes)
{
    LLVMValueRef all[64];

    assert(lanes <= 64);
    for (int i = 0; i < lanes; i++)
        all[i] = emit_f32(e, value);
    return LLVMConstVector(all, (unsigned)lanes);
}

LLVMValueRef emit_multiply_add(struct emitter *e, LLVMValueRef a, LLVMValueRef b,
                               LLVMValueRef c)
{
    LLVMTypeRef type = LLVMTypeOf(c);
    LLVMValueRef args[] = {a, b, c};

    if (e->isa->fma)
        return emit_intrinsic(e, "llvm.fma", &type, 1, args, 3);
    return LLVMBuildFAdd(e->builder, c, LLVMBuildFMul(e->builder, a, b, ""), "");
}

LLVMValueRef emit_load(struct emitter *e, LLVMTypeRef type, LLVMValueRef p)
{
    LLVMValueRef v = LLVMBuildLoad2(e->builder, type, p, "");

    LLVMSetAlignment(v, 4);
    return v;
}

void emit_store(struct emitter *e, LLVMValueRef value, LLVMValueRef p)
{
    LLVMSetAlignment(LLVMBuildStore(e->builder, value, p), 4);
}

LLVMValueRef emit_shuffle(struct emitter *e, LLVMValueRef a, LLVMValueRef b,
                          const int *index, int n)
{
    LLVMValueRef mask[64];

    assert(n <= 64);
    for (int i = 0; i < n; i++)
        mask[i] = index[i] < 0 ? LLVMGetPoison(e->i32)
                               : LLVMConstInt(e->i32, (uint64_t)index[i], 0);
    return LLVMBuildShuffleVector(e->builder, a, b, LLVMConstVector(mask, (unsigned)n),
                                  "");
}

static LLVMValueRef range_mask(struct emitter *e, int lanes, int lo, int hi)
{
    LLVMValueRef bit[64];

    for (int i = 0; i < lanes; i++)
        bit[i] = LLVMConstInt(e->i1, i >= lo && i < hi, 0);
    return LLVMConstVector(bit, (unsigned)lanes);
}

static LLVMValueRef masked_load(struct emitter *e, LLVMValueRef p, int lanes, int lo,
                                int hi, LLVMValueRef otherwise)
{
    LLVMTypeRef overload[] = {emit_vector(e, lanes), e->ptr};
    LLVMValueRef args[] = {p, LLVMConstInt(e->i32, 4, 0), range_mask(e, lanes, lo, hi),
                           otherwise};

    return emit_intrinsic(e, "llvm.masked.load", overload, 2, args, 4);
}

static int largest_power(int n)
{
    int p = 1;

    while (2 * p <= n)
        p *= 2;
    return p;
}

/* Without masks a part is moved in pieces of 8, 4, 2 and 1: 13 = 8 + 4 + 1. */
static LLVMValueRef load_pieces(struct emitter *e, LLVMValueRef p, int lanes, int used)
{
    LLVMValueRef all = LLVMGetPoison(emit_vector(e, lanes));
    int index[64];

    for (int done = 0; done < used;) {
        const int n = largest_power(used - done);
        LLVMValueRef piece = emit_load(e, emit_vector(e, n), emit_at(e, p, done * 4));

        for (int i = 0; i < lanes; i++)
            index[i] = i < n ? i : -1;
        piece = emit_shuffle(e, piece, LLVMGetPoison(emit_vector(e, n)), index, lanes);
        for (int i = 0; i < lanes; i++)
            index[i] = i < done ? i : i < done + n ? lanes + i - done : -1;
        all = emit_shuffle(e, all, piece, index, lanes);
        done += n;
    }
    return all;
}

LLVMValueRef emit_load_part(struct emitter *e, LLVMValueRef p, int lanes, int used)
{
    LLVMTypeRef type = emit_vector(e, lanes);

    if (used == lanes)
        return emit_load(e, type, p);
    if (!e->isa->masks)
        return load_pieces(e, p, lanes, used);
    return masked_load(e, p, lanes, 0, used, LLVMGetPoison(type));
}

static LLVMValueRef every_lane(struct emitter *e, uint32_t value, int lanes)
{
    return emit_splat(e, LLVMConstInt(e->i32, value, 0), lanes);
}

/* The exponent's bias goes from 15 to 127.  Below 2^-14 the number has no leading one:
 * it gets one, worth 2^-14, which is then taken away.  No subnormal float32 is met, as
 * kernels may run in a mode that takes them for zeros. */
static LLVMValueRef widen_bits(struct emitter *e, LLVMValueRef x, int lanes)
{
    LLVMBuilderRef b = e->builder;
    LLVMTypeRef type = LLVMVectorType(e->i32, (unsigned)lanes);
    LLVMTypeRef reals = emit_vector(e, lanes);
    LLVMValueRef bits = LLVMBuildZExt(b, x, type, "");
    LLVMValueRef magnitude = LLVMBuildAnd(b, bits, every_lane(e, 0x7fff, lanes), "");
    LLVMValueRef sign = LLVMBuildAnd(b, bits, every_lane(e, 0x8000, lanes), "");
    LLVMValueRef is_tiny =
        LLVMBuildICmp(b, LLVMIntSLT, magnitude, every_lane(e, 0x0400, lanes), "");

    magnitude = LLVMBuildShl(b, magnitude, every_lane(e, 13, lanes), "");
    LLVMValueRef normal =
        LLVMBuildAdd(b, magnitude, every_lane(e, 112u << 23, lanes), "");
    LLVMValueRef tiny =
        LLVMBuildAdd(b, magnitude, every_lane(e, 113u << 23, lanes), "");

    tiny = LLVMBuildFSub(b, LLVMBuildBitCast(b, tiny, reals, ""),
                         emit_constant(e, 0x1p-14f, lanes), "");
    tiny = LLVMBuildBitCast(b, tiny, type, "");
    sign = LLVMBuildShl(b, sign, every_lane(e, 16, lanes), "");
    magnitude = LLVMBuildSelect(b, is_tiny, tiny, normal, "");
    return LLVMBuildBitCast(b, LLVMBuildOr(b, magnitude, sign, ""), reals, "");
}

LLVMValueRef emit_load_half(struct emitter *e, LLVMValueRef p, int lanes)
{
    LLVMTypeRef bits =
        LLVMVectorType(LLVMInt16TypeInContext(e->context), (unsigned)lanes);
    LLVMTypeRef half =
        LLVMVectorType(LLVMHalfTypeInContext(e->context), (unsigned)lanes);
    LLVMValueRef x = LLVMBuildLoad2(e->builder, e->isa->half ? half : bits, p, "");

    LLVMSetAlignment(x, 2);
    return e->isa->half ? LLVMBuildFPExt(e->builder, x, emit_vector(e, lanes), "")
                        : widen_bits(e, x, lanes);
}

LLVMValueRef emit_load_range(struct emitter *e, LLVMValueRef p, int lanes, int lo,
                             int hi)
{
    if (lo == 0 && hi == lanes)
        return emit_load(e, emit_vector(e, lanes), p);
    return masked_load(e, p, lanes, lo, hi, emit_constant(e, 0.0f, lanes));
}

static void store_pieces(struct emitter *e, LLVMValueRef value, LLVMValueRef p,
                         int used)
{
    int index[64];

    for (int done = 0; done < used;) {
        const int n = largest_power(used - done);

        for (int i = 0; i < n; i++)
            index[i] = done + i;
        emit_store(e, emit_shuffle(e, value, value, index, n), emit_at(e, p, done * 4));
        done += n;
    }
}

void emit_store_part(struct emitter *e, LLVMValueRef value, LLVMValueRef p, int used)
{
    LLVMTypeRef type = LLVMTypeOf(value);
    const int lanes = (int)LLVMGetVectorSize(type);

    if (used == lanes) {
        emit_store(e, value, p);
        return;
    }
    if (!e->isa->masks) {
        store_pieces(e, value, p, used);
        return;
    }
    LLVMTypeRef overload[] = {type, e->ptr};
    LLVMValueRef args[] = {value, p, LLVMConstInt(e->i32, 4, 0),
                           range_mask(e, lanes, 0, used)};
    emit_intrinsic(e, "llvm.masked.store", overload, 2, args, 4);
}

void emit_prefetch(struct emitter *e, LLVMValueRef p)
{
    LLVMValueRef args[] = {p, LLVMConstInt(e->i32, 0, 0), LLVMConstInt(e->i32, 3, 0),
                           LLVMConstInt(e->i32, 1, 0)};

    emit_intrinsic(e, "llvm.prefetch", &e->ptr, 1, args, 4);
}

/* ---- activations: the library kernels' formulas ------------------------------ */

static LLVMValueRef select_if(struct emitter *e, LLVMRealPredicate is, LLVMValueRef a,
                              LLVMValueRef b, LLVMValueRef yes, LLVMValueRef no)
{
    return LLVMBuildSelect(e->builder, LLVMBuildFCmp(e->builder, is, a, b, ""), yes, no,
                           "");
}

static LLVMValueRef clip(struct emitter *e, LLVMValueRef x, float lo, float hi)
{
    const int lanes = (int)LLVMGetVectorSize(LLVMTypeOf(x));
    LLVMValueRef low = emit_constant(e, lo, lanes), high = emit_constant(e, hi, lanes);

    x = select_if(e, LLVMRealOLT, x, low, low, x);
    return select_if(e, LLVMRealOGT, x, high, high, x);
}

LLVMValueRef emit_activation(struct emitter *e, LLVMValueRef x, enum activation act,
                             float a, float b)
{
    const int lanes = (int)LLVMGetVectorSize(LLVMTypeOf(x));
    LLVMValueRef zero = emit_constant(e, 0.0f, lanes);
    LLVMValueRef t;

    switch (act) {
    case ACT_NONE:
        return x;
    case ACT_RELU:
        return select_if(e, LLVMRealOGT, x, zero, x, zero);
    case ACT_CLIP:
        return clip(e, x, a, b);
    case ACT_LEAKY:
        t = LLVMBuildFMul(e->builder, x, emit_constant(e, a, lanes), "");
        return select_if(e, LLVMRealOGT, x, zero, x, t);
    case ACT_HARDSWISH:
        t = LLVMBuildFMul(e->builder, x, emit_constant(e, 1.0f / 6.0f, lanes), "");
        t = LLVMBuildFAdd(e->builder, t, emit_constant(e, 0.5f, lanes), "");
        return LLVMBuildFMul(e->builder, x, clip(e, t, 0.0f, 1.0f), "");
    case ACT_HARDSIGMOID:
        t = LLVMBuildFMul(e->builder, x, emit_constant(e, a, lanes), "");
        t = LLVMBuildFAdd(e->builder, t, emit_constant(e, b, lanes), "");
        return clip(e, t, 0.0f, 1.0f);
    }
    return x; /* unreachable: all values have a case */
}

/* ---- control flow -----------------------------------------------------------------
 */

static LLVMBasicBlockRef new_block(struct emitter *e, const char *name)
{
    LLVMValueRef f = LLVMGetBasicBlockParent(LLVMGetInsertBlock(e->builder));

    return LLVMAppendBasicBlockInContext(e->context, f, name);
}

static bool known_less(LLVMValueRef a, LLVMValueRef b)
{
    return LLVMIsAConstantInt(a) && LLVMIsAConstantInt(b)
           && LLVMConstIntGetSExtValue(a) < LLVMConstIntGetSExtValue(b);
}

void emit_loop_begin(struct emitter *e, struct emit_loop *l, LLVMValueRef begin,
                     LLVMValueRef end, int64_t step, LLVMValueRef *carry, int n)
{
    assert(n <= EMIT_MAX_CARRY);
    l->end = end;
    l->step = step;
    l->n = n;
    l->guarded = !l->never_empty && !known_less(begin, end);
    l->body = new_block(e, "loop");
    l->after = new_block(e, "after");
    l->before = LLVMGetInsertBlock(e->builder);
    if (l->guarded)
        LLVMBuildCondBr(e->builder,
                        LLVMBuildICmp(e->builder, LLVMIntSLT, begin, end, ""), l->body,
                        l->after);
    else
        LLVMBuildBr(e->builder, l->body);
    LLVMPositionBuilderAtEnd(e->builder, l->body);
    l->at = LLVMBuildPhi(e->builder, e->i64, "");
    LLVMAddIncoming(l->at, &begin, &l->before, 1);
    for (int i = 0; i < n; i++) {
        l->initial[i] = carry[i];
        l->phi[i] = LLVMBuildPhi(e->builder, LLVMTypeOf(carry[i]), "");
        LLVMAddIncoming(l->phi[i], &carry[i], &l->before, 1);
        carry[i] = l->phi[i];
    }
}

/* Emitted loops are unrolled and vectorised as they should be. */
static void mark_loop(struct emitter *e, LLVMValueRef branch)
{
    static const char *const off[] = {"llvm.loop.unroll.disable",
                                      "llvm.loop.vectorize.enable"};
    LLVMValueRef no = LLVMConstInt(e->i1, 0, 0);
    LLVMMetadataRef unroll[] = {
        LLVMMDStringInContext2(e->context, off[0], strlen(off[0]))};
    LLVMMetadataRef vectorize[] = {
        LLVMMDStringInContext2(e->context, off[1], strlen(off[1])),
        LLVMValueAsMetadata(no)};
    LLVMMetadataRef self = LLVMTemporaryMDNode(e->context, NULL, 0);
    LLVMMetadataRef all[] = {self, LLVMMDNodeInContext2(e->context, unroll, 1),
                             LLVMMDNodeInContext2(e->context, vectorize, 2)};
    LLVMMetadataRef loop = LLVMMDNodeInContext2(e->context, all, 3);

    LLVMMetadataReplaceAllUsesWith(self, loop);
    LLVMSetMetadata(branch, LLVMGetMDKindIDInContext(e->context, "llvm.loop", 9),
                    LLVMMetadataAsValue(e->context, loop));
}

void emit_loop_end(struct emitter *e, struct emit_loop *l, LLVMValueRef *carry)
{
    LLVMValueRef next = emit_add(e, l->at, l->step);
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(e->builder);
    LLVMValueRef more = LLVMBuildICmp(e->builder, LLVMIntSLT, next, l->end, "");

    mark_loop(e, LLVMBuildCondBr(e->builder, more, l->body, l->after));
    LLVMAddIncoming(l->at, &next, &latch, 1);
    for (int i = 0; i < l->n; i++)
        LLVMAddIncoming(l->phi[i], &carry[i], &latch, 1);
    LLVMMoveBasicBlockAfter(l->after, latch);
    LLVMPositionBuilderAtEnd(e->builder, l->after);
    for (int i = 0; i < l->n && l->guarded; i++) {
        LLVMValueRef merged = LLVMBuildPhi(e->builder, LLVMTypeOf(carry[i]), "");

        LLVMAddIncoming(merged, &l->initial[i], &l->before, 1);
        LLVMAddIncoming(merged, &carry[i], &latch, 1);
        carry[i] = merged;
    }
}

void emit_if_begin(struct emitter *e, struct emit_if *s, LLVMValueRef condition,
                   LLVMValueRef *carry, int n)
{
    LLVMBasicBlockRef then = new_block(e, "then");

    assert(n <= EMIT_MAX_CARRY);
    s->before = LLVMGetInsertBlock(e->builder);
    s->after = new_block(e, "endif");
    s->n = n;
    for (int i = 0; i < n; i++)
        s->initial[i] = carry[i];
    LLVMBuildCondBr(e->builder, condition, then, s->after);
    LLVMPositionBuilderAtEnd(e->builder, then);
}

void emit_if_end(struct emitter *e, struct emit_if *s, LLVMValueRef *carry)
{
    LLVMBasicBlockRef then = LLVMGetInsertBlock(e->builder);

    LLVMBuildBr(e->builder, s->after);
    LLVMMoveBasicBlockAfter(s->after, then);
    LLVMPositionBuilderAtEnd(e->builder, s->after);
    for (int i = 0; i < s->n; i++) {
        LLVMValueRef merged = LLVMBuildPhi(e->builder, LLVMTypeOf(carry[i]), "");

        LLVMAddIncoming(merged, &s->initial[i], &s->before, 1);
        LLVMAddIncoming(merged, &carry[i], &then, 1);
        carry[i] = merged;
    }
}
