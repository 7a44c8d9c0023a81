/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of passes: IR text in, IR text out.
 *
 *     CHECK_PASS("fold-pad", before, after);      after == before: it does nothing
 *
 * Both texts go through the reader, dead-code and the printer, and values are renamed
 * in the order in which they appear; so spelling and made-up names do not matter.
 */
#ifndef HADMC_TESTS_PASS_TEST_H
#define HADMC_TESTS_PASS_TEST_H

#include "frontend/pass.h"
#include "tests/test.h"

static inline struct status *run_named_pass(struct compile *c, struct ir_graph *g,
                                            const char *name)
{
    if (!strcmp(name, "channels-last"))
        return pass_channels_last(c, g);
    if (!strcmp(name, "unsigned-codes"))
        return pass_unsigned_codes(c, g);
    for (int i = 0; i < pass_count(); i++)
        if (!strcmp(pass_info[i].name, name))
            return pass_info[i].run(c, g);
    return *name ? FAIL(INTERNAL, "no pass is called '%s'", name) : OK;
}

static inline void rename_value(struct compile *c, struct ir_value *v, int *count)
{
    if (v && v->name[0] != '#')
        v->name = arena_printf(c->perm, "#%d", (*count)++);
}

static inline void rename_all(struct compile *c, struct ir_graph *g)
{
    int count = 0;

    for (int i = 0; i < g->n_in; i++)
        rename_value(c, g->in[i], &count);
    for (struct ir_node *n = g->first; n; n = n->next) {
        for (int i = 0; i < n->n_in; i++)
            rename_value(c, n->in[i], &count);
        for (int i = 0; i < n->n_out; i++) {
            rename_value(c, n->out[i], &count);
            if (n->out[i])
                n->out[i]->origin = NULL;
        }
        n->name = n->out[0] ? n->out[0]->name : "";
        n->onnx_index = -1;
    }
}

/* The printed graph after the pass, in c->perm. */
static inline struct status *run_pass(struct compile *c, const char *name,
                                      const char *text, char **out)
{
    struct ir_graph *g;
    struct text printed = {0};

    RETURN_IF_FAIL(ir_parse(c, text, strlen(text), &g));
    RETURN_IF_FAIL(run_named_pass(c, g, name));
    RETURN_IF_FAIL(pass_dead_code(c, g));
    RETURN_IF_FAIL(ir_verify(g));
    rename_all(c, g);
    ir_print(g, IR_TEXT_ALL_DATA, &printed);
    *out = arena_strdup(c->perm, printed.bytes);
    text_free(&printed);
    return OK;
}

static inline void check_pass(const char *name, const char *before, const char *after)
{
    struct compile *c = compile_create();
    struct compile *c2 = compile_create();
    char *got = NULL, *want = NULL;

    CHECK_OK(run_pass(c, name, before, &got));
    CHECK_OK(run_pass(c2, "", after, &want));
    CHECK_TEXT(got, want);
    compile_destroy(c2);
    compile_destroy(c);
}
#define CHECK_PASS(name, before, after) check_pass((name), (before), (after))
#define CHECK_PASS_DOES_NOTHING(name, text) check_pass((name), (text), (text))

#endif /* HADMC_TESTS_PASS_TEST_H */
