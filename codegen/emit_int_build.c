/* SPDX-License-Identifier: Apache-2.0 */
/* Words for integer kernels: see emit_int_build.h. */
#include "codegen/emit_int_build.h"

#include <assert.h>
#include <stddef.h>

enum { MAX_BYTES = 64, BLOCK = 16 };

static bool is_arm(const struct emitter *e)
{
    return e->isa->lane_fma;
}

static int lanes_of(LLVMValueRef x)
{
    return (int)LLVMGetVectorSize(LLVMTypeOf(x));
}

LLVMTypeRef int_vector(struct emitter *e, LLVMTypeRef element, int lanes)
{
    (void)e;
    return LLVMVectorType(element, (unsigned)lanes);
}

LLVMValueRef int_splat(struct emitter *e, LLVMTypeRef element, int64_t value, int lanes)
{
    LLVMValueRef all[MAX_BYTES];

    (void)e;
    assert(lanes <= MAX_BYTES);
    for (int i = 0; i < lanes; i++)
        all[i] = LLVMConstInt(element, (uint64_t)value, true);
    return LLVMConstVector(all, (unsigned)lanes);
}

/* ---- memory ------------------------------------------------------------------ */

LLVMValueRef int_load(struct emitter *e, LLVMTypeRef type, LLVMValueRef p)
{
    LLVMValueRef v = LLVMBuildLoad2(e->builder, type, p, "");

    LLVMSetAlignment(v, 1);
    return v;
}

void int_store(struct emitter *e, LLVMValueRef x, LLVMValueRef p)
{
    LLVMSetAlignment(LLVMBuildStore(e->builder, x, p), 1);
}

LLVMValueRef int_load_splat(struct emitter *e, LLVMTypeRef element, LLVMValueRef p,
                            int lanes)
{
    return emit_splat(e, int_load(e, element, p), lanes);
}

static int64_t element_bytes(LLVMTypeRef vector)
{
    LLVMTypeRef element = LLVMGetElementType(vector);

    if (LLVMGetTypeKind(element) == LLVMFloatTypeKind)
        return 4;
    return LLVMGetIntTypeWidth(element) / 8;
}

static LLVMValueRef first_bits(struct emitter *e, int lanes, int used)
{
    LLVMValueRef bit[MAX_BYTES];

    for (int i = 0; i < lanes; i++)
        bit[i] = LLVMConstInt(e->i1, i < used, 0);
    return LLVMConstVector(bit, (unsigned)lanes);
}

static int largest_power(int n)
{
    int p = 1;

    while (2 * p <= n)
        p *= 2;
    return p;
}

/* Without masks a part is moved in pieces of 32, 16 ... 1: 13 = 8 + 4 + 1. */
static LLVMValueRef load_pieces(struct emitter *e, LLVMTypeRef type, LLVMValueRef p,
                                int used)
{
    const int lanes = (int)LLVMGetVectorSize(type);
    LLVMTypeRef element = LLVMGetElementType(type);
    LLVMValueRef all = LLVMConstNull(type);
    int index[MAX_BYTES];

    for (int done = 0; done < used;) {
        const int n = largest_power(used - done);
        LLVMTypeRef part = int_vector(e, element, n);
        LLVMValueRef at = emit_at(e, p, done * element_bytes(type));
        LLVMValueRef piece = int_load(e, part, at);

        for (int i = 0; i < lanes; i++)
            index[i] = i < n ? i : -1;
        piece = emit_shuffle(e, piece, LLVMGetPoison(part), index, lanes);
        for (int i = 0; i < lanes; i++)
            index[i] = i >= done && i < done + n ? lanes + i - done : i;
        all = emit_shuffle(e, all, piece, index, lanes);
        done += n;
    }
    return all;
}

/* Masked moves are for whole registers of AVX-512 (their parts exist there too). */
static bool can_mask(const struct emitter *e)
{
    return e->isa->masks;
}

