/* SPDX-License-Identifier: Apache-2.0 */
/* One exported function per step, and the cores they call.
 *
 *     define hidden void @foo_k3_conv1(ptr ws, ptr w, ptr io, i64 begin, ...)
 *         %x = ws + 4096 ...            addresses are literals; io entries are loaded
 *         call @core(x, ..., begin, end)
 *
 * A core knows the shapes but not the addresses, so equal work at other places is
 * the same core: it is found by its description.  Library kernels get their
 * parameters as a private constant and their buf[] as a local array, both of which
 * disappear when the kernel is inlined.
 */
#include <string.h>

#include "codegen/emit_build.h"
#include "codegen/module.h"

enum { WS, W, IO, BEGIN, END, WORKER };

/* ---- cores by description ----------------------------------------------- */

LLVMValueRef part_find_core(const struct part *p, const void *key, size_t key_len)
{
    for (const struct core *c = p->cores; c; c = c->next)
        if (c->key_len == key_len && memcmp(c->key, key, key_len) == 0)
            return c->fn;
    return NULL;
}

void part_add_core(struct part *p, const void *key, size_t key_len, LLVMValueRef fn)
{
    struct core *c = arena_new(p->arena, struct core);

    *c = (struct core){arena_copy(p->arena, key, key_len), key_len, fn, p->cores};
    p->cores = c;
    p->n_cores++;
}

static const char *core_name(struct part *p, const char *what)
{
    return arena_printf(p->arena, "core%d_%s", p->n_cores, what);
}

/* ---- overlap ------------------------------------------------------------ */

/* Where an operand's bytes are, with aliases and the planner's offsets resolved. */
struct place {
    enum tensor_place in;
    int io_index;
    int64_t begin, end;
};

static struct place place_of(const struct program *p, const struct operand *o)
{
    int64_t at;
    const struct ptensor *root = &p->tensors[program_root(p, o->tensor, &at)];
    const int64_t begin = (root->place == IN_IO ? 0 : root->offset) + at + o->offset;

    return (struct place){root->place, root->place == IN_IO ? root->io_index : -1,
                          begin, begin + p->tensors[o->tensor].bytes - o->offset};
}

static bool overlap(const struct place *a, const struct place *b)
{
    return a->in == b->in && a->io_index == b->io_index && a->begin < b->end
           && b->begin < a->end;
}

/* Nothing that the step writes shares memory with operand k. */
static bool is_alone(const struct program *p, const struct step *s, int k)
{
    if (s->operands[k].tensor < 0)
        return s->operands[k].tensor == OPERAND_SCRATCH;
    const struct place mine = place_of(p, &s->operands[k]);

    for (int i = 0; i < s->n_operands; i++) {
        const struct operand *o = &s->operands[i];

        if (i == k || o->tensor < 0 || !(o->written || s->operands[k].written))
            continue;
        const struct place other = place_of(p, o);

        if (overlap(&mine, &other))
            return false;
    }
    return true;
}

static unsigned alone_mask(const struct program *p, const struct step *s)
{
    unsigned mask = 0;

    for (int k = 0; k < s->n_operands; k++)
        mask |= is_alone(p, s, k) ? 1u << k : 0;
    return mask;
}

/* ---- wrappers ----------------------------------------------------------- */

static LLVMValueRef offset_from(struct emitter *e, LLVMValueRef base, int64_t bytes)
{
    LLVMValueRef index = LLVMConstInt(e->i64, (unsigned long long)bytes, true);

    return bytes ? LLVMBuildInBoundsGEP2(e->builder, e->i8, base, &index, 1, "") : base;
}

static LLVMValueRef scratch_address(struct part *p, LLVMValueRef fn,
                                    const struct step *s, int64_t offset)
{
    struct emitter *e = &p->e;
    const LLVMValueRef base =
        offset_from(e, LLVMGetParam(fn, WS), s->scratch_offset + offset);

    if (p->program->max_workers <= 1)
        return base;
    LLVMValueRef mine = LLVMBuildNSWMul(
        e->builder, LLVMGetParam(fn, WORKER),
        LLVMConstInt(e->i64, (unsigned long long)s->scratch_bytes, false), "");

    return LLVMBuildInBoundsGEP2(e->builder, e->i8, base, &mine, 1, "");
}

