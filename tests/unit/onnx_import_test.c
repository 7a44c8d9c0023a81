/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* Importing ONNX: what becomes of small models, and what is said about bad ones. */
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontend/onnx_import.h"
#include "tests/onnx_build.h"

static struct status *import(struct compile *c, struct text *model,
                             const struct onnx_options *o,
                             struct onnx_problems *problems, struct ir_graph **g)
{
    struct status *s =
        onnx_import_bytes(c, model->bytes, model->len, NULL, o, problems, g);

    text_free(model);
    return s;
}

/* The imported graph as text.  Its constants lie in the model's bytes. */
static const char *imported(struct text *graph, int opset, const struct onnx_options *o)
{
    static char kept[8192];
    struct compile *c = compile_create();
    struct text model = onnx_model(graph, opset), out = {0};
    struct ir_graph *g = NULL;

    CHECK_OK(onnx_import_bytes(c, model.bytes, model.len, NULL, o, NULL, &g));
    ir_print(g, IR_TEXT_ALL_DATA, &out);
    text_free(&model);
    CHECK(out.len < sizeof kept);
    memcpy(kept, out.bytes, out.len + 1);
    text_free(&out);
    compile_destroy(c);
    return kept;
}

static void check_refused(struct text *graph, int opset, const struct onnx_options *o,
                          enum status_code code, const char *words)
{
    struct compile *c = compile_create();
    struct text model = onnx_model(graph, opset);
    struct ir_graph *g;

    CHECK_FAILS(import(c, &model, o, NULL, &g), code, words);
    compile_destroy(c);
}

/* It is what form_integers writes, not what a file may contain. */
TEST(a_normalization_of_codes_is_no_operator_of_onnx)
{
    struct text g = {0};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "2,3");
    onnx_node(&g, GRAPH_NODE, "QLinearLayerNormalization", "x x x x", "y", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "2,3");
    check_refused(&g, 13, NULL, UNSUPPORTED, "is no operator of ONNX");
}

TEST(a_node_keeps_its_names_and_place)
{
    struct text g = {0};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "2,3");
    onnx_node(&g, GRAPH_NODE, "Relu", "x", "y", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "2,3");
    CHECK_TEXT(imported(&g, 13, NULL), "graph test(%x: f32[2,3]) {\n"
                                       "  %y = Relu(%x) : f32[2,3] #0\n"
                                       "  return %y\n"
                                       "}\n");
}

TEST(shapes_become_constants_and_constants_fold)
{
    struct text g = {0};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "2,3");
    onnx_node(&g, GRAPH_NODE, "Shape", "x", "s", NULL);
    onnx_node(&g, GRAPH_NODE, "Add", "s s", "y", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_INT64, "2");
    CHECK_TEXT(imported(&g, 14, NULL), "graph test(%x: f32[2,3]) {\n"
                                       "  %y.0 = const i64[2] {4,6}\n"
                                       "  %y = Identity(%y.0) : i64[2]\n"
                                       "  return %y\n"
                                       "}\n");
}

TEST(identities_vanish_and_outputs_keep_their_names)
{
    struct text g = {0};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "2");
    onnx_node(&g, GRAPH_NODE, "Relu", "x", "a", NULL);
    onnx_node(&g, GRAPH_NODE, "Identity", "a", "b", NULL);
    onnx_node(&g, GRAPH_NODE, "Dropout", "b", "y", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "2");
    CHECK_TEXT(imported(&g, 13, NULL), "graph test(%x: f32[2]) {\n"
                                       "  %y = Relu(%x) : f32[2] \"a\" #0\n"
                                       "  return %y\n"
                                       "}\n");
}

TEST(two_outputs_of_one_value_are_told_apart)
{
    struct text g = {0};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "2");
    onnx_node(&g, GRAPH_NODE, "Relu", "x", "y", NULL);
    onnx_node(&g, GRAPH_NODE, "Identity", "y", "z", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "2");
    onnx_value(&g, GRAPH_OUTPUT, "z", ONNX_FLOAT, "2");
    CHECK_TEXT(imported(&g, 13, NULL), "graph test(%x: f32[2]) {\n"
                                       "  %y = Relu(%x) : f32[2] #0\n"
                                       "  %z = Identity(%y) : f32[2]\n"
                                       "  return %y, %z\n"
                                       "}\n");
}