LLVMValueRef int_load_part(struct emitter *e, LLVMTypeRef type, LLVMValueRef p,
                           int used)
{
    const int lanes = (int)LLVMGetVectorSize(type);

    if (used == lanes)
        return int_load(e, type, p);
    if (!can_mask(e) || lanes * element_bytes(type) < 16)
        return load_pieces(e, type, p, used);
    LLVMTypeRef overload[] = {type, e->ptr};
    LLVMValueRef args[] = {p, LLVMConstInt(e->i32, 1, 0), first_bits(e, lanes, used),
                           LLVMConstNull(type)};

    return emit_intrinsic(e, "llvm.masked.load", overload, 2, args, 4);
}

static void store_pieces(struct emitter *e, LLVMValueRef x, LLVMValueRef p, int used)
{
    int index[MAX_BYTES];

    for (int done = 0; done < used;) {
        const int n = largest_power(used - done);

        for (int i = 0; i < n; i++)
            index[i] = done + i;
        int_store(e, emit_shuffle(e, x, x, index, n),
                  emit_at(e, p, done * element_bytes(LLVMTypeOf(x))));
        done += n;
    }
}

void int_store_part(struct emitter *e, LLVMValueRef x, LLVMValueRef p, int used)
{
    LLVMTypeRef type = LLVMTypeOf(x);
    const int lanes = lanes_of(x);

    if (used == lanes) {
        int_store(e, x, p);
        return;
    }
    if (!can_mask(e) || lanes * element_bytes(type) < 16) {
        store_pieces(e, x, p, used);
        return;
    }
    LLVMTypeRef overload[] = {type, e->ptr};
    LLVMValueRef args[] = {x, p, LLVMConstInt(e->i32, 1, 0),
                           first_bits(e, lanes, used)};

    emit_intrinsic(e, "llvm.masked.store", overload, 2, args, 4);
}

/* ---- arithmetic -------------------------------------------------------------- */

LLVMValueRef int_cast(struct emitter *e, LLVMValueRef x, LLVMTypeRef type)
{
    return LLVMBuildBitCast(e->builder, x, type, "");
}

LLVMValueRef int_flip(struct emitter *e, LLVMValueRef bytes)
{
    return LLVMBuildXor(e->builder, bytes, int_splat(e, e->i8, 0x80, lanes_of(bytes)),
                        "");
}

LLVMValueRef int_to_float(struct emitter *e, LLVMValueRef x)
{
    return LLVMBuildSIToFP(e->builder, x, emit_vector(e, lanes_of(x)), "");
}

LLVMValueRef int_limit(struct emitter *e, const char *name, LLVMValueRef a,
                       LLVMValueRef b)
{
    LLVMTypeRef type = LLVMTypeOf(a);
    LLVMValueRef args[] = {a, b};

    return emit_intrinsic(e, name, &type, 1, args, 2);
}

LLVMValueRef int_least(struct emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    LLVMValueRef less = LLVMBuildFCmp(e->builder, LLVMRealOLT, a, b, "");

    return LLVMBuildSelect(e->builder, less, a, b, "");
}

LLVMValueRef int_most(struct emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    LLVMValueRef more = LLVMBuildFCmp(e->builder, LLVMRealOGT, a, b, "");

    return LLVMBuildSelect(e->builder, more, a, b, "");
}

/* The x86 intrinsic for a vector of `bytes`. */
static const char *by_size(int bytes, const char *of16, const char *of32,
                           const char *of64)
{
    return bytes == 64 ? of64 : bytes == 32 ? of32 : of16;
}

LLVMValueRef int_round(struct emitter *e, LLVMValueRef x)
{
    const int lanes = lanes_of(x);
    LLVMTypeRef ints = int_vector(e, e->i32, lanes);
    const char *name =
        by_size(lanes * 4, "llvm.x86.sse2.cvtps2dq", "llvm.x86.avx.cvt.ps2dq.256",
                "llvm.x86.avx512.mask.cvtps2dq.512");
    LLVMValueRef args[] = {x, LLVMConstNull(ints), LLVMConstAllOnes(e->i16),
                           LLVMConstInt(e->i32, 4, 0)};
    LLVMTypeRef overload[] = {ints, LLVMTypeOf(x)};

    if (is_arm(e))
        return emit_intrinsic(e, "llvm.aarch64.neon.fcvtns", overload, 2, args, 1);
    return emit_intrinsic(e, name, NULL, 0, args, lanes == 16 ? 4 : 1);
}

