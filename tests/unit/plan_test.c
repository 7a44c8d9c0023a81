/* SPDX-License-Identifier: Apache-2.0 */
// links: plan hal frontend kernels runtime
/* Plans: what is written reads back, and whatever is wrong in one is named. */
#include "frontend/pass.h"
#include "plan/plan.h"
#include "tests/test.h"

#define HASH "abababababababababababababababababababababababababababababababab"
#define HEAD                                                                           \
    "{\n"                                                                              \
    "  \"format\": 1,\n"                                                               \
    "  \"model_sha256\": \"" HASH "\",\n"                                              \
    "  \"target\": \"toaster\",\n"                                                     \
    "  \"bits_policy\": \"mixed\",\n"                                                  \
    "  \"seed\": 7,\n"                                                                 \
    "  \"split\": {\"seed\": 3, \"calibration\": 9, \"validation\": 5, \"test\": "     \
    "2},\n"                                                                            \
    "  \"distillation\": {\"epochs\": 2, \"temperature\": 4.0, \"alpha\": 0.3},\n"     \
    "  \"update\": {\"strategy\": \"incremental\", \"ratio\": 0.1},\n"                 \
    "  \"units\": [\n"
#define CONV                                                                           \
    "    {\"name\": \"conv1\", \"nodes\": [\"conv1\", \"relu1\"], \"weight_bits\": "   \
    "8, "                                                                              \
    "\"activation_bits\": 8, \"calibrator\": \"mse\", \"channels\": 4, "               \
    "\"prune_ratio\": 0.3, \"kept\": [0, 2, 3], \"zeros\": \"two_of_four\", "           \
    "\"zero_ratio\": 0.5, \"pattern\": \"conv_relu\"}"
#define FC                                                                             \
    "    {\"name\": \"fc\", \"nodes\": [\"fc\"], \"weight_bits\": 4, "                 \
    "\"activation_bits\": 32, \"calibrator\": \"none\", \"channels\": 2, "             \
    "\"prune_ratio\": 0.0, \"kept\": \"all\", \"zeros\": \"none\", "                   \
    "\"zero_ratio\": 0.0, \"pattern\": \"none\"}"
#define TAIL "\n  ]\n}\n"

static const char whole[] = HEAD CONV ",\n" FC TAIL;

static struct status *parse(struct arena *a, const char *text, struct plan **out)
{
    return plan_parse(a, "p.json", text, strlen(text), out);
}

TEST(a_plan_reads_as_it_is_written)
{
    struct arena *a = arena_create();
    struct plan *p;

    CHECK_OK(parse(a, whole, &p));
    CHECK_EQ(p->model_sha256[31], 0xab);
    CHECK_TEXT(p->target, "toaster");
    CHECK_EQ(p->bits_policy, BITS_POLICY_mixed);
    CHECK_EQ(p->seed, 7);
    CHECK(p->split.seed == 3 && p->split.calibration == 9);
    CHECK(p->split.validation == 5 && p->split.test == 2);
    CHECK(p->distillation.epochs == 2 && p->distillation.temperature == 4);
    CHECK(p->distillation.alpha == 0.3 && p->update.ratio == 0.1);
    CHECK_EQ(p->update.strategy, STRATEGY_incremental);
    CHECK_EQ(p->n_units, 2);

    const struct plan_unit *u = &p->units[0];

    CHECK_TEXT(u->name, "conv1");
    CHECK_EQ(u->n_nodes, 2);
    CHECK_TEXT(u->nodes[1], "relu1");
    CHECK(u->weight_bits == 8 && u->activation_bits == 8);
    CHECK(u->calibrator == CALIBRATOR_mse && u->pattern == PATTERN_conv_relu);
    CHECK(u->channels == 4 && u->n_kept == 3 && u->prune_ratio == 0.3);
    CHECK(u->kept[0] == 0 && u->kept[1] == 2 && u->kept[2] == 3);
    CHECK(u->zeros == ZEROS_two_of_four && u->zero_ratio == 0.5);
    CHECK(p->units[1].kept == NULL && p->units[1].n_kept == 2);
    arena_destroy(a);
}