TEST(nodes_nobody_reads_may_be_anything)
{
    struct text g = {0};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "2");
    onnx_node(&g, GRAPH_NODE, "NoSuchThing", "nowhere", "z", NULL);
    onnx_node(&g, GRAPH_NODE, "Relu", "x", "y", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "2");
    CHECK(strstr(imported(&g, 13, NULL), "%y = Relu(%x)"));
}

static struct text open_model(void)
{
    struct text g = {0};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "N,3");
    onnx_value(&g, GRAPH_INPUT, "z", ONNX_FLOAT, "N,?");
    onnx_node(&g, GRAPH_NODE, "Add", "x z", "y", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "N,3");
    return g;
}

TEST(open_dimensions_are_listed_with_the_option_that_fixes_them)
{
    struct text g = open_model();

    check_refused(&g, 13, NULL, UNSUPPORTED,
                  "shapes must be fixed; dimension 0 of input 'x': give --dim N=SIZE; "
                  "dimension 0 of input 'z': give --dim N=SIZE; "
                  "dimension 1 of input 'z': give --shape z=...");
}

TEST(a_shape_fixes_a_named_dimension_everywhere)
{
    struct onnx_options o = {.n_shapes = 1};
    struct text g = open_model();

    o.shape[0].input = "z";
    o.shape[0].rank = 2;
    o.shape[0].dim[0] = 4;
    o.shape[0].dim[1] = 3;
    CHECK(strstr(imported(&g, 13, &o), "(%x: f32[4,3], %z: f32[4,3])"));
}

/* x [1,3] and a state whose batch is further back; one Relu of each. */
static struct text batch_model(const char *x, const char *state)
{
    struct text g = {0};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, x);
    onnx_value(&g, GRAPH_INPUT, "state", ONNX_FLOAT, state);
    onnx_value(&g, GRAPH_INPUT, "rate", ONNX_FLOAT, "");
    onnx_node(&g, GRAPH_NODE, "Mul", "x rate", "y", NULL);
    onnx_node(&g, GRAPH_NODE, "Relu", "state", "next", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, x);
    onnx_value(&g, GRAPH_OUTPUT, "next", ONNX_FLOAT, state);
    return g;
}

TEST(a_batch_is_the_first_dimension_where_that_is_1_or_open)
{
    static const char *const shapes[][2] = {
        {"1,3", "1,5"}, {"N,3", "1,5"}, {"N,3", "N,5"}, {"?,3", "M,5"}};
    const struct onnx_options o = {.batch = 4};

    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct text g = batch_model(shapes[i][0], shapes[i][1]);

        CHECK(strstr(imported(&g, 13, &o),
                     "(%x: f32[4,3], %state: f32[4,5], %rate: f32[])"));
    }
}

TEST(a_batch_with_a_name_is_one_wherever_that_stands)
{
    const struct onnx_options o = {.batch = 4};
    struct text g = batch_model("N,3", "2,N,5");

    CHECK(strstr(imported(&g, 13, &o), "(%x: f32[4,3], %state: f32[2,4,5], "));
}

TEST(a_batch_of_one_fixes_what_is_open_and_nothing_else)
{
    const struct onnx_options o = {.batch = 1};
    struct text g = batch_model("N,3", "2,5");

    CHECK(strstr(imported(&g, 13, &o), "(%x: f32[1,3], %state: f32[2,5], "));
}

TEST(a_batch_that_the_model_does_not_take_is_refused)
{
    struct onnx_options o = {.batch = 4, .n_dims = 1, .dim = {{"N", 3}}};
    struct text g = batch_model("N,3", "1,5");

    check_refused(&g, 13, &o, BAD_USAGE, "--batch 4: dimension 'N' is given as 3");
    o.n_dims = 0;
    g = batch_model("1,3", "2,5");
    check_refused(&g, 13, &o, UNSUPPORTED,
                  "--batch 4: the first dimension of input 'state' is 2; it has to be "
                  "open or 1");
    g = batch_model("", "");
    check_refused(&g, 13, &o, UNSUPPORTED, "--batch 4: no input has a dimension for it");
}

