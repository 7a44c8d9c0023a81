/* SPDX-License-Identifier: Apache-2.0 */
/* Conv: one and two spatial dims, strides, dilations, any pads, groups.  Of three
 * spatial dims: derive_columns.c.
 *
 *     y[o][r][c] = b[o] + sum w[o][i][u][v] x[i][r*sh + u*dh - pt][c*sw + v*dw - pl]
 *
 * A sample is copied into planes: one for each channel and each phase of the strides,
 * padded with zeros, rows at a pitch that inputs and results share.  Then every tap of
 * every channel is the planes at a fixed distance, and all three products are loops of
 * tiles.h over whole planes:
 *
 *     results            rows o, columns positions, sums over (i, u, v)
 *     input gradients    for each phase of the strides: rows i, sums over (o, u, v) of
 *                        the taps that reach it, on planes of dy
 *     weight gradients   rows o, columns (i, u, v), sums over positions and samples
 *
 * Taps of 3 x 3 without strides take the first two by filtering.h, where that pays.
 *
 * The pitch lets the zeros right of a row be those left of the next one.  Positions
 * between rows are computed and dropped: 3 % of 32 x 32, 11 % of 8 x 8.
 */
#include <string.h>

#include "frontend/op_window.h"
#include "train/derivatives.h"
#include "train/filtering.h"
#include "train/tiles.h"

enum { X, W, B };

/* Weight gradients take so many bytes of planes at once: half of a common L2. */
enum { SUMS_BYTES = 512 << 10, MOST_PARTS = 8 };

/* How one channel lies in scratch. */
struct planes {
    int64_t rows, pitch;
    int64_t phase, channel; /* elements from one to the next */
    int64_t top, left;      /* zeros before the first row and column; may be negative */
    int64_t step_h, step_w; /* phases */
};

/* A product over planes: result position (r, c) at r * pitch + c. */
struct job {
    int64_t k;
    int64_t *offset; /* [k] */
    int64_t rows, columns;
    int64_t at;            /* of its packed weights, in those of a group */
    int64_t row0, column0; /* of dx: phase */
};

struct conv {
    int64_t groups, c, o; /* channels of a group */
    int64_t h, w, oh, ow, kh, kw, sh, sw, dh, dw, top, left;
    struct planes in, grad; /* of x, of dy */
    struct job forward;
    int n_back;
    struct job *back;           /* one for each phase */
    int64_t n_weights;          /* of a group */
    real *packed, *packed_back; /* [groups][n_weights] */
    /* Where that is quicker: the results, and the input gradients. */
    bool filters, filters_back;
    struct filtering filter, filter_back;
    real *filter_weights, *filter_back_weights; /* [groups] */
    int64_t parts; /* samples whose weight gradients are summed at once */
};

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Result positions of a job, in whole vectors. */
static int64_t job_width(const struct job *j, const struct planes *p)
{
    const int64_t n = (j->rows - 1) * p->pitch + j->columns;

    return (n + TILES_VECTOR - 1) / TILES_VECTOR * TILES_VECTOR;
}

/* `wide` columns of data after `left` zeros; results are `out` wide and reach `reach`
 * columns to the right. */
static int64_t pitch_for(int64_t left, int64_t wide, int64_t out, int64_t reach)
{
    return most(most(left + wide, out + reach - left), most(out, 1));
}

/* ---- geometry ------------------------------------------------------------------- */

