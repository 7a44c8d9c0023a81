/* SPDX-License-Identifier: Apache-2.0 */
/* links: kernels support
 *
 * Kernels that read weights of 4 bits two from a byte give what those give that read a
 * byte for each. */
#include <stdio.h>
#include <string.h>

#include "kernels/params.h"
#include "kernels/registry.h"
#include "support/random.h"
#include "tests/test.h"

enum { MOST = 4096 };

/* What both kernels read, one with `wide` and one with `packed` weights. */
struct world {
    uint8_t x[MOST], packed[MOST];
    int8_t wide[MOST], w_zero[16], zero;
    float scale, scales[16];
    int32_t bias[16], scratch[64], got[MOST], want[MOST];
};

static void fill(struct world *w, struct random *r)
{
    memset(w, 0, sizeof *w);
    w->zero = 3;
    w->scale = 0.01f;
    for (int i = 0; i < MOST; i++) {
        w->x[i] = (uint8_t)(random_u64(r) & 255);
        w->wide[i] = (int8_t)((int)(random_u64(r) & 15) - 8);
        w->packed[i / 2] |= (uint8_t)((w->wide[i] & 15) << (i % 2 * 4));
    }
    for (int i = 0; i < 16; i++) {
        w->w_zero[i] = (int8_t)((int)(random_u64(r) & 7) - 4);
        w->scales[i] = 0.001f * (float)(1 + (random_u64(r) & 15));
        w->bias[i] = (int32_t)(random_u64(r) & 1023) - 512;
    }
}

static void run(struct world *w, const struct kernel_info *k, bool quantizes,
                const void *params, void *weights, int32_t *out, int64_t n_units)
{
    void *const sums[] = {w->x, weights, w->w_zero, out, w->scratch};
    void *const codes[] = {w->x,      &w->scale, &w->zero,  weights,
                           w->scales, w->w_zero, &w->scale, &w->zero,
                           w->bias,   out,       w->scratch};

    k->fn(params, quantizes ? codes : sums, 0, n_units);
}

static void check(struct world *w, const char *family, const void *params,
                  int64_t n_units)
{
    static const char *const types[] = {"u8", "i8"};
    const bool quantizes = strstr(family, "quant") != NULL;

    for (int x = 0; x < 2; x++)
        for (int y = 0; y < (quantizes ? 2 : 1); y++) {
            const struct kernel_info *k[2];

            for (int i = 0; i < 2; i++) {
                char name[40];

                snprintf(name, sizeof name, "%s_%s%s%s%s", family, types[x],
                         i ? "i4" : "i8", quantizes ? "_" : "",
                         quantizes ? types[y] : "");
                k[i] = kernel_find(name);
                CHECK(k[i]);
            }
            memset(w->got, 0, sizeof w->got);
            memset(w->want, 0, sizeof w->want);
            run(w, k[0], quantizes, params, w->wide, w->want, n_units);
            run(w, k[1], quantizes, params, w->packed, w->got, n_units);
            CHECK_BYTES(w->got, w->want, sizeof w->want);
            CHECK(w->want[0] || w->want[1] || w->want[2]);
        }
}

/* Nine weights a channel: every other channel begins in the upper half of a byte. */
TEST(convolutions_of_nibbles)
{
    static struct world w;
    struct random r = random_seeded(1);
    struct k_conv p = {
        .n = 1,
        .groups = 3,
        .c_in = 1,
        .c_out = 3,
        .in = {1, 6, 5},
        .out = {1, 6, 5},
        .kernel = {1, 3, 3},
        .stride = {1, 1, 1},
        .dilation = {1, 1, 1},
        .pad = {0, 1, 1},
        .in_n = 90,
        .in_c = 30,
        .in_s = {30, 5, 1},
        .out_n = 270,
        .out_c = 30,
        .out_s = {30, 5, 1},
        .per_channel = 1,
        .has_w_zero = 1,
    };

    fill(&w, &r);
    check(&w, "conv_int", &p, 9 * 6);
    p.has_bias = 1;
    check(&w, "conv_quant", &p, 9 * 6);
}

/* Matrices of 7 x 5: the second of a batch begins in the middle of a byte. */
TEST(products_of_nibbles)
{
    static struct world w;
    struct random r = random_seeded(2);
    struct k_matmul p = {
        .m = 3,
        .n = 5,
        .k = 7,
        .batch = {1, 1, 1, 1, 1, 2},
        .a_batch = {0, 0, 0, 0, 0, 21},
        .b_batch = {0, 0, 0, 0, 0, 35},
        .a_row = 7,
        .a_col = 1,
        .b_row = 5,
        .b_col = 1,
        .c_col = 1,
        .col_zero = 1,
        .has_b_zero = 1,
    };

    fill(&w, &r);
    check(&w, "matmul_int", &p, 6);
    p.has_bias = 1;
    check(&w, "matmul_quant", &p, 6);
}
