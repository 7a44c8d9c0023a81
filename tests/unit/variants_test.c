/* SPDX-License-Identifier: Apache-2.0 */
// links: search
/* Compressed units put together; a model as a search problem; a search that goes on. */
#include "tests/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compress/prune.h"
#include "search/method.h"
#include "search/model_problem.h"
#include "search/reach.h"
#include "search/record.h"
#include "support/blas.h"
#include "tests/small_samples.h"

enum { N_SAMPLES = 48, N_SCORED = 16, BUDGET = 24 };

#define THREE "kernel_shape=[3,3], strides=[1,1], dilations=[1,1], pads=[1,1,1,1]"

/* Channels 4 to 7 of %a are twice and minus channels 0 to 3; %d is what a residual sum
 * makes of them and of %e. */
static const char text[] = "graph g(%x: f32[1,2,6,6]) {\n"
                           "  %w0 = const f32[8,2,3,3] {*1}\n"
                           "  %w1 = const f32[6,8,3,3] {*1}\n"
                           "  %b1 = const f32[6] {*1}\n"
                           "  %w2 = const f32[6,6,3,3] {*1}\n"
                           "  %w3 = const f32[3,6] {*1}\n"
                           "  %a = Conv(%x, %w0) {" THREE "} : f32[1,8,6,6]\n"
                           "  %c = Conv(%a, %w1, %b1) {" THREE "} : f32[1,6,6,6]\n"
                           "  %r = Relu(%c) : f32[1,6,6,6]\n"
                           "  %e = Conv(%r, %w2) {" THREE "} : f32[1,6,6,6]\n"
                           "  %d = Add(%e, %r) : f32[1,6,6,6]\n"
                           "  %m = ReduceMean(%d) {axes=[2,3], keepdims=0} : f32[1,6]\n"
                           "  %y = Gemm(%m, %w3) {transB=1} : f32[1,3]\n"
                           "  return %y\n"
                           "}\n";

static const char device_text[] =
    "{\"device\": \"d\", \"about\": \"\", \"figures\": ["
    "{\"name\": \"f32_peak\", \"value\": 1e9, \"unit\": \"flop/s\","
    " \"origin\": \"datasheet\", \"source\": \"a table of this test\"},"
    "{\"name\": \"i8_peak\", \"value\": 4e9, \"unit\": \"op/s\","
    " \"origin\": \"datasheet\", \"source\": \"a table of this test\"},"
    "{\"name\": \"memory_bandwidth\", \"value\": 1e9, \"unit\": \"B/s\","
    " \"origin\": \"datasheet\", \"source\": \"a table of this test\"}]}";

/* Channel 0 of %a is so many times as large as the others, and %c takes that back. */
static float loudness = 1.0f;

static struct ir_graph *make_graph(struct compile *c)
{
    struct ir_graph *g;

    CHECK_OK(ir_parse(c, text, strlen(text), &g));
    seed_now = 3;
    for (struct ir_node *n = g->first; n; n = n->next)
        for (int i = 1; i < n->n_in; i++)
            for (int64_t k = 0; n->in[i]->data && k < ir_count(n->in[i]); k++)
                ((float *)(uintptr_t)n->in[i]->data)[k] = draw();

    float *w = (float *)(uintptr_t)g->first->in[1]->data;

    for (int i = 0; i < 4 * 18; i++)
        w[4 * 18 + i] = (i / 18 % 2 ? -1.0f : 2.0f) * w[i];
    for (int i = 0; i < 18; i++)
        w[i] *= loudness;
    w = (float *)(uintptr_t)g->first->next->in[1]->data;
    for (int i = 0; i < 6 * 72; i++)
        w[i] /= i % 72 < 9 ? loudness : 1.0f;
    return g;
}

struct world {
    struct arena *a;
    struct compile *c;
    struct ir_graph *g;
    struct dataset *data;
    int64_t sample[N_SAMPLES];
    struct variants *v;
    struct device device;
    char folder[32];
};

static struct world open_world(void)
{
    struct world w = {.a = arena_create(),
                      .c = compile_create(),
                      .folder = "/tmp/variants_test-XXXXXX"};
    struct dataset_options want = {0};

