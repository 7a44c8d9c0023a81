/* SPDX-License-Identifier: Apache-2.0 */
/* Chains of element operators from codes to codes become emitted kernels (emit_int.h).
 *
 *     a change of scale, a sum, a difference, a product    header of factors
 *         of two tensors, as form_integers writes them
 *     anything else that reads one tensor of codes         table of its 256 results
 *
 * The bytes are those of the chain: factors are its numbers, and a table is made by
 * running it.  What pays, in us for 200 704 codes on one core of an AMD EPYC:
 *
 *                              VBMI   AVX-512      AVX2      SSE2
 *     sum, as a chain            46        48        53       125
 *          emitted               30        28        31        78
 *     product, as a chain        49        49        57       135
 *              emitted           25        27        29        72
 *     scale, as a chain          35        35        38        96
 *            emitted             19        17        23        50
 *     HardSwish, as a chain      52        52        61       135
 *     Exp, as a chain           108       108       145       330
 *     any of the last three
 *         by table              3.5        62        62        62
 *
 * Operands that are repeated (a gate a channel) are dequantized where they are read:
 * element by element, as those of the sums and products above are.
 *
 * So a table is best where registers hold it (on Arm too, by count of instructions),
 * and elsewhere where there is a polynomial or vectors are short.
 */
#include <float.h>
#include <string.h>

#include "codegen/builder.h"
#include "codegen/loop_nest.h"
#include "codegen/step_range.h"
#include "frontend/op_help.h"

enum { CODES = 256 };

/* The step as it can be: which of the chain's inputs it reads. */
struct kernel {
    struct int_elements c;
    struct int_operands o;
    int a, b; /* b: -1 if there is none */
};

struct source {
    const struct program *program;
    const struct step *step;
    const struct chain *ch;
};

/* ---- reading a chain ----------------------------------------------------------- */

/* The one number that input k is; NULL if it is computed, or more than one. */
static const void *known(const struct source *s, int k)
{
    const struct operand *o = &s->step->operands[k];
    int64_t at;

    for (int d = 0; d < K_MAX_RANK; d++)
        if (s->ch->dim[d] > 1 && s->ch->stride[k][d])
            return NULL;
    const struct ptensor *root =
        &s->program->tensors[program_root(s->program, o->tensor, &at)];

    return root->data ? (const uint8_t *)root->data + at + o->offset : NULL;
}

static const struct element_op *maker(const struct source *s, int value)
{
    return value < s->ch->n_in ? NULL : &s->ch->ops[value - s->ch->n_in];
}

static bool is(const struct element_op *op, const char *kernel)
{
    return op && strcmp(op->kernel->name, kernel) == 0;
}

static bool read_float(const struct source *s, int value, float *out)
{
    const void *at = value < s->ch->n_in ? known(s, value) : NULL;

    if (!at || s->ch->in_dtype[value] != DT_f32)
        return false;
    memcpy(out, at, sizeof *out);
    return true;
}

static bool read_code(const struct source *s, int value, int32_t *out)
{
    const void *at = value < s->ch->n_in ? known(s, value) : NULL;

    if (!at || !op_is_byte(s->ch->in_dtype[value]))
        return false;
    *out = s->ch->in_dtype[value] == DT_i8 ? *(const int8_t *)at : *(const uint8_t *)at;
    return true;
}

/* Numbers whose products with codes are normal floats. */
static bool is_factor(float f)
{
    return f >= FLT_MIN && f <= 0x1p24f;
}

/* factor (q - zero) */
struct scaled {
    int input;
    float factor;
    int32_t zero;
};

static bool read_scaled(const struct source *s, int value, struct scaled *out)
{
    const struct element_op *op = maker(s, value);

    if (!is(op, "dequantize_u8") && !is(op, "dequantize_i8"))
        return false;
    out->input = op->src[0];
    return out->input < s->ch->n_in && !known(s, out->input)
           && read_float(s, op->src[1], &out->factor) && is_factor(out->factor)
           && read_code(s, op->src[2], &out->zero);
}

