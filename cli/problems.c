/* SPDX-License-Identifier: Apache-2.0 */
/* All that keeps a model from compiling, as a list: see problems.h. */
#include "cli/problems.h"

#include <string.h>

#include "frontend/lower.h"

/* ---- nodes without a kernel for their types -------------------------------- */

static void add_problem(struct compile *c, const struct ir_node *n,
                        const struct status *s, struct onnx_problems *out)
{
    const char *message = status_message(s), *label = ir_node_label(n);
    const size_t n_label = strlen(label);
    const struct ir_value *first = ir_in(n, 0);

    /* The table has columns for the node: drop "node 'x' (Op): " from the text. */
    if (strncmp(message, label, n_label) == 0
        && strncmp(message + n_label, ": ", 2) == 0)
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

struct status *problems_find(struct compile *c, const char *path,
                             const struct onnx_options *o, struct onnx_problems *out)
{
    struct ir_graph *g = NULL;
    struct status *s = onnx_import(c, path, o, out, &g);

    if (!s)
        check_lowering(c, g, out);
    if (!out->n)
        return s;
    status_free(s);
    return OK;
}

/* ---- the table ------------------------------------------------------------- */

static int width_of(const char *text, int at_least)
{
    const int n = (int)strlen(text);

    return n > at_least ? n : at_least;
}

void problems_print(const struct onnx_problems *p, FILE *to)
{
    int node = 4, op = 2;

    for (int i = 0; i < p->n; i++) {
        node = width_of(p->at[i].node, node);
        op = width_of(p->at[i].op, op);
    }
    fprintf(to, "%5s  %-*s  %-*s  %5s  %-5s  %s\n", "index", node, "node", op, "op",
            "opset", "dtype", "reason");
    for (int i = 0; i < p->n; i++) {
        const struct onnx_problem *q = &p->at[i];

        fprintf(to, "%5d  %-*s  %-*s  %5d  %-5s  %s\n", q->index, node, q->node, op,
                q->op, q->opset, q->dtype, q->reason);
    }
}
