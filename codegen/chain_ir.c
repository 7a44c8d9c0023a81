/* SPDX-License-Identifier: Apache-2.0 */
/* The loop of an element chain as LLVM IR.
 *
 *     for row in [begin, end)                  rows: all dims but the last
 *         base[k] = in[k] + row's place in input k
 *         for j in [0, n)                      the last dim
 *             v = load base[k][j * stride[k]] ...; v = e_op(v...); store
 *
 * The scalar functions e_<op> come from the kernel library; after inlining, the
 * vectoriser sees one simple loop.  A chain of one dim has no rows: its units are
 * elements, j runs over [begin, end).
 */
#include <assert.h>

#include "codegen/emit_build.h"
#include "codegen/module.h"

enum { MAX_VALUES = 128 };

struct chain_ir {
    struct emitter *e;
    const struct chain *ch;
    const int *store_to;
    uint32_t by_reciprocal;
    LLVMValueRef fn;
    LLVMValueRef in[K_MAX_BUFS], out[K_MAX_BUFS]; /* bases of the current row */
};

static LLVMTypeRef element_type(const struct emitter *e, enum dtype dtype)
{
    switch (dtype) {
    case DT_f32:
        return e->f32;
    case DT_f64:
        return e->f64;
    default:
        return LLVMIntTypeInContext(e->context, 8 * (unsigned)dtype_info[dtype].bytes);
    }
}

static LLVMValueRef constant(const struct emitter *e, int64_t value)
{
    return LLVMConstInt(e->i64, (unsigned long long)value, true);
}

static LLVMValueRef scaled(const struct emitter *e, LLVMValueRef index, int64_t by)
{
    return by == 1 ? index : LLVMBuildNSWMul(e->builder, index, constant(e, by), "");
}

static LLVMValueRef at(const struct emitter *e, enum dtype dtype, LLVMValueRef base,
                       LLVMValueRef index)
{
    return LLVMBuildInBoundsGEP2(e->builder, element_type(e, dtype), base, &index, 1,
                                 "");
}

static enum dtype value_dtype(const struct chain *ch, int value)
{
    return value < ch->n_in ? ch->in_dtype[value]
                            : ch->ops[value - ch->n_in].kernel->out;
}

/* Declares e_<name>; the library defines it. */
static LLVMValueRef scalar_function(struct emitter *e, const struct kernel_info *kernel)
{
    char name[80];
    LLVMTypeRef params[8];
    unsigned n = 0;

    for (int i = 0; i < kernel->arity; i++)
        params[n++] = element_type(e, kernel->src[i]);
    for (int i = 0; i < kernel->n_f; i++)
        params[n++] = e->f32;
    snprintf(name, sizeof name, "e_%s", kernel->name);
    const LLVMValueRef old = LLVMGetNamedFunction(e->module, name);

    return old ? old
               : LLVMAddFunction(
                     e->module, name,
                     LLVMFunctionType(element_type(e, kernel->out), params, n, false));
}

static LLVMValueRef call_op(struct emitter *e, const struct element_op *op,
                            const LLVMValueRef *value)
{
    LLVMValueRef args[8];
    unsigned n = 0;

    for (int i = 0; i < op->kernel->arity; i++)
        args[n++] = value[op->src[i]];
    for (int i = 0; i < op->kernel->n_f; i++)
        args[n++] = LLVMConstReal(e->f32, (double)op->f[i]);
    const LLVMValueRef fn = scalar_function(e, op->kernel);

    return LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(fn), fn, args, n, "");
}

/* ---- quantization by a constant ------------------------------------------------- */

static LLVMValueRef fma32(struct emitter *e, LLVMValueRef a, LLVMValueRef b,
                          LLVMValueRef c)
{
    LLVMValueRef args[] = {a, b, c};

    return emit_intrinsic(e, "llvm.fma", &e->f32, 1, args, 3);
}

/* x / s, rounded as a division rounds it, where a division takes as long as ten
 * multiplications: 1 / s stays in a register.  The first correction brings the
 * quotient within one unit of the last place, the second is exact then (P. Markstein,
 * Computation of elementary functions on the IBM RISC System/6000 processor, 1990). */
static LLVMValueRef quotient(struct emitter *e, LLVMValueRef x, LLVMValueRef s)
{
    LLVMValueRef one = LLVMConstReal(e->f32, 1.0);
    LLVMValueRef r = LLVMBuildFDiv(e->builder, one, s, "");
    LLVMValueRef q = LLVMBuildFMul(e->builder, x, r, "");

    for (int i = 0; i < 2; i++)
        q = fma32(e, fma32(e, LLVMBuildFNeg(e->builder, q, ""), s, x), r, q);
    return q;
}

