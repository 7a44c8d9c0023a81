/* SPDX-License-Identifier: Apache-2.0 */
/* hadmcc check: everything that keeps a model from compiling, at once. */
#include "cli/json_out.h"
#include "cli/model.h"
#include "cli/problems.h"

#define OPTIONS_FILE "cli/verb_check.def"
#include "cli/option_rows.h"

static json_t *json_problem(const struct onnx_problem *p)
{
    json_t *row = json_object();

    json_object_set_new(row, "index", json_integer(p->index));
    json_object_set_new(row, "node", json_string(p->node));
    json_object_set_new(row, "op", json_string(p->op));
    json_object_set_new(row, "opset", json_integer(p->opset));
    json_object_set_new(row, "dtype", json_string(p->dtype));
    json_object_set_new(row, "reason", json_string(p->reason));
    return row;
}

static struct status *print_json(const char *model, const struct onnx_problems *p)
{
    json_t *list = json_array(), *all = json_object();

    for (int i = 0; i < p->n; i++)
        json_array_append_new(list, json_problem(&p->at[i]));
    json_object_set_new(all, "model", json_string(model));
    json_object_set_new(all, "supported", json_boolean(p->n == 0));
    json_object_set_new(all, "problems", list);
    return json_out_print(all);
}

/* ---------------------------------------------------------------------------- */

static struct status *check(struct compile *c, const char *model, const struct args *o)
{
    const struct model_options mo = MODEL_OPTIONS(o);
    struct onnx_problems problems = {0};
    struct onnx_options options_of_model;

    RETURN_IF_FAIL(model_parse_options(c->perm, model, &mo, &options_of_model));
    RETURN_IF_FAIL(problems_find(c, model, &options_of_model, &problems));
    if (o->json)
        RETURN_IF_FAIL(print_json(model, &problems));
    else if (problems.n)
        problems_print(&problems, stdout);
    else
        printf("%s: every node is supported\n", model);
    if (problems.n)
        return FAIL(UNSUPPORTED, "%d node%s of '%s' cannot be compiled", problems.n,
                    problems.n == 1 ? "" : "s", model);
    return OK;
}

static struct status *run(const char *model, const void *args)
{
    if (!model)
        return FAIL(BAD_USAGE, "no model given: hadmcc check MODEL.onnx");

    struct compile *c = compile_create();
    struct status *s = check(c, model, args);

    compile_destroy(c);
    return s;
}

const struct verb verb_check = {
    .name = "check",
    .operand = "MODEL.onnx",
    .about =
        "List every node that hadmcc cannot compile: node, operator, opset, type and\n"
        "reason.",
    .example = "hadmcc check keyword.onnx --dim batch=1",
    .options = options,
    .n_options = N_OPTIONS,
    .args_size = sizeof(struct args),
    .run = run,
};