/* One row of everything: [4,3] becomes [1,12]. */
TEST(a_model_that_makes_one_sample_of_a_batch_is_refused)
{
    static const int64_t two = 2, row[] = {1, -1};
    const struct onnx_options o = {.batch = 4};
    struct text g = {0};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "1,3");
    onnx_initializer(&g, "row", ONNX_INT64, 1, &two, row, sizeof row);
    onnx_node(&g, GRAPH_NODE, "Reshape", "x row", "y", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "1,3");
    check_refused(&g, 13, &o, UNSUPPORTED,
                  "--batch 4: no dimension of output 'y' is that; a node of the model "
                  "fixes its batch");
}

TEST(question_marks_are_no_names)
{
    struct onnx_options o = {.n_shapes = 1};
    struct text g = {0};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "??,??");
    onnx_node(&g, GRAPH_NODE, "Relu", "x", "y", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "??,??");
    o.shape[0].input = "x";
    o.shape[0].rank = 2;
    o.shape[0].dim[0] = 4;
    o.shape[0].dim[1] = 3;
    CHECK(strstr(imported(&g, 13, &o), "(%x: f32[4,3])"));
}

/* One gate's worth of numbers each: hidden size 1, W and R [1, 1, 4]. */
static struct text codes_lstm(int64_t n_scales, int8_t point, const char *r)
{
    static const int8_t w[4] = {1, 2, 3, 4}, twice[8] = {1};
    static const float scale[4] = {0.5f, 0.5f, 0.5f, 0.5f};
    const int8_t zero[4] = {point, point, point, point};
    const int64_t dims[3] = {1, 1, 4}, scales[2] = {1, n_scales};
    struct text g = {0};
    char names[40];

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "1,1,1");
    onnx_initializer(&g, "w", ONNX_INT8, 3, dims, w, sizeof w);
    onnx_initializer(&g, "s", ONNX_FLOAT, 2, scales, scale, (size_t)n_scales * 4);
    onnx_initializer(&g, "z", ONNX_INT8, 2, scales, zero, (size_t)n_scales);
    onnx_initializer(&g, "wide", ONNX_INT8, 3, (int64_t[]){1, 2, 4}, twice,
                     sizeof twice);
    snprintf(names, sizeof names, "x w %s - - - - - s z s z", r);
    onnx_node(&g, GRAPH_NODE, "DynamicQuantizeLSTM", names, "y", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "1,1,1,1");
    return g;
}

/* R counts from 128 up: 1 becomes 129. */
TEST(weights_of_an_lstm_may_be_codes)
{
    struct text g = codes_lstm(4, 0, "w");
    const char *text = imported(&g, 13, NULL);

    CHECK(strstr(text, "LSTM(") && !strstr(text, "DynamicQuantize"));
    CHECK(strstr(text, "MatMulInteger("));
    CHECK(strstr(text, "u8[1,1,4] {129,130,131,132}"));
    CHECK(strstr(text, "u8[1,4] {128,128,128,128}"));
    g = codes_lstm(3, 0, "w");
    check_refused(&g, 13, NULL, INVALID, "'s' does not fit to 'w'");
    g = codes_lstm(4, 0, "wide");
    check_refused(&g, 13, NULL, INVALID, "'wide' has not 4 gates of 2");
}

TEST(an_lstm_of_integers_is_refused)
{
    static const int8_t w[4] = {1, 2, 3, 4};
    const int64_t dims[3] = {1, 4, 1};
    struct text g = {0};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "1,1,1");
    onnx_initializer(&g, "w", ONNX_INT8, 3, dims, w, sizeof w);
    onnx_node(&g, GRAPH_NODE, "LSTM", "x w w", "y", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "1,1,1,1");
    check_refused(&g, 13, NULL, INVALID, "");
}

