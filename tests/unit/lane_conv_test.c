/* SPDX-License-Identifier: Apache-2.0 */
// links: compress
/* Convolutions with channels in vectors are what their definition says. */
#include "tests/test.h"

#include <math.h>
#include <string.h>

#include "compress/lane_conv.h"
#include "compress/lanes.h"
#include "support/random.h"

enum { N = 3, GAP = 5 }; /* samples, and numbers between them that belong to no one */

struct shape {
    int64_t c, o, h, w, kernel, stride, dilation, pad, pad_end;
};

static const struct shape shapes[] = {
    {16, 16, 8, 8, 3, 1, 1, 1, 1},   /* filtering */
    {32, 48, 9, 7, 3, 1, 1, 1, 1},   /* tiles that reach over the end, a block alone */
    {20, 33, 12, 12, 3, 1, 1, 0, 0}, /* channels that fill no block */
    {64, 32, 4, 4, 3, 1, 1, 2, 1},   {16, 32, 9, 9, 3, 2, 1, 1, 1},
    {3, 16, 10, 11, 5, 2, 1, 2, 2},  {16, 64, 8, 8, 1, 2, 1, 0, 0},
    {48, 10, 5, 5, 1, 1, 1, 0, 0},   {4, 7, 11, 9, 3, 1, 2, 2, 2},
};

struct example {
    struct arena *a;
    struct product p;
    int64_t pitch_x, pitch_y;
    float *weights, *scale, *bias, *x;
    bool *gone_in, *gone_out;
};

static float *numbers(struct arena *a, struct random *r, int64_t n)
{
    float *to = arena_new_array(a, float, n);

    for (int64_t i = 0; i < n; i++)
        to[i] = (float)(2 * random_unit(r) - 1);
    return to;
}

static int64_t out_of(const struct shape *s, int64_t n)
{
    return (n + s->pad + s->pad_end - (s->kernel - 1) * s->dilation - 1) / s->stride
           + 1;
}

/* Every third input and every fourth output is gone. */
static struct example make(const struct shape *s, bool some_gone)
{
    struct example e = {.a = arena_create()};
    struct random r = random_seeded(5);
    const int64_t taps = s->kernel * s->kernel;

    e.p = (struct product){.groups = 1,
                           .channels = s->o,
                           .k = s->c * taps,
                           .out = {1, out_of(s, s->h), out_of(s, s->w)}};
    e.p.window = (struct window){.n_spatial = 2,
                                 .batch = 1,
                                 .channels = s->c,
                                 .in = {1, s->h, s->w},
                                 .kernel = {1, s->kernel, s->kernel},
                                 .stride = {1, s->stride, s->stride},
                                 .dilation = {1, s->dilation, s->dilation},
                                 .pad = {0, s->pad, s->pad},
                                 .pad_end = {0, s->pad_end, s->pad_end}};
    e.pitch_x = s->c * s->h * s->w + GAP;
    e.pitch_y = s->o * e.p.out[1] * e.p.out[2] + GAP;
    e.weights = numbers(e.a, &r, s->o * e.p.k);
    e.scale = numbers(e.a, &r, s->o);
    e.bias = numbers(e.a, &r, s->o);
    e.x = numbers(e.a, &r, N * e.pitch_x);
    if (!some_gone)
        return e;
    e.gone_in = arena_new_array(e.a, bool, e.p.k);
    e.gone_out = arena_new_array(e.a, bool, s->o);
    for (int64_t i = 0; i < e.p.k; i++)
        e.gone_in[i] = i / taps % 3 == 1;
    for (int64_t o = 0; o < s->o; o++)
        e.gone_out[o] = o % 4 == 2;
    return e;
}

