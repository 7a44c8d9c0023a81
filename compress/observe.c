/* SPDX-License-Identifier: Apache-2.0 */
/* See observe.h. */
#include "compress/observe.h"

#include <float.h>
#include <math.h>

enum { SHARES = 70 };

static const double LEAST_SHARE = 0.3, N_BINS = OBSERVE_BINS, N_SHARES = SHARES;
static const double TAILS = 0.00005; /* of the values, on either side */

/* ---- grids ----------------------------------------------------------------------- */

float activation_step(const struct activation_grid *g)
{
    return g->second > 0.0f ? g->second : g->scale;
}

/* Rounds to even as long as the number is below 2^22. */
static float rounded(float x)
{
    return x + 12582912.0f - 12582912.0f;
}

static float limited(float x, float least, float most)
{
    return x < least ? least : x > most ? most : x;
}

void activation_round(const struct activation_grid *g, float *x, int64_t n)
{
    const float inverse = 1.0f / g->scale, zero = (float)g->zero;
    const float least = -128.0f - zero, most = 127.0f - zero;
    const float inverse2 = g->second > 0.0f ? 1.0f / g->second : 0.0f;

    for (int64_t i = 0; i < n; i++) {
        const float first = rounded(limited(x[i] * inverse, least, most)) * g->scale;
        const float rest = limited((x[i] - first) * inverse2, -128.0f, 127.0f);

        x[i] = first + rounded(rest) * g->second;
    }
}

/* ---- what is seen ---------------------------------------------------------------- */

void observe_range(struct observer *o, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (x[i] < o->least && x[i] >= -FLT_MAX)
            o->least = x[i];
        if (x[i] > o->most && x[i] <= FLT_MAX)
            o->most = x[i];
    }
}

void observe_values(struct observer *o, const float *x, int64_t n)
{
    const double width = (double)o->most - (double)o->least;
    const double per_unit = width > 0.0 ? N_BINS / width : 0.0;

    for (int64_t i = 0; i < n; i++) {
        const double at = ((double)x[i] - (double)o->least) * per_unit;

        if (at >= 0.0 && at <= N_BINS)
            o->bin[at < N_BINS ? (int)at : OBSERVE_BINS - 1]++;
    }
}

static double middle(const struct observer *o, int bin)
{
    return (double)o->least
           + ((double)bin + 0.5) * ((double)o->most - (double)o->least) / N_BINS;
}

void observe_join(struct observer *o, const struct observer *other)
{
    struct observer both = {.least = fminf(o->least, other->least),
                            .most = fmaxf(o->most, other->most)};
    const double width = (double)both.most - (double)both.least;
    const struct observer *const parts[] = {o, other};

    for (int p = 0; p < 2; p++)
        for (int i = 0; i < OBSERVE_BINS && width > 0.0; i++) {
            const double at = (middle(parts[p], i) - (double)both.least) / width;
            const int bin = (int)(at * N_BINS);

            both.bin[bin < OBSERVE_BINS ? bin : OBSERVE_BINS - 1] += parts[p]->bin[i];
        }
    *o = both;
}

/* 0 has a code, so that padding and Relu are exact. */
static struct activation_grid grid_of(double least, double most)
{
    const double width = most - least;
    struct activation_grid g = {.scale = 1.0f};

    if (width > 0.0 && (float)(width / 255.0) >= FLT_MIN)
        g.scale = (float)(width / 255.0);
    const double zero = nearbyint(-128.0 - least / (double)g.scale);

    g.zero = zero < -128.0 ? -128 : zero > 127.0 ? 127 : (int32_t)zero;
    return g;
}

/* The rest after the first code is at most half of its scale. */
static struct activation_grid pair_of(double least, double most)
{
    struct activation_grid g =
        grid_of((double)OBSERVE_SPARE * least, (double)OBSERVE_SPARE * most);

    g.second = fmaxf((float)((double)g.scale / 254.0), FLT_MIN);
    return g;
}

