/* SPDX-License-Identifier: Apache-2.0 */
/* foo_kernels.c: the program as portable C11.
 *
 * The kernel library's own sources, of which the model uses a part, then one
 * function per step with literal addresses and parameters.  The bytes that it
 * computes are the interpreter's, whatever the compiler and its -O level: the
 * file begins with what keeps compilers from contracting or widening floats
 * (numerics: class E).
 */
#include "codegen/bundle.h"
#include "codegen/c_emit.h"

static const char prologue[] =
    "#include <float.h>\n"
    "#include <stddef.h>\n"
    "#include <stdint.h>\n"
    "\n"
    "/* Floats mean what is written: no fused multiply-add, no wider intermediates, no\n"
    " * reordering. */\n"
    "#if defined(__FAST_MATH__)\n"
    "#error \"compile without -ffast-math: results would differ from the verified ones\"\n"
    "#endif\n"
    "#if FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16\n"
    "#error \"floats must be evaluated in their own precision (x87: use -msse2 "
    "-mfpmath=sse)\"\n"
    "#endif\n"
    "#if defined(__clang__)\n"
    "#pragma STDC FP_CONTRACT OFF\n"
    "#pragma clang diagnostic ignored \"-Wunused-function\"\n"
    "#elif defined(__GNUC__)\n"
    "#pragma GCC optimize(\"fp-contract=off,no-strict-aliasing\")\n"
    "#pragma GCC diagnostic ignored \"-Wunused-function\"\n"
    "#pragma GCC diagnostic ignored \"-Waggressive-loop-optimizations\"\n"
    "#else\n"
    "#pragma STDC FP_CONTRACT OFF\n"
    "#endif\n"
    "\n"
    "#if defined(__GNUC__)\n"
    "#define HADM_ALIAS __attribute__((may_alias))\n"
    "#define HADM_INF __builtin_inff()\n"
    "#define HADM_NAN __builtin_nanf(\"\")\n"
    "#else\n"
    "#include <math.h>\n"
    "#define HADM_ALIAS\n"
    "#define HADM_INF INFINITY\n"
    "#define HADM_NAN NAN\n"
    "#define __attribute__(x)\n"
    "#define __builtin_sqrtf sqrtf\n"
    "#define __builtin_sqrt sqrt\n"
    "#endif\n"
    "\n";

/* Square roots as instructions, without errno and so without libm where a compiler
 * and a processor allow it. */
static const char square_root[] =
    "#if defined(__GNUC__) && !defined(__clang__) && !defined(__NO_MATH_ERRNO__)\n"
    "/* gcc's own square root sets errno, for which it calls libm. */\n"
    "#if defined(__SSE2__)\n"
    "typedef float hadm_f32x4 __attribute__((vector_size(16)));\n"
    "typedef double hadm_f64x2 __attribute__((vector_size(16)));\n"
    "static inline float hadm_sqrtf(float x)\n"
    "{\n"
    "    return __builtin_ia32_sqrtss((hadm_f32x4){x, 0, 0, 0})[0];\n"
    "}\n"
    "static inline double hadm_sqrt(double x)\n"
    "{\n"
    "    return __builtin_ia32_sqrtsd((hadm_f64x2){x, 0})[0];\n"
    "}\n"
    "#define __builtin_sqrtf hadm_sqrtf\n"
    "#define __builtin_sqrt hadm_sqrt\n"
    "#elif defined(__aarch64__)\n"
    "static inline float hadm_sqrtf(float x)\n"
    "{\n"
    "    __asm__(\"fsqrt %s0, %s0\" : \"+w\"(x));\n"
    "    return x;\n"
    "}\n"
    "static inline double hadm_sqrt(double x)\n"
    "{\n"
    "    __asm__(\"fsqrt %d0, %d0\" : \"+w\"(x));\n"
    "    return x;\n"
    "}\n"
    "#define __builtin_sqrtf hadm_sqrtf\n"
    "#define __builtin_sqrt hadm_sqrt\n"
    "#elif defined(__ARM_FP) && (__ARM_FP & 4)\n"
    "static inline float hadm_sqrtf(float x)\n"
    "{\n"
    "    __asm__(\"vsqrt.f32 %0, %0\" : \"+t\"(x));\n"
    "    return x;\n"
    "}\n"
    "#define __builtin_sqrtf hadm_sqrtf\n"
    "#endif\n"
    "#endif\n"
    "#if defined(__has_builtin)\n"
    "#if __has_builtin(__builtin_elementwise_sqrt)\n"
    "#define __builtin_sqrtf(x) __builtin_elementwise_sqrt((float)(x))\n"
    "#define __builtin_sqrt(x) __builtin_elementwise_sqrt((double)(x))\n"
    "#endif\n"
    "#endif\n"
    "\n";