static LLVMValueRef operand_address(struct part *p, LLVMValueRef fn,
                                    const struct step *s, const struct operand *o)
{
    struct emitter *e = &p->e;

    if (o->tensor == OPERAND_SCRATCH)
        return scratch_address(p, fn, s, o->offset);
    if (o->tensor < 0)
        return LLVMConstNull(e->ptr);
    const struct place at = place_of(p->program, o);

    if (at.in != IN_IO)
        return offset_from(e, LLVMGetParam(fn, at.in == IN_WORKSPACE ? WS : W),
                           at.begin);
    LLVMValueRef index = LLVMConstInt(e->i64, (unsigned long long)at.io_index, false);
    const LLVMValueRef slot =
        LLVMBuildInBoundsGEP2(e->builder, e->ptr, LLVMGetParam(fn, IO), &index, 1, "");

    return offset_from(e, LLVMBuildLoad2(e->builder, e->ptr, slot, ""), at.begin);
}

static void common_attributes(struct emitter *e, LLVMValueRef fn)
{
    llvm_fn_attr(e->context, fn, "nounwind");
    if (e->isa->vector_bytes == 64)
        llvm_fn_text_attr(e->context, fn, "prefer-vector-width", "512");
}

static LLVMValueRef new_wrapper(struct emitter *e, const char *name)
{
    LLVMTypeRef params[] = {e->ptr, e->ptr, e->ptr, e->i64, e->i64, e->i64};
    const LLVMValueRef fn =
        LLVMAddFunction(e->module, name, LLVMFunctionType(e->void_t, params, 6, false));

    LLVMSetVisibility(fn, LLVMHiddenVisibility);
    common_attributes(e, fn);
    LLVMPositionBuilderAtEnd(e->builder,
                             LLVMAppendBasicBlockInContext(e->context, fn, "entry"));
    return fn;
}

static void call_core(struct emitter *e, LLVMValueRef core, LLVMValueRef *args,
                      unsigned n)
{
    const LLVMValueRef call =
        LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(core), core, args, n, "");

    LLVMSetTailCall(call, true);
    LLVMBuildRetVoid(e->builder);
}

static void finish_core(struct part *p, LLVMValueRef core, unsigned alone, int n_params)
{
    LLVMSetLinkage(core, LLVMInternalLinkage);
    llvm_fn_attr(p->e.context, core, "noinline"); /* once, however many steps use it */
    common_attributes(&p->e, core);
    for (int k = 0; k < n_params; k++)
        if (alone >> k & 1)
            llvm_param_attr(p->e.context, core, k, "noalias");
}

/* ---- library kernels ---------------------------------------------------- */

static LLVMValueRef kernel_function(struct emitter *e, const struct kernel_info *kernel)
{
    char name[80];
    LLVMTypeRef params[] = {e->ptr, e->ptr, e->i64, e->i64};

    snprintf(name, sizeof name, "k_%s", kernel->name);
    const LLVMValueRef old = LLVMGetNamedFunction(e->module, name);

    return old ? old
               : LLVMAddFunction(e->module, name,
                                 LLVMFunctionType(e->void_t, params, 4, false));
}

static LLVMValueRef params_constant(struct emitter *e, const struct kcall *call)
{
    const LLVMValueRef bytes = LLVMConstStringInContext2(
        e->context, call->params, call->kernel->params_size, true);
    const LLVMValueRef global = LLVMAddGlobal(e->module, LLVMTypeOf(bytes), "params");

    LLVMSetInitializer(global, bytes);
    LLVMSetLinkage(global, LLVMPrivateLinkage);
    LLVMSetGlobalConstant(global, true);
    LLVMSetAlignment(global, 8);
    LLVMSetUnnamedAddress(global, LLVMGlobalUnnamedAddr);
    return global;
}