static double error_of(const struct observer *o, const struct activation_grid *g)
{
    double sum = 0.0, count = 0.0;

    for (int i = 0; i < OBSERVE_BINS; i++) {
        if (!o->bin[i])
            continue;
        const double x = middle(o, i), n = (double)o->bin[i];
        double q = nearbyint(x / (double)g->scale) + g->zero;

        q = q < -128.0 ? -128.0 : q > 127.0 ? 127.0 : q;
        const double d = x - (double)g->scale * (q - g->zero);

        sum += n * d * d;
        count += n;
    }
    return count > 0.0 ? sum / count : 0.0;
}

/* ---- the calibrators ---------------------------------------------------------------
 */

static struct activation_grid share_of(const struct observer *o, int i)
{
    const double share = LEAST_SHARE + (1.0 - LEAST_SHARE) * i / N_SHARES;

    return grid_of(share * (double)o->least, share * (double)o->most);
}

static struct activation_grid without_tails(const struct observer *o)
{
    const double width = ((double)o->most - (double)o->least) / N_BINS;
    int64_t count = 0, low = 0, high = 0;
    int first = 0, end = OBSERVE_BINS;

    for (int i = 0; i < OBSERVE_BINS; i++)
        count += o->bin[i];
    const double most = TAILS * (double)count;

    while (first < end && (double)(low + o->bin[first]) <= most)
        low += o->bin[first++];
    while (end > first && (double)(high + o->bin[end - 1]) <= most)
        high += o->bin[--end];
    /* 0 stays inside. */
    return grid_of(fmin(0.0, (double)o->least + first * width),
                   fmax(0.0, (double)o->least + end * width));
}

static int code_of(const struct activation_grid *g, double x)
{
    const double code = nearbyint(x / (double)g->scale) + g->zero;

    return code < -128.0 ? -128 : code > 127.0 ? 127 : (int)code;
}

/* Each bin's share against what it has when the values of a code are spread evenly over
 * the bins of that code that hold any. */
static double divergence_of(const struct observer *o, const struct activation_grid *g)
{
    double sum[256] = {0.0}, total = 0.0, divergence = 0.0;
    int used[256] = {0};

    for (int i = 0; i < OBSERVE_BINS; i++) {
        const int code = code_of(g, middle(o, i)) + 128;

        sum[code] += (double)o->bin[i];
        used[code] += o->bin[i] > 0;
        total += (double)o->bin[i];
    }
    for (int i = 0; i < OBSERVE_BINS && total > 0.0; i++) {
        const int code = code_of(g, middle(o, i)) + 128;
        const double p = (double)o->bin[i] / total;

        if (o->bin[i])
            divergence += p * log(p * total * used[code] / sum[code]);
    }
    return divergence;
}

typedef double loss_fn(const struct observer *o, const struct activation_grid *g);

static struct activation_grid best_share(const struct observer *o, loss_fn *loss)
{
    struct activation_grid best = grid_of((double)o->least, (double)o->most);
    double least = loss(o, &best);

    for (int i = 0; i < SHARES; i++) {
        const struct activation_grid g = share_of(o, i);
        const double l = loss(o, &g);

        if (l < least) {
            least = l;
            best = g;
        }
    }
    return best;
}

struct activation_grid observe_choose(const struct observer *o,
                                      enum plan_calibrator calibrator)
{
    struct activation_grid g;

    switch (calibrator) {
    case CALIBRATOR_percentile:
        g = without_tails(o);
        break;
    case CALIBRATOR_mse:
        g = best_share(o, error_of);
        break;
    case CALIBRATOR_entropy:
        g = best_share(o, divergence_of);
        break;
    case CALIBRATOR_pair:
        return pair_of((double)o->least, (double)o->most);
    default:
        g = grid_of((double)o->least, (double)o->most);
    }
    g.error = error_of(o, &g);
    return g;
}