    CHECK_OK(blas_open());
    w.g = make_graph(w.c);
    CHECK(mkdtemp(w.folder) != NULL);

    char *npy = arena_printf(w.a, "%s/x.npy", w.folder);

    write_samples(npy, N_SAMPLES);
    CHECK_OK(dataset_inputs_of(w.g, w.a, &want));
    CHECK_OK(dataset_open(npy, &want, w.a, &w.data));
    unlink(npy);
    for (int i = 0; i < N_SAMPLES; i++)
        w.sample[i] = i;

    const struct variants_options o = {.data = w.data,
                                       .n_calibration = N_SAMPLES - N_SCORED,
                                       .calibration = w.sample,
                                       .n_scored = N_SCORED,
                                       .scored = w.sample + N_SAMPLES - N_SCORED,
                                       .tile = 1};

    CHECK_OK(variants_create(w.c, w.g, &o, &w.v));
    CHECK_OK(device_parse(w.a, "d", device_text, sizeof device_text - 1, &w.device));
    return w;
}

static void close_world(struct world *w)
{
    variants_destroy(w->v);
    dataset_close(w->data);
    compile_destroy(w->c);
    rmdir(w->folder);
    arena_destroy(w->a);
}

/* Units: %a, %c, %e, %y; %e has the channels of %c. */
static double loss_of(struct world *w, double prune_a, double prune_c, int bits)
{
    const struct variant plan[] = {
        {prune_a, bits}, {prune_c, bits}, {prune_c, bits}, {0, bits}};
    struct variants_result r;

    CHECK_OK(variants_run(w->v, plan, &r));
    return r.loss;
}

TEST(a_plan_that_changes_nothing_loses_nothing)
{
    struct world w = open_world();

    CHECK_EQ(w.v->n_units, 4);
    CHECK(loss_of(&w, 0, 0, 32) < 1e-8);
    close_world(&w);
}

TEST(units_of_one_group_share_a_leader)
{
    struct world w = open_world();

    CHECK_EQ(w.v->unit[0].leader, 0);
    CHECK_EQ(w.v->unit[1].leader, 1);
    CHECK_EQ(w.v->unit[2].leader, 1);
    CHECK_EQ(w.v->unit[3].channels, 0); /* the model's outputs */
    close_world(&w);
}

TEST(channels_that_say_what_others_say_are_taken_first)
{
    struct world w = open_world();

    CHECK(loss_of(&w, 0.5, 0, 32) < 1e-3);
    CHECK(loss_of(&w, 0.7, 0, 32) > 1e-3);
    close_world(&w);
}

TEST(fewer_bits_lose_more)
{
    struct world w = open_world();
    const double eight = loss_of(&w, 0, 0, 8), four = loss_of(&w, 0, 0, 4);

    CHECK(eight > 0 && eight < 0.01);
    CHECK(four > 2 * eight);
    close_world(&w);
}

TEST(sixteen_bits_lose_a_hundredth_of_what_eight_do)
{
    struct world w = open_world();
    const double sixteen = loss_of(&w, 0, 0, 16), eight = loss_of(&w, 0, 0, 8),
                 pruned = loss_of(&w, 0.5, 0.3, 32), both = loss_of(&w, 0.5, 0.3, 16);

    CHECK(sixteen > 0 && sixteen < 0.01 * eight);
    CHECK(both != pruned && fabs(both - pruned) < 0.01 * pruned);
    close_world(&w);
}

TEST(equal_plans_give_equal_results_whatever_ran_before)
{
    struct world w = open_world(), other = open_world();
    const double first = loss_of(&w, 0.4, 0.3, 8);

    loss_of(&other, 0.6, 0, 4);
    loss_of(&other, 0.4, 0, 8);
    CHECK(loss_of(&other, 0.4, 0.3, 8) == first);
    CHECK(loss_of(&w, 0, 0, 32) < 1e-8);
    CHECK(loss_of(&w, 0.4, 0.3, 8) == first);
    close_world(&w);
    close_world(&other);
}