/* Limits in steps of codes, if they are whole, narrow those of the result. */
static bool narrow(struct int_codes *out, float lo, float hi)
{
    if (lo > (float)(out->lo - out->zero)) {
        if (lo > (float)(out->hi - out->zero) || lo != (float)(int32_t)lo)
            return false;
        out->lo = out->zero + (int32_t)lo;
    }
    if (hi < (float)(out->hi - out->zero)) {
        if (hi < (float)(out->lo - out->zero) || hi != (float)(int32_t)hi)
            return false;
        out->hi = out->zero + (int32_t)hi;
    }
    return lo <= hi;
}

/* The chain's result as zero + rne(clamp(value)). */
static bool read_settled(const struct source *s, struct kernel *k, int *value)
{
    const struct element_op *op = maker(s, s->ch->out[0]);
    float step;

    if ((!is(op, "quantize_u8") && !is(op, "quantize_i8"))
        || !read_float(s, op->src[1], &step) || step != 1.0f
        || !read_code(s, op->src[2], &k->o.out.zero))
        return false;
    k->c.out_signed = op->kernel->out == DT_i8;
    k->o.out.lo = k->c.out_signed ? -128 : 0;
    k->o.out.hi = k->o.out.lo + CODES - 1;
    for (*value = op->src[0];; *value = op->src[0]) {
        op = maker(s, *value);
        if (is(op, "relu_f32")   ? !narrow(&k->o.out, 0.0f, FLT_MAX)
            : is(op, "clip_f32") ? !narrow(&k->o.out, op->f[0], op->f[1])
                                 : true)
            return !is(op, "relu_f32") && !is(op, "clip_f32");
    }
}

/* ---- arithmetic ------------------------------------------------------------------ */

static bool read_product(const struct source *s, const struct element_op *op,
                         struct scaled v[2], float *m)
{
    for (int i = 0; i < 2; i++) {
        const struct element_op *inner = maker(s, op->src[i]);

        if (is(inner, "mul_f32") && read_float(s, op->src[!i], m) && is_factor(*m)
            && read_scaled(s, inner->src[0], &v[0])
            && read_scaled(s, inner->src[1], &v[1]))
            return v[0].factor == 1.0f && v[1].factor == 1.0f;
    }
    return false;
}

static bool read_arithmetic(const struct source *s, struct kernel *k,
                            struct scaled v[2])
{
    const struct element_op *op;
    int value;
    float m = 0.0f;

    if (!read_settled(s, k, &value))
        return false;
    op = maker(s, value);
    k->c.op = is(op, "add_f32")   ? INT_ADD
              : is(op, "sub_f32") ? INT_SUB
              : is(op, "mul_f32") ? INT_MUL
                                  : INT_SCALE;
    switch (k->c.op) {
    case INT_ADD:
    case INT_SUB:
        return read_scaled(s, op->src[0], &v[0]) && read_scaled(s, op->src[1], &v[1]);
    case INT_MUL:
        if (!read_product(s, op, v, &m))
            return false;
        v[0].factor = m;
        return true;
    default:
        v[1].input = -1;
        return read_scaled(s, value, &v[0]);
    }
}

/* Vectors run along the last dim: of the first operand they must be neighbours. */
static bool is_neighbours(const struct chain *ch, int input)
{
    return ch->dim[K_MAX_RANK - 1] == 1 || ch->stride[input][K_MAX_RANK - 1] == 1;
}

/* A dim of one element has the stride of a contiguous tensor. */
static int64_t stride_of(const struct chain *ch, int input, int d, int64_t dense)
{
    return ch->dim[d] == 1 ? dense : ch->stride[input][d];
}

