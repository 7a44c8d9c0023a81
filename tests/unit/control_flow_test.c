/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* If and Loop that stay in the graph: their types, and what they compute. */
#include "tests/test.h"

#include "frontend/interpret.h"
#include "frontend/onnx_import.h"
#include "tests/onnx_build.h"

static struct compile *c;

static struct ir_graph *parse(const char *text)
{
    struct ir_graph *g = NULL;

    compile_destroy(c);
    c = compile_create();
    CHECK_OK(ir_parse(c, text, strlen(text), &g));
    return g;
}

/* Output i of g on these inputs. */
static struct tensor run(const struct ir_graph *g, const struct tensor *in, int i)
{
    struct interpretation io = {0};

    CHECK_OK(interpret(c->perm, g, in, &io));
    return io.by_id[g->out[i]->id];
}

TEST(an_if_runs_one_branch)
{
    const struct ir_graph *g = parse("graph g(%c: bool[], %x: f32[2]) {\n"
                                     "  %y = If(%c)\n"
                                     "  body yes() {\n %a = Neg(%x)\n return %a }\n"
                                     "  body no() {\n return %x }\n"
                                     "  return %y }");
    uint8_t cond = 1;
    float x[] = {1, 2};
    const struct tensor in[] = {{.dtype = DT_bool, .data = &cond},
                                {.dtype = DT_f32, .rank = 1, .dim = {2}, .data = x}};

    CHECK_BYTES(run(g, in, 0).data, ((float[]){-1, -2}), 8);
    cond = 0;
    CHECK_BYTES(run(g, in, 0).data, ((float[]){1, 2}), 8);
}

/* s = x + x + ... and every s on the way; ends when `stop` rounds have passed. */
static const char *const counting =
    "graph g(%n: i64[], %x: f32[1], %stop: i64[]) {\n"
    "  %most = const i64[] {4}\n"
    "  %s, %all = Loop(%most, _, %x)\n"
    "  body round(%i: i64[], %go: bool[], %v: f32[1]) {\n"
    "    %v2 = Add(%v, %x)\n"
    "    %on = Less(%i, %stop)\n"
    "    return %on, %v2, %v2\n"
    "  }\n"
    "  return %s, %all\n"
    "}\n";

TEST(a_loop_stops_at_its_condition_and_says_how_many_rows_there_are)
{
    const struct ir_graph *g = parse(counting);
    int64_t n = 0, stop = 1;
    float x = 1;
    const struct tensor in[] = {{.dtype = DT_i64, .data = &n},
                                {.dtype = DT_f32, .rank = 1, .dim = {1}, .data = &x},
                                {.dtype = DT_i64, .data = &stop}};

    CHECK_EQ(g->out[1]->dim[0], 4);
    CHECK(g->out[1]->dynamic);
    /* Round 0 goes on because 0 < 1, round 1 is the last. */
    CHECK_BYTES(run(g, in, 0).data, ((float[]){3}), 4);
    CHECK_EQ(run(g, in, 1).dim[0], 2);
    CHECK_BYTES(run(g, in, 1).data, ((float[]){2, 3}), 8);
    stop = 100;
    CHECK_EQ(run(g, in, 1).dim[0], 4);
    CHECK_BYTES(run(g, in, 1).data, ((float[]){2, 3, 4, 5}), 16);
}

TEST(branches_of_different_shape_are_refused)
{
    struct ir_graph *g;
    const char *text = "graph g(%c: bool[], %x: f32[2], %z: f32[3]) {\n"
                       "  %y = If(%c)\n"
                       "  body yes() { return %x }\n"
                       "  body no() { return %z }\n"
                       "  return %y }";

    compile_destroy(c);
    c = compile_create();
    CHECK_FAILS(ir_parse(c, text, strlen(text), &g), UNSUPPORTED,
                "output 0 has another shape or type in each branch");
}