/* void core(buf..., begin, end).  Absent operands are literal NULLs inside. */
static LLVMValueRef new_library_core(struct part *p, const struct step *s,
                                     const char *name)
{
    struct emitter *e = &p->e;
    const struct kcall *call = s->u.call;
    LLVMTypeRef types[K_MAX_BUFS + 2];
    const unsigned n = (unsigned)s->n_operands;

    for (unsigned k = 0; k < n; k++)
        types[k] = e->ptr;
    types[n] = types[n + 1] = e->i64;
    const LLVMValueRef core = LLVMAddFunction(
        e->module, name, LLVMFunctionType(e->void_t, types, n + 2, false));

    LLVMPositionBuilderAtEnd(e->builder,
                             LLVMAppendBasicBlockInContext(e->context, core, "entry"));
    const LLVMTypeRef array = LLVMArrayType2(e->ptr, n ? n : 1);
    const LLVMValueRef buf = LLVMBuildAlloca(e->builder, array, "buf");

    for (unsigned k = 0; k < n; k++) {
        LLVMValueRef index = LLVMConstInt(e->i64, k, false);

        LLVMBuildStore(e->builder,
                       s->operands[k].tensor == OPERAND_ABSENT ? LLVMConstNull(e->ptr)
                                                               : LLVMGetParam(core, k),
                       LLVMBuildInBoundsGEP2(e->builder, e->ptr, buf, &index, 1, ""));
    }
    /* all of a small job at once: the bounds become literals */
    const bool whole = s->n_units == 1;
    LLVMValueRef args[] = {
        params_constant(e, call), buf,
        whole ? LLVMConstInt(e->i64, 0, false) : LLVMGetParam(core, n),
        whole ? LLVMConstInt(e->i64, 1, false) : LLVMGetParam(core, n + 1)};
    const LLVMValueRef fn = kernel_function(e, call->kernel);

    LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(fn), fn, args, 4, "");
    LLVMBuildRetVoid(e->builder);
    return core;
}

static LLVMValueRef library_core(struct part *p, const struct step *s)
{
    const unsigned alone = alone_mask(p->program, s);
    const struct kcall *call = s->u.call;
    struct text key = {0};

    text_printf(&key, "library %s %u %d ", call->kernel->name, alone, s->n_units == 1);
    for (int k = 0; k < s->n_operands; k++)
        text_puts(&key, s->operands[k].tensor == OPERAND_ABSENT ? "-" : "p");
    text_append(&key, call->params, call->kernel->params_size);
    LLVMValueRef core = part_find_core(p, key.bytes, key.len);

    if (!core) {
        core = new_library_core(p, s, core_name(p, call->kernel->name));
        finish_core(p, core, alone, s->n_operands);
        part_add_core(p, key.bytes, key.len, core);
    }
    text_free(&key);
    return core;
}

static void add_library_step(struct part *p, const struct step *s, const char *name)
{
    struct emitter *e = &p->e;
    const LLVMValueRef core = library_core(p, s);
    const LLVMValueRef fn = new_wrapper(e, name);
    LLVMValueRef args[K_MAX_BUFS + 2];
    unsigned n = 0;

    for (int k = 0; k < s->n_operands; k++)
        args[n++] = operand_address(p, fn, s, &s->operands[k]);
    args[n++] = LLVMGetParam(fn, BEGIN);
    args[n++] = LLVMGetParam(fn, END);
    call_core(e, core, args, n);
}

/* ---- chains ------------------------------------------------------------- */

/* The input whose memory output o is written over; -1 if it has its own. */
static int shared_input(const struct program *p, const struct step *s, int o)
{
    const struct place out = place_of(p, &s->operands[s->u.chain->n_in + o]);

    for (int k = 0; k < s->u.chain->n_in; k++) {
        const struct place in = place_of(p, &s->operands[k]);

        if (overlap(&in, &out) && in.begin == out.begin)
            return k;
    }
    return -1;
}

/* A number that all elements share and that is known now; NULL if it is not one. */
static const float *constant_scalar(const struct program *p, const struct step *s,
                                    int k)
{
    const struct chain *ch = s->u.chain;

    if (k >= ch->n_in || ch->in_dtype[k] != DT_f32)
        return NULL;
    for (int d = 0; d < K_MAX_RANK; d++)
        if (ch->stride[k][d])
            return NULL;
    const struct operand *o = &s->operands[k];
    const struct ptensor *t = o->tensor >= 0 ? &p->tensors[o->tensor] : NULL;

    return t && t->data ? (const float *)((const char *)t->data + o->offset) : NULL;
}

/* emit_chain()'s by_reciprocal. */
static uint32_t quantized_by_constants(const struct program *p, const struct step *s)
{
    const struct chain *ch = s->u.chain;
    uint32_t found = 0;

    for (int k = 0; p->isa->fma && k < ch->n_ops; k++) {
        const struct element_op *op = &ch->ops[k];
        const float *scale = strncmp(op->kernel->name, "quantize_", 9)
                                 ? NULL
                                 : constant_scalar(p, s, op->src[1]);

        if (scale && *scale >= 0x1p-64f && *scale <= 0x1p64f)
            found |= 1u << k;
    }
    return found;
}

