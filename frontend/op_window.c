/* SPDX-License-Identifier: Apache-2.0 */
/* Sliding windows, see op_window.h. */
#include "frontend/op_window.h"

#include <string.h>

#include "frontend/op_help.h"

enum { MAX_SPATIAL = 3, LIMIT = 1 << 30 };

static int64_t effective(int64_t kernel, int64_t dilation)
{
    return (kernel - 1) * dilation + 1;
}

static struct status *read_list(const struct ir_node *n, const char *name, int want,
                                int64_t least, int64_t otherwise, int64_t *out)
{
    int count;
    const int64_t *v = ir_attr_ints(n, name, &count);

    if (v && count && count != want)
        return FAIL_AT(n, INVALID, "%s has %d entries but needs %d", name, count, want);
    for (int i = 0; i < want; i++) {
        out[i] = v && count ? v[i] : otherwise;
        if (out[i] < least || out[i] > LIMIT)
            return FAIL_AT(n, INVALID, "%s has the entry %lld", name,
                           (long long)out[i]);
    }
    return OK;
}

static struct status *spatial_rank(const struct ir_node *n, const struct ir_value *x,
                                   int *out)
{
    *out = x->rank - 2;
    if (*out < 1 || *out > MAX_SPATIAL)
        return FAIL_AT(n, *out > MAX_SPATIAL ? UNSUPPORTED : INVALID,
                       "input '%s' has %d spatial dims; 1 to 3 are possible", x->name,
                       *out);
    return OK;
}

struct status *window_read(const struct ir_node *n, const struct ir_value *x,
                           const int64_t *kernel, struct window *out)
{
    int64_t k[MAX_SPATIAL], s[MAX_SPATIAL], d[MAX_SPATIAL], p[2 * MAX_SPATIAL];
    int rank;

    RETURN_IF_FAIL(spatial_rank(n, x, &rank));
    if (!kernel && !ir_attr(n, "kernel_shape"))
        return FAIL_AT(n, INVALID, "has no kernel_shape");
    RETURN_IF_FAIL(read_list(n, "kernel_shape", rank, 1, 1, k));
    RETURN_IF_FAIL(read_list(n, "strides", rank, 1, 1, s));
    RETURN_IF_FAIL(read_list(n, "dilations", rank, 1, 1, d));
    RETURN_IF_FAIL(read_list(n, "pads", 2 * rank, 0, 0, p));
    if (kernel && ir_attr(n, "kernel_shape")
        && memcmp(k, kernel, (size_t)rank * sizeof *k))
        return FAIL_AT(n, INVALID,
                       "kernel_shape differs from the shape of its weights");
    if (kernel)
        memcpy(k, kernel, (size_t)rank * sizeof *k);

    *out = (struct window){.n_spatial = rank,
                           .channels_last = ir_attr_int(n, "channels_last", 0) != 0,
                           .batch = x->dim[0]};
    out->channels = x->dim[out->channels_last ? rank + 1 : 1];
    for (int i = 0; i < MAX_SPATIAL; i++)
        out->in[i] = out->kernel[i] = out->stride[i] = out->dilation[i] = 1;
    for (int i = 0; i < rank; i++) {
        const int at = MAX_SPATIAL - rank + i;
        out->in[at] = x->dim[out->channels_last ? i + 1 : i + 2];
        out->kernel[at] = k[i];
        out->stride[at] = s[i];
        out->dilation[at] = d[i];
        out->pad[at] = p[i];
        out->pad_end[at] = p[rank + i];
        if (k[i] < 1)
            return FAIL_AT(n, INVALID, "has an empty window");
    }
    return OK;
}