static bool place(const struct chain *ch, struct kernel *k)
{
    enum { N = K_MAX_RANK - 3, ROW, COLUMN };
    struct int_elements *c = &k->c;

    for (int d = 0; d < N; d++)
        if (ch->dim[d] != 1)
            return false;
    if (!is_neighbours(ch, k->a) || !chain_count(ch))
        return false;
    c->n = ch->dim[N];
    c->rows = ch->dim[ROW];
    c->columns = ch->dim[COLUMN];
    c->out_row = c->columns;
    c->out_n = c->rows * c->columns;
    c->a_n = stride_of(ch, k->a, N, c->out_n);
    c->a_row = stride_of(ch, k->a, ROW, c->out_row);
    c->a_signed = ch->in_dtype[k->a] == DT_i8;
    if (k->b < 0)
        return true;
    c->b_one = c->columns > 1 && ch->stride[k->b][COLUMN] == 0;
    c->b_n = stride_of(ch, k->b, N, c->b_one ? 0 : c->out_n);
    c->b_row = stride_of(ch, k->b, ROW, c->b_one ? 0 : c->out_row);
    c->b_signed = ch->in_dtype[k->b] == DT_i8;
    return c->b_one || is_neighbours(ch, k->b);
}

static bool match_arithmetic(const struct source *s, struct kernel *k)
{
    struct scaled v[2];

    if (!read_arithmetic(s, k, v))
        return false;
    /* what is repeated comes second; a product's factor stays with the first */
    const bool swap =
        v[1].input >= 0 && k->c.op != INT_SUB && !is_neighbours(s->ch, v[0].input);
    const struct scaled *a = &v[swap], *b = &v[!swap];

    k->a = a->input;
    k->b = b->input;
    k->o.a_factor = k->c.op == INT_MUL ? v[0].factor : a->factor;
    k->o.a_zero = a->zero;
    if (k->b >= 0) {
        k->o.b_factor = b->factor;
        k->o.b_zero = b->zero;
    }
    return place(s->ch, k);
}

/* ---- tables ------------------------------------------------------------------------
 */

/* Is there an operator of many multiply-adds? */
static bool has_polynomial(const struct chain *ch)
{
    static const char *const names[] = {
        "exp_f32",   "log_f32",      "sigmoid_f32",   "tanh_f32",  "erf_f32",
        "sin_f32",   "cos_f32",      "tan_f32",       "asin_f32",  "acos_f32",
        "atan_f32",  "sinh_f32",     "cosh_f32",      "asinh_f32", "acosh_f32",
        "atanh_f32", "softplus_f32", "mish_f32",      "gelu_f32",  "elu_f32",
        "celu_f32",  "selu_f32",     "gelu_tanh_f32", "pow_f32",
    };

    for (int i = 0; i < ch->n_ops; i++)
        for (size_t n = 0; n < sizeof names / sizeof names[0]; n++)
            if (is(&ch->ops[i], names[n]))
                return true;
    return false;
}

/* The only computed input, if it is codes and walked element for element; -1. */
static int only_codes(const struct source *s)
{
    int found = -1;

    for (int k = 0; k < s->ch->n_in; k++) {
        if (known(s, k))
            continue;
        if (found >= 0 || !op_is_byte(s->ch->in_dtype[k]) || !chain_is_dense(s->ch, k))
            return -1;
        found = k;
    }
    return found;
}

static bool match_table(const struct source *s, const struct isa *isa, struct kernel *k)
{
    const bool short_vectors = isa->vector_bytes == 16;

    k->a = only_codes(s);
    k->b = -1;
    if (k->a < 0 || chain_count(s->ch) < CODES
        || !(isa->table || short_vectors || has_polynomial(s->ch)))
        return false;
    k->c = (struct int_elements){
        .op = INT_TABLE, .n = 1, .rows = 1, .columns = chain_count(s->ch)};
    k->c.out_n = k->c.out_row = k->c.columns;
    k->c.a_n = k->c.a_row = k->c.columns;
    return true;
}

