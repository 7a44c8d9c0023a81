/* SPDX-License-Identifier: Apache-2.0 */
/* hadmcc check: everything that keeps a model from compiling, at once. */
#include <string.h>

#include "cli/json_out.h"
#include "cli/model.h"
#include "frontend/lower.h"

#define OPTIONS_FILE "cli/verb_check.def"
#include "cli/option_rows.h"

/* ---- nodes without a kernel for their types ------------------------------------------ */

static void add_problem(struct compile *c, const struct ir_node *n, const struct status *s,
                        struct onnx_problems *out)
{
    const char *message = status_message(s), *label = ir_node_label(n);
    const size_t n_label = strlen(label);
    const struct ir_value *first = ir_in(n, 0);

    /* The table has columns for the node: drop "node 'x' (Op): " from the text. */
    if (strncmp(message, label, n_label) == 0 && strncmp(message + n_label, ": ", 2) == 0)
        message += n_label + 2;
    out->at = arena_grow(c->perm, out->at, sizeof *out->at, out->n, &out->cap);
    out->at[out->n++] = (struct onnx_problem){
        .node = n->name ? n->name : "",
        .op = op_info[n->op].name,
        .index = n->onnx_index,
        .opset = c->opset,
        .dtype = first ? dtype_info[first->dtype].name : "",
        .reason = arena_strdup(c->perm, message),
    };
}

static void check_lowering(struct compile *c, const struct ir_graph *g,
                           struct onnx_problems *out)
{
    for (const struct ir_node *n = g->first; n; n = n->next) {
        for (int i = 0; i < IR_MAX_BODIES; i++)
            if (n->body[i])
                check_lowering(c, n->body[i], out);
        if (!op_info[n->op].lower)
            continue;

        struct lowering lw = {.compile = c};
        struct status *s = lower_node(c, n, &lw);

        if (s)
            add_problem(c, n, s, out);
        status_free(s);
    }
}

/* ---- printing -------------------------------------------------------------------------- */

static int width_of(const char *text, int at_least)
{
    const int n = (int)strlen(text);

    return n > at_least ? n : at_least;
}

static void print_table(const struct onnx_problems *p)
{
    int node = 4, op = 2;

    for (int i = 0; i < p->n; i++) {
        node = width_of(p->at[i].node, node);
        op = width_of(p->at[i].op, op);
    }
    printf("%5s  %-*s  %-*s  %5s  %-5s  %s\n", "index", node, "node", op, "op", "opset",
           "dtype", "reason");
    for (int i = 0; i < p->n; i++) {
        const struct onnx_problem *q = &p->at[i];

        printf("%5d  %-*s  %-*s  %5d  %-5s  %s\n", q->index, node, q->node, op, q->op,
               q->opset, q->dtype, q->reason);
    }
}

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

/* ------------------------------------------------------------------------------------------ */

static struct status *check(struct compile *c, const char *model, const struct args *o)
{
    const struct model_options mo = MODEL_OPTIONS(o);
    struct onnx_problems problems = {0};
    struct ir_graph *g = NULL;
    struct status *s = model_import(c, model, &mo, &problems, &g);

    if (s && !problems.n)
        return s;
    if (!s)
        check_lowering(c, g, &problems);
    status_free(s);
    if (o->json)
        RETURN_IF_FAIL(print_json(model, &problems));
    else if (problems.n)
        print_table(&problems);
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
    .about = "List every node that hadmcc cannot compile: node, operator, opset, type and\n"
             "reason.",
    .example = "hadmcc check keyword.onnx --dim batch=1",
    .options = options,
    .n_options = N_OPTIONS,
    .args_size = sizeof(struct args),
    .run = run,
};
