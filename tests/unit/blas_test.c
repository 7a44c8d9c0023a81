/* SPDX-License-Identifier: Apache-2.0 */
// links: support
/* OpenBLAS behind support/blas.h: what goes where, on matrices of two rows. */
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>

#include "support/blas.h"
#include "support/random.h"

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-12 * (1 + fabs(b));
}

/* The first test: the library is loaded once. */
TEST(a_core_that_the_processor_cannot_run_is_not_followed)
{
    setenv("OPENBLAS_CORETYPE", "SkylakeX", 1);
    CHECK_OK(blas_open()); /* multiplies once */
}

/* [1 2 3; 4 5 6] [1 0; 0 1; 1 1] = [4 5; 10 11], doubled and 1 added. */
TEST(gemm_multiplies_rows_by_columns_and_adds_to_what_is_there)
{
    const float a[] = {1, 2, 3, 4, 5, 6}, b[] = {1, 0, 0, 1, 1, 1};
    const double ad[] = {1, 2, 3, 4, 5, 6}, bd[] = {1, 0, 0, 1, 1, 1};
    const float want[] = {9, 11, 21, 23};
    float c[] = {1, 1, 1, 1};
    double cd[] = {1, 1, 1, 1};

    CHECK_OK(blas_open());
    blas_sgemm(BLAS_PLAIN, BLAS_PLAIN, 2, 2, 3, 2, a, 3, b, 2, 1, c, 2);
    blas_dgemm(BLAS_PLAIN, BLAS_PLAIN, 2, 2, 3, 2, ad, 3, bd, 2, 1, cd, 2);
    for (int i = 0; i < 4; i++) {
        CHECK(c[i] == want[i]);
        CHECK(cd[i] == want[i]);
    }
}

/* The same product, both operands stored transposed; c's NaN is not read. */
TEST(gemm_reads_transposed_operands)
{
    const float a[] = {1, 4, 2, 5, 3, 6}, b[] = {1, 0, 1, 0, 1, 1};
    const double ad[] = {1, 4, 2, 5, 3, 6}, bd[] = {1, 0, 1, 0, 1, 1};
    const float want[] = {4, 5, 10, 11};
    float c[] = {NAN, NAN, NAN, NAN};
    double cd[] = {NAN, NAN, NAN, NAN};

    CHECK_OK(blas_open());
    blas_sgemm(BLAS_TRANSPOSED, BLAS_TRANSPOSED, 2, 2, 3, 1, a, 2, b, 3, 0, c, 2);
    blas_dgemm(BLAS_TRANSPOSED, BLAS_TRANSPOSED, 2, 2, 3, 1, ad, 2, bd, 3, 0, cd, 2);
    for (int i = 0; i < 4; i++) {
        CHECK(c[i] == want[i]);
        CHECK(cd[i] == want[i]);
    }
}

/* Three samples of two numbers, (1 2) (3 4) (5 6): squares 35 and 56, product 44. */
TEST(syrk_writes_the_upper_triangle_and_mirror_the_rest)
{
    const float a[] = {1, 2, 3, 4, 5, 6};
    const double ad[] = {1, 2, 3, 4, 5, 6};
    float c[] = {0, 0, -1, 0};
    double cd[] = {0, 0, -1, 0};

    CHECK_OK(blas_open());
    blas_ssyrk(BLAS_TRANSPOSED, 2, 3, 1, a, 2, 0, c, 2);
    blas_dsyrk(BLAS_TRANSPOSED, 2, 3, 1, ad, 2, 0, cd, 2);
    CHECK(c[0] == 35 && c[1] == 44 && c[2] == -1 && c[3] == 56);
    CHECK(cd[0] == 35 && cd[1] == 44 && cd[2] == -1 && cd[3] == 56);
    blas_smirror(2, c, 2);
    blas_dmirror(2, cd, 2);
    CHECK(c[2] == 44 && cd[2] == 44);
}