/* The chain's result for every byte, by the kernels that it is made of. */
static void run_chain(struct arena *a, const struct source *s, int input,
                      uint8_t *table)
{
    enum { LAST = K_MAX_RANK - 1 };
    const struct chain *ch = s->ch;
    void **value = arena_new_array(a, void *, ch->n_in + ch->n_ops);
    uint8_t *bytes = arena_alloc(a, CODES);

    for (int i = 0; i < CODES; i++)
        bytes[i] = (uint8_t)i;
    for (int k = 0; k < ch->n_in; k++)
        value[k] = k == input ? bytes : (void *)known(s, k);
    for (int i = 0; i < ch->n_ops; i++) {
        const struct element_op *op = &ch->ops[i];
        struct k_eltwise p = {.dim = {1, 1, 1, 1, 1, 1, 1, CODES}};
        void *buf[4];

        for (int q = 0; q < op->kernel->arity; q++) {
            buf[q] = value[op->src[q]];
            p.in[q][LAST] = op->src[q] >= ch->n_in || op->src[q] == input;
        }
        memcpy(p.f, op->f, sizeof p.f);
        value[ch->n_in + i] = arena_alloc(a, CODES * sizeof(double));
        buf[op->kernel->arity] = value[ch->n_in + i];
        op->kernel->fn(&p, buf, 0, CODES);
    }
    memcpy(table, value[ch->out[0]], CODES);
}

/* ---- the kernel
 * ---------------------------------------------------------------------- */

static bool is_simple(const struct source *s)
{
    return s->step->kind == STEP_CHAIN && s->ch->n_out == 1 && s->ch->n_ops > 0
           && s->ch->out[0] >= s->ch->n_in
           && op_is_byte(chain_dtype(s->ch, s->ch->out[0]));
}

static bool match(const struct source *s, const struct isa *isa, struct kernel *k)
{
    *k = (struct kernel){0};
    if (!is_simple(s))
        return false;
    if (isa->table && match_table(s, isa, k))
        return true;
    *k = (struct kernel){0};
    return match_arithmetic(s, k) || match_table(s, isa, k);
}

bool fuse_codes_fits(const struct builder *b, const struct step *s)
{
    const struct source from = {b->program, s, s->u.chain};
    struct kernel k;

    return b->isa && match(&from, b->isa, &k);
}

static void replace(struct builder *b, struct step *s, const struct kernel *k)
{
    const struct source from = {b->program, s, s->u.chain};
    const struct operand a = s->operands[k->a], out = s->operands[s->u.chain->n_in];
    const struct operand second =
        k->b < 0 ? (struct operand){OPERAND_ABSENT, 0, false} : s->operands[k->b];
    const int64_t bytes = int_elements_epilogue_bytes(&k->c);
    uint8_t *epilogue = arena_alloc(b->arena, (size_t)bytes);
    const bool table = k->c.op == INT_TABLE;

    if (table)
        run_chain(b->arena, &from, k->a, epilogue);
    else
        int_elements_pack(&k->c, &k->o, epilogue);
    s->kind = STEP_INT_ELEMENTS;
    s->n_operands = 0;
    build_operand(s, a.tensor, a.offset, false);
    build_operand(s, OPERAND_ABSENT, 0, false);
    build_operand(s,
                  build_const(b,
                              arena_printf(b->arena, "%s.%s", s->covers,
                                           table ? "table" : "epilogue"),
                              epilogue, bytes, 0),
                  0, false);
    build_operand(s, second.tensor, second.offset, false);
    build_operand(s, out.tensor, out.offset, true);
    s->u.int_elements = k->c;
    s->n_units = int_elements_units(&k->c);
}

/* ---- repeated operands
 * --------------------------------------------------------------- */

/* A step that does nothing but dequantize codes, element for element. */
static bool is_scaling(const struct step *s)
{
    const struct chain *ch = s->u.chain;

    return s->kind == STEP_CHAIN && ch->n_ops == 1 && ch->n_out == 1
           && (is(&ch->ops[0], "dequantize_u8") || is(&ch->ops[0], "dequantize_i8"))
           && ch->out[0] == ch->n_in && chain_is_dense(ch, ch->ops[0].src[0]);
}

