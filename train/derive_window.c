/* SPDX-License-Identifier: Apache-2.0 */
/* Results that are sums of some elements with fixed factors (AveragePool, Resize), and
 * MaxPool, which chooses one of them. */
#include <math.h>
#include <string.h>

#include "frontend/op_window.h"
#include "train/derivatives.h"
#include "train/probe.h"

/* Result j of every plane: the sum over first[j] <= e < first[j + 1] of
 * factor[e] x[from[e]]. */
struct linear {
    int64_t planes, in_plane, out_plane; /* per sample; elements */
    int64_t *first, *from;
    real *factor;
};

/* ---- windows -------------------------------------------------------------------- */

static void add_taps(const struct window *w, const int64_t *out, int64_t j,
                     struct linear *l, bool count_only)
{
    int64_t at[3], n = l->first[j];
    int64_t rest = j;

    for (int d = 2; d >= 0; d--) {
        at[d] = rest % out[d] * w->stride[d] - w->pad[d];
        rest /= out[d];
    }
    for (int64_t tap = 0; tap < w->kernel[0] * w->kernel[1] * w->kernel[2]; tap++) {
        int64_t place = 0, of = tap, position[3];
        bool inside = true;

        for (int d = 2; d >= 0; d--) {
            position[d] = at[d] + of % w->kernel[d] * w->dilation[d];
            of /= w->kernel[d];
            inside &= position[d] >= 0 && position[d] < w->in[d];
        }
        for (int d = 0; d < 3; d++)
            place = place * w->in[d] + position[d];
        if (inside && !count_only)
            l->from[n] = place;
        n += inside;
    }
    l->first[j + 1] = n;
}

static struct status *read_taps(struct tape *t, const struct ir_node *n,
                                struct linear *l)
{
    const struct ir_value *x = n->in[0], *y = n->out[0];
    int64_t out[3] = {1, 1, 1};
    struct window w;

    RETURN_IF_FAIL(window_read(n, x, NULL, &w));
    if (w.channels_last)
        return FAIL_AT(n, UNSUPPORTED, "training wants [N, C, ...]");
    for (int d = 0; d < w.n_spatial; d++)
        out[3 - w.n_spatial + d] = y->dim[2 + d];
    *l = (struct linear){.planes = w.batch * w.channels,
                         .in_plane = w.in[0] * w.in[1] * w.in[2],
                         .out_plane = out[0] * out[1] * out[2]};
    l->first = arena_new_array(t->a, int64_t, l->out_plane + 1);
    for (int64_t j = 0; j < l->out_plane; j++)
        add_taps(&w, out, j, l, true);
    l->from = arena_new_array(t->a, int64_t, l->first[l->out_plane]);
    for (int64_t j = 0; j < l->out_plane; j++)
        add_taps(&w, out, j, l, false);
    return OK;
}

/* On ones, a mean shows how many elements it has divided by. */
static struct status *divide(struct arena *scratch, struct tape *t,
                             const struct ir_node *n, struct linear *l)
{
    const int64_t count = ir_count(n->in[0]);
    float *ones = arena_new_array(scratch, float, count);
    const float *out[1];

    for (int64_t i = 0; i < count; i++)
        ones[i] = 1;
    RETURN_IF_FAIL(probe(scratch, n, 0, ones, out));
    l->factor = arena_new_array(t->a, real, l->first[l->out_plane]);
    for (int64_t j = 0; j < l->out_plane; j++)
        for (int64_t e = l->first[j]; e < l->first[j + 1]; e++)
            l->factor[e] = (real)out[0][j] / (real)(l->first[j + 1] - l->first[j]);
    return OK;
}

struct status *prepare_AveragePool(struct tape *t, struct tape_step *s)
{
    struct linear *l = arena_new(t->a, struct linear);
    struct arena *scratch = arena_create();
    struct status *why = read_taps(t, s->node, l);

    if (!why)
        why = divide(scratch, t, s->node, l);
    s->plan = l;
    arena_destroy(scratch);
    return why;
}

/* ---- Resize --------------------------------------------------------------------- */

/* Along one axis, result i is (1 - part) x[at] + part x[at + 1]. */
struct place {
    int64_t at;
    real part;
};