/* [4 2; 2 10] = [2 0; 1 3] [2 1; 0 3]; -7 below the diagonal is not read. */
TEST(cholesky_gives_the_upper_factor)
{
    double a[] = {4, 2, 99, -7, 10, 99};

    CHECK_OK(blas_open());
    CHECK(blas_cholesky(2, a, 3));
    CHECK(near(a[0], 2) && near(a[1], 1) && near(a[4], 3));
    CHECK(a[3] == 0 && a[2] == 99 && a[5] == 99);
}

/* [2 1; 1 1] has the determinant 1, its inverse is [1 -1; -1 2]. */
TEST(inverse_fills_both_triangles)
{
    double a[] = {2, 1, -7, 1};

    CHECK_OK(blas_open());
    CHECK(blas_inverse(2, a, 2));
    CHECK(near(a[0], 1) && near(a[1], -1) && near(a[2], -1) && near(a[3], 2));
}

/* The same matrix: [3 2] becomes [3 2] [1 -1; -1 2], [0 1] becomes its second row. */
TEST(rows_are_divided_by_a_matrix)
{
    double a[] = {2, 1, -7, 1}, b[] = {3, 2, 99, 0, 1, 99};

    CHECK_OK(blas_open());
    CHECK(blas_solve(2, a, 2, 2, b, 3));
    CHECK(near(b[0], 1) && near(b[1], 1) && near(b[3], -1) && near(b[4], 2));
    CHECK(b[2] == 99 && b[5] == 99);
}

TEST(matrices_that_are_not_positive_definite_are_refused)
{
    double saddle[] = {1, 2, 2, 1}, flat[] = {1, 1, 1, 1}, other_flat[] = {1, 1, 1, 1},
           nan[] = {NAN, 0, 0, 1};
    double last[] = {1, NAN, NAN, 1};

    CHECK_OK(blas_open());
    CHECK(!blas_cholesky(2, saddle, 2));
    CHECK(!blas_inverse(2, flat, 2));
    CHECK(!blas_solve(2, other_flat, 2, 1, last, 2));
    CHECK(!blas_cholesky(2, nan, 2));
    CHECK(!blas_cholesky(2, last, 2));
}

TEST(products_without_elements_touch_nothing)
{
    double c = 5;

    CHECK_OK(blas_open());
    blas_dgemm(BLAS_PLAIN, BLAS_PLAIN, 0, 0, 0, 1, &c, 0, &c, 0, 1, &c, 0);
    CHECK(c == 5);
    CHECK(blas_cholesky(0, &c, 0));
}

/* Large enough for the blocked kernels: x^T x + 1, inverted, times itself. */
TEST(inverse_of_a_larger_matrix_is_one)
{
    enum { N = 150 };
    static double x[N][N], a[N][N], inverse[N][N], one[N][N];
    struct random r = random_seeded(1);

    CHECK_OK(blas_open());
    for (int i = 0; i < N * N; i++)
        x[i / N][i % N] = random_unit(&r) - 0.5;
    blas_dsyrk(BLAS_TRANSPOSED, N, N, 1, x[0], N, 0, a[0], N);
    blas_dmirror(N, a[0], N);
    for (int i = 0; i < N; i++)
        a[i][i] += 1;
    memcpy(inverse, a, sizeof a);
    CHECK(blas_inverse(N, inverse[0], N));
    blas_dgemm(BLAS_PLAIN, BLAS_PLAIN, N, N, N, 1, a[0], N, inverse[0], N, 0, one[0],
               N);
    for (int i = 0; i < N * N; i++)
        CHECK(near(one[i / N][i % N], i / N == i % N));
}

TEST(the_core_is_the_widest_that_the_processor_has)
{
    CHECK_OK(blas_open());
#if defined __x86_64__
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512dq"))
        CHECK_TEXT(blas_core(), "SkylakeX");
#endif
    CHECK_TEXT(getenv("OPENBLAS_NUM_THREADS"), "1");
}
