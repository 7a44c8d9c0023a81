/* SPDX-License-Identifier: Apache-2.0 */
/* A small network and samples for it: what tests of compression change and compare.
 * Channels 4 to 7 of %a are twice and minus channels 0 to 3. */
#ifndef HADMC_TESTS_SMALL_NET_H
#define HADMC_TESTS_SMALL_NET_H

#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "frontend/dataset.h"
#include "frontend/interpret.h"
#include "tests/small_samples.h"

enum { N_SAMPLES = 24, N_CHANNELS = 8 };

#define THREE "kernel_shape=[3,3], strides=[1,1], dilations=[1,1], pads=[1,1,1,1]"

static const char small_net[] =
    "graph g(%x: f32[1,2,6,6]) {\n"
    "  %w0 = const f32[8,2,3,3] {*1}\n"
    "  %b0 = const f32[8] {*1}\n"
    "  %w1 = const f32[6,8,3,3] {*1}\n"
    "  %w2 = const f32[3,6] {*1}\n"
    "  %a = Conv(%x, %w0, %b0) {" THREE "} : f32[1,8,6,6]\n"
    "  %c = Conv(%a, %w1) {" THREE "} : f32[1,6,6,6]\n"
    "  %d = Relu(%c) : f32[1,6,6,6]\n"
    "  %m = ReduceMean(%d) {axes=[2,3], keepdims=0} : f32[1,6]\n"
    "  %y = Gemm(%m, %w2) {transB=1} : f32[1,3]\n"
    "  return %y\n"
    "}\n";

static inline struct ir_graph *make_graph(struct compile *c)
{
    struct ir_graph *g;

    CHECK_OK(ir_parse(c, small_net, strlen(small_net), &g));
    seed_now = 3;
    for (struct ir_node *n = g->first; n; n = n->next)
        for (int i = 1; i < n->n_in; i++)
            for (int64_t k = 0; k < ir_count(n->in[i]); k++)
                ((float *)(uintptr_t)n->in[i]->data)[k] = draw();

    float *w = (float *)(uintptr_t)g->first->in[1]->data;
    float *b = (float *)(uintptr_t)g->first->in[2]->data;

    for (int i = 0; i < 4 * 18; i++)
        w[4 * 18 + i] = (i / 18 % 2 ? -1.0f : 2.0f) * w[i];
    for (int i = 0; i < 4; i++)
        b[4 + i] = (i % 2 ? -1.0f : 2.0f) * b[i];
    return g;
}

struct set {
    struct arena *a;
    struct dataset *data;
    int64_t sample[N_SAMPLES];
    char path[32];
};

static inline struct set open_set(const struct ir_graph *g)
{
    struct set s = {.a = arena_create(), .path = "/tmp/small_net-XXXXXX"};
    struct dataset_options want = {0};
    const int fd = mkstemp(s.path);

    close(fd);
    write_samples(s.path, N_SAMPLES);

    char *npy = arena_printf(s.a, "%s.npy", s.path);

    CHECK_EQ(rename(s.path, npy), 0);
    CHECK_OK(dataset_inputs_of(g, s.a, &want));
    CHECK_OK(dataset_open(npy, &want, s.a, &s.data));
    unlink(npy);
    for (int i = 0; i < N_SAMPLES; i++)
        s.sample[i] = i;
    return s;
}

static inline void close_set(struct set *s)
{
    dataset_close(s->data);
    arena_destroy(s->a);
}

static inline void run(struct arena *a, const struct ir_graph *g, const struct set *s,
                       int sample, float *y)
{
    float x[N_PIXELS];
    const struct tensor in = {DT_f32, 4, {1, 2, 6, 6}, x};
    struct interpretation io;

    CHECK_OK(dataset_read(s->data, sample, 0, x));
    CHECK_OK(interpret(a, g, &in, &io));
    memcpy(y, io.by_id[g->out[0]->id].data, 3 * sizeof *y);
}

/* Largest difference of the outputs, as a share of the largest output. */
static inline double difference(const struct ir_graph *g, const struct ir_graph *h,
                                const struct set *s)
{
    double worst = 0.0, most = 0.0;

    for (int i = 0; i < N_SAMPLES; i++) {
        struct arena *a = arena_create();
        float y[3], z[3];

        run(a, g, s, i, y);
        run(a, h, s, i, z);
        for (int k = 0; k < 3; k++) {
            worst = fmax(worst, fabs((double)y[k] - (double)z[k]));
            most = fmax(most, fabs((double)y[k]));
        }
        arena_destroy(a);
    }
    return worst / most;
}

#endif /* HADMC_TESTS_SMALL_NET_H */