/* From the axis' own numbers and from the same modulo 2, both interpolated: the whole
 * part is exact in one, the fraction in the other. */
static struct status *places_along(struct arena *a, const struct ir_node *n, int axis,
                                   struct place **out)
{
    const struct ir_value *x = n->in[0], *y = n->out[0];
    const int64_t count = ir_count(x);
    float *numbers = arena_new_array(a, float, count);
    float *parity = arena_new_array(a, float, count);
    const float *whole, *odd;
    int64_t inner = 1, inner_out = 1;

    for (int d = axis + 1; d < x->rank; d++) {
        inner *= x->dim[d];
        inner_out *= y->dim[d];
    }
    for (int64_t i = 0; i < count; i++) {
        numbers[i] = (float)(i / inner % x->dim[axis]);
        parity[i] = (float)(i / inner % x->dim[axis] % 2);
    }
    RETURN_IF_FAIL(probe(a, n, 0, numbers, &whole));
    RETURN_IF_FAIL(probe(a, n, 0, parity, &odd));
    *out = arena_new_array(a, struct place, y->dim[axis]);
    for (int64_t i = 0; i < y->dim[axis]; i++) {
        const float number = whole[i * inner_out], part = odd[i * inner_out];
        struct place p = {(int64_t)number, 0};

        if (number > (float)p.at + 0.999f && (part < 1e-3f || part > 0.999f))
            p.at++; /* a whole number that rounding has made smaller */
        p.part = (real)(p.at % 2 ? 1 - part : part);
        if (p.at + 1 >= x->dim[axis])
            p = (struct place){x->dim[axis] - 1, 0};
        (*out)[i] = p;
    }
    return OK;
}

static void add_corners(const struct ir_node *n, struct place *const *along, int64_t j,
                        struct linear *l, int64_t *n_entries)
{
    const struct ir_value *x = n->in[0], *y = n->out[0];
    struct place at[IR_MAX_RANK];
    int64_t rest = j;

    for (int d = x->rank - 1; d >= 0; d--) {
        at[d] =
            along[d] ? along[d][rest % y->dim[d]] : (struct place){rest % y->dim[d], 0};
        rest /= y->dim[d];
    }
    for (int corner = 0; corner < 1 << x->rank; corner++) {
        int64_t place = 0;
        real factor = 1;

        for (int d = 0; d < x->rank; d++) {
            const int up = corner >> d & 1;

            place = place * x->dim[d] + at[d].at + up;
            factor *= up ? at[d].part : 1 - at[d].part;
        }
        if (factor == 0)
            continue;
        if (l->from) {
            l->from[*n_entries] = place;
            l->factor[*n_entries] = factor;
        }
        ++*n_entries;
    }
    l->first[j + 1] = *n_entries;
}

static struct status *interpolate(struct arena *scratch, struct tape *t,
                                  const struct ir_node *n, struct linear *l)
{
    const struct ir_value *x = n->in[0], *y = n->out[0];
    struct place *along[IR_MAX_RANK] = {NULL};
    int64_t n_entries = 0;

    for (int d = 0; d < x->rank; d++)
        if (x->dim[d] != y->dim[d])
            RETURN_IF_FAIL(places_along(scratch, n, d, &along[d]));
    for (int64_t j = 0; j < l->out_plane; j++)
        add_corners(n, along, j, l, &n_entries);
    l->from = arena_new_array(t->a, int64_t, n_entries);
    l->factor = arena_new_array(t->a, real, n_entries);
    n_entries = 0;
    for (int64_t j = 0; j < l->out_plane; j++)
        add_corners(n, along, j, l, &n_entries);
    return OK;
}

static struct status *repeat_nearest(struct arena *scratch, struct tape *t,
                                     const struct ir_node *n, struct linear *l)
{
    const int64_t *from[1];
    const float *fill[1];

    RETURN_IF_FAIL(probe_moves(scratch, n, 0, from, fill));
    l->from = arena_new_array(t->a, int64_t, l->out_plane);
    l->factor = arena_new_array(t->a, real, l->out_plane);
    for (int64_t j = 0; j < l->out_plane; j++) {
        l->from[j] = from[0][j] < 0 ? 0 : from[0][j];
        l->factor[j] = from[0][j] < 0 ? 0 : 1;
        l->first[j + 1] = j + 1;
    }
    return OK;
}