static void chain_key(struct text *key, const struct chain *ch, const int *store_to,
                      unsigned alone, uint32_t by_reciprocal)
{
    text_printf(key, "chain %u %d %d %d %u ", alone, ch->n_in, ch->n_ops, ch->n_out,
                (unsigned)by_reciprocal);
    text_append(key, ch->dim, sizeof ch->dim);
    text_append(key, ch->stride, sizeof ch->stride[0] * (size_t)ch->n_in);
    text_append(key, ch->in_dtype, sizeof ch->in_dtype[0] * (size_t)ch->n_in);
    for (int i = 0; i < ch->n_ops; i++) {
        const struct element_op *op = &ch->ops[i];

        text_printf(key, "%s ", op->kernel->name);
        text_append(key, op->src, sizeof op->src[0] * (size_t)op->kernel->arity);
        text_append(key, op->f, sizeof op->f[0] * (size_t)op->kernel->n_f);
    }
    text_append(key, ch->out, sizeof ch->out[0] * (size_t)ch->n_out);
    text_append(key, store_to, sizeof store_to[0] * (size_t)ch->n_out);
}

static LLVMValueRef chain_core(struct part *p, const struct step *s,
                               const int *store_to)
{
    const struct chain *ch = s->u.chain;
    const uint32_t by_reciprocal = quantized_by_constants(p->program, s);
    unsigned alone = 0;
    struct text key = {0};

    /* an input that is only shared with outputs stored through its own pointer is
     * alone: all accesses of that memory go through one parameter */
    int params = 0;
    for (int k = 0; k < s->n_operands; k++) {
        if (k >= ch->n_in && store_to[k - ch->n_in] >= 0)
            continue;
        bool shared = false;
        for (int o = 0; o < ch->n_out; o++)
            shared |= store_to[o] == k;
        alone |= shared || is_alone(p->program, s, k) ? 1u << params : 0;
        params++;
    }
    chain_key(&key, ch, store_to, alone, by_reciprocal);
    LLVMValueRef core = part_find_core(p, key.bytes, key.len);

    if (!core) {
        core = emit_chain(&p->e, ch, store_to, by_reciprocal, core_name(p, "chain"));
        finish_core(p, core, alone, params);
        part_add_core(p, key.bytes, key.len, core);
    }
    text_free(&key);
    return core;
}

static void add_chain_step(struct part *p, const struct step *s, const char *name)
{
    struct emitter *e = &p->e;
    const struct chain *ch = s->u.chain;
    int store_to[K_MAX_BUFS];

    for (int o = 0; o < ch->n_out; o++)
        store_to[o] = shared_input(p->program, s, o);
    const LLVMValueRef core = chain_core(p, s, store_to);
    const LLVMValueRef fn = new_wrapper(e, name);
    LLVMValueRef args[K_MAX_BUFS + 2];
    unsigned n = 0;

    for (int k = 0; k < s->n_operands; k++)
        if (k < ch->n_in || store_to[k - ch->n_in] < 0)
            args[n++] = operand_address(p, fn, s, &s->operands[k]);
    args[n++] = LLVMGetParam(fn, BEGIN);
    args[n++] = LLVMGetParam(fn, END);
    call_core(e, core, args, n);
}

/* ---- subnormal numbers -------------------------------------------------- */

/* A multiply-add with a subnormal number takes a hundred times as long on x86, and
 * channels that training has let die are full of them.  Emitted products of floats
 * count them as zeros: no sum changes by more than 2^-126 a product.  Everything else
 * keeps them: the logarithm of one is a number. */
enum { FLUSH_TO_ZERO = 1 << 15, DENORMALS_ARE_ZEROS = 1 << 6 };

static bool flushes_subnormals(const struct emitter *e, const struct step *s)
{
    return e->isa->mxcsr
           && (s->kind == STEP_CONV || s->kind == STEP_DEPTHWISE
               || s->kind == STEP_MATMUL);
}

static void set_mxcsr(struct emitter *e, LLVMValueRef at)
{
    emit_intrinsic(e, "llvm.x86.sse.ldmxcsr", NULL, 0, &at, 1);
}

