/* SPDX-License-Identifier: Apache-2.0 */
/* Normalizations.
 *
 *     z = (x - mean) / sqrt(var + eps)      y = scale z + bias      g = scale dy
 *     dx = (g - mean(g) - z mean(g z)) / sqrt(var + eps)
 *     dscale = sum dy z                     dbias = sum dy
 *
 * (Ioffe and Szegedy 2015, arXiv:1502.03167, section 3.)  Means are over a row of
 * LayerNormalization, a group of GroupNormalization, a channel of
 * InstanceNormalization, and over a channel of all samples of the batch for
 * BatchNormalization in training. RMSNormalization has no mean: neither x's nor g's is
 * taken off.
 */
#include <math.h>
#include <tgmath.h>

#include "train/derivatives.h"
#include "train/tiles.h"

enum { X, SCALE, BIAS, MEAN, VARIANCE };

/* ---- rows of a sample ----------------------------------------------------------- */

struct row_norm {
    int64_t rows, row;
    /* scale and bias of element i of row r: entry (r % cycle) * per_row + i / run */
    int64_t cycle, per_row, run;
    real epsilon;
    bool centred;
};

static int64_t inner_of(const struct ir_value *v, int axis)
{
    int64_t n = 1;

    for (int d = axis; d < v->rank; d++)
        n *= v->dim[d];
    return n;
}

struct status *prepare_LayerNorm(struct tape *t, struct tape_step *s)
{
    const struct ir_node *n = s->node;
    struct row_norm *p = arena_new(t->a, struct row_norm);
    const int axis = (int)ir_attr_int(n, "axis", -1);

    for (int i = 1; i < n->n_out; i++)
        if (n->out[i] && n->out[i]->n_uses)
            return FAIL_AT(n, UNSUPPORTED, "training makes no means and deviations");
    p->row = inner_of(n->in[X], axis < 0 ? axis + n->in[X]->rank : axis);
    p->rows = p->row ? ir_count(n->in[X]) / p->row : 0;
    p->cycle = 1;
    p->per_row = 0;
    p->run = 1;
    p->epsilon = ir_attr_float(n, "epsilon", 1e-5f);
    p->centred = n->op == OP_LayerNormalization;
    s->plan = p;
    return OK;
}

struct status *prepare_GroupNorm(struct tape *t, struct tape_step *s)
{
    const struct ir_value *x = s->node->in[X];
    struct row_norm *p = arena_new(t->a, struct row_norm);
    const int64_t groups = s->node->op == OP_GroupNormalization
                               ? ir_attr_int(s->node, "num_groups", 1)
                               : x->dim[1];

    p->rows = x->dim[0] * groups;
    p->row = p->rows ? ir_count(x) / p->rows : 0;
    p->cycle = groups;
    p->per_row = x->dim[1] / groups;
    p->run = inner_of(x, 2);
    p->epsilon = ir_attr_float(s->node, "epsilon", 1e-5f);
    p->centred = true;
    s->plan = p;
    return OK;
}

static int64_t entry(const struct row_norm *p, int64_t row, int64_t i)
{
    return row % p->cycle * p->per_row + i / p->run;
}

struct moments {
    real mean, inverse; /* of the deviation */
};

static struct moments moments_of(const struct row_norm *p, const real *x)
{
    const struct tiles *t = tiles_here();
    struct moments m = {0, 0};

    if (p->centred)
        m.mean = t->sum(p->row, x) / (real)p->row;
    m.inverse = 1 / sqrt(t->spread(p->row, x, m.mean) / (real)p->row + p->epsilon);
    return m;
}

void forward_RowNorm(const struct tape_call *c)
{
    const struct row_norm *p = c->step->plan;
    const real *scale = c->in[SCALE], *bias = c->in[BIAS];

    for (int64_t k = 0; k < c->n * p->rows; k++) {
        const real *x = (const real *)c->in[X] + k * p->row;
        const struct moments m = moments_of(p, x);
        real *y = (real *)c->out[0] + k * p->row;

        for (int64_t i = 0; i < p->row; i++) {
            const int64_t at = entry(p, k % p->rows, i);

            y[i] = (x[i] - m.mean) * m.inverse * (scale ? scale[at] : 1)
                   + (bias ? bias[at] : 0);
        }
    }
}

static void row_back(const struct tape_call *c, int64_t k)
{
    const struct row_norm *p = c->step->plan;
    const real *x = (const real *)c->in[X] + k * p->row, *dy = c->d_out[0] + k * p->row;
    const real *scale = c->in[SCALE];
    const struct moments m = moments_of(p, x);
    real sum = 0, sum_z = 0;

    for (int64_t i = 0; i < p->row; i++) {
        const int64_t at = entry(p, k % p->rows, i);
        const real z = (x[i] - m.mean) * m.inverse;
        const real g = dy[i] * (scale ? scale[at] : 1);

        sum += g;
        sum_z += g * z;
        if (c->d_in[SCALE])
            c->d_in[SCALE][at] += dy[i] * z;
        if (c->d_in[BIAS])
            c->d_in[BIAS][at] += dy[i];
    }
    for (int64_t i = 0; c->d_in[X] && i < p->row; i++) {
        const real z = (x[i] - m.mean) * m.inverse;
        const real g = dy[i] * (scale ? scale[entry(p, k % p->rows, i)] : 1);

        c->d_in[X][k * p->row + i] +=
            m.inverse
            * (g - (p->centred ? sum : 0) / (real)p->row - z * sum_z / (real)p->row);
    }
}