struct status *prepare_Resize(struct tape *t, struct tape_step *s)
{
    const struct ir_node *n = s->node;
    const char *mode = ir_attr_str(n, "mode", "nearest");
    struct linear *l = arena_new(t->a, struct linear);
    struct arena *scratch;
    struct status *why;

    if (!strcmp(mode, "cubic") || ir_attr_int(n, "antialias", 0)
        || ir_attr_int(n, "channels_last", 0)
        || !strcmp(ir_attr_str(n, "coordinate_transformation_mode", ""),
                   "tf_crop_and_resize"))
        return FAIL_AT(n, UNSUPPORTED, "training knows nearest and linear");
    *l = (struct linear){1, ir_count(n->in[0]), ir_count(n->out[0]), NULL, NULL, NULL};
    l->first = arena_new_array(t->a, int64_t, l->out_plane + 1);
    scratch = arena_create();
    why = strcmp(mode, "linear") == 0 ? interpolate(scratch, t, n, l)
                                      : repeat_nearest(scratch, t, n, l);
    arena_destroy(scratch);
    s->plan = l;
    return why;
}

void forward_Linear(const struct tape_call *c)
{
    const struct linear *l = c->step->plan;

    for (int64_t k = 0; k < c->n * l->planes; k++) {
        const real *x = (const real *)c->in[0] + k * l->in_plane;
        real *y = (real *)c->out[0] + k * l->out_plane;

        for (int64_t j = 0; j < l->out_plane; j++) {
            real sum = 0;

            for (int64_t e = l->first[j]; e < l->first[j + 1]; e++)
                sum += l->factor[e] * x[l->from[e]];
            y[j] = sum;
        }
    }
}

void backward_Linear(const struct tape_call *c)
{
    const struct linear *l = c->step->plan;

    for (int64_t k = 0; k < c->n * l->planes; k++) {
        const real *dy = c->d_out[0] + k * l->out_plane;
        real *dx = c->d_in[0] + k * l->in_plane;

        for (int64_t j = 0; j < l->out_plane; j++)
            for (int64_t e = l->first[j]; e < l->first[j + 1]; e++)
                dx[l->from[e]] += l->factor[e] * dy[j];
    }
}

/* ---- MaxPool -------------------------------------------------------------------- */

struct status *prepare_MaxPool(struct tape *t, struct tape_step *s)
{
    struct linear *l = arena_new(t->a, struct linear);

    if (s->node->n_out > 1 && s->node->out[1] && s->node->out[1]->n_uses)
        return FAIL_AT(s->node, UNSUPPORTED, "training makes no indices");
    s->plan = l;
    s->kept_bytes =
        (size_t)(t->shard_size * ir_count(s->node->out[0])) * sizeof(int32_t);
    return read_taps(t, s->node, l);
}

/* The chosen element of every result is kept. */
void forward_MaxPool(const struct tape_call *c)
{
    const struct linear *l = c->step->plan;
    int32_t *chosen = c->kept;

    for (int64_t k = 0; k < c->n * l->planes; k++) {
        const real *x = (const real *)c->in[0] + k * l->in_plane;
        real *y = (real *)c->out[0] + k * l->out_plane;

        for (int64_t j = 0; j < l->out_plane; j++) {
            int64_t best = l->from[l->first[j]];

            for (int64_t e = l->first[j] + 1; e < l->first[j + 1]; e++)
                if (x[l->from[e]] > x[best])
                    best = l->from[e];
            y[j] = x[best];
            *chosen++ = (int32_t)best;
        }
    }
}

void backward_MaxPool(const struct tape_call *c)
{
    const struct linear *l = c->step->plan;
    const int32_t *chosen = c->kept;

    for (int64_t k = 0; k < c->n * l->planes; k++)
        for (int64_t j = 0; j < l->out_plane; j++)
            c->d_in[0][k * l->in_plane + *chosen++] +=
                c->d_out[0][k * l->out_plane + j];
}