TEST(a_plan_writes_the_bytes_that_it_was_read_from)
{
    struct arena *a = arena_create();
    struct text t = {0};
    struct plan *p;

    CHECK_OK(parse(a, whole, &p));
    plan_write(p, &t);
    CHECK_TEXT(t.bytes, whole);
    text_free(&t);
    arena_destroy(a);
}

/* Settings of training that are not usual stand there, and only those. */
TEST(a_plan_keeps_every_setting_of_a_training)
{
    struct arena *a = arena_create();
    struct plan *p, *again;
    struct text t = {0};

    CHECK_OK(parse(a, whole, &p));
    CHECK_EQ(p->distillation.batch, 128); /* by default */
    for (int i = 0; i < TRAIN_SETTINGS; i++) {
        const struct train_setting *s = &train_setting[i];

        train_settings_set(&p->distillation, i,
                           s->whole ? s->most : s->least + 0.9 / 3);
    }
    for (int i = 0; i < p->n_units; i++) { /* what masks by a schedule end with */
        p->units[i].zeros = ZEROS_anywhere;
        p->units[i].zero_ratio = 0.5;
    }
    plan_write(p, &t);
    CHECK(strstr(t.bytes, "\"schedule\": \"constant\", \"clip\": 0.3,"));
    CHECK_OK(parse(a, t.bytes, &again));
    for (int i = 0; i < TRAIN_SETTINGS; i++) {
        CHECK(strstr(t.bytes, train_setting[i].key));
        CHECK(train_settings_get(&again->distillation, i)
              == train_settings_get(&p->distillation, i));
    }
    text_free(&t);
    arena_destroy(a);
}

/* Nine digits are kept, so nine are trained with. */
TEST(a_setting_has_nine_digits)
{
    struct train_settings s = train_settings_defaults();

    train_settings_set(&s, TRAIN_SETTING_rate, 0.0123456789123);
    CHECK(s.optimizer.rate == 0.0123456789);
}