struct status *window_out(const struct ir_node *n, const struct window *w, int d,
                          bool ceil_mode, int64_t *out)
{
    const int64_t room =
        w->in[d] + w->pad[d] + w->pad_end[d] - effective(w->kernel[d], w->dilation[d]);

    if (room < 0)
        return FAIL_AT(n, INVALID,
                       "a window of %lld does not fit %lld elements (with padding)",
                       (long long)effective(w->kernel[d], w->dilation[d]),
                       (long long)(w->in[d] + w->pad[d] + w->pad_end[d]));
    *out = room / w->stride[d] + 1;
    /* One more when elements are left, unless it would start in the end padding. */
    if (ceil_mode && room % w->stride[d] && *out * w->stride[d] < w->in[d] + w->pad[d])
        ++*out;
    return OK;
}

/* SAME_*: as many outputs as ceil(in / stride). */
static void same_pads(const struct window *w, bool upper, int64_t *pads)
{
    for (int i = 0; i < w->n_spatial; i++) {
        const int d = MAX_SPATIAL - w->n_spatial + i;
        const int64_t out = (w->in[d] + w->stride[d] - 1) / w->stride[d];
        const int64_t need = (out - 1) * w->stride[d]
                             + effective(w->kernel[d], w->dilation[d]) - w->in[d];
        const int64_t total = need > 0 ? need : 0;
        pads[i] = upper ? total / 2 : total - total / 2;
        pads[w->n_spatial + i] = total - pads[i];
    }
}

struct status *window_import(struct ir_node *n, const int64_t *kernel)
{
    struct window w;
    const char *auto_pad = ir_attr_str(n, "auto_pad", "NOTSET");
    const bool same =
        !strcmp(auto_pad, "SAME_UPPER") || !strcmp(auto_pad, "SAME_LOWER");
    int64_t pads[2 * MAX_SPATIAL] = {0};

    if (!same && strcmp(auto_pad, "NOTSET") != 0 && strcmp(auto_pad, "VALID") != 0
        && *auto_pad)
        return FAIL_AT(n, INVALID,
                       "auto_pad is '%s', not NOTSET, VALID, SAME_UPPER or SAME_LOWER",
                       auto_pad);
    if (same || !strcmp(auto_pad, "VALID"))
        ir_remove_attr(n, "pads");
    RETURN_IF_FAIL(window_read(n, n->in[0], kernel, &w));
    const int first = MAX_SPATIAL - w.n_spatial;
    memcpy(pads, w.pad + first, (size_t)w.n_spatial * sizeof *pads);
    memcpy(pads + w.n_spatial, w.pad_end + first, (size_t)w.n_spatial * sizeof *pads);
    if (same)
        same_pads(&w, !strcmp(auto_pad, "SAME_UPPER"), pads);
    ir_remove_attr(n, "auto_pad");
    ir_set_attr_ints(n, "kernel_shape", w.n_spatial, w.kernel + first);
    ir_set_attr_ints(n, "strides", w.n_spatial, w.stride + first);
    ir_set_attr_ints(n, "dilations", w.n_spatial, w.dilation + first);
    ir_set_attr_ints(n, "pads", 2 * w.n_spatial, pads);
    return OK;
}

int window_dims(const struct window *w, int64_t channels, const int64_t spatial[3],
                int64_t dim[IR_MAX_RANK])
{
    int at = 0;

    dim[at++] = w->batch;
    if (!w->channels_last)
        dim[at++] = channels;
    for (int i = MAX_SPATIAL - w->n_spatial; i < MAX_SPATIAL; i++)
        dim[at++] = spatial[i];
    if (w->channels_last)
        dim[at++] = channels;
    return at;
}

void window_strides(const struct window *w, int64_t channels, const int64_t spatial[3],
                    int64_t *batch_stride, int64_t *channel_stride,
                    int64_t spatial_stride[3])
{
    int64_t step = w->channels_last ? channels : 1;

    for (int i = MAX_SPATIAL - 1; i >= 0; i--) {
        spatial_stride[i] = step;
        step *= spatial[i];
    }
    *channel_stride = w->channels_last ? 1 : step;
    *batch_stride = w->channels_last ? step : step * channels;
}
