/* SPDX-License-Identifier: Apache-2.0 */
/* links: frontend kernels
 *
 * The element kernels: broadcasting, any partition of the work, merged dims, and the
 * edges of integer arithmetic and conversions. */
#include "frontend/lower.h"
#include "tests/test.h"

/* [2,3] over a, b stretched from [3]. */
static const struct k_eltwise rows = {
    .dim = {1, 1, 1, 1, 1, 1, 2, 3},
    .in = {{0, 0, 0, 0, 0, 0, 3, 1}, {0, 0, 0, 0, 0, 0, 0, 1}},
};

static void run(const char *kernel, const void *params, void *const *buf, int64_t begin,
                int64_t end)
{
    const struct kernel_info *k = kernel_find(kernel);

    CHECK(k != NULL);
    k->fn(params, buf, begin, end);
}

TEST(add_stretches_a_row)
{
    float a[6] = {1, 2, 3, 4, 5, 6}, b[3] = {10, 20, 30}, y[6];

    run("add_f32", &rows, (void *[]){a, b, y}, 0, 6);
    CHECK_BYTES(y, ((float[]){11, 22, 33, 14, 25, 36}), sizeof y);
}

TEST(every_partition_gives_the_same_bytes)
{
    float a[6] = {1, 2, 3, 4, 5, 6}, b[3] = {10, 20, 30}, whole[6], parts[6];

    run("sub_f32", &rows, (void *[]){a, b, whole}, 0, 6);
    for (int cut = 0; cut <= 6; cut++) {
        memset(parts, 0, sizeof parts);
        run("sub_f32", &rows, (void *[]){a, b, parts}, cut, 6);
        run("sub_f32", &rows, (void *[]){a, b, parts}, 0, cut);
        CHECK_BYTES(parts, whole, sizeof whole);
    }
}

TEST(an_operand_may_be_overwritten_by_the_result)
{
    float a[6] = {1, 2, 3, 4, 5, 6}, b[3] = {1, 1, 2};

    run("mul_f32", &rows, (void *[]){a, b, a}, 0, 6);
    CHECK_BYTES(a, ((float[]){1, 2, 6, 4, 5, 12}), sizeof a);
}

TEST(contiguous_dims_merge_into_one)
{
    struct k_eltwise p = {.dim = {1, 1, 1, 1, 2, 1, 3, 4},
                          .in = {{0, 0, 0, 0, 12, 0, 4, 1}}};

    lower_merge_dims(&p, 1);
    CHECK_EQ(p.dim[7], 24);
    CHECK_EQ(p.in[0][7], 1);
    for (int d = 0; d < 7; d++)
        CHECK_EQ(p.dim[d], 1);
}

TEST(a_stretched_dim_does_not_merge)
{
    struct k_eltwise p = rows;

    lower_merge_dims(&p, 2);
    CHECK_EQ(p.dim[6], 2);
    CHECK_EQ(p.dim[7], 3);
    CHECK_EQ(p.in[1][6], 0);
}

#define PAIR(type, kernel, x, y_in, want)                                              \
    do {                                                                               \
        type a = (x), b = (y_in), y;                                                   \
        run(kernel, &one, (void *[]){&a, &b, &y}, 0, 1);                               \
        CHECK(y == (want));                                                            \
    } while (0)
#define CAST(from, to, kernel, x, want)                                                \
    do {                                                                               \
        from a = (x);                                                                  \
        to y;                                                                          \
        run(kernel, &one, (void *[]){&a, &y}, 0, 1);                                   \
        CHECK(y == (want));                                                            \
    } while (0)

static const struct k_eltwise one = {.dim = {1, 1, 1, 1, 1, 1, 1, 1}};

TEST(integer_division_never_traps)
{
    PAIR(int32_t, "div_i32", INT32_MIN, -1, INT32_MIN);
    PAIR(int32_t, "div_i32", 7, 0, 0);
    PAIR(int64_t, "div_i64", INT64_MIN, -1, INT64_MIN);
    PAIR(uint8_t, "div_u8", 7, 0, 0);
    PAIR(int32_t, "div_i32", -7, 2, -3);
}

TEST(mod_takes_the_sign_of_the_divisor_and_fmod_of_the_dividend)
{
    PAIR(int32_t, "mod_i32", -4, 3, 2);
    PAIR(int32_t, "fmod_i32", -4, 3, -1);
    PAIR(int32_t, "mod_i32", 4, -3, -2);
    PAIR(int32_t, "mod_i32", INT32_MIN, -1, 0);
    PAIR(float, "fmod_f32", -4.3f, 2.0f, -0.30000019f);
}

TEST(integer_arithmetic_wraps_around)
{
    PAIR(int32_t, "add_i32", INT32_MAX, 1, INT32_MIN);
    PAIR(int8_t, "mul_i8", 64, 2, -128);
    PAIR(uint16_t, "mul_u16", 65535, 65535, 1);
    PAIR(int64_t, "pow_i64", -3, 3, -27);
    PAIR(int32_t, "pow_i32", 2, -1, 0);
    PAIR(uint8_t, "shl_u8", 1, 8, 0);
}

TEST(max_and_min_keep_nan)
{
    const float nan = __builtin_nanf("");
    float y;

    run("max_f32", &one, (void *[]){&(float){1}, &(float){nan}, &y}, 0, 1);
    CHECK(y != y);
    run("min_f32", &one, (void *[]){&(float){nan}, &(float){1}, &y}, 0, 1);
    CHECK(y != y);
}

TEST(casts_from_float_clamp_and_give_zero_for_nan)
{
    CAST(float, uint8_t, "cast_f32_u8", 300.0f, 255);
    CAST(float, uint8_t, "cast_f32_u8", -1.0f, 0);
    CAST(float, int8_t, "cast_f32_i8", -128.9f, -128);
    CAST(float, int32_t, "cast_f32_i32", 3e9f, INT32_MAX);
    CAST(float, int64_t, "cast_f32_i64", -1e30f, INT64_MIN);
    CAST(float, int32_t, "cast_f32_i32", __builtin_nanf(""), 0);
    CAST(double, uint64_t, "cast_f64_u64", 1e30, UINT64_MAX);
    CAST(float, uint8_t, "cast_f32_bool", 0.25f, 1);
    CAST(int32_t, uint8_t, "cast_i32_u8", -1, 255);
    CAST(int32_t, int8_t, "cast_i32_i4", 9, -7);
}

TEST(quantize_rounds_half_to_even_and_clamps)
{
    const struct { float x; uint8_t want; } cases[] = {
        {0.0f, 128}, {0.25f, 128}, {0.75f, 130}, {-0.25f, 128}, {1e9f, 255},
        {-1e9f, 0}, {__builtin_nanf(""), 128},
    };
    float scale = 0.5f;
    uint8_t zero = 128, y;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float x = cases[i].x;
        run("quantize_u8", &one, (void *[]){&x, &scale, &zero, &y}, 0, 1);
        CHECK_EQ(y, cases[i].want);
    }
}

TEST(every_kernel_is_found_by_its_name)
{
    for (int i = 0; i < kernel_count(); i++)
        CHECK(kernel_find(kernel_at(i)->name) == kernel_at(i));
    CHECK(kernel_find("no_such_kernel") == NULL);
}
