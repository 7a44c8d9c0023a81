/* SPDX-License-Identifier: Apache-2.0 */
/* Library calls whose constant weights are numbers of 4 bits read two of them from a
 * byte.  A convolution takes each weight out once for a row of outputs, a product once
 * for a row of its matrix. */
#include <string.h>

#include "codegen/builder.h"

/* Kernels that read them have "i4" where others have the "i8" of their weights; NULL:
 * this one has no weights of 8 bits. */
static const struct kernel_info *reading_nibbles(struct arena *a,
                                                 const struct kernel_info *k, int *buf)
{
    static const struct {
        const char *prefix; /* before the types of x and w */
        int weights;        /* number of their buffer */
    } families[] = {
        {"conv_int_", 1},
        {"conv_quant_", 3},
        {"matmul_int_", 1},
        {"matmul_quant_", 3},
    };

    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        const size_t x = strlen(families[i].prefix), w = x + strlen("u8");

        if (strncmp(k->name, families[i].prefix, x) != 0
            || strncmp(k->name + w, "i8", 2) != 0)
            continue;
        *buf = families[i].weights;
        return kernel_find(
            arena_printf(a, "%.*si4%s", (int)w, k->name, k->name + w + strlen("i8")));
    }
    return NULL;
}

static bool fit(const struct ir_value *v)
{
    const int8_t *w = v->data;

    for (int64_t i = 0; i < ir_count(v); i++)
        if (w[i] < -8 || w[i] > 7)
            return false;
    return true;
}

const struct kcall *nibbles_call(struct builder *b, const struct kcall *call, int *buf)
{
    const struct kernel_info *k = reading_nibbles(b->arena, call->kernel, buf);
    const struct kbuf *w = k ? &call->bufs[*buf] : NULL;

    if (!w || !w->value || !w->value->data || w->offset || !fit(w->value)) {
        *buf = -1;
        return call;
    }
    struct kcall *to = arena_copy(b->arena, call, sizeof *call);

    to->kernel = k;
    return to;
}

int nibbles_tensor(struct builder *b, const struct ir_value *v)
{
    const int8_t *w = v->data;
    const int64_t n_bytes = (ir_count(v) + 1) / 2;
    uint8_t *to = arena_new_array(b->arena, uint8_t, n_bytes);

    for (int64_t i = 0; i < ir_count(v); i++)
        to[i / 2] |= (uint8_t)((w[i] & 15) << (i % 2 * 4));
    return build_const(b, v->name, to, n_bytes, 0);
}