static void plan_forward(struct arena *a, struct conv *v)
{
    struct planes *p = &v->in;
    struct job *j = &v->forward;
    const int64_t reach_h = (v->kh - 1) * v->dh / v->sh;
    const int64_t reach_w = (v->kw - 1) * v->dw / v->sw;

    *p = (struct planes){.rows = v->oh + reach_h,
                         .top = v->top,
                         .left = v->left,
                         .step_h = v->sh,
                         .step_w = v->sw};
    p->pitch = v->sw == 1 ? pitch_for(v->left, v->w, v->ow, reach_w) : v->ow + reach_w;
    p->phase = (p->rows + 1) * p->pitch + reach_w + TILES_VECTOR;
    p->channel = p->phase * v->sh * v->sw;
    *j = (struct job){.k = v->c * v->kh * v->kw, .rows = v->oh, .columns = v->ow};
    j->offset = arena_new_array(a, int64_t, j->k);
    for (int64_t i = 0, k = 0; i < v->c; i++)
        for (int64_t u = 0; u < v->kh; u++)
            for (int64_t t = 0; t < v->kw; t++, k++)
                j->offset[k] =
                    i * p->channel
                    + (u * v->dh % v->sh * v->sw + t * v->dw % v->sw) * p->phase
                    + u * v->dh / v->sh * p->pitch + t * v->dw / v->sw;
}

/* The row of dy, relative to a row of its phase, that tap u brings to dx rows
 * s * i + phase; false when it brings none. */
static bool reaches(int64_t phase, int64_t pad, int64_t tap, int64_t stride,
                    int64_t *out)
{
    const int64_t at = phase + pad - tap;

    *out = floor_div(at, stride);
    return *out * stride == at;
}

struct span {
    int64_t least, most;
};

static struct span span_of(int64_t taps, int64_t dilation, int64_t pad, int64_t stride)
{
    struct span s = {0, 0};
    int64_t at;

    for (int64_t phase = 0; phase < stride; phase++)
        for (int64_t u = 0; u < taps; u++)
            if (reaches(phase, pad, u * dilation, stride, &at)) {
                s.least = at < s.least ? at : s.least;
                s.most = most(s.most, at);
            }
    return s;
}

static void plan_phase(struct arena *a, struct conv *v, struct job *j)
{
    const struct planes *p = &v->grad;
    int64_t row, column;

    j->rows = j->row0 < v->h ? (v->h - j->row0 + v->sh - 1) / v->sh : 0;
    j->columns = j->column0 < v->w ? (v->w - j->column0 + v->sw - 1) / v->sw : 0;
    j->offset = arena_new_array(a, int64_t, v->o * v->kh * v->kw);
    for (int64_t o = 0; o < v->o; o++)
        for (int64_t u = 0; u < v->kh; u++)
            for (int64_t t = 0; t < v->kw; t++)
                if (reaches(j->row0, v->top, u * v->dh, v->sh, &row)
                    && reaches(j->column0, v->left, t * v->dw, v->sw, &column))
                    j->offset[j->k++] =
                        o * p->channel + (row + p->top) * p->pitch + column + p->left;
}

static void plan_backward(struct arena *a, struct conv *v)
{
    struct planes *p = &v->grad;
    const struct span rows = span_of(v->kh, v->dh, v->top, v->sh);
    const struct span columns = span_of(v->kw, v->dw, v->left, v->sw);
    const int64_t ph = (v->h + v->sh - 1) / v->sh, pw = (v->w + v->sw - 1) / v->sw;
    int64_t at = 0;

    *p = (struct planes){
        .top = -rows.least, .left = -columns.least, .step_h = 1, .step_w = 1};
    p->rows = most(ph + rows.most + p->top, 1);
    p->pitch = pitch_for(p->left, v->ow, pw, columns.most + p->left);
    p->phase = (p->rows + 1) * p->pitch + columns.most + p->left + TILES_VECTOR;
    p->channel = p->phase;
    v->n_back = (int)(v->sh * v->sw);
    v->back = arena_new_array(a, struct job, v->n_back);
    for (int i = 0; i < v->n_back; i++) {
        v->back[i].row0 = i / v->sw;
        v->back[i].column0 = i % v->sw;
        v->back[i].at = at;
        plan_phase(a, v, &v->back[i]);
        at += v->back[i].k * v->c;
    }
}

static struct status *read_conv(const struct ir_node *n, struct conv *v)
{
    const struct ir_value *y = n->out[0];
    struct window win;

