/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* The reader of protobuf's wire format: what it accepts, and what it refuses. */
#include "tests/test.h"

#include "frontend/onnx_wire.h"
#include "tests/onnx_build.h"

static struct arena *arena;

static struct status *read_tensor(struct text *file, const struct onnx_tensor **out)
{
    arena_destroy(arena);
    arena = arena_create();
    return onnx_wire_tensor(arena, file->bytes, file->len, out);
}

static struct status *read_model(const struct text *file)
{
    const struct onnx_model *m;
    struct arena *a = arena_create();
    struct status *s = onnx_wire_model(a, file->bytes, file->len, &m);

    arena_destroy(a);
    return s;
}

TEST(packed_and_unpacked_numbers_join_in_order)
{
    const uint8_t packed[] = {5, 0xac, 0x02}; /* 5, 300 */
    const struct onnx_tensor *t;
    struct text file = {0};

    pb_int(&file, 1, 4);
    pb_bytes(&file, 1, packed, sizeof packed);
    pb_int(&file, 1, -1);
    CHECK_OK(read_tensor(&file, &t));
    CHECK_EQ(t->dims.n, 4);
    CHECK_BYTES(t->dims.at, ((int64_t[]){4, 5, 300, -1}), 32);
    text_free(&file);
}

TEST(packed_floats_join_too)
{
    const float some[] = {1, 2};
    const struct onnx_tensor *t;
    struct text file = {0};

    pb_bytes(&file, 4, some, sizeof some);
    pb_float(&file, 4, 3);
    pb_bytes(&file, 4, some, sizeof some);
    CHECK_OK(read_tensor(&file, &t));
    CHECK_EQ(t->float_data.n_bytes, 20);
    CHECK_BYTES(t->float_data.at, ((float[]){1, 2, 3, 1, 2}), 20);
    text_free(&file);
}

TEST(raw_data_is_not_copied)
{
    const struct onnx_tensor *t;
    struct text file = {0};

    pb_bytes(&file, 9, "abcd", 4);
    CHECK_OK(read_tensor(&file, &t));
    CHECK((const char *)t->raw_data.at == file.bytes + 2);
    CHECK_EQ(t->raw_data.n, 4);
    text_free(&file);
}

TEST(the_last_scalar_wins_and_messages_merge)
{
    struct text dim = {0}, shape = {0}, a = {0}, b = {0}, type = {0}, info = {0};
    struct text graph = {0}, model = {0};
    const struct onnx_model *m;
    struct arena *mem = arena_create();

    pb_int(&dim, 1, 7);
    pb_message(&shape, 1, &dim);
    pb_int(&a, 1, 1);
    pb_message(&b, 2, &shape);
    pb_int(&b, 1, 6);
    pb_message(&type, 1, &a);
    pb_message(&type, 1, &b);
    pb_message(&info, 2, &type);
    pb_message(&graph, GRAPH_INPUT, &info);
    pb_message(&model, 7, &graph);
    CHECK_OK(onnx_wire_model(mem, model.bytes, model.len, &m));

    const struct onnx_value_info *input = m->graph->input.at[0];
    const struct onnx_dim *d = input->type->tensor->shape->dim.at[0];

    CHECK_EQ(input->type->tensor->elem_type, 6);
    CHECK_EQ(d->value, 7);
    text_free(&model);
    arena_destroy(mem);
}

TEST(names_are_made_printable)
{
    const struct onnx_tensor *t;
    struct text file = {0};

    pb_bytes(&file, 8, "a\xff\xc3\xa9", 4);
    CHECK_OK(read_tensor(&file, &t));
    CHECK_TEXT(t->name, "a\\xff\xc3\xa9");
    text_free(&file);
}

static void check_refused(struct text *file, const char *words)
{
    const struct onnx_tensor *t;

    CHECK_FAILS(read_tensor(file, &t), INVALID, words);
    text_free(file);
}

TEST(what_runs_past_the_end_is_refused)
{
    struct text file = {0};

    text_append(&file, "\x4a\x05"
                       "abcd", 6);
    check_refused(&file, "a field of 5 bytes runs past the end");
    text_append(&file, "\x4a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
    check_refused(&file, "runs past the end");
    text_append(&file, "\x08\x80", 2);
    check_refused(&file, "cut short");
    text_append(&file, "\x25\x00\x00", 3);
    check_refused(&file, "cut short");
}

TEST(wrong_wire_types_and_odd_lengths_are_refused)
{
    struct text file = {0};

    pb_string(&file, 2, "x");
    check_refused(&file, "field 2 has wire type 2");
    pb_bytes(&file, 4, "abc", 3);
    check_refused(&file, "holds elements of 4");
    text_append(&file, "\x0b\x0c", 2); /* a group */
    check_refused(&file, "wire type 3");
    pb_bytes(&file, 8, "a\0b", 3);
    check_refused(&file, "zero byte");
}

TEST(unknown_fields_are_refused_where_they_could_change_the_meaning)
{
    struct text node = {0}, graph = {0}, model = {0};

    pb_int(&model, 99, 1); /* of the model: skipped */
    CHECK_OK(read_model(&model));
    pb_int(&node, 99, 1);
    pb_message(&graph, GRAPH_NODE, &node);
    pb_message(&model, 7, &graph);
    CHECK_FAILS(read_model(&model), INVALID, "NodeProto");
    text_free(&model);
}

TEST(deep_nesting_is_refused_without_using_the_stack)
{
    struct text inner = {0};

    for (int i = 0; i < 4998; i++) { /* attribute, node, graph, attribute, ... */
        struct text outer = {0};

        pb_message(&outer, i % 3 == 0 ? 6 : i % 3 == 1 ? 5 : 1, &inner);
        inner = outer;
    }

    struct text model = {0};

    pb_message(&model, 7, &inner);
    CHECK_FAILS(read_model(&model), INVALID, "nest deeper than 100");
    text_free(&model);
}