/* The step whose floats are input k of step j, repeated; -1 if there is none. */
static int repeated_scaling(const struct builder *b, int j, int k)
{
    const struct program *p = b->program;
    const struct step *s = &p->steps[j];
    const int i = step_writer_before(p, j, k);

    if (i < 0 || s->u.chain->in_dtype[k] != DT_f32 || chain_is_dense(s->u.chain, k)
        || !is_scaling(&p->steps[i]) || step_control_between(p, i, j)
        || s->u.chain->n_in + s->u.chain->n_out + 2 > NEST_MAX_IN)
        return -1;
    const struct step *from = &p->steps[i];
    const struct range r = step_range(p, &s->operands[k]);

    if (!range_same(r, step_range(p, &from->operands[from->u.chain->n_in])))
        return -1;
    for (int q = 0; q < from->u.chain->n_in; q++)
        if (step_touched_between(p, i, j, step_range(p, &from->operands[q]), true))
            return -1;
    return i;
}

/* Input k of step s becomes the codes that `from` dequantizes, and the chain starts
 * with dequantizing them: scale and zero point are its last inputs. */
static void take_scaling(struct builder *b, struct step *s, int k,
                         const struct step *from)
{
    const struct chain *old = s->u.chain, *of = from->u.chain;
    const int n = old->n_in + 2, value_of[] = {k, old->n_in, old->n_in + 1};
    struct chain *ch = chain_create(b->arena, n, old->n_ops + 1, old->n_out);
    struct operand operands[K_MAX_BUFS];

    memcpy(ch->dim, old->dim, sizeof ch->dim);
    memcpy(ch->stride, old->stride, sizeof *ch->stride * (size_t)old->n_in);
    memset(ch->stride + old->n_in, 0, sizeof *ch->stride * 2);
    memcpy(ch->in_dtype, old->in_dtype, sizeof *ch->in_dtype * (size_t)old->n_in);
    memcpy(operands, s->operands, sizeof operands);
    ch->ops[0] = of->ops[0];
    for (int q = 0; q < 3; q++) {
        ch->in_dtype[value_of[q]] = of->in_dtype[of->ops[0].src[q]];
        operands[value_of[q]] = from->operands[of->ops[0].src[q]];
        ch->ops[0].src[q] = value_of[q];
    }
    for (int i = 0; i < old->n_ops; i++) {
        struct element_op *op = &ch->ops[i + 1];

        *op = old->ops[i];
        for (int q = 0; q < op->kernel->arity; q++)
            op->src[q] =
                op->src[q] == k ? n : op->src[q] + (op->src[q] < old->n_in ? 0 : 3);
    }
    for (int o = 0; o < old->n_out; o++) {
        ch->out[o] =
            old->out[o] == k ? n : old->out[o] + (old->out[o] < old->n_in ? 0 : 3);
        operands[n + o] = s->operands[old->n_in + o];
    }
    memcpy(s->operands, operands, sizeof operands);
    s->n_operands += 2;
    s->u.chain = ch;
    s->covers = arena_printf(b->arena, "%s+%s", from->covers, s->covers);
}

void fuse_repeated_codes(struct builder *b)
{
    struct program *p = b->program;

    for (int j = 0; b->isa && j < p->n_steps; j++)
        for (int k = 0; p->steps[j].kind == STEP_CHAIN && k < p->steps[j].u.chain->n_in;
             k++) {
            const int i = repeated_scaling(b, j, k);

            if (i >= 0)
                take_scaling(b, &p->steps[j], k, &p->steps[i]);
        }
}

void fuse_codes(struct builder *b)
{
    struct program *p = b->program;

    for (int i = 0; b->isa && i < p->n_steps; i++) {
        const struct source from = {p, &p->steps[i], p->steps[i].u.chain};
        struct kernel k;

        if (match(&from, b->isa, &k))
            replace(b, &p->steps[i], &k);
    }
}