TEST(a_gru_has_no_more_inputs_than_onnx_gives_it)
{
    static const float w[3] = {1, 2, 3};
    const int64_t dims[3] = {1, 3, 1};
    struct text g = {0};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "1,1,1");
    onnx_initializer(&g, "w", ONNX_FLOAT, 3, dims, w, sizeof w);
    onnx_node(&g, GRAPH_NODE, "GRU", "x w w - - - x", "y", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "1,1,1,1");
    check_refused(&g, 13, NULL, INVALID, "has 7 inputs but needs at most 6");
}

TEST(inputs_of_an_lstm_stay_float_where_codes_have_a_zero_point)
{
    struct text g = codes_lstm(4, 1, "w");
    const char *text = imported(&g, 13, NULL);

    CHECK(strstr(text, "{0,0.5,1,1.5}") && !strstr(text, "MatMulInteger("));
    CHECK(strstr(text, "u8[1,4] {129,129,129,129}"));
}

/* Columns of b in steps of 1 and 10, x in steps of 2: c counts in 2 and 20. */
TEST(a_quantized_gemm_may_have_a_scale_per_column)
{
    static const uint8_t b[4] = {1, 2, 3, 4}, zero[2] = {0, 0};
    static const float one = 2, two[2] = {1, 10};
    static const int32_t bias[2] = {5, 6};
    const int64_t square[2] = {2, 2}, n = 2;
    struct text g = {0};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_UINT8, "1,2");
    onnx_initializer(&g, "xs", ONNX_FLOAT, 0, NULL, &one, 4);
    onnx_initializer(&g, "xz", ONNX_UINT8, 0, NULL, zero, 1);
    onnx_initializer(&g, "b", ONNX_UINT8, 2, square, b, 4);
    onnx_initializer(&g, "bs", ONNX_FLOAT, 1, &n, two, 8);
    onnx_initializer(&g, "bz", ONNX_UINT8, 1, &n, zero, 2);
    onnx_initializer(&g, "c", ONNX_INT32, 1, &n, bias, 8);
    onnx_node(&g, GRAPH_NODE, "QGemm", "x xs xz b bs bz c", "y", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "1,2");
    const char *text = imported(&g, 13, NULL);

    CHECK(strstr(text, "Gemm(") && !strstr(text, "QGemm"));
    CHECK(strstr(text, "{2,20}"));
    CHECK(strstr(text, "DequantizeLinear(%b, %bs, %bz) {axis=1,"));
}

TEST(options_that_fit_nothing_name_what_there_is)
{
    struct onnx_options o = {.n_dims = 1, .dim = {{"M", 4}}};
    struct text g = open_model();

    check_refused(&g, 13, &o, BAD_USAGE,
                  "no input has a dimension 'M'; open dimensions are N (input 'x')");
    o = (struct onnx_options){.n_shapes = 1};
    o.shape[0].input = "q";
    g = open_model();
    check_refused(&g, 13, &o, BAD_USAGE,
                  "--shape: the model has no input 'q'; it has x z");
}

TEST(a_frozen_input_is_a_constant)
{
    float two[] = {2, 2};
    struct onnx_options o = {
        .n_freezes = 1,
        .freeze = {{"z", {.dtype = DT_f32, .rank = 2, .dim = {1, 2}, .data = two}}}};
    struct text g = {0};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "1,2");
    onnx_value(&g, GRAPH_INPUT, "z", ONNX_FLOAT, "1,2");
    onnx_node(&g, GRAPH_NODE, "Add", "x z", "y", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "1,2");

    const char *text = imported(&g, 13, &o);

    CHECK(strstr(text, "(%x: f32[1,2]) {"));
    CHECK(strstr(text, "%z = const f32[1,2] {2,2}"));
}

/* x -> Relu or Neg, by a constant and by an input. */
static struct text if_model(bool constant)
{
    struct text g = {0}, yes = {0}, no = {0}, attrs = {0};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "2");
    if (constant)
        onnx_initializer(&g, "c", ONNX_BOOL, 0, NULL, "\0", 1);
    else
        onnx_value(&g, GRAPH_INPUT, "c", ONNX_BOOL, "");
    onnx_node(&yes, GRAPH_NODE, "Relu", "x", "a", NULL);
    onnx_value(&yes, GRAPH_OUTPUT, "a", ONNX_FLOAT, "2");
    onnx_node(&no, GRAPH_NODE, "Neg", "x", "b", NULL);
    onnx_value(&no, GRAPH_OUTPUT, "b", ONNX_FLOAT, "2");
    onnx_attr_graph(&attrs, "then_branch", &yes);
    onnx_attr_graph(&attrs, "else_branch", &no);
    onnx_node(&g, GRAPH_NODE, "If", "c", "y", &attrs);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "2");
    return g;
}

