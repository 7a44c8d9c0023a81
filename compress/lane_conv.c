/* SPDX-License-Identifier: Apache-2.0 */
/* See lane_conv.h.
 *
 *     planes --gather--> pictures with zeros around, 16 channels side by side
 *     direct       every result pixel is a sum over taps and channels of its picture
 *     filtering    tiles of 6 x 6 pixels become 36 operands, these 36 sums, these tiles
 *                  of 4 x 4 results
 *     results --scatter--> planes
 */
#include "compress/lane_conv.h"

#include "compress/lanes.h"

enum { TILE = 4, MOST_SAMPLES = 32, PAIR = 2 * LANES_BLOCK };

/* Of the pictures of samples that go through together: half of a common L2. */
static const int64_t MOST_BYTES = 768 << 10;

/* Operands and sums of tiles that are filtered together: they stay in a cache from one
 * step to the next, unless the weights are so many that they have to be read rarely. */
static const int64_t MOST_SPAN_BYTES = 96 << 10;
enum { WEIGHTS_BY_SPAN = 4 };

/* Vector operations for a tile of 16 channels, besides the products. */
enum { COST_IN = 220, COST_OUT = 160 };

/* Pictures of samples side by side; channels in whole blocks. */
struct picture {
    int64_t channels, pitch, sample; /* of a pixel, of a row, of a picture: numbers */
    const int64_t *where;            /* of pixels of a plane */
    float *at;
};

struct lane_conv {
    const struct product *p;
    int64_t c, o;          /* that are there */
    const int64_t *of_in;  /* [c] their numbers */
    const int64_t *of_out; /* [o] */
    int64_t h, w, oh, ow, samples;
    bool filters;
    struct picture in, out;
    int64_t n_taps;
    const int64_t *tap;
    /* Rows of a product: result pixels, or tiles. */
    int64_t rows; /* of a sample */
    const int64_t *row;
    float *weights;      /* [sums][pairs of blocks][n_taps][c][their channels] */
    int64_t n_weights;   /* of a sum */
    float *scale, *bias; /* of `out`'s channels */
    /* Filtering. */
    int64_t span; /* tiles at once */
    const int64_t *tile_in, *tile_out;
    float *operands, *sums;
    int64_t apart_in, apart_out; /* of the 36 */
};