void backward_RowNorm(const struct tape_call *c)
{
    const struct row_norm *p = c->step->plan;

    for (int64_t k = 0; k < c->n * p->rows; k++)
        row_back(c, k);
}

/* ---- BatchNormalization --------------------------------------------------------- */

struct batch_norm {
    int64_t channels, inner;
    real epsilon, momentum;
    int64_t mean_at, variance_at; /* in tape.stat */
    /* Of the batch, by channel; in between by shard and channel. */
    real *mean, *inverse;
    double *shard_mean, *shard_spread; /* sum of (x - mean)^2 */
    double *sum, *sum_z;               /* of dy and of dy z */
    double *shard_sum, *shard_sum_z;
};

static derivative_run_fn measure_batch, measure_gradients;
static void meet_batch(struct tape *t, struct tape_step *s);

static void meet_gradients(struct tape *t, struct tape_step *s);

struct status *prepare_BatchNorm(struct tape *t, struct tape_step *s)
{
    const struct ir_node *n = s->node;
    const struct ir_value *x = n->in[X];
    struct batch_norm *p = arena_new(t->a, struct batch_norm);
    const int64_t channels = x->rank > 1 ? x->dim[1] : 1;

    for (int i = SCALE; i <= VARIANCE; i++)
        if (!n->in[i]->data)
            return FAIL_AT(n, UNSUPPORTED, "training wants constant '%s'",
                           n->in[i]->name);
    if (x->rank < 2 || x->dim[0] != 1)
        return FAIL_AT(n, UNSUPPORTED, "training wants [1, C, ...]");
    *p = (struct batch_norm){.channels = channels,
                             .inner = inner_of(x, 2),
                             .epsilon = ir_attr_float(n, "epsilon", 1e-5f),
                             .momentum = ir_attr_float(n, "momentum", 0.9f)};
    p->mean_at = tape_add_stat(t, n->in[MEAN]);
    p->variance_at = tape_add_stat(t, n->in[VARIANCE]);
    p->mean = arena_new_array(t->a, real, channels);
    p->inverse = arena_new_array(t->a, real, channels);
    p->sum = arena_new_array(t->a, double, channels);
    p->sum_z = arena_new_array(t->a, double, channels);
    p->shard_mean = arena_new_array(t->a, double, channels * t->n_shards);
    p->shard_spread = arena_new_array(t->a, double, channels * t->n_shards);
    p->shard_sum = arena_new_array(t->a, double, channels * t->n_shards);
    p->shard_sum_z = arena_new_array(t->a, double, channels * t->n_shards);
    s->plan = p;
    s->measure = measure_batch;
    s->meet = meet_batch;
    s->measure_back = measure_gradients;
    s->meet_back = meet_gradients;
    return OK;
}

/* Mean and spread of n_a and n_b numbers together (Chan, Golub and LeVeque 1979). */
static void join(double n_a, double *mean_a, double *spread_a, double n_b,
                 double mean_b, double spread_b)
{
    const double n = n_a + n_b, apart = mean_b - *mean_a;

    *spread_a += spread_b + apart * apart * n_a * n_b / n;
    *mean_a += apart * n_b / n;
}

static void measure_batch(const struct tape_call *c)
{
    const struct batch_norm *p = c->step->plan;
    const struct tiles *t = tiles_here();

    for (int64_t k = 0; k < p->channels; k++) {
        double mean = 0, spread = 0;

        for (int64_t s = 0; s < c->n; s++) {
            const real *x = call_in(c, X, s) + k * p->inner;
            const real plane_mean = t->sum(p->inner, x) / (real)p->inner;

            join((double)(s * p->inner), &mean, &spread, (double)p->inner,
                 (double)plane_mean, (double)t->spread(p->inner, x, plane_mean));
        }
        p->shard_mean[c->shard * p->channels + k] = mean;
        p->shard_spread[c->shard * p->channels + k] = spread;
    }
}

static int64_t samples_of(const struct tape *t, int shard)
{
    const int64_t left = t->n - shard * t->shard_size;

    return left < 0 ? 0 : left < t->shard_size ? left : t->shard_size;
}

/* What inference will use follows the batches slowly, with the unbiased variance. */
static void follow(struct tape *t, const struct batch_norm *p, int64_t k, double mean,
                   double variance)
{
    const real share = t->stat_share > 0 ? t->stat_share : 1 - p->momentum;
    real *m = &t->stat[p->mean_at + k], *v = &t->stat[p->variance_at + k];

    *m += share * ((real)mean - *m);
    *v += share * ((real)variance - *v);
}

