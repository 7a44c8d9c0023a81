/* SPDX-License-Identifier: Apache-2.0 */
/* Loops over vectors: see net_kernels.h.  Where the compiler can, each is built for
 * several generations of a processor and chosen when the program starts (clang 19 ends
 * with an internal error on that). */
#include "search/agents/net_kernels.h"

#if defined __x86_64__ && defined __gnu_linux__ && !defined __SANITIZE_ADDRESS__       \
    && !defined __clang__
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

/* Vectors of y that stay in registers while the inputs go by. */
enum { BLOCK = 8 };

static inline const real_vector *vector_at(const real *at)
{
    return (const real_vector *)at;
}

WIDE void kernel_row(int in, int ld, const real *x, const real *w, const real *b,
                     real *y)
{
    int at = 0;

    for (; at + BLOCK * REAL_LANES <= ld; at += BLOCK * REAL_LANES) {
        real_vector sum[BLOCK];

        for (int k = 0; k < BLOCK; k++)
            sum[k] = *vector_at(b + at + k * REAL_LANES);
        for (int i = 0; i < in; i++) {
            const real *const row = w + (int64_t)i * ld + at;

            if (x[i] == 0)
                continue;
            for (int k = 0; k < BLOCK; k++)
                sum[k] += x[i] * *vector_at(row + k * REAL_LANES);
        }
        for (int k = 0; k < BLOCK; k++)
            *(real_vector *)(y + at + k * REAL_LANES) = sum[k];
    }
    for (; at < ld; at += REAL_LANES) {
        real_vector sum = *vector_at(b + at);

        for (int i = 0; i < in; i++)
            if (x[i] != 0)
                sum += x[i] * *vector_at(w + (int64_t)i * ld + at);
        *(real_vector *)(y + at) = sum;
    }
}

WIDE void kernel_relu(int64_t n, real *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = y[i] > 0 ? y[i] : 0;
}

WIDE void kernel_bias(int rows, int ld, const real *b, bool relu, real *y)
{
    for (int r = 0; r < rows; r++, y += ld)
        if (relu)
            for (int i = 0; i < ld; i++)
                y[i] = y[i] + b[i] > 0 ? y[i] + b[i] : 0;
        else
            for (int i = 0; i < ld; i++)
                y[i] += b[i];
}

WIDE void kernel_sum_rows(int rows, int ld, const real *d, real *out)
{
    for (int r = 0; r < rows; r++, d += ld)
        for (int i = 0; i < ld; i++)
            out[i] += d[i];
}

WIDE double kernel_sum_squares(int64_t n, const real *x)
{
    real_vector sum = {0};
    double total = 0;

    for (int64_t i = 0; i < n; i += REAL_LANES)
        sum += *vector_at(x + i) * *vector_at(x + i);
    for (int k = 0; k < REAL_LANES; k++)
        total += (double)sum[k];
    return total;
}

WIDE void kernel_adam(int64_t n, struct kernel_adam k, const real *g, real *m, real *v,
                      real *w)
{
    const real first = (real)0.9, second = (real)0.999, epsilon = (real)1e-5;

    for (int64_t i = 0; i < n; i++) {
        const real d = g[i] * k.scale;

        m[i] = first * m[i] + (1 - first) * d;
        v[i] = second * v[i] + (1 - second) * d * d;
        w[i] -= k.rate * m[i] / (real_sqrt(v[i] * k.second) + epsilon);
    }
}