static int64_t blocks(int64_t channels)
{
    return (channels + LANES_BLOCK - 1) / LANES_BLOCK;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t tiles_along(int64_t n)
{
    return (n + TILE - 1) / TILE;
}

/* ---- geometry -------------------------------------------------------------------- */

static bool is_known(const struct product *p)
{
    const struct window *w = &p->window;

    return !p->by_rows && p->groups == 1 && w->batch == 1 && w->in[0] == 1
           && w->kernel[0] == 1 && w->stride[0] == 1 && w->pad[0] == 0 && w->pad[1] >= 0
           && w->pad[2] >= 0;
}

/* Numbers of the channels that are not gone, every step-th of gone[]. */
static const int64_t *list_kept(struct arena *a, int64_t n, const bool *gone,
                                int64_t step, int64_t *n_kept)
{
    int64_t *to = arena_new_array(a, int64_t, n);

    *n_kept = 0;
    for (int64_t i = 0; i < n; i++)
        if (!gone || !gone[i * step])
            to[(*n_kept)++] = i;
    return to;
}

static bool filtering_saves(const struct lane_conv *v)
{
    const struct window *w = &v->p->window;
    const int64_t tiles = tiles_along(v->oh) * tiles_along(v->ow);
    const int64_t in = blocks(v->c), out = blocks(v->o);

    for (int d = 1; d < 3; d++)
        if (w->kernel[d] != 3 || w->stride[d] != 1 || w->dilation[d] != 1)
            return false;
    return tiles * (LANES_SUMS * v->c * out + COST_IN * in + COST_OUT * out)
           < 9 * v->oh * v->ow * v->c * out;
}

/* Where pixel (y, x) of h x w is. */
static const int64_t *places(struct arena *a, const struct picture *p, int64_t h,
                             int64_t w, int64_t top, int64_t left)
{
    int64_t *to = arena_new_array(a, int64_t, h *w);

    for (int64_t i = 0; i < h * w; i++)
        to[i] = (i / w + top) * p->pitch + (i % w + left) * p->channels;
    return to;
}

/* The pixels at (y * step_y, x * step_x) of all samples. */
static const int64_t *grid(struct arena *a, const struct lane_conv *v,
                           const struct picture *p, int64_t h, int64_t w,
                           int64_t step_y, int64_t step_x)
{
    int64_t *to = arena_new_array(a, int64_t, v->samples *h *w);

    for (int64_t i = 0; i < v->samples * h * w; i++)
        to[i] = i / (h * w) * p->sample + i / w % h * step_y * p->pitch
                + i % w * step_x * p->channels;
    return to;
}

static void size_picture(struct picture *p, int64_t channels, int64_t h, int64_t w)
{
    p->channels = blocks(channels) * LANES_BLOCK;
    p->pitch = w * p->channels;
    p->sample = h * p->pitch;
}

/* Rows and columns that are read, at least all that there are. */
static void size_pictures(struct lane_conv *v)
{
    const struct window *w = &v->p->window;
    const int64_t th = tiles_along(v->oh), tw = tiles_along(v->ow);
    const int64_t h = (v->oh - 1) * w->stride[1] + (w->kernel[1] - 1) * w->dilation[1];
    const int64_t wide =
        (v->ow - 1) * w->stride[2] + (w->kernel[2] - 1) * w->dilation[2];

    size_picture(&v->in, v->c,
                 most(v->filters ? TILE * th + 2 : h + 1, w->pad[1] + v->h),
                 most(v->filters ? TILE * tw + 2 : wide + 1, w->pad[2] + v->w));
    size_picture(&v->out, v->o, v->filters ? TILE * th : v->oh,
                 v->filters ? TILE * tw : v->ow);
    v->rows = v->filters ? th * tw : v->oh * v->ow;
}

static void choose_samples(struct lane_conv *v)
{
    const int64_t each = v->in.sample + v->out.sample;

    v->samples = MOST_BYTES / (each * (int64_t)sizeof(float));
    v->samples = v->samples < 1              ? 1
                 : v->samples > MOST_SAMPLES ? MOST_SAMPLES
                                             : v->samples;
}

static void plan_direct(struct arena *a, struct lane_conv *v)
{
    const struct window *w = &v->p->window;
    int64_t *tap;

    v->n_taps = w->kernel[1] * w->kernel[2];
    v->tap = tap = arena_new_array(a, int64_t, v->n_taps);
    for (int64_t i = 0; i < v->n_taps; i++)
        tap[i] = i / w->kernel[2] * w->dilation[1] * v->in.pitch
                 + i % w->kernel[2] * w->dilation[2] * v->in.channels;
    v->row = grid(a, v, &v->in, v->oh, v->ow, w->stride[1], w->stride[2]);
}

static int64_t span_of(const struct lane_conv *v)
{
    const int64_t each =
        LANES_SUMS * (v->in.channels + v->out.channels) * (int64_t)sizeof(float);
    const int64_t weights =
        LANES_SUMS * v->c * v->out.channels * (int64_t)sizeof(float);
    const int64_t n = most(MOST_SPAN_BYTES, weights / WEIGHTS_BY_SPAN) / each;

    return most(n / LANES_ROWS * LANES_ROWS, LANES_ROWS);
}

/* Operands of a multiple of 4096 bytes would share a few lines of a cache. */
static void plan_filtering(struct arena *a, struct lane_conv *v)
{
    const int64_t th = tiles_along(v->oh), tw = tiles_along(v->ow);
    const int64_t n = v->span = span_of(v);
    int64_t *row = arena_new_array(a, int64_t, n);

    v->n_taps = 1;
    v->tap = arena_new_array(a, int64_t, 1);
    for (int64_t i = 0; i < n; i++)
        row[i] = i * v->in.channels;
    v->row = row;
    v->apart_in = n * v->in.channels + LANES_BLOCK;
    v->apart_out = n * v->out.channels + LANES_BLOCK;
    v->operands = arena_new_array(a, float, LANES_SUMS * v->apart_in);
    v->sums = arena_new_array(a, float, LANES_SUMS * v->apart_out);
    v->tile_in = grid(a, v, &v->in, th, tw, TILE, TILE);
    v->tile_out = grid(a, v, &v->out, th, tw, TILE, TILE);
}

/* ---- weights --------------------------------------------------------------------- */

/* Where channel `o` is in a sum's weights, tap t of input c being (t * v->c + c) *
 * *width further. */
static int64_t place_of(const struct lane_conv *v, int64_t o, int64_t *width)
{
    const int64_t pair = o / PAIR * PAIR;

    *width = v->out.channels - pair < PAIR ? LANES_BLOCK : PAIR;
    return pair * v->n_taps * v->c + o % PAIR;
}

static void pack_direct(struct lane_conv *v, const float *weights)
{
    for (int64_t o = 0; o < v->o; o++) {
        const float *from = weights + v->of_out[o] * v->p->k;
        int64_t width, at = place_of(v, o, &width);

        for (int64_t t = 0; t < v->n_taps; t++)
            for (int64_t c = 0; c < v->c; c++, at += width)
                v->weights[at] = from[v->of_in[c] * v->n_taps + t];
    }
}

static void pack_filters(struct lane_conv *v, const float *weights)
{
    for (int64_t o = 0; o < v->o; o += LANES_BLOCK) {
        const int64_t n = v->o - o < LANES_BLOCK ? v->o - o : LANES_BLOCK;
        int64_t width, at = place_of(v, o, &width);

        for (int64_t c = 0; c < v->c; c++, at += width) {
            float taps[9 * LANES_BLOCK] = {0};

            for (int64_t i = 0; i < n; i++) {
                const float *from =
                    weights + v->of_out[o + i] * v->p->k + v->of_in[c] * 9;

                for (int t = 0; t < 9; t++)
                    taps[t * LANES_BLOCK + i] = from[t];
            }
            lanes_here()->to_filter(taps, v->n_weights, v->weights + at);
        }
    }
}

/* ---- running --------------------------------------------------------------------- */

static void gather(const struct lane_conv *v, int64_t n, const float *x, int64_t pitch)
{
    const int64_t plane = v->h * v->w;

    for (int64_t c = 0; c < v->c; c += LANES_BLOCK) {
        const float *planes[LANES_BLOCK];

        for (int64_t s = 0; s < n; s++) {
            for (int i = 0; i < LANES_BLOCK; i++)
                planes[i] =
                    c + i < v->c ? x + s * pitch + v->of_in[c + i] * plane : NULL;
            lanes_here()->gather(plane, planes, v->in.where,
                                 v->in.at + s * v->in.sample + c);
        }
    }
}

static void scatter(const struct lane_conv *v, int64_t n, float *y, int64_t pitch)
{
    const int64_t plane = v->oh * v->ow;

    for (int64_t o = 0; o < v->o; o += LANES_BLOCK) {
        float *planes[LANES_BLOCK];

        for (int64_t s = 0; s < n; s++) {
            for (int i = 0; i < LANES_BLOCK; i++)
                planes[i] =
                    o + i < v->o ? y + s * pitch + v->of_out[o + i] * plane : NULL;
            lanes_here()->scatter(plane, v->out.at + s * v->out.sample + o,
                                  v->out.where, v->scale + o, v->bias + o, planes);
        }
    }
}

/* One sum of n rows and all channels. */
static void multiply(const struct lane_conv *v, int64_t n, const float *x,
                     const float *weights, float *y)
{
    for (int64_t o = 0; o < v->out.channels; o += PAIR) {
        int64_t width;
        const int64_t at = place_of(v, o, &width);
        const struct lanes_product p = {.n = n,
                                        .at = v->row,
                                        .n_taps = v->n_taps,
                                        .c = v->c,
                                        .tap = v->tap,
                                        .x = x,
                                        .w = weights + at,
                                        .y = y + o,
                                        .pitch_y = v->out.channels};

        lanes_here()->product(&p, (int)(width / LANES_BLOCK));
    }
}

/* n tiles from `first` on. */
static void filter(const struct lane_conv *v, int64_t first, int64_t n)
{
    const struct lanes *l = lanes_here();
    const struct lanes_tiles in = {.n = n,
                                   .at = v->tile_in + first,
                                   .row = v->in.pitch,
                                   .pixel = v->in.channels,
                                   .step = v->in.channels,
                                   .apart = v->apart_in};
    const struct lanes_tiles out = {.n = n,
                                    .at = v->tile_out + first,
                                    .row = v->out.pitch,
                                    .pixel = v->out.channels,
                                    .step = v->out.channels,
                                    .apart = v->apart_out};

    for (int64_t c = 0; c < v->in.channels; c += LANES_BLOCK)
        l->to_sums(&in, v->in.at + c, v->operands + c);
    for (int64_t k = 0; k < LANES_SUMS; k++)
        multiply(v, n, v->operands + k * v->apart_in, v->weights + k * v->n_weights,
                 v->sums + k * v->apart_out);
    for (int64_t o = 0; o < v->out.channels; o += LANES_BLOCK)
        l->from_sums(&out, v->sums + o, v->out.at + o);
}

static void run_samples(const struct lane_conv *v, int64_t n, const float *x,
                        int64_t pitch_x, float *y, int64_t pitch_y)
{
    const int64_t rows = n * v->rows;

    gather(v, n, x, pitch_x);
    for (int64_t i = 0; i < rows && v->filters; i += v->span)
        filter(v, i, rows - i < v->span ? rows - i : v->span);
    if (!v->filters)
        multiply(v, rows, v->in.at, v->weights, v->out.at);
    scatter(v, n, y, pitch_y);
}

void lane_conv_run(struct lane_conv *v, int64_t n, const float *x, int64_t pitch_x,
                   const float *scale, const float *bias, float *y, int64_t pitch_y)
{
    for (int64_t o = 0; o < v->o; o++) {
        v->scale[o] = scale[v->of_out[o]];
        v->bias[o] = bias[v->of_out[o]];
    }
    for (int64_t i = 0; i < n; i += v->samples)
        run_samples(v, n - i < v->samples ? n - i : v->samples, x + i * pitch_x,
                    pitch_x, y + i * pitch_y, pitch_y);
}

struct lane_conv *lane_conv_create(struct arena *a, const struct product *p,
                                   const float *weights, const bool *gone_in,
                                   const bool *gone_out)
{
    const struct window *w = &p->window;
    struct lane_conv *v;

    if (!is_known(p))
        return NULL;
    v = arena_new(a, struct lane_conv);
    *v = (struct lane_conv){
        .p = p, .h = w->in[1], .w = w->in[2], .oh = p->out[1], .ow = p->out[2]};
    v->of_in = list_kept(a, w->channels, gone_in, p->k / w->channels, &v->c);
    v->of_out = list_kept(a, p->channels, gone_out, 1, &v->o);
    v->filters = filtering_saves(v);
    size_pictures(v);
    choose_samples(v);
    v->in.at = arena_new_array(a, float, v->samples * v->in.sample);
    v->out.at = arena_new_array(a, float, v->samples * v->out.sample);
    v->in.where = places(a, &v->in, v->h, v->w, w->pad[1], w->pad[2]);
    v->out.where = places(a, &v->out, v->oh, v->ow, 0, 0);
    v->scale = arena_new_array(a, float, v->out.channels);
    v->bias = arena_new_array(a, float, v->out.channels);
    if (v->filters)
        plan_filtering(a, v);
    else
        plan_direct(a, v);
    v->n_weights = v->n_taps * v->c * v->out.channels;
    v->weights =
        arena_new_array(a, float, (v->filters ? LANES_SUMS : 1) * v->n_weights);
    if (v->filters)
        pack_filters(v, weights);
    else
        pack_direct(v, weights);
    return v;
}