static void put_prologue(struct text *t, const struct program *p,
                         const struct model_names *names)
{
    text_printf(t,
                "/* %s: its kernels in portable C11, %d steps.\n"
                " *\n"
                " *     cc -std=c11 -O2 -c %s_kernels.c      (some compilers want -lm for "
                "sqrt)\n"
                " *\n"
                " * Written by hadmcc %s.  Generated code carries no obligation for "
                "whoever uses it.\n"
                " */\n",
                names->prefix, p->n_steps, names->prefix, hadmcc_version());
    text_puts(t, prologue);
    text_puts(t, square_root);
    text_puts(t, "/* Workspace bytes hold one type after another. */\n");
    for (int i = DT_NONE + 1; i < DT_COUNT; i++)
        text_printf(t, "typedef %s HADM_ALIAS a_%s;\n", dtype_info[i].ctype,
                    dtype_info[i].name);
    text_puts(t, "\n");
}

/* ---- steps ----------------------------------------------------------------------- */

static void put_scratch(struct text *t, const struct program *p, const struct step *s,
                        int64_t offset)
{
    text_printf(t, "(ws + %lld", (long long)(s->scratch_offset + offset));
    if (p->max_workers > 1)
        text_printf(t, " + worker * %lld", (long long)s->scratch_bytes);
    text_puts(t, ")");
}

void c_put_address(struct text *t, const struct program *p, const struct step *s,
                   const struct operand *o)
{
    int64_t at;

    if (o->tensor == OPERAND_SCRATCH) {
        put_scratch(t, p, s, o->offset);
        return;
    }
    if (o->tensor < 0) {
        text_puts(t, "NULL");
        return;
    }
    const struct ptensor *root = &p->tensors[program_root(p, o->tensor, &at)];

    at += o->offset;
    if (root->place == IN_IO)
        text_printf(t, "((uint8_t *)io[%d] + %lld)", root->io_index, (long long)at);
    else
        text_printf(t, "(%s + %lld)", root->place == IN_WORKSPACE ? "ws" : "w",
                    (long long)(root->offset + at));
}

static struct status *put_call(struct text *t, const struct program *p,
                               const struct step *s)
{
    const struct kernel_info *kernel = s->u.call->kernel;

    text_printf(t, "    static const struct k_%s params = ", kernel->params);
    RETURN_IF_FAIL(c_put_params(t, kernel, s->u.call->params));
    text_printf(t, ";\n    void *const buf[] = {\n");
    for (int k = 0; k < s->n_operands; k++) {
        text_puts(t, "        (void *)");
        c_put_address(t, p, s, &s->operands[k]);
        text_puts(t, ",\n");
    }
    if (s->n_operands == 0)
        text_puts(t, "        NULL,\n");
    text_printf(t, "    };\n\n    k_%s(&params, buf, begin, end);\n", kernel->name);
    return OK;
}

static struct status *put_step(struct text *t, const struct program *p,
                               const struct step *s, const char *foo)
{
    text_puts(t, "/* ");
    c_put_comment(t, s->covers ? s->covers : "");
    if (s->node && s->node->name) {
        text_puts(t, ": ");
        c_put_comment(t, s->node->name);
    }
    text_printf(
        t,
        " */\nvoid %s_%s(uint8_t *ws, const uint8_t *w, void *const *io, int64_t begin,\n"
        "        int64_t end, int64_t worker)\n{\n",
        foo, s->name);
    switch (s->kind) {
    case STEP_LIBRARY:
        RETURN_IF_FAIL(put_call(t, p, s));
        break;
    case STEP_CHAIN:
        c_put_chain(t, p, s);
        break;
    default:
        return FAIL(INTERNAL, "step '%s' has no form in C", s->name);
    }
    text_puts(t, "    (void)ws, (void)w, (void)io, (void)worker;\n}\n\n");
    return OK;
}

static bool is_code(const struct step *s)
{
    return s->kind != STEP_BRANCH && s->kind != STEP_JUMP;
}

struct status *c_emit_kernels(const struct program *p, const struct model_names *names,
                              struct text *t)
{
    put_prologue(t, p, names);
    RETURN_IF_FAIL(c_put_kernels(t, p));
    text_puts(t, "/* ==== the model ==== */\n\n"
                 "typedef void step_fn(uint8_t *ws, const uint8_t *w, void *const *io,"
                 " int64_t begin,\n                     int64_t end, int64_t worker);\n");
    for (int i = 0; i < p->n_steps; i++)
        if (is_code(&p->steps[i]))
            text_printf(t, "step_fn %s_%s;\n", names->prefix, p->steps[i].name);
    text_puts(t, "\n");
    for (int i = 0; i < p->n_steps; i++)
        if (is_code(&p->steps[i]))
            RETURN_IF_FAIL(put_step(t, p, &p->steps[i], names->prefix));
    return OK;
}