    RETURN_IF_FAIL(window_read(n, n->in[X], n->in[W]->dim + 2, &win));
    if (win.channels_last || win.batch != 1)
        return FAIL_AT(n, UNSUPPORTED, "training wants [1, C, H, W]");
    v->groups = ir_attr_int(n, "group", 1);
    v->c = win.channels / v->groups;
    v->o = y->dim[1] / v->groups;
    v->h = win.in[1];
    v->w = win.in[2];
    v->oh = win.n_spatial == 2 ? y->dim[2] : 1;
    v->ow = win.n_spatial ? y->dim[y->rank - 1] : 1;
    v->kh = win.kernel[1];
    v->kw = win.kernel[2];
    v->sh = win.stride[1];
    v->sw = win.stride[2];
    v->dh = win.dilation[1];
    v->dw = win.dilation[2];
    v->top = win.pad[1];
    v->left = win.pad[2];
    v->n_weights = v->o * v->c * v->kh * v->kw;
    return OK;
}

/* ---- weights in the order of the loops ------------------------------------------ */

/* [c][(o, taps of the phase)], as the backward job wants it. */
static void gather_phase(const struct conv *v, const struct job *j, const real *w,
                         real *to)
{
    int64_t row, column;

    for (int64_t c = 0; c < v->c; c++)
        for (int64_t o = 0; o < v->o; o++)
            for (int64_t u = 0; u < v->kh; u++)
                for (int64_t t = 0; t < v->kw; t++)
                    if (reaches(j->row0, v->top, u * v->dh, v->sh, &row)
                        && reaches(j->column0, v->left, t * v->dw, v->sw, &column))
                        *to++ = w[((o * v->c + c) * v->kh + u) * v->kw + t];
}

static void pack_weights(struct tape *t, struct tape_step *s)
{
    struct conv *v = s->plan;
    const real *w = t->shard[0].call[s->index].in[W];
    const int64_t taps = v->c * v->kh * v->kw;
    real *plain = v->packed_back + v->groups * v->n_weights;

    for (int64_t g = 0; g < v->groups; g++) {
        const real *group = w + g * v->n_weights;

        tiles_pack(v->o, taps, group, taps, 1, v->packed + g * v->n_weights);
        for (int i = 0; s->back && i < v->n_back; i++) {
            const struct job *j = &v->back[i];

            gather_phase(v, j, group, plain);
            tiles_pack(v->c, j->k, plain, j->k, 1,
                       v->packed_back + g * v->n_weights + j->at);
        }
    }
}

/* ---- the quicker way ------------------------------------------------------------ */

static void plan_filtering(struct arena *a, struct conv *v)
{
    const struct filtering_shape there = {v->c,  v->o,  v->h,   v->w,
                                          v->oh, v->ow, v->top, v->left};
    const struct filtering_shape back = {v->o, v->c, v->oh,      v->ow,
                                         v->h, v->w, 2 - v->top, 2 - v->left};

    if (v->kh != 3 || v->kw != 3 || v->sh * v->sw != 1 || v->dh * v->dw != 1)
        return;
    v->filters = filtering_pays(&there, job_width(&v->forward, &v->in));
    v->filters_back = filtering_pays(&back, job_width(&v->back[0], &v->grad));
    if (v->filters) {
        filtering_plan(a, &there, &v->filter);
        v->filter_weights =
            arena_new_array(a, real, v->groups * filtering_n_packed(&v->filter));
    }
    if (v->filters_back) {
        filtering_plan(a, &back, &v->filter_back);
        v->filter_back_weights =
            arena_new_array(a, real, v->groups * filtering_n_packed(&v->filter_back));
    }
}

static void pack_filters(const struct conv *v, const real *w, bool back)
{
    for (int64_t g = 0; g < v->groups; g++) {
        const real *group = w + g * v->n_weights;

        if (v->filters)
            filtering_pack(&v->filter, group, v->c * 9, 9, false,
                           v->filter_weights + g * filtering_n_packed(&v->filter));
        if (v->filters_back && back)
            filtering_pack(&v->filter_back, group, 9, v->c * 9, true,
                           v->filter_back_weights
                               + g * filtering_n_packed(&v->filter_back));
    }
}