TEST(a_constant_condition_leaves_one_branch)
{
    struct text g = if_model(true);

    CHECK(strstr(imported(&g, 13, NULL), "%y = Neg(%x) : f32[2]"));
}

TEST(a_condition_known_when_running_keeps_both)
{
    struct text g = if_model(false);

    CHECK_TEXT(imported(&g, 13, NULL), "graph test(%x: f32[2], %c: bool[]) {\n"
                                       "  %y = If(%c) : f32[2] #0\n"
                                       "  body then_branch() {\n"
                                       "    %a = Relu(%x) : f32[2] #0\n"
                                       "    return %a\n"
                                       "  }\n"
                                       "  body else_branch() {\n"
                                       "    %b = Neg(%x) : f32[2] #0\n"
                                       "    return %b\n"
                                       "  }\n"
                                       "  return %y\n"
                                       "}\n");
}

/* s := s + x, n times, collecting s. */
static struct text loop_model(int64_t n, const char *trips)
{
    struct text g = {0}, body = {0}, attrs = {0};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "2");
    if (*trips == '-')
        onnx_value(&g, GRAPH_INPUT, "go", ONNX_BOOL, "");
    onnx_initializer(&g, "n", ONNX_INT64, 0, NULL, &n, 8);
    onnx_value(&body, GRAPH_INPUT, "i", ONNX_INT64, "");
    onnx_value(&body, GRAPH_INPUT, "c", ONNX_BOOL, "");
    onnx_value(&body, GRAPH_INPUT, "s", ONNX_FLOAT, "2");
    onnx_node(&body, GRAPH_NODE, "Identity", *trips == '-' ? "go" : "c", "c2", NULL);
    onnx_node(&body, GRAPH_NODE, "Add", "s x", "s2", NULL);
    onnx_value(&body, GRAPH_OUTPUT, "c2", ONNX_BOOL, "");
    onnx_value(&body, GRAPH_OUTPUT, "s2", ONNX_FLOAT, "2");
    onnx_value(&body, GRAPH_OUTPUT, "s2", ONNX_FLOAT, "2");
    onnx_attr_graph(&attrs, "body", &body);
    onnx_node(&g, GRAPH_NODE, "Loop", *trips == '-' ? "n go x" : "n - x", "last all",
              &attrs);
    onnx_value(&g, GRAPH_OUTPUT, "last", ONNX_FLOAT, "2");
    onnx_value(&g, GRAPH_OUTPUT, "all", ONNX_FLOAT, "?,2");
    return g;
}

TEST(a_short_loop_is_spelled_out)
{
    struct text g = loop_model(2, "n");
    const char *text = imported(&g, 13, NULL);

    CHECK(strstr(text, "%last/0/s2 = Add(%x, %x)"));
    CHECK(strstr(text, "%last = Add(%last/0/s2, %x)"));
    CHECK(strstr(text, "%all = Concat("));
    CHECK(!strstr(text, "Loop("));
}

TEST(a_loop_of_no_rounds_passes_its_state_on)
{
    struct text g = loop_model(0, "n");
    const char *text = imported(&g, 13, NULL);

    CHECK(strstr(text, "%last = Identity(%x)"));
    CHECK(strstr(text, "const f32[0,2] {}"));
}

TEST(a_long_loop_stays)
{
    struct text g = loop_model(100000, "n");

    CHECK(strstr(imported(&g, 13, NULL), "%last, %all = Loop(%n, _, %x) : f32[2], "
                                         "f32[100000,2]"));
}

TEST(a_loop_that_may_end_early_has_a_capacity)
{
    struct text g = loop_model(5, "-");

    CHECK(strstr(imported(&g, 13, NULL), "Loop(%n, %go, %x) : f32[2], f32<=[5,2]"));
}

