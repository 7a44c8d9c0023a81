/* SPDX-License-Identifier: Apache-2.0 */
/* Weights in the order in which a convolution's tiles read them. */
#include "codegen/conv_shape.h"
#include "codegen/winograd.h"
#include "codegen/whole.h"

/* Where weights of one block come from: a filter of the model's order, and the taps of
 * the view in it. */
struct pack {
    const struct conv *v; /* the view */
    int64_t filter;       /* floats from one output channel to the next */
    int64_t tap_y,
        tap_x;       /* floats from one kernel row, column of the view to the next */
    int64_t channel; /* floats from one input channel to the next */
};

static int64_t run_source(const struct pack *p, const struct conv_runs *runs,
                          int64_t run, int64_t step)
{
    switch (runs->kind) {
    case RUN_ROW:
        return step / p->v->c_in * p->tap_x + step % p->v->c_in * p->channel;
    case RUN_CHANNELS:
        return run * p->tap_x + step * p->channel;
    case RUN_COLUMNS:
        return run * p->channel + step * p->tap_x;
    }
    return 0;
}

/* [kernel row][run][length / depth][width][depth], the last group of a run being as
 * deep as what is left. */
static void pack_block(const struct pack *p, int64_t width, int depth,
                       const float *from, float *to)
{
    const struct conv_runs runs = conv_runs(p->v, depth);

    for (int64_t y = 0; y < p->v->kh; y++) {
        for (int64_t run = 0; run < runs.n; run++) {
            for (int64_t k = 0; k < runs.length; k += depth) {
                const int64_t deep = min64(depth, runs.length - k);

                for (int64_t d = 0; d < deep; d++) {
                    const float *source =
                        from + y * p->tap_y + run_source(p, &runs, run, k + d);

                    for (int64_t o = 0; o < width; o++)
                        to[o * deep + d] = source[o * p->filter];
                }
                to += width * deep;
            }
        }
    }
}

void conv_pack(const struct conv *c, const struct conv_tiling *t, const float *from,
               float *to)
{
    const struct conv v = conv_view(c, t);
    const struct pack p = {
        .v = &v,
        .filter = c->c_in * c->kh * c->kw,
        .tap_y = t->swapped ? 1 : c->kw,
        .tap_x = t->swapped ? c->kw : 1,
        .channel = c->kh * c->kw,
    };

    if (t->winograd) {
        winograd_pack(c, t, from, to);
        return;
    }
    for (int64_t g = 0; g < c->groups; g++) {
        for (int64_t i = 0; i < conv_whole_blocks(c, t); i++) {
            pack_block(&p, t->block, 1, from, to);
            from += t->block * p.filter;
            to += t->block * p.filter;
        }
        for (int i = 0; i < t->n_tails; i++) {
            pack_block(&p, t->tail[i].width, t->tail[i].depth, from, to);
            from += t->tail[i].width * p.filter;
            to += t->tail[i].width * p.filter;
        }
    }
}
