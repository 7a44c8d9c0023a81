/* SPDX-License-Identifier: Apache-2.0 */
/* A chain of element operators as a C loop, as chain_ir.c writes it for LLVM:
 *
 *     for (ix row = (ix)begin; row < (ix)end; row++) {
 *         const a_f32 *const a0 = in0 + row / 8 % 4 * 16;
 *         a_f32 *const y0 = out0 + row * 32;
 *
 *         for (ix j = 0; j < 32; j++) {
 *             const float v2 = e_add_f32(a0[j], a1[0]);
 *             y0[j] = e_relu_f32(v2);
 *         }
 *     }
 *
 * A chain of one dimension has no rows: its units are elements.
 */
#include "codegen/c_emit.h"

static int64_t row_length(const struct chain *ch)
{
    return ch->dim[K_MAX_RANK - 1];
}

static bool has_rows(const struct chain *ch)
{
    for (int d = 0; d < K_MAX_RANK - 1; d++)
        if (ch->dim[d] != 1)
            return true;
    return false;
}

static enum dtype value_dtype(const struct chain *ch, int value)
{
    return value < ch->n_in ? ch->in_dtype[value] : ch->ops[value - ch->n_in].kernel->out;
}

/* ---- addresses ------------------------------------------------------------------- */

static void put_bases(struct text *t, const struct program *p, const struct step *s)
{
    const struct chain *ch = s->u.chain;

    for (int k = 0; k < ch->n_in + ch->n_out; k++) {
        const bool in = k < ch->n_in;
        const int o = in ? k : k - ch->n_in;
        const char *type =
            dtype_info[in ? ch->in_dtype[k] : value_dtype(ch, ch->out[o])].name;

        text_printf(t, "    %sa_%s *const %s%d = (%sa_%s *)", in ? "const " : "", type,
                    in ? "in" : "out", o, in ? "const " : "", type);
        c_put_address(t, p, s, &s->operands[k]);
        text_puts(t, ";\n");
    }
}

/* "+ row / 8 % 4 * 16 ...": where the row starts in an input. */
static void put_row_offset(struct text *t, const struct chain *ch, const int64_t *stride)
{
    int64_t below = 1;

    for (int d = K_MAX_RANK - 2; d >= 0; d--) {
        if (ch->dim[d] > 1 && stride[d] != 0) {
            text_puts(t, " + row");
            if (below > 1)
                text_printf(t, " / %lld", (long long)below);
            text_printf(t, " %% %lld", (long long)ch->dim[d]);
            if (stride[d] != 1)
                text_printf(t, " * %lld", (long long)stride[d]);
        }
        below *= ch->dim[d];
    }
}

static void put_rows(struct text *t, const struct chain *ch)
{
    for (int k = 0; k < ch->n_in; k++) {
        text_printf(t, "        const a_%s *const a%d = in%d",
                    dtype_info[ch->in_dtype[k]].name, k, k);
        put_row_offset(t, ch, ch->stride[k]);
        text_puts(t, ";\n");
    }
    for (int o = 0; o < ch->n_out; o++)
        text_printf(t, "        a_%s *const y%d = out%d + row * %lld;\n",
                    dtype_info[value_dtype(ch, ch->out[o])].name, o, o,
                    (long long)row_length(ch));
}

/* ---- values ---------------------------------------------------------------------- */

static void put_value(struct text *t, const struct chain *ch, int value, bool rows)
{
    if (value >= ch->n_in) {
        text_printf(t, "v%d", value);
        return;
    }
    const int64_t step = ch->stride[value][K_MAX_RANK - 1];

    text_printf(t, "%s%d[", rows ? "a" : "in", value);
    if (step == 0)
        text_puts(t, "0]");
    else if (step == 1)
        text_puts(t, "j]");
    else
        text_printf(t, "j * %lld]", (long long)step);
}

static void put_op(struct text *t, const struct chain *ch, int k, bool rows,
                   const char *indent)
{
    const struct element_op *op = &ch->ops[k];

    text_printf(t, "%sconst %s v%d = e_%s(", indent, dtype_info[op->kernel->out].ctype,
                ch->n_in + k, op->kernel->name);
    for (int i = 0; i < op->kernel->arity; i++) {
        text_puts(t, i ? ", " : "");
        put_value(t, ch, op->src[i], rows);
    }
    for (int i = 0; i < op->kernel->n_f; i++) {
        text_puts(t, ", ");
        c_put_f32(t, op->f[i]);
    }
    text_puts(t, ");\n");
}

static void put_body(struct text *t, const struct chain *ch, bool rows, const char *indent)
{
    for (int k = 0; k < ch->n_ops; k++)
        put_op(t, ch, k, rows, indent);
    if (ch->n_ops)
        text_puts(t, "\n");
    for (int o = 0; o < ch->n_out; o++) {
        text_printf(t, "%s%s%d[j] = ", indent, rows ? "y" : "out", o);
        put_value(t, ch, ch->out[o], rows);
        text_puts(t, ";\n");
    }
}

void c_put_chain(struct text *t, const struct program *p, const struct step *s)
{
    const struct chain *ch = s->u.chain;

    put_bases(t, p, s);
    text_puts(t, "\n");
    if (has_rows(ch)) {
        text_puts(t, "    for (ix row = (ix)begin; row < (ix)end; row++) {\n");
        put_rows(t, ch);
        text_printf(t, "\n        for (ix j = 0; j < %lld; j++) {\n",
                    (long long)row_length(ch));
        put_body(t, ch, true, "            ");
        text_puts(t, "        }\n    }\n");
    } else {
        text_puts(t, "    for (ix j = (ix)begin; j < (ix)end; j++) {\n");
        put_body(t, ch, false, "        ");
        text_puts(t, "    }\n");
    }
}
