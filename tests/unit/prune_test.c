/* SPDX-License-Identifier: Apache-2.0 */
// links: compress
/* Channels that say what others say go first, and nearly nothing is lost. */
#include "tests/small_net.h"

#include "compress/prune.h"

#define ONE "kernel_shape=[1,1], strides=[1,1], dilations=[1,1], pads=[0,0,0,0]"

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

/* Channel 2 of %a is multiplied by nothing, however large its weights are. */
TEST(taylor_finds_the_channel_that_the_loss_does_not_depend_on)
{
    static const char text[] = "graph g(%x: f32[1,2,6,6]) {\n"
                               "  %w0 = const f32[4,2,1,1] {1,2, -1,1, 90,80, 2,1}\n"
                               "  %b0 = const f32[4] {0, 1, 7, 5}\n"
                               "  %w1 = const f32[2,4,1,1] {1,1,0,2, 3,1,0,-4}\n"
                               "  %a = Conv(%x, %w0, %b0) {" ONE "} : f32[1,4,6,6]\n"
                               "  %c = Conv(%a, %w1) {" ONE "} : f32[1,2,6,6]\n"
                               "  %y = ReduceMean(%c) {axes=[2,3], keepdims=0}\n"
                               "  return %y\n"
                               "}\n";
    struct compile *c = compile_create();
    struct ir_graph *g;
    int *rank, n;

    CHECK_OK(ir_parse(c, text, strlen(text), &g));

    struct set s = open_set(g);
    const struct unit *units = units_find(g, &n);
    const struct channels *ch = channels_find(g, units, n);
    struct prune_options o = {.data = s.data,
                              .n_samples = N_SAMPLES,
                              .sample = s.sample,
                              .saliency = SALIENCY_TAYLOR};
    const int class = ch->of[units[0].node->out[0]->id][1][2];

    CHECK_OK(prune_rank(g, &o, s.a, &rank));
    CHECK_EQ(rank[class], 0);
    o.saliency = SALIENCY_L1;
    CHECK_OK(prune_rank(g, &o, s.a, &rank));
    CHECK_EQ(rank[class], 3);
    close_set(&s);
    compile_destroy(c);
}

/* A device that takes 1 us for each channel of a convolution over many channels,
 * whatever it sums, and next to nothing for the first one. */
static struct device slow_in_the_second(struct arena *a)
{
    static const double few[] = {1, 8}, all[] = {1e6};
    static double steep[] = {1e3, 8e3}, flat[] = {1};
    struct device d = {.n_kernels = 2};

    d.figures[FIGURE_I8_PEAK].value = 1e12;
    d.figures[FIGURE_MEMORY_BANDWIDTH].value = 1e12;
    d.kernels = arena_new_array(a, struct kernel_table, 2);
    d.kernels[0] = (struct kernel_table){
        WORK_FIRST, 8, 8, false, {1, 1, 1}, {all, all, all}, flat};
    d.kernels[1] = (struct kernel_table){
        WORK_WINDOW, 8, 8, false, {2, 1, 1}, {few, all, all}, steep};
    return d;
}

/* Channels of the first convolution cost no accuracy, but spare no time either: that
 * counts more in networks of codes. */