LLVMValueRef int_dot(struct emitter *e, LLVMValueRef sum, LLVMValueRef a,
                     LLVMValueRef b)
{
    const int lanes = lanes_of(sum);
    LLVMTypeRef bytes = int_vector(e, e->i8, 4 * lanes);
    LLVMTypeRef overload[] = {LLVMTypeOf(sum), bytes};
    LLVMValueRef args[] = {sum, a, b};

    if (!is_arm(e))
        return emit_intrinsic(e,
                              by_size(4 * lanes, "llvm.x86.avx512.vpdpbusd.128",
                                      "llvm.x86.avx512.vpdpbusd.256",
                                      "llvm.x86.avx512.vpdpbusd.512"),
                              NULL, 0, args, 3);
    args[1] = int_cast(e, a, bytes);
    args[2] = int_cast(e, b, bytes);
    return emit_intrinsic(e, "llvm.aarch64.neon.sdot", overload, 2, args, 3);
}

LLVMValueRef int_pair(struct emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    LLVMValueRef args[] = {a, b};

    assert(!is_arm(e));
    return emit_intrinsic(e,
                          by_size(lanes_of(a) * 2, "llvm.x86.sse2.pmadd.wd",
                                  "llvm.x86.avx2.pmadd.wd",
                                  "llvm.x86.avx512.pmaddw.d.512"),
                          NULL, 0, args, 2);
}

LLVMValueRef int_byte_pair(struct emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    LLVMValueRef args[] = {a, b};

    assert(!is_arm(e));
    return emit_intrinsic(e,
                          by_size(lanes_of(a), "llvm.x86.ssse3.pmadd.ub.sw.128",
                                  "llvm.x86.avx2.pmadd.ub.sw",
                                  "llvm.x86.avx512.pmaddubs.w.512"),
                          NULL, 0, args, 2);
}

/* ---- blocks of 128 bits ------------------------------------------------------ */

LLVMValueRef int_zip(struct emitter *e, LLVMValueRef a, LLVMValueRef b, int size,
                     bool upper)
{
    const int lanes = lanes_of(a);
    int index[MAX_BYTES];

    for (int i = 0; i < lanes; i++) {
        const int in_block = i % BLOCK, pair = in_block / (2 * size);
        const int from =
            i - in_block + (upper ? BLOCK / 2 : 0) + pair * size + i % size;

        index[i] = from + (in_block / size % 2 ? lanes : 0);
    }
    return emit_shuffle(e, a, b, index, lanes);
}

void int_widen(struct emitter *e, LLVMValueRef bytes, LLVMValueRef out[4])
{
    LLVMValueRef zero = LLVMConstNull(LLVMTypeOf(bytes));
    LLVMTypeRef ints = int_vector(e, e->i32, lanes_of(bytes) / 4);

    for (int half = 0; half < 2; half++) {
        LLVMValueRef words = int_zip(e, bytes, zero, 1, half);

        for (int i = 0; i < 2; i++)
            out[2 * half + i] = int_cast(e, int_zip(e, words, zero, 2, i), ints);
    }
}

LLVMValueRef int_class_value(struct emitter *e, const struct int_classes *k,
                             int64_t outputs, LLVMValueRef at)
{
    LLVMValueRef beyond = emit_add(e, at, k->after - outputs + 1);

    if (k->n == 1)
        return emit_int(e, 0);
    return LLVMBuildAdd(e->builder, emit_min(e, at, emit_int(e, k->before)),
                        emit_max(e, beyond, emit_int(e, 0)), "");
}

/* ---- results ----------------------------------------------------------------- */

LLVMValueRef int_field(struct emitter *e, LLVMValueRef header, size_t offset,
                       LLVMTypeRef element, int lanes)
{
    return int_load_splat(e, element, emit_at(e, header, (int64_t)offset), lanes);
}