/* One result, without scale and bias. */
static double sum_of(const struct example *e, int64_t sample, int64_t o, int64_t oy,
                     int64_t ox)
{
    const struct window *w = &e->p.window;
    const int64_t side = w->kernel[1];
    double sum = 0;

    for (int64_t k = 0; k < e->p.k; k++) {
        const int64_t tap = k % (side * side);
        const int64_t y = oy * w->stride[1] + tap / side * w->dilation[1] - w->pad[1];
        const int64_t x = ox * w->stride[2] + tap % side * w->dilation[2] - w->pad[2];

        if (y < 0 || y >= w->in[1] || x < 0 || x >= w->in[2]
            || (e->gone_in && e->gone_in[k]))
            continue;
        sum += (double)e->weights[o * e->p.k + k]
               * (double)e->x[sample * e->pitch_x
                              + (k / side / side * w->in[1] + y) * w->in[2] + x];
    }
    return sum;
}

static float *run(const struct example *e, int64_t n)
{
    float *y = arena_new_array(e->a, float, N * e->pitch_y);
    struct lane_conv *v =
        lane_conv_create(e->a, &e->p, e->weights, e->gone_in, e->gone_out);

    CHECK(v != NULL);
    for (int64_t i = 0; i < N * e->pitch_y; i++)
        y[i] = 77;
    lane_conv_run(v, n, e->x, e->pitch_x, e->scale, e->bias, y, e->pitch_y);
    return y;
}

static void compare(const struct example *e, const float *y)
{
    const int64_t plane = e->p.out[1] * e->p.out[2];

    for (int64_t i = 0; i < N * e->pitch_y; i++) {
        const int64_t sample = i / e->pitch_y, at = i % e->pitch_y, o = at / plane;

        if (o >= e->p.channels || (e->gone_out && e->gone_out[o])) {
            CHECK(y[i] == 77);
            continue;
        }
        const double sum =
            sum_of(e, sample, o, at % plane / e->p.out[2], at % e->p.out[2]);

        CHECK(fabs(y[i] - (e->scale[o] * sum + e->bias[o])) < 1e-4);
    }
}

TEST(convolutions_are_sums_over_windows_whatever_their_shape)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct example e = make(&shapes[i], false);

        compare(&e, run(&e, N));
        arena_destroy(e.a);
    }
}

TEST(inputs_that_are_gone_are_not_read_and_outputs_not_written)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct example e = make(&shapes[i], true);

        compare(&e, run(&e, N));
        arena_destroy(e.a);
    }
}

TEST(a_sample_gives_the_same_bytes_alone_and_among_others)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct example e = make(&shapes[i], false);

        CHECK_BYTES(run(&e, 1), run(&e, N), (size_t)(e.pitch_y - GAP) * sizeof(float));
        arena_destroy(e.a);
    }
}

TEST(what_is_no_such_convolution_is_left_to_others)
{
    struct example e = make(&shapes[0], false);

    e.p.groups = 4;
    CHECK(lane_conv_create(e.a, &e.p, e.weights, NULL, NULL) == NULL);
    e.p.groups = 1;
    e.p.by_rows = true;
    CHECK(lane_conv_create(e.a, &e.p, e.weights, NULL, NULL) == NULL);
    arena_destroy(e.a);
}

/* Steps of 0.5 from -1 to 1.5: halves go to the even step, ends are cut off. */
TEST(codes_are_the_nearest_steps_between_the_limits)
{
    const struct tiles_codes codes = {0.5f, -2, 3};
    float x[19] = {0, 0.24f, 0.25f, 0.26f, 0.75f, -0.25f, -0.9f, -9, 9, 1.3f},
          want[19] = {0, 0, 0, 0.5f, 1, 0, -1, -1, 1.5f, 1.5f}, y[19], sum[19];

    for (int i = 10; i < 19; i++) {
        x[i] = x[i - 10];
        want[i] = want[i - 10];
    }
    lanes_here()->round(19, &codes, x, y);
    for (int i = 0; i < 19; i++)
        CHECK(y[i] == want[i]);
    lanes_here()->add(19, x, y, sum);
    for (int i = 0; i < 19; i++)
        CHECK(sum[i] == x[i] + y[i]);
}