static void refresh_weights(struct tape *t, struct tape_step *s)
{
    const struct conv *v = s->plan;

    pack_filters(v, t->shard[0].call[s->index].in[W], s->back);
    if (!v->filters || (s->back && !v->filters_back))
        pack_weights(t, s);
}

struct status *prepare_Conv(struct tape *t, struct tape_step *s)
{
    static const struct derivative by_columns = {
        prepare_columns, forward_columns, backward_columns, KEEPS_IN | WRITES, 6};
    struct conv *v = arena_new(t->a, struct conv);
    int64_t results = 0, planes;

    if (s->node->in[W]->rank > 4) {
        s->d = &by_columns;
        return prepare_columns(t, s);
    }
    if (!tape_is_fixed(t, s->node->in[W])
        || (ir_in(s->node, B) && !tape_is_fixed(t, s->node->in[B])))
        return FAIL_AT(s->node, UNSUPPORTED, "training wants constant weights");
    RETURN_IF_FAIL(read_conv(s->node, v));
    plan_forward(t->a, v);
    plan_backward(t->a, v);
    v->packed = arena_new_array(t->a, real, v->groups * v->n_weights);
    v->packed_back = arena_new_array(t->a, real, (v->groups + 1) * v->n_weights);
    s->plan = v;
    s->refresh = refresh_weights;

    results = most(v->o * job_width(&v->forward, &v->in), 0);
    for (int i = 0; i < v->n_back; i++)
        results = most(results, v->c * job_width(&v->back[i], &v->grad));
    /* Weight gradients: planes of x, and dy at their pitch. */
    planes = v->c * v->in.channel + v->o * job_width(&v->forward, &v->in);
    v->parts = SUMS_BYTES / (planes * (int64_t)sizeof(real));
    v->parts = v->parts < 1 ? 1 : v->parts > MOST_PARTS ? MOST_PARTS : v->parts;
    planes = most(planes * v->parts,
                  most(v->c * v->in.channel, v->o * v->grad.channel) + results);
    plan_filtering(t->a, v);
    planes = most(planes, most(v->filter.n_scratch, v->filter_back.n_scratch));
    s->scratch_bytes = (size_t)planes * sizeof(real);
    return OK;
}

/* ---- copies --------------------------------------------------------------------- */

/* Row `from` of `w` elements, element step_w * c + phase - left at column c. */
static void copy_row(const struct planes *p, int64_t w, int64_t phase, const real *from,
                     real *to)
{
    int64_t first = floor_div(p->left - phase + p->step_w - 1, p->step_w), end;

    first = first < 0 ? 0 : first < p->pitch ? first : p->pitch;
    end = floor_div(w - 1 + p->left - phase, p->step_w) + 1;
    end = end < first ? first : end < p->pitch ? end : p->pitch;
    memset(to, 0, (size_t)first * sizeof *to);
    memset(to + end, 0, (size_t)(p->pitch - end) * sizeof *to);
    from += phase - p->left;
    if (p->step_w == 1)
        memcpy(to + first, from + first, (size_t)(end - first) * sizeof *to);
    else
        for (int64_t c = first; c < end; c++)
            to[c] = from[c * p->step_w];
}

/* A plane without strides: zeros above, rows, zeros below. */
static void fill_plane(const struct planes *p, int64_t h, int64_t w, const real *from,
                       real *to)
{
    const int64_t first = most(p->top, 0), skipped = most(-p->top, 0);
    const int64_t end = first + h - skipped < p->rows ? first + h - skipped : p->rows;
    const int64_t rows = most(end - first, 0);

    memset(to, 0, (size_t)(first * p->pitch) * sizeof *to);
    tiles_here()->pad(rows, w, from + skipped * w, p->left, p->pitch,
                      to + first * p->pitch);
    to += (first + rows) * p->pitch;
    memset(to, 0, (size_t)(p->phase - (first + rows) * p->pitch) * sizeof *to);
}

/* No row is cut off. */
static bool is_plain(const struct planes *p, int64_t w)
{
    return p->step_h == 1 && p->step_w == 1 && p->left >= 0 && p->left + w <= p->pitch
           && p->top <= p->rows;
}