/* %a and %r are where the net can be cut: plans that begin alike share them. */
TEST(plans_that_come_back_to_an_earlier_beginning_give_what_they_give_alone)
{
    static const double share[] = {0, 0.4, 0.6};
    struct world w = open_world();
    double alone[3][3];

    for (int a = 0; a < 3; a++)
        for (int c = 0; c < 3; c++)
            alone[a][c] = loss_of(&w, share[a], share[c], 8);
    for (int c = 2; c >= 0; c--)
        for (int a = 0; a < 3; a++) {
            struct world fresh = open_world();

            CHECK(loss_of(&w, share[a], share[c], 8) == alone[a][c]);
            CHECK(loss_of(&fresh, share[a], share[c], 8) == alone[a][c]);
            close_world(&fresh);
        }
    close_world(&w);
}

TEST(pruning_takes_the_channels_of_a_stitched_plan)
{
    struct world w = open_world();
    const struct variant plan[] = {{0.5, 8}, {0.3, 4}, {0.3, 32}, {0, 8}};
    struct plan *p = variants_plan(w.v, plan, "host");
    const struct prune_options o = {
        .plan = p, .data = w.data, .n_samples = 32, .sample = w.sample};
    struct pruning *pruned;

    CHECK_OK(prune_decide(w.g, &o, w.a, &pruned));
    CHECK_EQ(pruned->units[0].n_kept, 4);
    CHECK_EQ(pruned->units[1].n_kept, 5); /* 4.2, rounded up */
    CHECK_EQ(pruned->units[2].n_kept, 5);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(pruned->units[1].kept[i], pruned->units[2].kept[i]);
    CHECK_EQ(p->units[1].weight_bits, 4);
    CHECK_EQ(p->units[1].activation_bits, 8);
    CHECK_EQ(p->units[2].activation_bits, 32);
    close_world(&w);
}

/* ---- the problem ----------------------------------------------------------------- */

static struct model_problem *make_problem_of(struct world *w, double max_bytes,
                                             enum cost_halves halves)
{
    struct model_problem_options o = {
        .device = &w->device, .more_bytes = 100, .halves = halves};

    for (int k = 0; k < COST_COUNT; k++)
        o.budgets[k] = INFINITY;
    o.budgets[COST_bytes] = max_bytes;
    return model_problem_create(w->a, w->v, &o);
}

static struct model_problem *make_problem(struct world *w, double max_bytes)
{
    return make_problem_of(w, max_bytes, HALVES_NONE);
}

TEST(costs_of_units_are_never_below_those_of_the_plan)
{
    struct world w = open_world();
    struct model_problem *m = make_problem(&w, INFINITY);
    struct choices *c = choices_create(w.a, 4);
    double bound[COST_COUNT], exact[COST_COUNT];

    /* %y reads what %c decides, one unit further back */
    CHECK(m->problem.base[COST_bytes] == 100 + 4 * (144 + 432 + 324 + 18));
    for (int ratio = 0; ratio < CHOICE_RATIOS; ratio++) {
        for (int i = 0; i < 3; i++)
            c->units[i] = (struct choice){0, (uint8_t)ratio, 1};
        search_costs(&m->problem, c, bound);
        model_problem_costs(m, c, exact);
        for (int k = 0; k < COST_COUNT; k++)
            CHECK(exact[k] <= bound[k] * (1 + 1e-12));
        CHECK(exact[COST_bytes] < m->problem.base[COST_bytes]);
    }
    close_world(&w);
}

/* Samples at once share the weights; values and products are so many times as many. */
TEST(a_batch_costs_what_so_many_samples_cost_at_once)
{
    struct world w = open_world();
    struct model_problem_options o = {.device = &w.device, .batch = 8};

    w.device.figures[FIGURE_STEP_OVERHEAD].value = 1e-6;
    const struct search_problem *one = &make_problem(&w, INFINITY)->problem,
                                *all = &model_problem_create(w.a, w.v, &o)->problem;
    const struct choice c = {0, 0, 1}, floats = {0, 0, 3};
    const struct unit *u = &w.v->units[1];
    const struct work work = unit_work(u, 8, 8), batch = work_of_batch(&work, 8);
    double single[COST_COUNT], together[COST_COUNT];

    one->cost(one->self, 1, c, floats, single);
    all->cost(all->self, 1, c, floats, together);
    CHECK(together[COST_bytes] == single[COST_bytes]);
    CHECK(together[COST_ram] == 8 * single[COST_ram]);
    CHECK(together[COST_latency]
          == cost_of(&w.device, &batch).time_ns
                 + cost_conversion_ns(&w.device, 8 * u->in_elements, 32, 8));
    CHECK(together[COST_latency] < 8 * single[COST_latency]);
    close_world(&w);
}

