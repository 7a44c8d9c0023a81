/* SPDX-License-Identifier: Apache-2.0 */
/* links: kernels
 *
 * Reductions: the order of sixteen lanes is the definition, and every walk over memory
 * and every partition has to give its bytes. */
#include <math.h>
#include <stdlib.h>

#include "kernels/params.h"
#include "kernels/registry.h"
#include "tests/test.h"

/* Element i joins lane i mod 16; lanes are added 8-4-2-1. */
static float lanes_sum(const float *x, int n, int step)
{
    float lane[16] = {0};

    for (int i = 0; i < n; i++)
        lane[i % 16] += x[i * step];
    for (int half = 8; half; half /= 2)
        for (int l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

/* Values whose sum depends on the order. */
static float *numbers(int n)
{
    float *x = calloc((size_t)n, sizeof *x);
    uint32_t state = 7;

    for (int i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)state * ldexpf(1, -31 + (int)(state >> 28));
    }
    return x;
}

/* [outer, n, inner] summed over the middle. */
static struct k_reduce middle(int64_t outer, int64_t n, int64_t inner)
{
    struct k_reduce p = {.count = n};

    for (int d = 0; d < K_MAX_RANK; d++)
        p.kept[d] = p.red[d] = 1;
    p.kept[6] = outer;
    p.kept_stride[6] = n * inner;
    p.kept[7] = inner;
    p.kept_stride[7] = 1;
    p.red[7] = n;
    p.red_stride[7] = inner;
    return p;
}

static void run(const char *kernel, const void *params, void *x, void *y, int64_t begin,
                int64_t end)
{
    kernel_find(kernel)->fn(params, (void *[]){x, y}, begin, end);
}

TEST(a_row_is_summed_in_sixteen_lanes)
{
    static const int lengths[] = {1, 7, 15, 16, 17, 49, 100};
    float *x = numbers(300), y[3];

    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        const int n = lengths[i];
        const struct k_reduce p = middle(3, n, 1);

        run("reduce_sum_f32", &p, x, y, 0, 3);
        for (int r = 0; r < 3; r++)
            CHECK(y[r] == lanes_sum(x + r * n, n, 1));
    }
    free(x);
}

TEST(neighbouring_outputs_are_summed_in_the_same_order)
{
    enum { N = 37, INNER = 50 };
    float *x = numbers(2 * N * INNER), y[2 * INNER], parts[2 * INNER];
    const struct k_reduce p = middle(2, N, INNER);

    run("reduce_sum_f32", &p, x, y, 0, 2 * INNER);
    for (int e = 0; e < 2 * INNER; e++)
        CHECK(y[e] == lanes_sum(x + e / INNER * N * INNER + e % INNER, N, INNER));
    for (int cut = 0; cut < 2 * INNER; cut += 7) {
        run("reduce_sum_f32", &p, x, parts, cut, 2 * INNER);
        run("reduce_sum_f32", &p, x, parts, 0, cut);
        CHECK_BYTES(parts, y, sizeof y);
    }
    free(x);
}

/* [3, 4, 5] over dims 0 and 2: element (i, k) is number 5 i + k of its window. */
TEST(separate_axes_count_elements_in_row_major_order)
{
    float *x = numbers(60), flat[15], y[4];
    struct k_reduce p = {.count = 15};

    for (int d = 0; d < K_MAX_RANK; d++)
        p.kept[d] = p.red[d] = 1;
    p.kept[7] = 4;
    p.kept_stride[7] = 5;
    p.red[6] = 3;
    p.red_stride[6] = 20;
    p.red[7] = 5;
    p.red_stride[7] = 1;
    run("reduce_sum_f32", &p, x, y, 0, 4);
    for (int j = 0; j < 4; j++) {
        for (int i = 0; i < 15; i++)
            flat[i] = x[i / 5 * 20 + j * 5 + i % 5];
        CHECK(y[j] == lanes_sum(flat, 15, 1));
    }
    free(x);
}

TEST(max_keeps_nan_wherever_it_stands)
{
    const struct k_reduce p = middle(1, 20, 1);

    for (int at = 0; at < 20; at++) {
        float x[20] = {0}, y;
        x[at] = NAN;
        run("reduce_max_f32", &p, x, &y, 0, 1);
        CHECK(isnan(y));
    }
}

TEST(reducing_nothing_gives_the_neutral_element)
{
    const struct k_reduce p = middle(1, 0, 1);
    float y;

    run("reduce_prod_f32", &p, &y, &y, 0, 1);
    CHECK(y == 1);
    run("reduce_max_f32", &p, &y, &y, 0, 1);
    CHECK(y == -INFINITY);
}

TEST(log_sum_exp_does_not_overflow)
{
    float x[3] = {1000, 1000, -INFINITY}, y;
    const struct k_reduce p = middle(1, 3, 1);

    run("reduce_log_sum_exp_f32", &p, x, &y, 0, 1);
    CHECK(fabsf(y - 1000.6931f) < 1e-3f);
}

TEST(arg_max_takes_the_first_or_the_last_of_equals)
{
    float x[4] = {1, 3, 3, 2};
    int64_t y;
    struct k_reduce p = middle(1, 4, 1);

    run("arg_max_f32", &p, x, &y, 0, 1);
    CHECK_EQ(y, 1);
    p.take_last = 1;
    run("arg_max_f32", &p, x, &y, 0, 1);
    CHECK_EQ(y, 2);
}

/* Softmax over the middle of [2, n, inner] row by row and sixteen rows at a time. */
TEST(softmax_of_neighbouring_rows_equals_softmax_of_one_row)
{
    enum { N = 21, INNER = 40 };
    float *x = numbers(2 * N * INNER), y[2 * N * INNER], row[N], want[N];

    for (int i = 0; i < 2 * N * INNER; i++)
        x[i] = fmodf(x[i], 8.0f);
    run("softmax_f32", &(struct k_rows){.n = N, .inner = INNER}, x, y, 0, 2 * INNER);
    for (int r = 0; r < 2 * INNER; r++) {
        const int at = r / INNER * N * INNER + r % INNER;

        for (int i = 0; i < N; i++)
            row[i] = x[at + i * INNER];
        run("softmax_f32", &(struct k_rows){.n = N, .inner = 1}, row, want, 0, 1);
        for (int i = 0; i < N; i++)
            CHECK(y[at + i * INNER] == want[i]);
    }
    free(x);
}