/* f(a) = Add(a, a) + k where k is an attribute. */
TEST(functions_are_inlined_with_their_attributes)
{
    struct text g = {0}, f = {0}, ref = {0}, attrs = {0}, given = {0}, version = {0};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "2,3");
    onnx_attr_int(&given, "k", 0);
    struct text node = {0};

    pb_string(&node, 1, "x");
    pb_string(&node, 2, "y");
    pb_string(&node, 4, "Halves");
    pb_string(&node, 7, "my.domain");
    text_append(&node, given.bytes, given.len);
    text_free(&given);
    pb_message(&g, GRAPH_NODE, &node);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "2,3");

    struct text model = onnx_model(&g, 13);

    pb_string(&f, 1, "Halves");
    pb_string(&f, 4, "a");
    pb_string(&f, 5, "r");
    pb_string(&f, 6, "k");
    pb_string(&ref, 1, "axis");
    pb_string(&ref, 21, "k");
    pb_int(&ref, 20, 2);
    pb_message(&attrs, 5, &ref);
    onnx_node(&f, 7, "Concat", "a a", "r", &attrs);
    pb_int(&version, 2, 13);
    pb_message(&f, 9, &version);
    pb_string(&f, 10, "my.domain");
    pb_message(&model, 25, &f);

    struct compile *c = compile_create();
    struct text out = {0};
    struct ir_graph *graph;

    CHECK_OK(import(c, &model, NULL, NULL, &graph));
    ir_print(graph, 0, &out);
    CHECK(strstr(out.bytes, "%y = Concat(%x, %x) {axis=0} : f32[4,3] \"y/r\" #0"));
    text_free(&out);
    compile_destroy(c);
}

TEST(all_unsupported_nodes_are_listed_at_once)
{
    struct text g = {0};
    struct onnx_problems problems = {0};
    struct compile *c = compile_create();
    struct ir_graph *graph;

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "2");
    onnx_node(&g, GRAPH_NODE, "Frob", "x", "a", NULL);
    onnx_node(&g, GRAPH_NODE, "Relu", "a", "b", NULL);
    onnx_node(&g, GRAPH_NODE, "Nicate", "b", "y", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "2");

    struct text model = onnx_model(&g, 13);

    CHECK_FAILS(import(c, &model, NULL, &problems, &graph), UNSUPPORTED,
                "2 of 3 nodes cannot be compiled");
    CHECK_EQ(problems.n, 2);
    CHECK_TEXT(problems.at[0].node, "a");
    CHECK_TEXT(problems.at[0].op, "Frob");
    CHECK_TEXT(problems.at[0].dtype, "f32");
    CHECK_TEXT(problems.at[0].reason, "operator is not supported");
    CHECK_EQ(problems.at[1].index, 2);
    compile_destroy(c);
}

TEST(errors_name_the_node_and_the_reason)
{
    struct text g = {0};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "2");
    onnx_node(&g, GRAPH_NODE, "Relu", "q", "y", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "2");
    check_refused(&g, 13, NULL, INVALID,
                  "node 'y' (Relu, ONNX node 0): reads 'q', which nothing before it");

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "2");
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "2");
    check_refused(&g, 13, NULL, INVALID, "output 'y' is defined by no node");

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_STRING, "2");
    onnx_value(&g, GRAPH_OUTPUT, "x", ONNX_STRING, "2");
    check_refused(&g, 13, NULL, UNSUPPORTED, "input 'x' has element type string");

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "2");
    onnx_node(&g, GRAPH_NODE, "Relu", "x", "y", NULL);
    onnx_node(&g, GRAPH_NODE, "Relu", "x", "y", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "2");
    check_refused(&g, 13, NULL, INVALID, "'y' is defined twice");

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "2");
    onnx_node(&g, GRAPH_NODE, "Relu", "x", "y", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "2");
    check_refused(&g, 99, NULL, UNSUPPORTED, "opset 99; the newest known is 21");

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "2");
    onnx_initializer(&g, "w", ONNX_FLOAT, 1, (int64_t[]){3}, "12345678", 8);
    onnx_node(&g, GRAPH_NODE, "Add", "x w", "y", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "2");
    check_refused(&g, 13, NULL, INVALID, "has 8 bytes of data, the shape needs 12");
}

