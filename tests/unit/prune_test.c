/* SPDX-License-Identifier: Apache-2.0 */
// links: compress
/* Channels that say what others say go first, and nearly nothing is lost. */
#include "tests/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "compress/prune.h"
#include "frontend/interpret.h"

enum { N_SAMPLES = 24, N_PIXELS = 72, N_CHANNELS = 8 }; /* samples of 2 x 6 x 6 */

#define THREE "kernel_shape=[3,3], strides=[1,1], dilations=[1,1], pads=[1,1,1,1]"

/* Channels 4 to 7 of %a are twice and minus channels 0 to 3. */
static const char text[] = "graph g(%x: f32[1,2,6,6]) {\n"
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

static uint32_t seed_now;

static float draw(void)
{
    seed_now = seed_now * 1664525u + 1013904223u;
    return (float)(seed_now >> 8) / 8388608.0f - 1.0f;
}

static struct ir_graph *make_graph(struct compile *c)
{
    struct ir_graph *g;

    CHECK_OK(ir_parse(c, text, strlen(text), &g));
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

static void write_npy(const char *path)
{
    char header[128];
    FILE *f = fopen(path, "wb");

    memset(header, ' ', sizeof header);
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    const int n = snprintf(
        header + 10, 118,
        "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 2, 6, 6)}", N_SAMPLES);

    header[10 + n] = ' ';
    header[127] = '\n';
    fwrite(header, 1, 128, f);
    seed_now = 9;
    for (int i = 0; i < N_SAMPLES * N_PIXELS; i++) {
        const float x = draw();

        fwrite(&x, sizeof x, 1, f);
    }
    fclose(f);
}

struct set {
    struct arena *a;
    struct dataset *data;
    int64_t sample[N_SAMPLES];
    char path[32];
};

static struct set open_set(const struct ir_graph *g)
{
    struct set s = {.a = arena_create(), .path = "/tmp/prune_test-XXXXXX"};
    struct dataset_options want = {0};
    const int fd = mkstemp(s.path);

    close(fd);
    write_npy(s.path);

    char *npy = arena_printf(s.a, "%s.npy", s.path);

