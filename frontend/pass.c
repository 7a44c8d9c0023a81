/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the passes of pipeline.def, in its order, and verifies after each. */
#include "frontend/pass.h"

#include <string.h>

#define PASS(name, lossless, summary) static char name_##name[] = #name;
#include "frontend/pipeline.def"

const struct pass_info pass_info[] = {
#define PASS(name, lossless, summary) {name_##name, pass_##name, lossless, summary},
#include "frontend/pipeline.def"
};

/* Runs in order, as indices of pass_info: AGAIN repeats a pass of the table. */
enum {
#define PASS(name, lossless, summary) PASS_##name,
#include "frontend/pipeline.def"
};

static const int schedule[] = {
#define PASS(name, lossless, summary) PASS_##name,
#define AGAIN(name)                   PASS_##name,
#include "frontend/pipeline.def"
};

int pass_count(void)
{
    return (int)(sizeof pass_info / sizeof pass_info[0]);
}

const struct pass_info *pass_at(int i)
{
    const int n = (int)(sizeof schedule / sizeof schedule[0]);

    return i >= 0 && i < n ? &pass_info[schedule[i]] : NULL;
}

/* C identifiers have underscores where people type dashes. */
__attribute__((constructor)) static void spell_with_dashes(void)
{
#define PASS(name, lossless, summary)                                                  \
    for (char *at = name_##name; *at; at++)                                            \
        if (*at == '_')                                                                \
            *at = '-';
#include "frontend/pipeline.def"
}

static struct status *check_name(const char *option, const char *name, bool all_allowed)
{
    struct text names = {0};

    if (!name || (all_allowed && !strcmp(name, "all")))
        return OK;
    for (int i = 0; i < pass_count(); i++) {
        if (!strcmp(name, pass_info[i].name)) {
            text_free(&names);
            return OK;
        }
        text_printf(&names, " %s", pass_info[i].name);
    }

    struct status *s = FAIL(BAD_USAGE, "%s: there is no pass '%s'; passes are%s%s", option,
                            name, all_allowed ? " all" : "", names.bytes);

    text_free(&names);
    return s;
}

static struct status *check_options(const struct pass_options *o)
{
    RETURN_IF_FAIL(check_name("--dump-after", o->dump_after, true));
    RETURN_IF_FAIL(check_name("--stop-after", o->stop_after, false));
    for (int i = 0; i < o->n_skip; i++)
        RETURN_IF_FAIL(check_name("--skip", o->skip[i], false));
    return OK;
}

static bool skipped(const struct pass_options *o, const char *name)
{
    for (int i = 0; i < o->n_skip; i++)
        if (!strcmp(o->skip[i], name))
            return true;
    return false;
}

static void dump(const struct ir_graph *g, const char *name)
{
    struct text text = {0};

    ir_print(g, 0, &text);
    fprintf(stderr, "// after %s\n%s", name, text.bytes);
    text_free(&text);
}

struct status *passes_run(struct compile *c, struct ir_graph *g,
                          const struct pass_options *options)
{
    const struct pass_options none = {0};
    const struct pass_options *o = options ? options : &none;

    RETURN_IF_FAIL(check_options(o));
    for (int i = 0; pass_at(i); i++) {
        const struct pass_info *p = pass_at(i);

        if (!skipped(o, p->name)) {
            struct status *s = p->run(c, g);

            if (!s)
                s = ir_verify(g);
            arena_reset(c->scratch);
            if (s)
                return status_note(s, "while running the pass %s", p->name);
        }
        if (o->dump_after
            && (!strcmp(o->dump_after, "all") || !strcmp(o->dump_after, p->name)))
            dump(g, p->name);
        if (o->stop_after && !strcmp(o->stop_after, p->name))
            break;
    }
    return OK;
}