static void check_auto_pad_refused(const char *op)
{
    struct text g = {0}, attrs = {0};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "1,1,4,4");
    onnx_value(&g, GRAPH_INPUT, "w", ONNX_FLOAT, "1,1,2,2");
    onnx_attr_string(&attrs, "auto_pad", "SAME_LOW");
    onnx_node(&g, GRAPH_NODE, op, "x w", "y", &attrs);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "1,1,?,?");
    check_refused(
        &g, 13, NULL, INVALID,
        "auto_pad is 'SAME_LOW', not NOTSET, VALID, SAME_UPPER or SAME_LOWER");
}

TEST(an_auto_pad_of_no_meaning_is_refused)
{
    check_auto_pad_refused("Conv");
    check_auto_pad_refused("ConvTranspose");
}

/* ---- external data
 * ------------------------------------------------------------------- */

static char folder[64];

static struct status *import_external(const char *location, const char *offset)
{
    struct text g = {0}, tensor = {0};
    const char *pairs[][2] = {{"location", location}, {"offset", offset}};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "2");
    pb_int(&tensor, 1, 2);
    pb_int(&tensor, 2, ONNX_FLOAT);
    pb_string(&tensor, 8, "w");
    for (int i = 0; i < 2; i++) {
        struct text pair = {0};

        pb_string(&pair, 1, pairs[i][0]);
        pb_string(&pair, 2, pairs[i][1]);
        pb_message(&tensor, 13, &pair);
    }
    pb_int(&tensor, 14, 1);
    pb_message(&g, GRAPH_INITIALIZER, &tensor);
    onnx_node(&g, GRAPH_NODE, "Add", "x w", "y", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "2");

    struct text model = onnx_model(&g, 13);
    struct compile *c = compile_create();
    struct ir_graph *graph;
    struct status *s =
        onnx_import_bytes(c, model.bytes, model.len, folder, NULL, NULL, &graph);

    text_free(&model);
    compile_destroy(c);
    return s;
}

TEST(external_data_stays_below_the_folder_of_the_model)
{
    char path[128];

    strcpy(folder, "/tmp/hadmc_external_XXXXXX");
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/w.bin", folder);
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite("0123456789ab", 1, 12, f) == 12 && !fclose(f));
    snprintf(path, sizeof path, "%s/link", folder);
    CHECK(!symlink("/etc/passwd", path));

    CHECK_OK(import_external("w.bin", "4"));
    CHECK_FAILS(import_external("w.bin", "8"), INVALID, "ends at byte 12");
    CHECK_FAILS(import_external("w.bin", "-4"), INVALID, "offset '-4'");
    CHECK_FAILS(import_external("/etc/passwd", "0"), INVALID, "not relative");
    CHECK_FAILS(import_external("../../etc/passwd", "0"), INVALID, "outside");
    CHECK_FAILS(import_external("link", "0"), INVALID, "outside");
    CHECK_FAILS(import_external(".", "0"), INVALID, "outside");
    CHECK_FAILS(import_external("none.bin", "0"), IO_ERROR, "No such file");

    unlink(path);
    snprintf(path, sizeof path, "%s/w.bin", folder);
    unlink(path);
    rmdir(folder);
}

TEST(tensors_survive_a_file)
{
    uint8_t nibbles[] = {1, 15, 7};
    const struct tensor t = {.dtype = DT_u4, .rank = 1, .dim = {3}, .data = nibbles};
    struct arena *a = arena_create();
    struct tensor back;

    CHECK_OK(onnx_write_tensor_file("/tmp/hadmc_tensor_test.pb", "t", &t));
    CHECK_OK(onnx_read_tensor_file(a, "/tmp/hadmc_tensor_test.pb", &back));
    CHECK_EQ(back.dtype, DT_u4);
    CHECK_EQ(back.dim[0], 3);
    CHECK_BYTES(back.data, nibbles, 3);
    unlink("/tmp/hadmc_tensor_test.pb");
    arena_destroy(a);
}