TEST(a_budget_that_nothing_meets_is_named_with_the_closest_plan)
{
    struct world w = open_world();
    struct model_problem *m = make_problem(&w, 101);
    const struct reach r = reach_find(w.a, &m->problem, NULL);

    CHECK(!r.fits);
    CHECK_EQ((int)r.blocks, COST_bytes);
    CHECK(r.least[COST_bytes] > 101 && r.costs[COST_bytes] == r.least[COST_bytes]);
    m = make_problem(&w, r.least[COST_bytes]);
    CHECK(reach_find(w.a, &m->problem, NULL).fits);
    close_world(&w);
}

/* Half of the bytes; %a may lose half of its channels, %c and %e two of theirs. */
static struct model_problem *half_problem(struct world *w)
{
    struct model_problem *m = make_problem(w, INFINITY);
    struct search_unit *units =
        arena_copy(w->a, m->problem.units, 4 * sizeof *m->problem.units);

    m->problem.budgets[COST_bytes] = m->problem.base[COST_bytes] / 2;
    for (int i = 0; i < 4; i++)
        units[i].ratios &= i == 0 ? 1u << 0 | 1u << 5 : i < 3 ? 1u << 0 | 1u << 4 : 1u;
    m->problem.units = units;
    return m;
}

static double least_loss(struct world *w, struct model_problem *m, int *n)
{
    static const uint8_t bits[] = {0, 1, 3};
    struct choices *c = choices_create(w->a, 4);
    double least = INFINITY;

    *n = 0;
    for (int at = 0; at < 4 * 81; at++) {
        struct search_result r;
        int rest = at / 4;

        for (int i = 0; i < 4; i++, rest /= 3)
            c->units[i].bits = bits[rest % 3];
        c->units[0].ratio = at & 1 ? 5 : 0;
        c->units[1].ratio = c->units[2].ratio = at & 2 ? 4 : 0;
        m->problem.evaluate(m->problem.self, c, &r);
        if (!search_is_feasible(&m->problem, r.costs))
            continue;
        least = fmin(least, r.loss);
        ++*n;
    }
    return least;
}

/* The half of the tool's search that does not learn: the other one takes minutes. */
TEST(a_search_finds_the_best_of_all_plans)
{
    struct world w = open_world();
    struct model_problem *m = half_problem(&w);
    struct evaluator *e = evaluator_create(w.a, &m->problem, 100);
    struct method_options o = method_defaults();
    int n;

    for (int k = 0; k < COST_COUNT; k++)
        o.reward.w[k] = 0;
    method_run(METHOD_surrogate, e, &o, 1);

    const double found = evaluator_best_after(e, e->n), least = least_loss(&w, m, &n);

    CHECK_OK(m->failed);
    CHECK(n > 50 && n < 324);
    CHECK(found <= 1.01 * least);
    close_world(&w);
}

/* ---- 16 bits ----------------------------------------------------------------------
 */

enum { IN_4, IN_8, IN_16, IN_32 }; /* of choice_bits */

TEST(units_have_16_bits_where_the_device_does_something_with_them)
{
    struct world w = open_world();

    for (int i = 0; i < 4; i++) {
        CHECK_EQ(make_problem_of(&w, INFINITY, HALVES_NONE)->problem.units[i].bits,
                 1u << IN_4 | 1u << IN_8 | 1u << IN_32);
        CHECK_EQ(make_problem_of(&w, INFINITY, HALVES_READ)->problem.units[i].bits,
                 15u);
        CHECK_EQ(
            make_problem_of(&w, INFINITY, HALVES_MULTIPLIED)->problem.units[i].bits,
            15u);
    }
    close_world(&w);
}

/* %a makes numbers of some 100 000, and a sixteenth of 65 504 is the most: neither it
 * nor %c, which reads them, may multiply halves, but their weights can be stored so. */