/* What was found and what would have been right; each row changes one thing. */
TEST(what_is_wrong_in_a_plan_is_named)
{
    static const struct {
        const char *find, *put, *words;
    } rows[] = {
        {"\"format\": 1", "\"format\": 2",
         "'p.json': 'format' is 2, not a whole number"},
        {"\"seed\": 7", "\"sead\": 7",
         "unknown key 'sead'; it may be format, model_sha256"},
        {"\"seed\": 7", "\"seed\": -7", "'seed' is -7, not a whole number from 0"},
        {"\"seed\": 7", "\"seed\": 7, \"seed\": 7", "duplicate object key"},
        {"\"seed\": 7,", "", "'seed' is missing, not a whole number"},
        {"abab\",", "aba\",", "'model_sha256' is not 64 digits"},
        {"abab\",", "abAB\",", "'model_sha256' is not 64 digits"},
        {"\"mixed\"", "\"free\"",
         "'bits_policy' is \"free\"; it may be float, uniform or"},
        {"\"mixed\"", "\"float\"", "unit 'conv1': has fewer than 32 bits, against"},
        {"\"mixed\"", "\"uniform\"", "unit 'fc': has other widths than unit 'conv1'"},
        {"\"test\": 2", "\"test\": 2.5", "split: 'test' is 2.5, not a whole number"},
        {"\"temperature\": 4.0", "\"temperature\": 0",
         "distillation: 'temperature' is 0, not a number from 1 to 20"},
        {"\"alpha\": 0.3", "\"alpha\": 0.3, \"crop\": -4",
         "distillation: 'crop' is -4, not a whole number from 0 to 1024"},
        {"\"alpha\": 0.3", "\"alpha\": 0.3, \"optimizer\": \"magic\"",
         "distillation: 'optimizer' is \"magic\"; it may be sgd, adam or adamw"},
        {"\"alpha\": 0.3", "\"alpha\": 0.3, \"speed\": 1",
         "distillation: unknown key 'speed'; it may be epochs, temperature, alpha"},
        {", \"alpha\": 0.3", "", "distillation: 'alpha' is missing"},
        {"\"alpha\": 0.3", "\"alpha\": 0.3, \"masks\": \"cubic\"",
         "unit 'conv1': 'zeros' is \"two_of_four\", but 'masks' of the"},
        {"\"ratio\": 0.1", "\"ratio\": 2",
         "update: 'ratio' is 2, not a number from 0 to 1"},
        {"\"incremental\"", "\"sometimes\"",
         "update: 'strategy' is \"sometimes\"; it may"},
        {"\"name\": \"conv1\"", "\"name\": 3", "unit 0: 'name' is 3, not a text"},
        {"\"name\": \"conv1\"", "\"name\": \"fc\"", "unit 'fc': is there twice"},
        {"[\"conv1\", \"relu1\"]", "[\"fc\"]",
         "unit 'fc': node 'fc' is also in unit 'conv1'"},
        {"[\"conv1\", \"relu1\"]", "[]", "unit 'conv1': 'nodes' has 0 entries"},
        {"[\"conv1\", \"relu1\"]", "[1]", "unit 'conv1': node 0 is not a text"},
        {"\"weight_bits\": 8", "\"weight_bits\": 6",
         "unit 'conv1': 'weight_bits' is 6; it may be 4, 8, 16 or 32"},
        {"\"weight_bits\": 8", "\"weight_bits\": 64",
         "'weight_bits' is 64, not a whole"},
        {"\"mse\"", "\"magic\"", "'calibrator' is \"magic\"; it may be none, minmax,"},
        {"\"mse\"", "\"none\"", "'calibrator' is \"none\" with 'activation_bits' 8"},
        {"\"channels\": 4", "\"channels\": 3",
         "entry 2 of 'kept' is not a channel number"},
        {"\"channels\": 4", "\"channels\": 2", "'kept' has 3 entries for 2 channels"},
        {"\"channels\": 4", "\"channels\": 0",
         "'channels' is 0, not a whole number from 1"},
        {"[0, 2, 3]", "[0, 2, 2]", "entry 2 of 'kept' is not a channel number below 4"},
        {"[0, 2, 3]", "[]", "'kept' has 0 entries for 4 channels"},
        {"[0, 2, 3]", "[-1, 2]", "entry 0 of 'kept'"},
        {"[0, 2, 3]", "\"some\"", "'kept' is neither \"all\" nor a list"},
        {"\"prune_ratio\": 0.3", "\"prune_ratio\": 0",
         "'prune_ratio' is 0 but 3 of 4 channels are kept"},
        {"\"prune_ratio\": 0.3", "\"prune_ratio\": 1",
         "'prune_ratio' is 1, not a number"},
        {"\"two_of_four\"", "\"some\"", "'zeros' is \"some\"; it may be none,"},
        {"\"two_of_four\"", "\"none\"",
         "'zero_ratio' is 0.5 with 'zeros' \"none\"; it is 0 there"},
        {"\"zero_ratio\": 0.5", "\"zero_ratio\": 0.4",
         "'zero_ratio' is 0.4 with 'zeros' \"two_of_four\"; it is 0.5 there"},
        {"conv_relu\"}", "conv_relu\", \"speed\": 1}",
         "unit 'conv1': unknown key 'speed'"},
        {"\"conv_relu\"", "\"conv_pool\"",
         "'pattern' is \"conv_pool\"; it may be none,"},
        {"\n  ]\n}\n", "\n  ]\n} x", "line 14: end of file expected"},
    };
    struct arena *a = arena_create();
    struct plan *p;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *at = strstr(whole, rows[i].find);

        assert_non_null(at);
        CHECK_FAILS(parse(a,
                          arena_printf(a, "%.*s%s%s", (int)(at - whole), whole,
                                       rows[i].put, at + strlen(rows[i].find)),
                          &p),
                    INVALID, rows[i].words);
        CHECK(p == NULL);
    }
    arena_destroy(a);
}