/* a and b saturated to half as many bits, in blocks of 128 bits.  x86 and Arm agree on
 * everything but where the halves go, and with 16 bytes on that too. */
static LLVMValueRef narrow_x86(struct emitter *e, LLVMValueRef a, LLVMValueRef b,
                               bool to_bytes)
{
    const int bytes = lanes_of(a) * (to_bytes ? 2 : 4);
    LLVMValueRef args[] = {a, b};
    const char *words =
        by_size(bytes, "llvm.x86.sse2.packssdw.128", "llvm.x86.avx2.packssdw",
                "llvm.x86.avx512.packssdw.512");
    const char *last =
        by_size(bytes, "llvm.x86.sse2.packuswb.128", "llvm.x86.avx2.packuswb",
                "llvm.x86.avx512.packuswb.512");

    return emit_intrinsic(e, to_bytes ? last : words, NULL, 0, args, 2);
}

static LLVMValueRef narrow_arm(struct emitter *e, LLVMValueRef a, LLVMValueRef b,
                               bool to_bytes)
{
    const int n = to_bytes ? 8 : 4;
    LLVMTypeRef half = int_vector(e, to_bytes ? e->i8 : e->i16, n);
    const char *name =
        to_bytes ? "llvm.aarch64.neon.sqxtun" : "llvm.aarch64.neon.sqxtn";
    LLVMValueRef lo = emit_intrinsic(e, name, &half, 1, &a, 1);
    LLVMValueRef hi = emit_intrinsic(e, name, &half, 1, &b, 1);
    int index[BLOCK];

    for (int i = 0; i < 2 * n; i++)
        index[i] = i;
    return emit_shuffle(e, lo, hi, index, 2 * n);
}

static LLVMValueRef narrow(struct emitter *e, LLVMValueRef a, LLVMValueRef b,
                           bool to_bytes)
{
    return is_arm(e) ? narrow_arm(e, a, b, to_bytes) : narrow_x86(e, a, b, to_bytes);
}

/* Saturation does what is left of the clamp: a result below the bytes is 0 or more once
 * its lower limit is taken, and one above was cut as a float, since 2^31 and beyond has
 * no integer. */
LLVMValueRef int_settle4(struct emitter *e, LLVMValueRef header,
                         const LLVMValueRef t[4])
{
    const int lanes = lanes_of(t[0]);
    LLVMValueRef most =
        int_field(e, header, offsetof(struct int_header, most), e->f32, lanes);
    LLVMValueRef zero =
        int_field(e, header, offsetof(struct int_header, zero), e->i16, 2 * lanes);
    LLVMValueRef least =
        int_field(e, header, offsetof(struct int_header, least), e->i8, 4 * lanes);
    LLVMTypeRef words = int_vector(e, e->i16, 2 * lanes);
    LLVMValueRef x[4], half[2];

    for (int i = 0; i < 4; i++)
        x[i] = int_round(e, int_least(e, t[i], most));
    for (int i = 0; i < 2; i++) {
        LLVMValueRef args[] = {narrow(e, x[2 * i], x[2 * i + 1], false), zero};

        half[i] = emit_intrinsic(e, "llvm.sadd.sat", &words, 1, args, 2);
    }
    return int_limit(e, "llvm.umax", narrow(e, half[0], half[1], true), least);
}

LLVMValueRef int_settle1(struct emitter *e, LLVMValueRef header, LLVMValueRef t)
{
    const int lanes = lanes_of(t);
    LLVMValueRef most =
        int_field(e, header, offsetof(struct int_header, most), e->f32, lanes);
    LLVMValueRef zero =
        int_field(e, header, offsetof(struct int_header, zero), e->i32, lanes);
    LLVMValueRef least =
        int_field(e, header, offsetof(struct int_header, least), e->i32, lanes);
    LLVMValueRef x = int_round(e, int_least(e, t, most));

    x = LLVMBuildAdd(e->builder, x, zero, "");
    x = int_limit(e, "llvm.smax", x, least);
    return LLVMBuildTrunc(e->builder, x, int_vector(e, e->i8, lanes), "");
}
