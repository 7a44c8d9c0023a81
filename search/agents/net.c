/* SPDX-License-Identifier: Apache-2.0 */
/* Networks: see net.h. */
#include "search/agents/net.h"

#include <assert.h>
#include <string.h>

#include "search/agents/net_kernels.h"
#include "search/agents/noise.h"

/* ---- creation ---------------------------------------------------------------------
 */

static double dot(int n, const double *a, const double *b)
{
    double sum = 0;

    for (int i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* q[rows][n], rows <= n, becomes orthonormal: modified Gram-Schmidt. */
static void orthonormalise(int rows, int n, double *q)
{
    for (int r = 0; r < rows; r++) {
        double *const row = q + (int64_t)r * n;

        for (int k = 0; k < r; k++) {
            const double *const other = q + (int64_t)k * n;
            const double share = dot(n, row, other);

            for (int i = 0; i < n; i++)
                row[i] -= share * other[i];
        }

        const double norm = sqrt(dot(n, row, row));

        for (int i = 0; i < n; i++)
            row[i] /= norm;
    }
}

/* w[in][ld], `out` columns of it, orthogonal along its shorter side. */
static void fill_orthogonal(struct random *random, int in, int out, int ld, double gain,
                            real *w)
{
    struct arena *scratch = arena_create();
    const bool wide = in <= out;
    const int rows = wide ? in : out, n = wide ? out : in;
    double *q = arena_new_array(scratch, double, (int64_t)rows *n);

    for (int64_t i = 0; i < (int64_t)rows * n; i++)
        q[i] = noise_normal(random);
    orthonormalise(rows, n, q);
    for (int i = 0; i < in; i++)
        for (int o = 0; o < out; o++)
            w[(int64_t)i * ld + o] =
                (real)(gain * (wide ? q[(int64_t)i * n + o] : q[(int64_t)o * n + i]));
    arena_destroy(scratch);
}

static int64_t place(struct net *n, int64_t count)
{
    const int64_t at = n->n;

    n->n += count;
    return at;
}

static void place_layers(struct net *n)
{
    const struct net_shape *s = &n->shape;
    int width = s->n_in;

    if (s->n_lstm) {
        const int ld = real_padded(s->n_lstm);

        n->lstm = (struct net_lstm){.in = width, .cells = s->n_lstm, .ld = ld};
        n->lstm.wx = place(n, (int64_t)width * 4 * ld);
        n->lstm.wh = place(n, (int64_t)s->n_lstm * 4 * ld);
        n->lstm.b = place(n, 4 * (int64_t)ld);
        width = s->n_lstm;
    }
    n->n_layers = s->n_hidden + 1;
    for (int l = 0; l < n->n_layers; l++) {
        const int out = l < s->n_hidden ? s->hidden[l] : s->n_out,
                  ld = real_padded(out);

        n->layers[l] = (struct net_dense){.in = width, .out = out, .ld = ld};
        n->layers[l].w = place(n, (int64_t)width * ld);
        n->layers[l].b = place(n, ld);
        width = out;
    }
}

static int widest_layer(const struct net *n)
{
    int widest = 0;

    for (int l = 0; l < n->n_layers; l++)
        widest = n->layers[l].ld > widest ? n->layers[l].ld : widest;
    return widest;
}

/* The largest k of a product. */
static int deepest_sum(const struct net *n, int rows)
{
    int deepest = rows;

    for (int l = 0; l < n->n_layers; l++) {
        const struct net_dense *d = &n->layers[l];
        const int depth = d->in > d->out ? d->in : d->out;

        deepest = depth > deepest ? depth : deepest;
    }
    return deepest;
}

int64_t net_size(const struct net_shape *shape)
{
    struct net n = {.shape = *shape};

    place_layers(&n);
    return n.n;
}

static void fill_lstm(struct net *n, struct random *random)
{
    const struct net_lstm *l = &n->lstm;

    for (int gate = 0; gate < 4; gate++) {
        fill_orthogonal(random, l->in, l->cells, 4 * l->ld, 1,
                        n->w + l->wx + gate * l->ld);
        fill_orthogonal(random, l->cells, l->cells, 4 * l->ld, 1,
                        n->w + l->wh + gate * l->ld);
    }
    for (int i = 0; i < l->cells; i++) /* remember at first (Jozefowicz et al. 2015) */
        n->w[l->b + l->ld + i] = 1;
}

struct net *net_create(struct arena *a, const struct net_shape *shape,
                       struct random *random)
{
    struct net *n = arena_new(a, struct net);

    assert(shape->n_hidden <= NET_MAX_HIDDEN && shape->n_in > 0 && shape->n_out > 0);
    n->shape = *shape;
    place_layers(n);
    n->w = arena_new_array(a, real, n->n);
    n->g = arena_new_array(a, real, n->n);
    n->m = arena_new_array(a, real, n->n);
    n->v = arena_new_array(a, real, n->n);
    if (shape->n_lstm && random)
        fill_lstm(n, random);
    for (int l = 0; random && l < n->n_layers; l++)
        fill_orthogonal(random, n->layers[l].in, n->layers[l].out, n->layers[l].ld,
                        l < shape->n_hidden ? sqrt(2) : shape->gain,
                        n->w + n->layers[l].w);
    return n;
}

struct net_pass *net_pass_create(struct arena *a, const struct net *n, int max_rows)
{
    struct net_pass *p = arena_new(a, struct net_pass);
    const int64_t rows = max_rows, cells = rows * n->lstm.ld;

    p->rows = max_rows;
    if (cells) {
        p->lstm_gates = arena_new_array(a, real, 4 * cells);
        p->lstm_d = arena_new_array(a, real, 4 * cells);
        p->lstm_c = arena_new_array(a, real, cells);
        p->lstm_h = arena_new_array(a, real, cells);
        p->lstm_dc = arena_new_array(a, real, cells);
        p->lstm_dh = arena_new_array(a, real, cells);
    }
    for (int l = 0; l < n->n_layers; l++)
        p->y[l] = arena_new_array(a, real, rows * n->layers[l].ld);
    p->scratch =
        arena_new_array(a, real, net_product_scratch(deepest_sum(n, max_rows)));
    return p;
}

int net_out(const struct net *n)
{
    return n->layers[n->n_layers - 1].ld;
}

int net_state(const struct net *n)
{
    return 2 * n->lstm.ld;
}

int net_scratch(const struct net *n)
{
    const int cells = 4 * n->lstm.ld, widest = widest_layer(n);

    return 2 * (cells > widest ? cells : widest);
}

/* ---- forward ----------------------------------------------------------------------
 */

/* z[4 ld] holds the gates' sums and becomes the gates; c and h move on. */
static void cell_step(const struct net_lstm *l, real *z, const real *c_before, real *c,
                      real *h)
{
    real *const i = z, *const f = z + l->ld, *const g = z + 2 * l->ld,
                *const o = z + 3 * l->ld;

    for (int k = 0; k < l->cells; k++) {
        i[k] = real_sigmoid(i[k]);
        f[k] = real_sigmoid(f[k]);
        g[k] = real_tanh(g[k]);
        o[k] = real_sigmoid(o[k]);
        c[k] = (c_before ? f[k] * c_before[k] : 0) + i[k] * g[k];
        h[k] = o[k] * real_tanh(c[k]);
    }
}

static void forward_lstm(const struct net *n, struct net_pass *p)
{
    const struct net_lstm *l = &n->lstm;
    const int b = p->n_sequences, width = 4 * l->ld;
    const int64_t cells = (int64_t)b * l->ld;

    real_gemm(BLAS_PLAIN, BLAS_PLAIN, (int64_t)p->n_steps * b, width, l->in, 1, p->x,
              l->in, n->w + l->wx, width, 0, p->lstm_gates, width);
    net_kernels_here()->bias(p->n_steps * b, width, n->w + l->b, p->lstm_gates);
    for (int t = 0; t < p->n_steps; t++) {
        real *const z = p->lstm_gates + t * 4 * cells, *const h = p->lstm_h + t * cells,
                    *const c = p->lstm_c + t * cells;

        if (t)
            real_gemm(BLAS_PLAIN, BLAS_PLAIN, b, width, l->cells, 1, h - cells, l->ld,
                      n->w + l->wh, width, 1, z, width);
        for (int s = 0; s < b; s++) {
            const int64_t at = (int64_t)s * l->ld;

            cell_step(l, z + 4 * at, t ? c - cells + at : NULL, c + at, h + at);
        }
    }
}

static void forward_dense(const struct net *n, struct net_pass *p,
                          const struct net_dense *d, int rows, const real *x, int x_ld,
                          enum net_product_end end, real *y)
{
    net_kernels_here()->product(&(struct net_product){
        .m = rows,
        .n = d->ld,
        .k = d->in,
        .a = x,
        .a_row = x_ld,
        .a_step = 1,
        .b = n->w + d->w,
        .ldb = d->ld,
        .scratch = p->scratch,
        .c = y,
        .ldc = d->ld,
        .end = end,
        .with = n->w + d->b,
    });
}

const real *net_forward(const struct net *n, struct net_pass *p, int n_steps,
                        int n_sequences, const real *x)
{
    const int rows = n_steps * n_sequences;
    const real *from = x;
    int from_ld = n->shape.n_in;

    assert(rows <= p->rows);
    p->n_steps = n_steps;
    p->n_sequences = n_sequences;
    p->x = x;
    if (n->shape.n_lstm) {
        forward_lstm(n, p);
        from = p->lstm_h;
        from_ld = n->lstm.ld;
    }
    for (int l = 0; l < n->n_layers; l++) {
        const struct net_dense *d = &n->layers[l];

        forward_dense(n, p, d, rows, from, from_ld,
                      l + 1 < n->n_layers ? NET_PRODUCT_RELU : NET_PRODUCT_BIAS,
                      p->y[l]);
        from = p->y[l];
        from_ld = d->ld;
    }
    return from;
}

const real *net_forward_one(const struct net *n, const real *x, real *state,
                            real *scratch)
{
    real *here = scratch, *there = scratch + net_scratch(n) / 2;
    const real *from = x;

    if (n->shape.n_lstm) {
        const struct net_lstm *l = &n->lstm;
        real *const h = state, *const c = state + l->ld;

        net_kernels_here()->row(l->in, 4 * l->ld, x, n->w + l->wx, n->w + l->b, here);
        net_kernels_here()->row(l->cells, 4 * l->ld, h, n->w + l->wh, here, there);
        cell_step(l, there, c, c, h);
        from = h;
    }
    for (int l = 0; l < n->n_layers; l++) {
        const struct net_dense *d = &n->layers[l];

        net_kernels_here()->row(d->in, d->ld, from, n->w + d->w, n->w + d->b, here);
        if (l + 1 < n->n_layers)
            net_kernels_here()->relu(d->ld, here);
        from = here;
        here = there;
        there = (real *)from;
    }
    return from;
}

/* ---- backward ---------------------------------------------------------------------
 */

/* Gradients of one step's gate sums into dz, from dh; dc comes from the step after and
 * goes on to the one before. */
static void cell_gradient(const struct net_lstm *l, const real *z, const real *c_before,
                          const real *c, const real *dh, real *dc, real *dz)
{
    const real *const i = z, *const f = z + l->ld, *const g = z + 2 * l->ld,
                      *const o = z + 3 * l->ld;

    for (int k = 0; k < l->cells; k++) {
        const real squashed = real_tanh(c[k]);
        const real d = dc[k] + dh[k] * o[k] * (1 - squashed * squashed);

        dz[k] = d * g[k] * i[k] * (1 - i[k]);
        dz[l->ld + k] = c_before ? d * c_before[k] * f[k] * (1 - f[k]) : 0;
        dz[2 * l->ld + k] = d * i[k] * (1 - g[k] * g[k]);
        dz[3 * l->ld + k] = dh[k] * squashed * o[k] * (1 - o[k]);
        dc[k] = d * f[k];
    }
}

/* dh[rows][ld] is the gradient of the outputs; destroyed. */
static void backward_lstm(struct net *n, struct net_pass *p, real *dh, real *dx)
{
    const struct net_lstm *l = &n->lstm;
    const int b = p->n_sequences, width = 4 * l->ld, rows = p->n_steps * b;
    const int64_t cells = (int64_t)b * l->ld;

    memset(p->lstm_dc, 0, (size_t)cells * sizeof(real));
    for (int t = p->n_steps - 1; t >= 0; t--) {
        const real *const z = p->lstm_gates + t * 4 * cells, *const c =
                                                                 p->lstm_c + t * cells;
        real *const dz = p->lstm_d + t * 4 * cells, *const d = dh + t * cells;

        for (int s = 0; s < b; s++) {
            const int64_t at = (int64_t)s * l->ld;

            cell_gradient(l, z + 4 * at, t ? c - cells + at : NULL, c + at, d + at,
                          p->lstm_dc + at, dz + 4 * at);
        }
        if (!t)
            break;
        real_gemm(BLAS_PLAIN, BLAS_TRANSPOSED, b, l->cells, width, 1, dz, width,
                  n->w + l->wh, width, 1, d - cells, l->ld);
        real_gemm(BLAS_TRANSPOSED, BLAS_PLAIN, l->cells, width, b, 1,
                  p->lstm_h + (t - 1) * cells, l->ld, dz, width, 1, n->g + l->wh,
                  width);
    }
    real_gemm(BLAS_TRANSPOSED, BLAS_PLAIN, l->in, width, rows, 1, p->x, l->in,
              p->lstm_d, width, 1, n->g + l->wx, width);
    net_kernels_here()->sum_rows(rows, width, p->lstm_d, n->g + l->b);
    if (dx)
        real_gemm(BLAS_PLAIN, BLAS_TRANSPOSED, rows, l->in, width, 1, p->lstm_d, width,
                  n->w + l->wx, width, 0, dx, l->in);
}

/* Of weights and biases.  The first backward pass after net_zero_gradient writes, later
 * ones add. */
static void weight_gradient(struct net *n, const struct net_pass *p,
                            const struct net_dense *d, int rows, const real *x,
                            int x_ld, const real *dy)
{
    net_kernels_here()->product(&(struct net_product){
        .m = d->in,
        .n = d->ld,
        .k = rows,
        .a = x,
        .a_row = 1,
        .a_step = x_ld,
        .b = dy,
        .ldb = d->ld,
        .scratch = p->scratch,
        .c = n->g + d->w,
        .ldc = d->ld,
        .end = n->is_fresh ? NET_PRODUCT_SET : NET_PRODUCT_ADD,
    });
    if (n->is_fresh)
        memset(n->g + d->b, 0, (size_t)d->ld * sizeof(real));
    net_kernels_here()->sum_rows(rows, d->ld, dy, n->g + d->b);
}

/* Of what a layer reads, into dx[rows][ld]; with `is_relu` this holds what a ReLU gave
 * and becomes the gradient of what it read. */
static void input_gradient(const struct net *n, struct net_pass *p,
                           const struct net_dense *d, int rows, const real *dy, int ld,
                           bool is_relu, real *dx)
{
    net_kernels_here()->product(&(struct net_product){
        .m = rows,
        .n = ld,
        .k = d->out,
        .a = dy,
        .a_row = d->ld,
        .a_step = 1,
        .b = n->w + d->w,
        .ldb = d->ld,
        .n_turned = d->in,
        .scratch = p->scratch,
        .c = dx,
        .ldc = ld,
        .end = is_relu ? NET_PRODUCT_MASK : NET_PRODUCT_SET,
    });
}

/* Rows of x and dx are as long as the caller has them. */
static void first_gradient(struct net *n, const struct net_pass *p, int rows,
                           const real *dy, real *dx)
{
    const struct net_dense *d = &n->layers[0];

    weight_gradient(n, p, d, rows, p->x, d->in, dy);
    if (dx)
        real_gemm(BLAS_PLAIN, BLAS_TRANSPOSED, rows, d->in, d->ld, 1, dy, d->ld,
                  n->w + d->w, d->ld, 0, dx, d->in);
}

static void lstm_gradient(struct net *n, struct net_pass *p, int rows, const real *dy,
                          real *dx)
{
    const struct net_dense *d = &n->layers[0];

    weight_gradient(n, p, d, rows, p->lstm_h, n->lstm.ld, dy);
    input_gradient(n, p, d, rows, dy, n->lstm.ld, false, p->lstm_dh);
    if (n->is_fresh) /* what lies before the layers */
        memset(n->g, 0, (size_t)d->w * sizeof(real));
    backward_lstm(n, p, p->lstm_dh, dx);
}

void net_backward(struct net *n, struct net_pass *p, real *d, real *dx)
{
    const int rows = p->n_steps * p->n_sequences;
    real *dy = d;

    for (int l = n->n_layers - 1; l > 0; l--) {
        const int ld = n->layers[l - 1].ld;

        weight_gradient(n, p, &n->layers[l], rows, p->y[l - 1], ld, dy);
        input_gradient(n, p, &n->layers[l], rows, dy, ld, true, p->y[l - 1]);
        dy = p->y[l - 1];
    }
    if (n->shape.n_lstm)
        lstm_gradient(n, p, rows, dy, dx);
    else
        first_gradient(n, p, rows, dy, dx);
    n->is_fresh = false;
}

/* ---- learning ---------------------------------------------------------------------
 */

void net_zero_gradient(struct net *n)
{
    n->is_fresh = true;
}

/* Masked weights neither learn nor move. */
static void keep_masked(const struct net *n, real *values)
{
    for (int64_t i = 0; n->kept && i < n->n; i++)
        if (!n->kept[i])
            values[i] = 0;
}

/* From the end: what the next forward pass reads first is then in the cache. */
static void adam_backwards(struct net *n, struct net_step k)
{
    const int64_t block = 4096;

    for (int64_t end = n->n; end > 0; end -= block) {
        const int64_t at = end > block ? end - block : 0;

        net_kernels_here()->adam(end - at, k, n->g + at, n->m + at, n->v + at,
                                 n->w + at);
    }
}

double net_adam(struct net *n, double rate, double max_norm)
{
    if (n->is_fresh)
        memset(n->g, 0, (size_t)n->n * sizeof *n->g);
    keep_masked(n, n->g);

    const double norm = sqrt(net_kernels_here()->sum_squares(n->n, n->g));
    const double t = (double)++n->steps;
    const struct net_step k = {
        .scale = (real)(max_norm > 0 && norm > max_norm ? max_norm / norm : 1),
        .rate = (real)(rate / (1 - pow(0.9, t))),
        .second = (real)(1 / (1 - pow(0.999, t))),
    };

    adam_backwards(n, k);
    keep_masked(n, n->w);
    return norm;
}

void net_blend(struct net *to, const struct net *from, double share)
{
    const real new = (real)share, old = (real)(1 - share);

    assert(to->n == from->n);
    for (int64_t i = 0; i < to->n; i++)
        to->w[i] = old * to->w[i] + new * from->w[i];
}