TEST(units_of_large_values_do_not_multiply_halves)
{
    loudness = 1e5f;

    struct world w = open_world();
    const struct search_unit *read =
        make_problem_of(&w, INFINITY, HALVES_READ)->problem.units;
    const struct search_unit *multiplied =
        make_problem_of(&w, INFINITY, HALVES_MULTIPLIED)->problem.units;

    loudness = 1.0f;
    for (int i = 0; i < 4; i++) {
        CHECK(read[i].bits & 1u << IN_16 || i == 0); /* a weight is above 65 520 */
        CHECK_EQ(multiplied[i].bits >> IN_16 & 1u, i >= 2);
    }
    close_world(&w);
}

/* The second unit after one of the same kind. */
static void costs_of(struct world *w, enum cost_halves halves, uint8_t bits,
                     uint8_t before, double *out)
{
    const struct model_problem *m = make_problem_of(w, INFINITY, halves);

    m->problem.cost(m->problem.self, 1, (struct choice){0, 0, bits},
                    (struct choice){0, 0, before}, out);
}

static bool is_about(double a, double b)
{
    return fabs(a / b - 1) < 1e-3;
}

/* %c has 432 weights.  Weights take half of the bytes; the rest is the device's. */
TEST(sixteen_bits_cost_what_the_device_does_with_them)
{
    struct world w = open_world();
    double whole[COST_COUNT], half[COST_COUNT], alone[COST_COUNT];

    w.device.figures[FIGURE_F16_PEAK].value = 2e9; /* of float32: 1e9 */
    w.device.figures[FIGURE_MEMORY_BANDWIDTH].value = 1e12;
    costs_of(&w, HALVES_READ, IN_32, IN_32, whole);
    costs_of(&w, HALVES_READ, IN_16, IN_32, half);
    CHECK(half[COST_bytes] == whole[COST_bytes] / 2);
    CHECK(is_about(half[COST_latency], whole[COST_latency]));
    CHECK(half[COST_ram] == whole[COST_ram]);

    costs_of(&w, HALVES_WIDENED, IN_16, IN_32, alone);
    CHECK(alone[COST_latency] > half[COST_latency]);
    CHECK(alone[COST_ram] == whole[COST_ram] + 4 * 432);

    costs_of(&w, HALVES_MULTIPLIED, IN_16, IN_16, half);
    CHECK(half[COST_bytes] == whole[COST_bytes] / 2);
    CHECK(is_about(half[COST_latency], whole[COST_latency] / 2));
    CHECK(half[COST_ram] == whole[COST_ram] / 2);
    costs_of(&w, HALVES_MULTIPLIED, IN_16, IN_32, alone); /* inputs become halves */
    CHECK(alone[COST_latency] > half[COST_latency]);
    close_world(&w);
}

TEST(a_plan_says_what_the_device_multiplies)
{
    struct world w = open_world();
    struct choices *c = choices_create(w.a, 4);

    c->units[1].bits = IN_16;
    for (enum cost_halves k = HALVES_READ; k <= HALVES_MULTIPLIED; k++) {
        const struct plan *p =
            model_problem_plan(make_problem_of(&w, INFINITY, k), c, "host");

        CHECK_EQ(p->units[0].weight_bits, 32);
        CHECK_EQ(p->units[1].weight_bits, 16);
        CHECK_EQ(p->units[1].activation_bits, k == HALVES_MULTIPLIED ? 16 : 32);
        CHECK_EQ((int)p->bits_policy, BITS_POLICY_mixed);
    }
    close_world(&w);
}

/* One channel of %a is 1 000 times as loud, so 8 bits leave nothing of the others for
 * %c; and so many bytes that it cannot have 32.  All others fit with 8. */
