/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* Text of graphs: what is printed reads back, and bad text is refused by line. */
#include "tests/test.h"

#include "frontend/ir.h"

static struct status *parse(struct compile *c, const char *text, struct ir_graph **g)
{
    return ir_parse(c, text, strlen(text), g);
}

/* print(parse(text)), to be compared with text. */
static char *round_trip(const char *text)
{
    static char kept[8192];
    struct compile *c = compile_create();
    struct ir_graph *g;
    struct text out = {0};

    CHECK_OK(parse(c, text, &g));
    ir_print(g, IR_TEXT_ALL_DATA, &out);
    CHECK(out.len < sizeof kept);
    memcpy(kept, out.bytes, out.len + 1);
    text_free(&out);
    compile_destroy(c);
    return kept;
}

static void check_refused(const char *text, const char *words)
{
    struct compile *c = compile_create();
    struct ir_graph *g;

    CHECK_FAILS(parse(c, text, &g), INVALID, words);
    compile_destroy(c);
}

TEST(a_printed_graph_reads_back_the_same)
{
    const char *text = "graph keyword(%x: f32[1,3]) {\n"
                       "  %y = Identity(%x) : f32[1,3] \"copy\" #7\n"
                       "  return %y, %x\n"
                       "}\n";

    CHECK_TEXT(round_trip(text), text);
}

TEST(constants_of_every_type_keep_their_bits)
{
    const char *text = "graph g() {\n"
                       "  %a = const f32[6] {-0,nan,0x7fc00001,inf,-inf,0.1}\n"
                       "  %b = const f64[3] {0.1,nan,0x7ff8000000000001}\n"
                       "  %c = const f16[2] {0x3c00,0xfe01}\n"
                       "  %d = const bf16[1] {0x3f80}\n"
                       "  %e = const i64[2] {-9223372036854775808,9223372036854775807}\n"
                       "  %f = const u64[1] {18446744073709551615}\n"
                       "  %g = const i8[2] {-128,127}\n"
                       "  %h = const bool[2] {0,1}\n"
                       "  %i = const u4[1] {15}\n"
                       "  %j = const f32[] {1.4013e-45}\n"
                       "  %k = const i32[0,4] {}\n"
                       "  %l = const f32[4,4] {*2.5}\n"
                       "  return %a, %b, %c, %d, %e, %f, %g, %h, %i, %j, %k, %l\n"
                       "}\n";

    CHECK_TEXT(round_trip(text), text);
}

TEST(attributes_of_every_kind_read_back)
{
    const char *text =
        "graph g(%x: f32[2]) {\n"
        "  %y = Identity(%x) {i=-3, f=1.0, e=1e-05, s=\"a\\\"\\\\\\n\\x01\", is=[1,-2], "
        "none=[], fs=floats[0.5,2.0,nan], ss=strings[\"Tanh\",\"\"], "
        "t=tensor i64[2] {4,5}} : f32[2]\n"
        "  return %y\n"
        "}\n";

    CHECK_TEXT(round_trip(text), text);
}

TEST(names_that_are_not_words_are_quoted)
{
    const char *text = "graph \"my net\"(%\"in:0\": f32[2]) {\n"
                       "  %\"a b\" = Identity(%\"in:0\") : f32[2]\n"
                       "  return %\"a b\"\n"
                       "}\n";

    CHECK_TEXT(round_trip(text), text);
}

TEST(capacities_and_layouts_are_part_of_a_type)
{
    const char *text = "graph g(%x: f32<=[2,3], %z: f32[2,4,3] of %nchw[0,2,1]) {\n"
                       "  %y = Identity(%x) : f32<=[2,3]\n"
                       "  return %y, %z\n"
                       "}\n";

    CHECK_TEXT(round_trip(text), text);
}

TEST(types_may_be_left_to_inference)
{
    CHECK_TEXT(round_trip("graph g(%x: f32[2]) { // a comment\n %y = Identity(%x)\n"
                          " return %y }"),
               "graph g(%x: f32[2]) {\n"
               "  %y = Identity(%x) : f32[2]\n"
               "  return %y\n"
               "}\n");
}

TEST(a_short_dump_is_refused_when_read)
{
    check_refused("graph g() {\n %a = const f32[9] {0,1,2,3,4,5,6,7,...}\n return %a }",
                  "line 2: constant was cut short");
}

TEST(errors_name_the_line_and_the_reason)
{
    check_refused("graph g(%x: f32[2]) {\n return %y }", "line 2: 'y' is not defined");
    check_refused("graph g(%x: f32[2]) {\n\n %y = Frob(%x)\n return %y }",
                  "line 3: there is no operator 'Frob'");
    check_refused("graph g(%x: f32[2]) {\n %x = Identity(%x)\n return %x }",
                  "line 2: 'x' is defined twice");
    check_refused("graph g(%x: f32[2]) {\n %y = Identity(%x) : f32[3]\n return %y }",
                  "inference gives f32[2]");
    check_refused("graph g(%x: f33[2]) { return %x }", "'f33' is not an element type");
    check_refused("graph g(%x: f32[9999999999,9999999999]) { return %x }", "too large");
    check_refused("graph g(%x: f32[-1]) { return %x }", "negative");
    check_refused("graph g(%x: f32[2]) {\n %y = Identity(%x, %x)\n return %y }",
                  "has 2 inputs but needs 1 to 1");
    check_refused("graph g() { %a = const i8[1] {128} return %a }", "out of range");
    check_refused("graph g() { %a = const f32[2] {1} return %a }", "2 elements expected");
    check_refused("graph g(%x: f32[2]) { return %x } x", "goes on after");
    check_refused("graph g(%x: f32[2", "expected ','");
}