/* s (limit - z): what divides to a number that rounds to the limit, less the zero. */
static LLVMValueRef limit_of(struct emitter *e, int limit, LLVMValueRef zero,
                             LLVMValueRef s)
{
    LLVMValueRef steps = LLVMBuildSub(
        e->builder, LLVMConstInt(e->i32, (unsigned long long)limit, true), zero, "");

    return LLVMBuildFMul(e->builder, LLVMBuildSIToFP(e->builder, steps, e->f32, ""), s,
                         "");
}

static LLVMValueRef clamp(struct emitter *e, LLVMValueRef x, LLVMValueRef least,
                          LLVMValueRef most)
{
    LLVMBuilderRef b = e->builder;

    x = LLVMBuildSelect(b, LLVMBuildFCmp(b, LLVMRealOLT, x, least, ""), least, x, "");
    return LLVMBuildSelect(b, LLVMBuildFCmp(b, LLVMRealOGT, x, most, ""), most, x, "");
}

/* As e_quantize_T(x, s, zero) of the kernel library, to the bit; limits are put on x,
 * so that no step of the quotient leaves the range of float32. */
static LLVMValueRef quantize(struct emitter *e, enum dtype to, LLVMValueRef x,
                             LLVMValueRef s, LLVMValueRef zero)
{
    LLVMBuilderRef b = e->builder;
    const bool is_signed = to == DT_i4 || to == DT_i8 || to == DT_i16;
    const int bits = to == DT_i4 || to == DT_u4 ? 4 : 8 * dtype_info[to].bytes;
    const int least = is_signed ? -(1 << (bits - 1)) : 0;
    LLVMValueRef wide = is_signed ? LLVMBuildSExt(b, zero, e->i32, "")
                                  : LLVMBuildZExt(b, zero, e->i32, "");

    x = LLVMBuildSelect(b, LLVMBuildFCmp(b, LLVMRealORD, x, x, ""), x,
                        LLVMConstNull(e->f32), "");
    x = clamp(e, x, limit_of(e, least, wide, s),
              limit_of(e, least + (1 << bits) - 1, wide, s));
    x = LLVMBuildFAdd(b, quotient(e, x, s), LLVMConstReal(e->f32, 12582912.0), "");
    x = LLVMBuildTrunc(b, LLVMBuildBitCast(b, x, e->i32, ""), LLVMTypeOf(zero), "");
    return LLVMBuildAdd(b, x, zero, "");
}

/* Element j of the row. */
static void emit_element(struct chain_ir *x, LLVMValueRef j)
{
    struct emitter *e = x->e;
    const struct chain *ch = x->ch;
    LLVMValueRef value[MAX_VALUES];

    assert(ch->n_in + ch->n_ops <= MAX_VALUES);
    for (int k = 0; k < ch->n_in; k++) {
        const LLVMValueRef from = at(e, ch->in_dtype[k], x->in[k],
                                     scaled(e, j, ch->stride[k][K_MAX_RANK - 1]));

        value[k] =
            LLVMBuildLoad2(e->builder, element_type(e, ch->in_dtype[k]), from, "");
        LLVMSetAlignment(value[k], (unsigned)dtype_info[ch->in_dtype[k]].bytes);
    }
    for (int k = 0; k < ch->n_ops; k++) {
        const struct element_op *op = &ch->ops[k];

        value[ch->n_in + k] = x->by_reciprocal >> k & 1
                                  ? quantize(e, op->kernel->out, value[op->src[0]],
                                             value[op->src[1]], value[op->src[2]])
                                  : call_op(e, op, value);
    }
    for (int k = 0; k < ch->n_out; k++) {
        const enum dtype dtype = value_dtype(ch, ch->out[k]);
        const LLVMValueRef store =
            LLVMBuildStore(e->builder, value[ch->out[k]], at(e, dtype, x->out[k], j));

        LLVMSetAlignment(store, (unsigned)dtype_info[dtype].bytes);
    }
}

/* A counted loop from `begin` to `end`: fills in its body and leaves the builder
 * behind it. */
struct counted {
    LLVMBasicBlockRef body, done;
    LLVMValueRef i, end;
};

static struct counted loop_begin(struct chain_ir *x, LLVMValueRef begin,
                                 LLVMValueRef end)
{
    struct emitter *e = x->e;
    const LLVMBasicBlockRef before = LLVMGetInsertBlock(e->builder);
    struct counted l = {
        .body = LLVMAppendBasicBlockInContext(e->context, x->fn, "loop"),
        .done = LLVMAppendBasicBlockInContext(e->context, x->fn, "done"),
        .end = end,
    };

    LLVMBuildCondBr(e->builder, LLVMBuildICmp(e->builder, LLVMIntSLT, begin, end, ""),
                    l.body, l.done);
    LLVMPositionBuilderAtEnd(e->builder, l.body);
    l.i = LLVMBuildPhi(e->builder, e->i64, "i");
    LLVMAddIncoming(l.i, &begin, (LLVMBasicBlockRef[]){before}, 1);
    return l;
}