TEST(a_state_that_changes_its_shape_is_refused)
{
    struct ir_graph *g;
    const char *text = "graph g(%n: i64[], %x: f32[2]) {\n"
                       "  %y = Loop(%n, _, %x)\n"
                       "  body b(%i: i64[], %go: bool[], %v: f32[2]) {\n"
                       "    %w = Concat(%v, %v) {axis=0}\n"
                       "    return %go, %w }\n"
                       "  return %y }";

    compile_destroy(c);
    c = compile_create();
    CHECK_FAILS(ir_parse(c, text, strlen(text), &g), UNSUPPORTED,
                "changes its shape or type from round to round");
}

/* Sums [length, 1] from the end; the rows go along axis 1, last round first. */
static struct ir_graph *long_scan(int64_t length, char *text_out, size_t room)
{
    struct text g = {0}, body = {0}, attrs = {0}, model, text = {0};
    const char *lists[] = {"scan_input_directions", "scan_output_directions",
                           "scan_output_axes"};
    struct onnx_options o = {.n_dims = 1, .dim = {{"N", length}}};
    struct ir_graph *graph = NULL;

    onnx_value(&g, GRAPH_INPUT, "s0", ONNX_FLOAT, "1");
    onnx_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, "N,1");
    onnx_value(&body, GRAPH_INPUT, "s", ONNX_FLOAT, "1");
    onnx_value(&body, GRAPH_INPUT, "e", ONNX_FLOAT, "1");
    onnx_node(&body, GRAPH_NODE, "Add", "s e", "sum", NULL);
    onnx_value(&body, GRAPH_OUTPUT, "sum", ONNX_FLOAT, "1");
    onnx_value(&body, GRAPH_OUTPUT, "sum", ONNX_FLOAT, "1");
    onnx_attr_graph(&attrs, "body", &body);
    onnx_attr_int(&attrs, "num_scan_inputs", 1);
    for (int i = 0; i < 3; i++) {
        struct text attr = {0};

        pb_string(&attr, 1, lists[i]);
        pb_int(&attr, 8, 1);
        pb_int(&attr, 20, 7);
        pb_message(&attrs, 5, &attr);
    }
    onnx_node(&g, GRAPH_NODE, "Scan", "s0 x", "last rows", &attrs);
    onnx_value(&g, GRAPH_OUTPUT, "last", ONNX_FLOAT, "1");
    onnx_value(&g, GRAPH_OUTPUT, "rows", ONNX_FLOAT, "1,N");
    model = onnx_model(&g, 13);
    compile_destroy(c);
    c = compile_create();
    CHECK_OK(onnx_import_bytes(c, model.bytes, model.len, NULL, &o, NULL, &graph));
    ir_print(graph, 0, &text);
    snprintf(text_out, room, "%s", text.bytes);
    text_free(&text);
    text_free(&model);
    return graph;
}

TEST(long_and_short_scans_give_the_same)
{
    enum { LONG = 2000 };
    static float x[LONG], want[LONG];
    static char text[1 << 16];
    float zero = 0;

    for (int length = 3; length <= LONG; length += LONG - 3) {
        const struct ir_graph *g = long_scan(length, text, sizeof text);
        const struct tensor in[] = {
            {.dtype = DT_f32, .rank = 1, .dim = {1}, .data = &zero},
            {.dtype = DT_f32, .rank = 2, .dim = {length, 1}, .data = x}};

        for (int i = 0; i < length; i++)
            x[i] = (float)i;
        /* Round r adds x[length-1-r]; its row stands at length-1-r. */
        for (int i = length - 1; i >= 0; i--)
            want[i] = x[i] + (i + 1 < length ? want[i + 1] : 0);
        CHECK(!strstr(text, "Loop(") == (length == 3));
        CHECK_EQ(run(g, in, 1).rank, 2);
        CHECK_EQ(run(g, in, 1).dim[1], length);
        CHECK_BYTES(run(g, in, 1).data, want, (size_t)length * 4);
        CHECK_BYTES(run(g, in, 0).data, want, 4);
    }
}