/* ---- plans and graphs -------------------------------------------------------------
 */

static const char graph[] = "graph t(%x: f32[5,3]) {\n"
                            "  %w = const f32[3,4] {*1}\n"
                            "  %v = const f32[4,2] {*1}\n"
                            "  %a = MatMul(%x, %w) : f32[5,4] \"conv1\" #0\n"
                            "  %b = MatMul(%a, %v) : f32[5,2] \"fc\" #1\n"
                            "  return %b\n}\n";

static struct ir_graph *read_graph(struct compile *c)
{
    struct ir_graph *g;

    CHECK_OK(ir_parse(c, graph, strlen(graph), &g));
    memset(c->model_sha256, 0xab, sizeof c->model_sha256);
    return g;
}

TEST(the_plan_of_a_graph_that_nothing_changes_is_32_bits_and_reads_back)
{
    struct compile *c = compile_create();
    struct ir_graph *g = read_graph(c);
    struct text once = {0}, twice = {0};
    struct plan *p;

    plan_write(plan_float(g, "toaster"), &once);
    CHECK_OK(parse(c->perm, once.bytes, &p));
    CHECK_OK(plan_check(p, "p.json", g, "toaster"));
    CHECK_EQ(p->n_units, 2);
    CHECK(p->units[1].weight_bits == 32 && p->units[1].activation_bits == 32);
    CHECK(p->units[0].channels == 4 && p->units[0].kept == NULL);
    plan_write(p, &twice);
    CHECK_TEXT(twice.bytes, once.bytes);
    text_free(&once);
    text_free(&twice);
    compile_destroy(c);
}

TEST(a_plan_for_something_else_is_refused_with_the_difference)
{
    struct compile *c = compile_create();
    struct ir_graph *g = read_graph(c);
    struct plan *p;

    CHECK_OK(parse(c->perm, whole, &p));
    CHECK_OK(plan_check(p, "p.json", g, "toaster"));
    CHECK_FAILS(plan_check(p, "p.json", g, "kettle"), INVALID,
                "'p.json': is a plan for target 'toaster', not 'kettle'");
    p->units[1].channels = 3;
    CHECK_FAILS(plan_check(p, "p.json", g, "toaster"), INVALID,
                "unit 'fc': has 3 channels, in the model 2");
    p->units[1].channels = 2;
    p->units[1].nodes[0] = "conv9";
    CHECK_FAILS(plan_check(p, "p.json", g, "toaster"), INVALID,
                "unit 'fc': node 'conv9' is not the one with its weights");
    p->units[1].name = "fc2";
    CHECK_FAILS(plan_check(p, "p.json", g, "toaster"), INVALID,
                "unit 'fc2': the model has 'fc' in its place");
    p->n_units = 1;
    CHECK_FAILS(plan_check(p, "p.json", g, "toaster"), INVALID,
                "has 1 units, the model 2");
    p->model_sha256[0] = 0;
    CHECK_FAILS(plan_check(p, "p.json", g, "toaster"), INVALID,
                "for another model: the SHA-256 differs");
    compile_destroy(c);
}

TEST(a_plan_that_is_no_file_cannot_be_read)
{
    struct arena *a = arena_create();
    struct plan *p;

    CHECK_FAILS(plan_read(a, "tests", &p), IO_ERROR, "'tests': not a regular file");
    CHECK_FAILS(plan_read(a, "nowhere.json", &p), IO_ERROR,
                "cannot read 'nowhere.json'");
    arena_destroy(a);
}
