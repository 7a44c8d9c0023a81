/* SPDX-License-Identifier: Apache-2.0 */
/* Element operators on codes: a vector of bytes becomes four vectors of floats, and
 * bytes again.  Tables of 256 are looked up in registers where bytes can be indexed by
 * bytes, else one by one. */
#include <stddef.h>

#include "codegen/emit_int_build.h"
#include "codegen/int_elements.h"

enum { SCALAR_UNROLL = 8 };

struct elements {
    struct emitter *e;
    struct int_elements c; /* flattened */
    struct int_elements_cut cut;
    int bytes; /* of a vector */
    LLVMValueRef function, table[16];
};

/* One row, or a part of it. */
struct row {
    LLVMValueRef a, b, out;
};

static LLVMValueRef param(const struct elements *s, unsigned i)
{
    return LLVMGetParam(s->function, i);
}

static bool has_second(const struct elements *s)
{
    return s->c.op != INT_SCALE && s->c.op != INT_TABLE;
}

/* ---- arithmetic -------------------------------------------------------------- */

#define HEADER(s, name, element, lanes)                                                \
    int_field((s)->e, param((s), CORE_BIAS), offsetof(struct int_header, name),        \
              (element), (lanes))

/* (float)(q - zero) */
static LLVMValueRef centred(struct emitter *e, LLVMValueRef q, LLVMValueRef zero)
{
    return int_to_float(e, LLVMBuildSub(e->builder, q, zero, ""));
}

static LLVMValueRef combine(const struct elements *s, LLVMValueRef a, LLVMValueRef b)
{
    struct emitter *e = s->e;
    LLVMBuilderRef w = e->builder;
    const int lanes = (int)LLVMGetVectorSize(LLVMTypeOf(a));
    LLVMValueRef a_factor = HEADER(s, a_factor, e->f32, lanes);

    a = centred(e, a, HEADER(s, a_zero, e->i32, lanes));
    if (s->c.op == INT_SCALE)
        return LLVMBuildFMul(w, a, a_factor, "");
    b = centred(e, b, HEADER(s, b_zero, e->i32, lanes));
    if (s->c.op == INT_MUL) /* below 2^16: exact as floats */
        return LLVMBuildFMul(w, LLVMBuildFMul(w, a, b, ""), a_factor, "");
    a = LLVMBuildFMul(w, a, a_factor, "");
    b = LLVMBuildFMul(w, b, HEADER(s, b_factor, e->f32, lanes), "");
    return s->c.op == INT_ADD ? LLVMBuildFAdd(w, a, b, "") : LLVMBuildFSub(w, a, b, "");
}

static LLVMValueRef load_codes(const struct elements *s, LLVMValueRef p, bool is_signed,
                               int used)
{
    LLVMValueRef x = int_load_part(s->e, int_vector(s->e, s->e->i8, s->bytes), p, used);

    return is_signed ? int_flip(s->e, x) : x;
}

static LLVMValueRef second_operand(const struct elements *s, LLVMValueRef p, int used)
{
    if (!s->c.b_one)
        return load_codes(s, p, s->c.b_signed, used);
    LLVMValueRef x = int_load_splat(s->e, s->e->i8, p, s->bytes);

    return s->c.b_signed ? int_flip(s->e, x) : x;
}

static LLVMValueRef compute(const struct elements *s, const struct row *r,
                            LLVMValueRef at, int used)
{
    struct emitter *e = s->e;
    LLVMValueRef a[4], b[4] = {NULL}, t[4], x;

    int_widen(e, load_codes(s, emit_at_value(e, r->a, at), s->c.a_signed, used), a);
    if (has_second(s))
        int_widen(
            e, second_operand(s, s->c.b_one ? r->b : emit_at_value(e, r->b, at), used),
            b);
    for (int i = 0; i < 4; i++)
        t[i] = combine(s, a[i], b[i]);
    x = int_settle4(e, param(s, CORE_BIAS), t);
    return s->c.out_signed ? int_flip(e, x) : x;
}