/* Channels of h x w into planes. */
static void fill_planes(const struct planes *p, int64_t channels, int64_t h, int64_t w,
                        const real *from, real *to)
{
    for (int64_t i = 0; i < channels && is_plain(p, w); i++)
        fill_plane(p, h, w, from + i * h * w, to + i * p->channel);
    for (int64_t i = 0; i < channels && !is_plain(p, w); i++)
        for (int64_t phase = 0; phase < p->step_h * p->step_w; phase++) {
            real *plane = to + i * p->channel + phase * p->phase;

            for (int64_t r = 0; r < p->rows; r++) {
                const int64_t row = r * p->step_h + phase / p->step_w - p->top;

                if (row >= 0 && row < h)
                    copy_row(p, w, phase % p->step_w, from + (i * h + row) * w,
                             plane + r * p->pitch);
                else
                    memset(plane + r * p->pitch, 0, (size_t)p->pitch * sizeof *plane);
            }
            memset(plane + p->rows * p->pitch, 0,
                   (size_t)(p->phase - p->rows * p->pitch) * sizeof *plane);
        }
}

/* ---- the three products --------------------------------------------------------- */

static void forward_filtered(const struct tape_call *c)
{
    const struct conv *v = c->step->plan;
    const real *bias = c->in[B];

    for (int64_t g = 0; g < v->groups; g++)
        filtering_run(&v->filter, c->n,
                      v->filter_weights + g * filtering_n_packed(&v->filter),
                      call_in(c, X, 0) + g * v->c * v->h * v->w, c->in_count[X],
                      bias ? bias + g * v->o : NULL, false,
                      call_out(c, 0, 0) + g * v->o * v->oh * v->ow,
                      v->groups * v->o * v->oh * v->ow, c->scratch);
}

static void forward_direct(const struct tape_call *c)
{
    const struct conv *v = c->step->plan;
    const struct tiles *tiles = tiles_here();
    const struct job *j = &v->forward;
    const int64_t width = job_width(j, &v->in), plane = v->oh * v->ow;
    const real *bias = c->in[B];
    real *planes = c->scratch, *result = planes + v->c * v->in.channel;

    for (int64_t s = 0; s < c->n; s++)
        for (int64_t g = 0; g < v->groups; g++) {
            fill_planes(&v->in, v->c, v->h, v->w,
                        call_in(c, X, s) + g * v->c * v->h * v->w, planes);
            tiles->products(v->o, width, j->k, v->packed + g * v->n_weights, j->offset,
                            planes, result, width);
            for (int64_t o = 0; o < v->o; o++)
                tiles->unpad(v->oh, v->ow, result + o * width, v->in.pitch,
                             bias ? bias[g * v->o + o] : 0, false,
                             call_out(c, 0, s) + (g * v->o + o) * plane);
        }
}

void forward_Conv(const struct tape_call *c)
{
    const struct conv *v = c->step->plan;

    if (v->filters)
        forward_filtered(c);
    else
        forward_direct(c);
}

/* Results of a phase to where they belong in a channel of dx. */
static void scatter(const struct conv *v, const struct job *j, bool fresh,
                    const real *from, real *dx)
{
    if (v->n_back == 1) {
        tiles_here()->unpad(v->h, v->w, from, v->grad.pitch, 0, !fresh, dx);
        return;
    }
    for (int64_t r = 0; r < j->rows; r++) {
        const real *row = from + r * v->grad.pitch;
        real *to = dx + (r * v->sh + j->row0) * v->w + j->column0;

        for (int64_t k = 0; k < j->columns; k++)
            to[k * v->sw] = fresh ? row[k] : to[k * v->sw] + row[k];
    }
}