    CHECK_EQ(rename(s.path, npy), 0);
    CHECK_OK(dataset_inputs_of(g, s.a, &want));
    CHECK_OK(dataset_open(npy, &want, s.a, &s.data));
    unlink(npy);
    for (int i = 0; i < N_SAMPLES; i++)
        s.sample[i] = i;
    return s;
}

static void close_set(struct set *s)
{
    dataset_close(s->data);
    arena_destroy(s->a);
}

static void run(struct arena *a, const struct ir_graph *g, const struct set *s,
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
static double difference(const struct ir_graph *g, const struct ir_graph *h,
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

TEST(channels_that_say_what_others_say_cost_nothing)
{
    struct compile *c = compile_create(), *d = compile_create();
    struct ir_graph *g = make_graph(c), *h = make_graph(d);
    struct set s = open_set(g);
    struct prune_options o = {
        .ratio = 0.35, .data = s.data, .n_samples = N_SAMPLES, .sample = s.sample};
    struct pruning *p;

    CHECK_OK(prune_decide(g, &o, s.a, &p));
    CHECK_EQ(p->macs_before, 36 * 8 * 18 + 36 * 6 * 72 + 18);
    CHECK(p->macs_after <= p->macs_before * 65 / 100);
    CHECK(p->units[0].n_kept >= 4 && p->units[0].n_kept < 8);
    CHECK_EQ(p->units[2].n_kept, 3); /* the model's outputs */
    CHECK_OK(prune_apply(d, h, p));
    CHECK_EQ(h->first->in[1]->dim[0], p->units[0].n_kept);
    CHECK(difference(g, h, &s) < 0.02);
    close_set(&s);
    compile_destroy(c);
    compile_destroy(d);
}

static int64_t kept_of_first(enum prune_saliency by, struct prune_tile tile)
{
    struct compile *c = compile_create(), *d = compile_create();
    struct ir_graph *g = make_graph(c), *h = make_graph(d);
    struct set s = open_set(g);
    struct prune_options o = {.ratio = 0.35,
                              .tile = tile,
                              .saliency = by,
                              .data = s.data,
                              .n_samples = N_SAMPLES,
                              .sample = s.sample};
    struct pruning *p;

    CHECK_OK(prune_decide(g, &o, s.a, &p));
    CHECK_OK(prune_apply(d, h, p));
    CHECK(p->macs_after < p->macs_before * 80 / 100);

    const int64_t n = p->units[0].n_kept;

    close_set(&s);
    compile_destroy(c);
    compile_destroy(d);
    return n;
}

/* Each group is tried, and fitted for it. */
TEST(trials_leave_nothing_behind)
{
    struct compile *c = compile_create();
    struct ir_graph *g = make_graph(c);
    struct set s = open_set(g);
    const struct prune_options o = {
        .data = s.data, .n_samples = N_SAMPLES, .sample = s.sample};
    struct pruning *p;

    CHECK_OK(prune_decide(g, &o, s.a, &p));
    CHECK_EQ(p->macs_after, p->macs_before);
    for (int i = 0; i < p->n_units; i++)
        CHECK(!p->units[i].weights && p->units[i].n_kept == p->units[i].channels);
    close_set(&s);
    compile_destroy(c);
}

/* 4 of 8 are 50 % of the multiply-adds, the nearest that there is to 35 %. */
TEST(what_is_left_is_whole_tiles)
{
    CHECK_EQ(kept_of_first(SALIENCY_RECONSTRUCTION, (struct prune_tile){4, 1}), 4);
    CHECK(kept_of_first(SALIENCY_RECONSTRUCTION, (struct prune_tile){1, 1}) > 4);
}

/* A device that takes 1 us for each channel of a convolution over many channels,
 * whatever it sums, and next to nothing for the first one. */
static struct device slow_in_the_second(struct arena *a)
{
    static const double few[] = {1, 8}, all[] = {1e6};
    static double steep[] = {1e3, 8e3}, flat[] = {1};
    struct device d = {.n_kernels = 2};

    d.figures[FIGURE_F32_PEAK].value = 1e12;
    d.figures[FIGURE_MEMORY_BANDWIDTH].value = 1e12;
    d.kernels = arena_new_array(a, struct kernel_table, 2);
    d.kernels[0] =
        (struct kernel_table){WORK_FIRST, 32, 32, {1, 1, 1}, {all, all, all}, flat};
    d.kernels[1] =
        (struct kernel_table){WORK_WINDOW, 32, 32, {2, 1, 1}, {few, all, all}, steep};
    return d;
}

/* Channels of the first convolution cost no accuracy, but spare no time either. */
TEST(channels_that_take_time_go_first)
{
    struct compile *c = compile_create();
    struct ir_graph *g = make_graph(c);
    struct set s = open_set(g);
    const struct device d = slow_in_the_second(s.a);
    struct prune_options o = {.ratio = 0.12,
                              .weight_bits = 32,
                              .activation_bits = 32,
                              .data = s.data,
                              .n_samples = N_SAMPLES,
                              .sample = s.sample};
    struct pruning *p;

    CHECK_OK(prune_decide(g, &o, s.a, &p));
    CHECK(p->units[0].n_kept < 8);
    CHECK_EQ(p->units[1].n_kept, 6);
    o.device = &d;
    CHECK_OK(prune_decide(g, &o, s.a, &p));
    CHECK_EQ(p->units[0].n_kept, 8);
    CHECK(p->units[1].n_kept < 6);
    close_set(&s);
    compile_destroy(c);
}

TEST(every_saliency_leaves_a_network_that_works)
{
    for (int i = 0; prune_saliencies[i]; i++)
        CHECK(kept_of_first((enum prune_saliency)i, (struct prune_tile){0}) <= 8);
}

/* The same channels from a plan give the same weights. */
TEST(a_plan_repeats_it)
{
    struct compile *c = compile_create(), *d = compile_create(), *e = compile_create();
    struct ir_graph *g = make_graph(c), *h = make_graph(d), *k = make_graph(e);
    struct set s = open_set(g);
    struct prune_options o = {
        .ratio = 0.5, .data = s.data, .n_samples = N_SAMPLES, .sample = s.sample};
    struct plan *plan = plan_float(g, "host");
    struct pruning *p, *again;

    CHECK_OK(prune_decide(g, &o, s.a, &p));
    for (int i = 0; i < plan->n_units; i++) {
        plan->units[i].kept =
            p->units[i].n_kept < p->units[i].channels ? p->units[i].kept : NULL;
        plan->units[i].n_kept = p->units[i].n_kept;
    }
    o.plan = plan;
    CHECK_OK(prune_decide(g, &o, s.a, &again));
    CHECK_EQ(again->macs_after, p->macs_after);
    CHECK_OK(prune_apply(d, h, p));
    CHECK_OK(prune_apply(e, k, again));
    CHECK(difference(h, k, &s) == 0.0);
    close_set(&s);
    compile_destroy(c);
    compile_destroy(d);
    compile_destroy(e);
}

TEST(a_plan_that_removes_an_output_of_the_model_is_refused)
{
    struct compile *c = compile_create();
    struct ir_graph *g = make_graph(c);
    struct set s = open_set(g);
    struct plan *plan = plan_float(g, "host");
    const int64_t kept[] = {0, 2};
    const struct prune_options o = {
        .plan = plan, .data = s.data, .n_samples = N_SAMPLES, .sample = s.sample};
    struct pruning *p;

    plan->units[2].kept = kept;
    plan->units[2].n_kept = 2;
    CHECK_FAILS(prune_decide(g, &o, s.a, &p), INVALID,
                "removes channel 1 of unit 'y', which the model does not work without");
    close_set(&s);
    compile_destroy(c);
}