/* ---- tables ------------------------------------------------------------------ */

static bool table_in_registers(const struct elements *s)
{
    return s->c.op == INT_TABLE && s->e->isa->table;
}

static void load_table(struct elements *s)
{
    const int size = s->bytes;

    for (int i = 0; i * size < 256; i++)
        s->table[i] = int_load(s->e, int_vector(s->e, s->e->i8, size),
                               emit_at(s->e, param(s, CORE_BIAS), i * size));
}

/* Two registers of 64 entries for either half of the codes. */
static LLVMValueRef lookup_x86(const struct elements *s, LLVMValueRef x)
{
    struct emitter *e = s->e;
    LLVMValueRef lo[] = {s->table[0], x, s->table[1]};
    LLVMValueRef hi[] = {s->table[2], x, s->table[3]};
    LLVMValueRef upper =
        LLVMBuildICmp(e->builder, LLVMIntSLT, x, LLVMConstNull(LLVMTypeOf(x)), "");
    const char *name = "llvm.x86.avx512.vpermi2var.qi.512";

    return LLVMBuildSelect(e->builder, upper, emit_intrinsic(e, name, NULL, 0, hi, 3),
                           emit_intrinsic(e, name, NULL, 0, lo, 3), "");
}

/* Four registers for a quarter of the codes; what is out of range keeps its byte. */
static LLVMValueRef lookup_arm(const struct elements *s, LLVMValueRef x)
{
    struct emitter *e = s->e;
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef found = LLVMConstNull(type);

    for (int i = 0; i < 4; i++) {
        const LLVMValueRef *t = &s->table[4 * i];
        LLVMValueRef index =
            LLVMBuildSub(e->builder, x, int_splat(e, e->i8, 64 * i, 16), "");
        LLVMValueRef args[] = {found, t[0], t[1], t[2], t[3], index};

        found = emit_intrinsic(e, "llvm.aarch64.neon.tbx4", &type, 1, args, 6);
    }
    return found;
}

static LLVMValueRef lookup(const struct elements *s, const struct row *r,
                           LLVMValueRef at, int used)
{
    LLVMValueRef x = load_codes(s, emit_at_value(s->e, r->a, at), false, used);

    return s->e->isa->lane_fma ? lookup_arm(s, x) : lookup_x86(s, x);
}

static void lookup_one(const struct elements *s, const struct row *r, LLVMValueRef at)
{
    struct emitter *e = s->e;
    LLVMValueRef index = int_load(e, e->i8, emit_at_value(e, r->a, at));

    index = LLVMBuildZExt(e->builder, index, e->i64, "");
    int_store(e, int_load(e, e->i8, emit_at_value(e, param(s, CORE_BIAS), index)),
              emit_at_value(e, r->out, at));
}

static void lookup_row(const struct elements *s, const struct row *r, LLVMValueRef n)
{
    struct emitter *e = s->e;
    LLVMValueRef whole = LLVMBuildAnd(e->builder, n, emit_int(e, -SCALAR_UNROLL), "");
    struct emit_loop l = {0}, rest = {0};

    emit_loop_begin(e, &l, emit_int(e, 0), whole, SCALAR_UNROLL, NULL, 0);
    for (int i = 0; i < SCALAR_UNROLL; i++)
        lookup_one(s, r, emit_add(e, l.at, i));
    emit_loop_end(e, &l, NULL);
    emit_loop_begin(e, &rest, whole, n, 1, NULL, 0);
    lookup_one(s, r, rest.at);
    emit_loop_end(e, &rest, NULL);
}

/* ---- rows -------------------------------------------------------------------- */

static void emit_vector_at(const struct elements *s, const struct row *r,
                           LLVMValueRef at, int used)
{
    LLVMValueRef x =
        s->c.op == INT_TABLE ? lookup(s, r, at, used) : compute(s, r, at, used);

    int_store_part(s->e, x, emit_at_value(s->e, r->out, at), used);
}

/* Elements [0, n) of a row; `last`: n is where the row ends, not a multiple of vectors.
 */
