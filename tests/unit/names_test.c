/* SPDX-License-Identifier: Apache-2.0 */
/* links: codegen frontend kernels */
/* Names in C made of names in ONNX. */
#include "codegen/codegen.h"
#include "tests/test.h"

/* The C names of a model `file` whose inputs are called `doors`. */
static struct model_names *names_of(struct compile *c, const char *file, int n,
                                    const char *const *doors)
{
    const int64_t dim[1] = {2};

    c->model_name = file;
    struct ir_graph *g = ir_graph_create(c, "g");

    for (int i = 0; i < n; i++)
        ir_input(g, doors[i], DT_f32, 1, dim);
    return model_names_create(c->perm, g, NULL);
}

TEST(the_prefix_is_the_file_name_as_an_identifier)
{
    struct compile *c = compile_create();

    CHECK_TEXT(names_of(c, "models/ResNet-8 v1.2.onnx", 0, NULL)->prefix, "resnet_8_v1_2");
    CHECK_TEXT(names_of(c, "models/ResNet-8 v1.2.onnx", 0, NULL)->upper, "RESNET_8_V1_2");
    CHECK_TEXT(names_of(c, "3d.onnx", 0, NULL)->prefix, "x3d");
    CHECK_TEXT(names_of(c, "New.onnx", 0, NULL)->prefix, "new_model");
    CHECK_TEXT(names_of(c, "hadm.onnx", 0, NULL)->prefix, "model_hadm");
    CHECK_TEXT(names_of(c, "\xe6\xa8\xa1.onnx", 0, NULL)->prefix, "model");
    compile_destroy(c);
}

TEST(doors_are_mangled_into_identifiers)
{
    struct compile *c = compile_create();
    const char *const doors[] = {"serving_default_input:0", "758", "__x", ""};
    struct model_names *n = names_of(c, "m.onnx", 4, doors);

    CHECK_TEXT(n->io[0], "serving_default_input_0");
    CHECK_TEXT(n->io[1], "x758");
    CHECK_TEXT(n->io[2], "x");
    CHECK_TEXT(n->io[3], "x_2");
    CHECK_TEXT(n->onnx[0], "serving_default_input:0");
    compile_destroy(c);
}

TEST(collisions_and_keywords_are_resolved)
{
    struct compile *c = compile_create();
    const char *const doors[] = {"in.1", "in:1", "in_1_2", "class", "x_class", "y", "y_dims",
                                 "M_ABI_VERSION", "uint8_t"};
    struct model_names *n = names_of(c, "m.onnx", 9, doors);

    CHECK_TEXT(n->io[0], "in_1");
    CHECK_TEXT(n->io[1], "in_1_2");
    CHECK_TEXT(n->io[2], "in_1_2_2");
    CHECK_TEXT(n->io[3], "x_class");
    CHECK_TEXT(n->io[4], "x_class_2");
    CHECK_TEXT(n->io[6], "y_dims_x");
    CHECK_TEXT(n->io[7], "x_M_ABI_VERSION");
    CHECK_TEXT(n->io[8], "x_uint8_t");
    compile_destroy(c);
}

TEST(long_names_stay_within_what_c_promises)
{
    struct compile *c = compile_create();
    char name[301];

    memset(name, 'a', 300);
    name[300] = '\0';
    const char *const doors[] = {name};

    CHECK(strlen(names_of(c, "m.onnx", 1, doors)->io[0]) <= 58);
    compile_destroy(c);
}