static void loop_end(struct chain_ir *x, const struct counted *l)
{
    struct emitter *e = x->e;
    const LLVMBasicBlockRef latch = LLVMGetInsertBlock(e->builder);
    LLVMValueRef next = LLVMBuildNSWAdd(e->builder, l->i, constant(e, 1), "");

    LLVMAddIncoming(l->i, &next, (LLVMBasicBlockRef[]){latch}, 1);
    LLVMBuildCondBr(e->builder, LLVMBuildICmp(e->builder, LLVMIntSLT, next, l->end, ""),
                    l->body, l->done);
    LLVMPositionBuilderAtEnd(e->builder, l->done);
}

static int first_dim(const struct chain *ch)
{
    int d = 0;

    while (d < K_MAX_RANK - 1 && ch->dim[d] == 1)
        d++;
    return d;
}

/* Moves the bases to row `row`: one division per outer dim and row. */
static void enter_row(struct chain_ir *x, const LLVMValueRef *in,
                      const LLVMValueRef *out, LLVMValueRef row)
{
    struct emitter *e = x->e;
    const struct chain *ch = x->ch;
    const int first = first_dim(ch);
    LLVMValueRef place[K_MAX_BUFS] = {NULL};
    LLVMValueRef rest = row;

    for (int d = K_MAX_RANK - 2; d >= first; d--) {
        LLVMValueRef i = rest;

        if (d > first) {
            rest = LLVMBuildUDiv(e->builder, i, constant(e, ch->dim[d]), "");
            i = LLVMBuildURem(e->builder, i, constant(e, ch->dim[d]), "");
        }
        for (int k = 0; k < ch->n_in; k++) {
            if (ch->stride[k][d] == 0)
                continue;
            const LLVMValueRef step = scaled(e, i, ch->stride[k][d]);

            place[k] =
                place[k] ? LLVMBuildNSWAdd(e->builder, place[k], step, "") : step;
        }
    }
    for (int k = 0; k < ch->n_in; k++)
        x->in[k] = place[k] ? at(e, ch->in_dtype[k], in[k], place[k]) : in[k];
    for (int k = 0; k < ch->n_out; k++)
        x->out[k] = x->store_to[k] >= 0 ? x->in[x->store_to[k]]
                                        : at(e, value_dtype(ch, ch->out[k]), out[k],
                                             scaled(e, row, ch->dim[K_MAX_RANK - 1]));
}

static void emit_body(struct chain_ir *x, LLVMValueRef begin, LLVMValueRef end)
{
    struct emitter *e = x->e;
    const struct chain *ch = x->ch;

    if (first_dim(ch) == K_MAX_RANK - 1) {
        const struct counted l = loop_begin(x, begin, end);

        emit_element(x, l.i);
        loop_end(x, &l);
        return;
    }
    LLVMValueRef in[K_MAX_BUFS], out[K_MAX_BUFS];

    for (int k = 0; k < ch->n_in; k++)
        in[k] = x->in[k];
    for (int k = 0; k < ch->n_out; k++)
        out[k] = x->out[k];
    const struct counted rows = loop_begin(x, begin, end);

    enter_row(x, in, out, rows.i);
    const struct counted inner =
        loop_begin(x, constant(e, 0), constant(e, ch->dim[K_MAX_RANK - 1]));

    emit_element(x, inner.i);
    loop_end(x, &inner);
    loop_end(x, &rows);
}

LLVMValueRef emit_chain(struct emitter *e, const struct chain *ch, const int *store_to,
                        uint32_t by_reciprocal, const char *name)
{
    struct chain_ir x = {
        .e = e, .ch = ch, .store_to = store_to, .by_reciprocal = by_reciprocal};
    LLVMTypeRef params[2 * K_MAX_BUFS];
    unsigned n = 0;

    for (int k = 0; k < ch->n_in; k++)
        params[n++] = e->ptr;
    for (int k = 0; k < ch->n_out; k++)
        if (store_to[k] < 0)
            params[n++] = e->ptr;
    params[n++] = e->i64;
    params[n++] = e->i64;
    x.fn =
        LLVMAddFunction(e->module, name, LLVMFunctionType(e->void_t, params, n, false));
    LLVMPositionBuilderAtEnd(e->builder,
                             LLVMAppendBasicBlockInContext(e->context, x.fn, "entry"));
    unsigned next = 0;
    for (int k = 0; k < ch->n_in; k++)
        x.in[k] = LLVMGetParam(x.fn, next++);
    for (int k = 0; k < ch->n_out; k++)
        x.out[k] = store_to[k] < 0 ? LLVMGetParam(x.fn, next++) : x.in[store_to[k]];
    emit_body(&x, LLVMGetParam(x.fn, next), LLVMGetParam(x.fn, next + 1));
    LLVMBuildRetVoid(e->builder);
    return x.fn;
}