TEST(a_unit_that_8_bits_spoil_gets_16_where_32_are_too_many_bytes)
{
    loudness = 1e3f;

    struct world w = open_world();
    struct choices *c = choices_create(w.a, 4);
    struct model_problem *m = make_problem_of(&w, INFINITY, HALVES_READ);
    struct method_options o = method_defaults();
    double costs[COST_COUNT], without = INFINITY;

    loudness = 1.0f;
    for (int i = 0; i < 4; i++)
        c->units[i].bits = i == 1 ? IN_16 : IN_8;
    model_problem_costs(m, c, costs);
    m->problem.budgets[COST_bytes] = costs[COST_bytes];
    for (int k = 0; k < COST_COUNT; k++)
        o.reward.w[k] = 0;
    for (int i = 0; i < 4; i++)
        ((struct search_unit *)m->problem.units)[i].ratios = 1; /* only bits */

    struct evaluator *e = evaluator_create(w.a, &m->problem, 80);

    method_run(METHOD_surrogate, e, &o, 1);
    CHECK_OK(m->failed);
    for (int i = 0; i < e->n; i++)
        if (e->all[i].feasible && e->all[i].choices->units[1].bits != IN_16)
            without = fmin(without, e->all[i].result.loss);
    CHECK_EQ(e->all[e->best].choices->units[1].bits, IN_16);
    CHECK(e->all[e->best].result.loss < 0.2 * without);
    close_world(&w);
}

/* ---- going on -------------------------------------------------------------------- */

struct run {
    struct record *record;
    int n_recalled;
};

static bool recall(void *arg, int n, const struct choices *c, struct search_result *out)
{
    struct run *r = arg;

    if (!record_recall(r->record, n, c, out))
        return false;
    r->n_recalled++;
    return true;
}

static void watch(void *arg, struct evaluator *e)
{
    CHECK_OK(record_add(((struct run *)arg)->record, e));
}

/* The record's text afterwards. */
static char *search(struct world *w, const char *path, bool resume, int *n_recalled)
{
    struct model_problem *m = make_problem(w, 2500);
    struct evaluator *e = evaluator_create(w->a, &m->problem, BUDGET);
    const struct method_options o = method_defaults();
    struct run r = {0};

    CHECK_OK(record_open(path, "{\"search\": 1}", resume, 4, &r.record));
    e->recall = recall;
    e->watch = watch;
    e->arg = &r;
    method_run(METHOD_surrogate, e, &o, 1);
    CHECK_OK(m->failed);
    *n_recalled = r.n_recalled;

    char *text_now = arena_strdup(w->a, record_text(r.record));

    record_close(r.record, false);
    return text_now;
}

TEST(a_search_that_was_killed_goes_on_to_the_same_end)
{
    struct world w = open_world();
    char *path = arena_printf(w.a, "%s/record", w.folder);
    int n_recalled;
    const char *whole = search(&w, path, false, &n_recalled);

    CHECK_EQ(n_recalled, 0);
    CHECK_EQ(truncate(path, (off_t)strlen(whole) / 2), 0); /* within a line */
    CHECK_TEXT(search(&w, path, true, &n_recalled), whole);
    CHECK(n_recalled > BUDGET / 3 && n_recalled < BUDGET);
    CHECK_TEXT(search(&w, path, true, &n_recalled), whole);
    CHECK_EQ(n_recalled, BUDGET);
    unlink(path);
    close_world(&w);
}

static void put_file(const char *path, const char *words)
{
    FILE *f = fopen(path, "wb");

    fputs(words, f);
    fclose(f);
}

TEST(a_record_that_is_of_another_search_or_damaged_is_refused)
{
    struct world w = open_world();
    char *path = arena_printf(w.a, "%s/record", w.folder);
    struct record *r;

    put_file(path, "{\"search\": 2}\n");
    CHECK_FAILS(record_open(path, "{\"search\": 1}", true, 4, &r), INVALID,
                "is of another search");
    put_file(path, "{\"search\": 1}\n{\"pattern\": [0, 0, 0]}\n");
    CHECK_FAILS(record_open(path, "{\"search\": 1}", true, 4, &r), INVALID,
                "line 2: 'pattern'");
    put_file(path, "{\"search\": 1}\n{\"pattern\": [0, 0, 0, 6]}\n");
    CHECK_FAILS(record_open(path, "{\"search\": 1}", true, 4, &r), INVALID,
                "holds what is no choice");
    put_file(path, "{\"sea"); /* killed at once */
    CHECK_OK(record_open(path, "{\"search\": 1}", true, 4, &r));
    CHECK_EQ(record_n_known(r), 0);
    CHECK_TEXT(record_text(r), "{\"search\": 1}\n");
    record_close(r, true);
    close_world(&w);
}