/* S (two tensors) -> its second one, and S with its first at the end. */
TEST(sequences_at_the_border_become_tensors)
{
    struct onnx_options o = {.n_dims = 1, .dim = {{"S.length", 2}}, .n_shapes = 2};
    struct text g = {0}, tensor = {0}, elem = {0}, seq = {0}, type = {0}, info = {0};
    int64_t zero = 0;

    for (int i = 0; i < 2; i++) {
        o.shape[i].input = i ? "S.1" : "S.0";
        o.shape[i].rank = 1;
        o.shape[i].dim[0] = 3 + i;
    }
    pb_int(&tensor, 1, ONNX_FLOAT);
    pb_message(&elem, 1, &tensor);
    pb_message(&seq, 1, &elem);
    pb_message(&type, 4, &seq);
    pb_string(&info, 1, "S");
    pb_message(&info, 2, &type);
    pb_message(&g, GRAPH_INPUT, &info);
    onnx_initializer(&g, "zero", ONNX_INT64, 0, NULL, &zero, 8);
    onnx_node(&g, GRAPH_NODE, "SequenceAt", "S zero", "first", NULL);
    onnx_node(&g, GRAPH_NODE, "Relu", "first", "r", NULL);
    onnx_node(&g, GRAPH_NODE, "SequenceInsert", "S r", "T", NULL);
    onnx_node(&g, GRAPH_NODE, "SequenceErase", "T zero", "U", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "U", ONNX_FLOAT, "?");
    CHECK_TEXT(imported(&g, 13, &o), "graph test(%S.0: f32[3], %S.1: f32[4]) {\n"
                                     "  %U.1 = Relu(%S.0) : f32[3] \"r\" #1\n"
                                     "  %U.0 = Identity(%S.1) : f32[4]\n"
                                     "  return %U.0, %U.1\n"
                                     "}\n");
}

/* What a camera gives: bytes, channels last. */
TEST(an_input_comes_as_the_caller_has_it)
{
    static const float mean[] = {10, 20}, std[] = {4};
    const struct onnx_options o = {.n_ios = 1,
                                   .io = {{.input = "x",
                                           .dtype = DT_u8,
                                           .channels_last = true,
                                           .n_mean = 2,
                                           .n_std = 1,
                                           .mean = mean,
                                           .std = std}}};
    struct text g = {0};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "1,2,3,5");
    onnx_node(&g, GRAPH_NODE, "Relu", "x", "y", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "1,2,3,5");
    CHECK_TEXT(imported(&g, 13, &o),
               "graph test(%x: u8[1,3,5,2]) {\n"
               "  %t.1 = const f32[1,1,1,2] {10,20}\n"
               "  %t.3 = const f32[] {0.25}\n"
               "  %t.0 = Cast(%x) {to=1} : f32[1,3,5,2]\n"
               "  %t.2 = Sub(%t.0, %t.1) : f32[1,3,5,2]\n"
               "  %t.4 = Mul(%t.2, %t.3) : f32[1,3,5,2]\n"
               "  %t.5 = Transpose(%t.4) {perm=[0,3,1,2]} : f32[1,2,3,5]\n"
               "  %y = Relu(%t.5) : f32[1,2,3,5] #0\n"
               "  return %y\n"
               "}\n");
}

TEST(an_input_with_as_many_means_as_it_has_channels_or_one)
{
    static const float mean[] = {1, 2, 3}, std[] = {1};
    const struct onnx_options o = {.n_ios = 1,
                                   .io = {{.input = "x",
                                           .dtype = DT_u8,
                                           .n_mean = 3,
                                           .n_std = 1,
                                           .mean = mean,
                                           .std = std}}};
    struct text g = {0};

    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "1,2,3,5");
    onnx_node(&g, GRAPH_NODE, "Relu", "x", "y", NULL);
    onnx_value(&g, GRAPH_OUTPUT, "y", ONNX_FLOAT, "1,2,3,5");
    check_refused(&g, 13, &o, BAD_USAGE, "--io x: 3 means for 2 channels");
}