static void meet_batch(struct tape *t, struct tape_step *s)
{
    struct batch_norm *p = s->plan;
    const double n = (double)(t->n * p->inner);

    for (int64_t k = 0; k < p->channels; k++) {
        double mean = 0, spread = 0, seen = 0;

        for (int c = 0; samples_of(t, c) && c < t->n_shards; c++) {
            const double more = (double)(samples_of(t, c) * p->inner);

            join(seen, &mean, &spread, more, p->shard_mean[c * p->channels + k],
                 p->shard_spread[c * p->channels + k]);
            seen += more;
        }
        p->mean[k] = (real)mean;
        p->inverse[k] = (real)(1 / sqrt(spread / n + (double)p->epsilon));
        follow(t, p, k, mean, n > 1 ? spread / (n - 1) : spread);
    }
}

static struct moments channel_moments(const struct tape *t, const struct batch_norm *p,
                                      int64_t k)
{
    if (t->training)
        return (struct moments){p->mean[k], p->inverse[k]};
    return (struct moments){t->stat[p->mean_at + k],
                            1 / sqrt(t->stat[p->variance_at + k] + p->epsilon)};
}

void forward_BatchNorm(const struct tape_call *c)
{
    const struct batch_norm *p = c->step->plan;
    const real *scale = c->in[SCALE], *bias = c->in[BIAS];

    for (int64_t k = 0; k < p->channels; k++) {
        const struct moments m = channel_moments(c->tape, p, k);
        const real a = m.inverse * scale[k], b = bias[k] - m.mean * a;

        for (int64_t s = 0; s < c->n; s++)
            tiles_here()->line(p->inner, a, call_in(c, X, s) + k * p->inner, b,
                               call_out(c, 0, s) + k * p->inner);
    }
}

static void channel_sums(const struct tape_call *c, int64_t k, double *sum,
                         double *sum_z)
{
    const struct batch_norm *p = c->step->plan;
    const struct moments m = channel_moments(c->tape, p, k);
    const struct tiles *t = tiles_here();

    *sum = *sum_z = 0;
    for (int64_t s = 0; s < c->n; s++) {
        const real *dy = call_d_out(c, 0, s) + k * p->inner;

        *sum += (double)t->sum(p->inner, dy);
        *sum_z +=
            (double)(m.inverse
                     * t->dot(p->inner, dy, call_in(c, X, s) + k * p->inner, m.mean));
    }
}

static void measure_gradients(const struct tape_call *c)
{
    const struct batch_norm *p = c->step->plan;

    for (int64_t k = 0; k < p->channels; k++)
        channel_sums(c, k, &p->shard_sum[c->shard * p->channels + k],
                     &p->shard_sum_z[c->shard * p->channels + k]);
}

static void meet_gradients(struct tape *t, struct tape_step *s)
{
    struct batch_norm *p = s->plan;

    for (int64_t k = 0; k < p->channels; k++) {
        p->sum[k] = p->sum_z[k] = 0;
        for (int c = 0; samples_of(t, c) && c < t->n_shards; c++) {
            p->sum[k] += p->shard_sum[c * p->channels + k];
            p->sum_z[k] += p->shard_sum_z[c * p->channels + k];
        }
    }
}

/* dx = a dy + b x + e, with what the batch's statistics depend on in b and e. */
static void channel_back(const struct tape_call *c, int64_t k)
{
    const struct batch_norm *p = c->step->plan;
    const struct moments m = channel_moments(c->tape, p, k);
    const real a = ((const real *)c->in[SCALE])[k] * m.inverse;
    const real n = (real)(c->tape->n * p->inner);
    real b = 0, e = 0;

    if (c->tape->training) {
        b = -a * m.inverse * (real)p->sum_z[k] / n;
        e = -a * (real)p->sum[k] / n - b * m.mean;
    }
    for (int64_t s = 0; s < c->n; s++)
        tiles_here()->plane(p->inner, a, call_d_out(c, 0, s) + k * p->inner, b,
                            call_in(c, X, s) + k * p->inner, e, !c->fresh[X],
                            call_d_in(c, X, s) + k * p->inner);
}

void backward_BatchNorm(const struct tape_call *c)
{
    const struct batch_norm *p = c->step->plan;

    for (int64_t k = 0; k < p->channels; k++) {
        double sum = p->shard_sum[c->shard * p->channels + k];
        double sum_z = p->shard_sum_z[c->shard * p->channels + k];

        if (!c->tape->training)
            channel_sums(c, k, &sum, &sum_z);
        if (c->d_in[SCALE])
            c->d_in[SCALE][k] += (real)sum_z;
        if (c->d_in[BIAS])
            c->d_in[BIAS][k] += (real)sum;
        if (c->d_in[X])
            channel_back(c, k);
    }
}