static void input_gradient(const struct tape_call *c, int64_t s)
{
    const struct conv *v = c->step->plan;
    const int64_t plane = v->oh * v->ow;
    real *planes = c->scratch, *result = planes + v->o * v->grad.channel;

    for (int64_t g = 0; g < v->groups; g++) {
        fill_planes(&v->grad, v->o, v->oh, v->ow,
                    call_d_out(c, 0, s) + g * v->o * plane, planes);
        for (int i = 0; i < v->n_back; i++) {
            const struct job *j = &v->back[i];
            const int64_t width = job_width(j, &v->grad);

            if (!j->rows || !j->columns)
                continue;
            tiles_here()->products(v->c, width, j->k,
                                   v->packed_back + g * v->n_weights + j->at, j->offset,
                                   planes, result, width);
            for (int64_t k = 0; k < v->c; k++)
                scatter(v, j, c->fresh[X], result + k * width,
                        call_d_in(c, X, s) + (g * v->c + k) * v->h * v->w);
        }
    }
}

static void input_gradient_filtered(const struct tape_call *c)
{
    const struct conv *v = c->step->plan;

    for (int64_t g = 0; g < v->groups; g++)
        filtering_run(&v->filter_back, c->n,
                      v->filter_back_weights + g * filtering_n_packed(&v->filter_back),
                      call_d_out(c, 0, 0) + g * v->o * v->oh * v->ow,
                      v->groups * v->o * v->oh * v->ow, NULL, !c->fresh[X],
                      call_d_in(c, X, 0) + g * v->c * v->h * v->w, c->in_count[X],
                      c->scratch);
}

/* dy of a group at the pitch of x's planes, zeros between rows. */
static void spread(const struct conv *v, int64_t width, const real *dy, real *to)
{
    for (int64_t o = 0; o < v->o; o++) {
        const int64_t end = v->oh * v->in.pitch;
        real *row = to + o * width;

        tiles_here()->pad(v->oh, v->ow, dy + o * v->oh * v->ow, 0, v->in.pitch, row);
        for (int64_t i = end - v->in.pitch + v->ow; i < width; i++)
            row[i] = 0;
    }
}

static void weight_gradient(const struct tape_call *c, int64_t first, int64_t n,
                            int64_t g)
{
    const struct conv *v = c->step->plan;
    const int64_t width = job_width(&v->forward, &v->in), plane = v->oh * v->ow;
    const int64_t part_x = v->c * v->in.channel;
    real *x = c->scratch, *d = x + v->parts * part_x;

    for (int64_t s = 0; s < n; s++) {
        fill_planes(&v->in, v->c, v->h, v->w,
                    call_in(c, X, first + s) + g * v->c * v->h * v->w, x + s * part_x);
        spread(v, width, call_d_out(c, 0, first + s) + g * v->o * plane,
               d + s * v->o * width);
    }
    tiles_here()->sums(&(struct tiles_sums){.m = v->o,
                                            .n = width,
                                            .k = v->forward.k,
                                            .parts = n,
                                            .d = d,
                                            .pitch_d = width,
                                            .part_d = v->o * width,
                                            .offset = v->forward.offset,
                                            .x = x,
                                            .part_x = part_x,
                                            .w = c->d_in[W] + g * v->n_weights});
}

static void bias_gradient(const struct tape_call *c, int64_t s)
{
    const struct conv *v = c->step->plan;
    const int64_t plane = v->oh * v->ow;

    for (int64_t o = 0; o < v->groups * v->o; o++) {
        const real *dy = call_d_out(c, 0, s) + o * plane;
        real sum = 0;

        for (int64_t i = 0; i < plane; i++)
            sum += dy[i];
        c->d_in[B][o] += sum;
    }
}

void backward_Conv(const struct tape_call *c)
{
    const struct conv *v = c->step->plan;

    for (int64_t s = 0; s < c->n; s += v->parts)
        for (int64_t g = 0; c->d_in[W] && g < v->groups; g++)
            weight_gradient(c, s, c->n - s < v->parts ? c->n - s : v->parts, g);
    if (c->d_in[X] && v->filters_back)
        input_gradient_filtered(c);
    for (int64_t s = 0; s < c->n; s++) {
        if (c->d_in[X] && !v->filters_back)
            input_gradient(c, s);
        if (c->d_in[B])
            bias_gradient(c, s);
    }
}