TEST(channels_that_take_time_go_first)
{
    struct compile *c = compile_create();
    struct ir_graph *g = make_graph(c);
    struct set s = open_set(g);
    const struct device d = slow_in_the_second(s.a);
    struct prune_options o = {.ratio = 0.12,
                              .weight_bits = 8,
                              .activation_bits = 8,
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

/* Channel 3 of %a is always 5; with 1 x 1 windows its reader gets 5 w of it. */
TEST(the_mean_of_a_removed_channel_goes_into_the_biases_of_its_readers)
{
    static const char text[] = "graph g(%x: f32[1,2,6,6]) {\n"
                               "  %w0 = const f32[4,2,1,1] {1,2, -1,1, 2,1, 0,0}\n"
                               "  %b0 = const f32[4] {0, 1, 0, 5}\n"
                               "  %w1 = const f32[2,4,1,1] {1,1,-1,2, 3,0,1,-4}\n"
                               "  %b1 = const f32[2] {10, 20}\n"
                               "  %w2 = const f32[3,2] {1,0, 0,1, 1,1}\n"
                               "  %a = Conv(%x, %w0, %b0) {" ONE "} : f32[1,4,6,6]\n"
                               "  %c = Conv(%a, %w1, %b1) {" ONE "} : f32[1,2,6,6]\n"
                               "  %m = ReduceMean(%c) {axes=[2,3], keepdims=0}\n"
                               "  %y = Gemm(%m, %w2) {transB=1} return %y\n"
                               "}\n";
    static const int64_t kept[] = {0, 1, 2};
    struct compile *c = compile_create(), *d = compile_create();
    struct ir_graph *g, *h;
    struct pruning *p;

    CHECK_OK(ir_parse(c, text, strlen(text), &g));
    CHECK_OK(ir_parse(d, text, strlen(text), &h));

    struct set s = open_set(g);
    struct plan *plan = plan_float(g, "host");
    const struct prune_options o = {
        .plan = plan, .data = s.data, .n_samples = N_SAMPLES, .sample = s.sample};

    plan->units[0].kept = kept;
    plan->units[0].n_kept = 3;
    CHECK_OK(prune_decide(g, &o, s.a, &p));
    CHECK(fabsf(p->units[1].bias[0] - (10 + 2 * 5)) < 1e-3f);
    CHECK(fabsf(p->units[1].bias[1] - (20 - 4 * 5)) < 1e-3f);
    CHECK_OK(prune_apply(d, h, p));
    CHECK(difference(g, h, &s) < 1e-4);
    close_set(&s);
    compile_destroy(c);
    compile_destroy(d);
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

/* All channels of the only layer are the model's outputs; another has no layer. */
TEST(a_network_without_channels_to_remove_is_refused)
{
    static const char *const texts[] = {
        "graph g(%x: f32[1,2,6,6]) {\n"
        "  %w = const f32[3,2,1,1] {*1}\n"
        "  %y = Conv(%x, %w) {" ONE "} return %y\n"
        "}\n",
        "graph g(%x: f32[1,2,6,6]) { %y = Relu(%x) return %y }"};

    for (int i = 0; i < 2; i++) {
        struct compile *c = compile_create();
        struct ir_graph *g;
        struct pruning *p;

        CHECK_OK(ir_parse(c, texts[i], strlen(texts[i]), &g));

        struct set s = open_set(g);
        const struct prune_options o = {
            .ratio = 0.9, .data = s.data, .n_samples = N_SAMPLES, .sample = s.sample};

        CHECK_FAILS(prune_decide(g, &o, s.a, &p), UNSUPPORTED,
                    "no layer has channels that can be removed");
        close_set(&s);
        compile_destroy(c);
    }
}

/* Channel 1 of %a and of %b are one in their sum. */
TEST(a_plan_that_tears_channels_apart_is_told_both_units)
{
    static const char text[] = "graph g(%x: f32[1,2,6,6]) {\n"
                               "  %w = const f32[2,2,1,1] {*1}\n"
                               "  %v = const f32[3,2,1,1] {*1}\n"
                               "  %a = Conv(%x, %w) {" ONE "} : f32[1,2,6,6]\n"
                               "  %b = Conv(%x, %w) {" ONE "} : f32[1,2,6,6]\n"
                               "  %s = Add(%a, %b) : f32[1,2,6,6]\n"
                               "  %y = Conv(%s, %v) {" ONE "} return %y\n"
                               "}\n";
    static const int64_t kept[] = {0};
    struct compile *c = compile_create();
    struct ir_graph *g;
    struct pruning *p;

    CHECK_OK(ir_parse(c, text, strlen(text), &g));

    struct set s = open_set(g);
    struct plan *plan = plan_float(g, "host");
    const struct prune_options o = {
        .plan = plan, .data = s.data, .n_samples = N_SAMPLES, .sample = s.sample};

    plan->units[1].kept = kept;
    plan->units[1].n_kept = 1;
    CHECK_FAILS(prune_decide(g, &o, s.a, &p), INVALID,
                "the plan keeps channel 1 of unit 'a', but removes channel 1 of unit "
                "'b', which belongs to it");
    close_set(&s);
    compile_destroy(c);
}