static void emit_columns(const struct elements *s, const struct row *r, LLVMValueRef n,
                         LLVMValueRef is_last)
{
    struct emitter *e = s->e;
    const int rest = (int)(s->c.columns % s->bytes);
    LLVMValueRef whole = LLVMBuildAnd(e->builder, n, emit_int(e, -s->bytes), "");
    struct emit_loop l = {0};
    struct emit_if last;

    if (s->c.op == INT_TABLE && !table_in_registers(s)) {
        lookup_row(s, r, n);
        return;
    }
    emit_loop_begin(e, &l, emit_int(e, 0), whole, s->bytes, NULL, 0);
    emit_vector_at(s, r, l.at, s->bytes);
    emit_loop_end(e, &l, NULL);
    if (!rest)
        return;
    emit_if_begin(e, &last, is_last, NULL, 0);
    emit_vector_at(s, r, whole, rest);
    emit_if_end(e, &last, NULL);
}

static LLVMValueRef at_row(const struct elements *s, unsigned operand, LLVMValueRef n,
                           int64_t n_stride, LLVMValueRef y, int64_t y_stride,
                           LLVMValueRef x)
{
    struct emitter *e = s->e;
    LLVMValueRef p = emit_at_value(e, param(s, operand), emit_mul(e, n, n_stride));

    return emit_at_value(e, emit_at_value(e, p, emit_mul(e, y, y_stride)), x);
}

static void emit_unit(const struct elements *s, LLVMValueRef u)
{
    struct emitter *e = s->e;
    const struct int_elements *c = &s->c;
    LLVMValueRef chunk, strip;
    LLVMValueRef n =
        emit_divide(e, emit_divide(e, u, s->cut.chunks, &chunk), s->cut.strips, &strip);
    LLVMValueRef x = emit_mul(e, chunk, s->cut.columns);
    LLVMValueRef left = LLVMBuildSub(e->builder, emit_int(e, c->columns), x, "");
    LLVMValueRef columns = emit_min(e, left, emit_int(e, s->cut.columns));
    LLVMValueRef is_last =
        LLVMBuildICmp(e->builder, LLVMIntEQ, chunk, emit_int(e, s->cut.chunks - 1), "");
    LLVMValueRef y = emit_mul(e, strip, s->cut.rows);
    LLVMValueRef end = emit_min(e, emit_add(e, y, s->cut.rows), emit_int(e, c->rows));
    struct emit_loop l = {0};

    emit_loop_begin(e, &l, y, end, 1, NULL, 0);
    const struct row r = {
        .a = at_row(s, CORE_IN, n, c->a_n, l.at, c->a_row, x),
        .b = has_second(s) ? at_row(s, CORE_RESIDUAL, n, c->b_n, l.at, c->b_row,
                                    c->b_one ? emit_int(e, 0) : x)
                           : NULL,
        .out = at_row(s, CORE_OUT, n, c->out_n, l.at, c->out_row, x),
    };

    emit_columns(s, &r, columns, is_last);
    emit_loop_end(e, &l, NULL);
}

/* Rows shorter than a register take a part of it. */
static int vector_bytes(const struct elements *s)
{
    int bytes = s->e->isa->vector_bytes;

    while (bytes > 16 && bytes / 2 >= s->c.columns && s->c.op != INT_TABLE)
        bytes /= 2;
    return bytes;
}

LLVMValueRef emit_int_elements(struct emitter *e, const struct int_elements *c,
                               const char *name)
{
    struct elements s = {.e = e, .c = int_elements_flatten(c)};
    struct emit_loop l = {0};

    s.cut = int_elements_cut(&s.c);
    s.bytes = vector_bytes(&s);
    s.function = emit_core(e, name);
    if (table_in_registers(&s))
        load_table(&s);
    emit_loop_begin(e, &l, param(&s, CORE_BEGIN), param(&s, CORE_END), 1, NULL, 0);
    emit_unit(&s, l.at);
    emit_loop_end(e, &l, NULL);
    LLVMBuildRetVoid(e->builder);
    return s.function;
}