/* Where the caller's mode is kept. */
static LLVMValueRef begin_flush(struct emitter *e)
{
    LLVMValueRef own = LLVMBuildAlloca(e->builder, e->i32, "");
    LLVMValueRef flush = LLVMBuildAlloca(e->builder, e->i32, "");
    LLVMValueRef bits =
        LLVMConstInt(e->i32, FLUSH_TO_ZERO | DENORMALS_ARE_ZEROS, false);

    emit_intrinsic(e, "llvm.x86.sse.stmxcsr", NULL, 0, &own, 1);
    LLVMBuildStore(
        e->builder,
        LLVMBuildOr(e->builder, LLVMBuildLoad2(e->builder, e->i32, own, ""), bits, ""),
        flush);
    set_mxcsr(e, flush);
    return own;
}

/* ---- emitted kernels ---------------------------------------------------- */

static LLVMValueRef new_emitted_core(struct part *p, const struct step *s)
{
    struct emitter *e = &p->e;
    const struct conv *c = &s->u.conv.conv;

    switch (s->kind) {
    case STEP_CONV:
        return emit_conv(e, c, &s->u.conv.tiling, core_name(p, "conv"));
    case STEP_DEPTHWISE:
        return emit_depthwise(e, c, core_name(p, "depthwise"));
    case STEP_POOL:
        return emit_pool(e, c, s->u.conv.pool_max, s->u.conv.count_pad,
                         core_name(p, "pool"));
    case STEP_INT_CONV:
        return emit_int_conv(e, &s->u.int_conv.conv, &s->u.int_conv.tiling,
                             core_name(p, "int_conv"));
    case STEP_INT_DEPTHWISE:
        return emit_int_depthwise(e, &s->u.int_conv.conv,
                                  core_name(p, "int_depthwise"));
    case STEP_INT_POOL:
        return emit_int_pool(e, &s->u.int_pool, core_name(p, "int_pool"));
    case STEP_INT_ELEMENTS:
        return emit_int_elements(e, &s->u.int_elements, core_name(p, "int_elements"));
    default:
        return emit_matmul(e, &s->u.matmul, core_name(p, "matmul"));
    }
}

static LLVMValueRef emitted_core(struct part *p, const struct step *s)
{
    struct text key = {0};
    int64_t fields[STEP_MAX_FIELDS];
    const int n = step_fields(s, p->program->isa, fields);

    text_printf(&key, "emitted %d ", (int)s->kind);
    text_append(&key, fields, (size_t)n * sizeof *fields);
    LLVMValueRef core = part_find_core(p, key.bytes, key.len);

    if (!core) {
        core = new_emitted_core(p, s);
        LLVMSetLinkage(core, LLVMInternalLinkage);
        part_add_core(p, key.bytes, key.len, core);
    }
    text_free(&key);
    return core;
}

static void add_emitted_step(struct part *p, const struct step *s, const char *name)
{
    struct emitter *e = &p->e;
    const LLVMValueRef core = emitted_core(p, s);
    const LLVMValueRef fn = new_wrapper(e, name);
    LLVMValueRef args[8];
    unsigned n = 0;

    for (int k = 0; k < 5; k++)
        args[n++] = operand_address(p, fn, s, &s->operands[k]);
    args[n++] = s->scratch_bytes ? scratch_address(p, fn, s, 0) : LLVMConstNull(e->ptr);
    args[n++] = LLVMGetParam(fn, BEGIN);
    args[n++] = LLVMGetParam(fn, END);
    if (!flushes_subnormals(e, s)) {
        call_core(e, core, args, n);
        return;
    }
    const LLVMValueRef mode = begin_flush(e);

    LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(core), core, args, n, "");
    set_mxcsr(e, mode);
    LLVMBuildRetVoid(e->builder);
}

struct status *part_add_step(struct part *p, const struct step *s, const char *name)
{
    switch (s->kind) {
    case STEP_LIBRARY:
        add_library_step(p, s, name);
        return OK;
    case STEP_CHAIN:
        add_chain_step(p, s, name);
        return OK;
    case STEP_CONV:
    case STEP_DEPTHWISE:
    case STEP_MATMUL:
    case STEP_POOL:
    case STEP_INT_CONV:
    case STEP_INT_DEPTHWISE:
    case STEP_INT_POOL:
    case STEP_INT_ELEMENTS:
        add_emitted_step(p, s, name);
        return OK;
    case STEP_BRANCH:
    case STEP_JUMP:
        return OK; /* carried out by the runtime */
    }
    return FAIL(INTERNAL, "step '%s' is of no known kind", s->name);
}
