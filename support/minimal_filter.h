/* SPDX-License-Identifier: Apache-2.0 */
/* Minimal filtering F(4, 3) along one dimension: four sums of three products each,
 * y_i = d_i g_0 + d_i+1 g_1 + d_i+2 g_2, from six products t_k u_k.
 *
 *     t = B^T d,   u = G g,   m = t u,   y = A^T m
 *
 * of numbers or of vectors: FILTERED is their type, and defined by who includes this.
 *
 * source: Lavin and Gray 2016, arXiv:1509.09308, section 4.3 */

static inline __attribute__((always_inline)) void filter_in(const FILTERED d[6],
                                                            FILTERED t[6])
{
    const FILTERED even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1];
    const FILTERED near = d[4] - d[2], far = 2 * (d[3] - d[1]);

    t[0] = 4 * d[0] - 5 * d[2] + d[4];
    t[1] = even + odd;
    t[2] = even - odd;
    t[3] = near + far;
    t[4] = near - far;
    t[5] = 4 * d[1] - 5 * d[3] + d[5];
}

static inline __attribute__((always_inline)) void filter_taps(const FILTERED g[3],
                                                              FILTERED u[6])
{
    const FILTERED sum = g[0] + g[2], wide = g[0] + 4 * g[2];

    u[0] = g[0] / 4;
    u[1] = -(sum + g[1]) / 6;
    u[2] = -(sum - g[1]) / 6;
    u[3] = (wide + 2 * g[1]) / 24;
    u[4] = (wide - 2 * g[1]) / 24;
    u[5] = g[2];
}

static inline __attribute__((always_inline)) void filter_out(const FILTERED m[6],
                                                             FILTERED y[4])
{
    const FILTERED sum = m[1] + m[2], less = m[1] - m[2];
    const FILTERED sum2 = m[3] + m[4], less2 = m[3] - m[4];

    y[0] = m[0] + sum + sum2;
    y[1] = less + 2 * less2;
    y[2] = sum + 4 * sum2;
    y[3] = less + 8 * less2 + m[5];
}

#undef FILTERED
