/* SPDX-License-Identifier: Apache-2.0 */
/* --plan-from foo.search.jsonl:17: a plan that a search has evaluated, evaluated again
 * and carried out.  The same command gives the same samples and units, so the same
 * bits. */
#include <stdlib.h>
#include <string.h>

#include "cli/progress.h"
#include "cli/searching.h"

/* FILE:N; false: it is none. */
static bool parse(struct arena *a, const char *text, const char **file, long *number)
{
    const char *colon = strrchr(text, ':');
    char *end;

    if (!colon || colon == text || !colon[1])
        return false;
    *file = arena_strndup(a, text, (size_t)(colon - text));
    *number = strtol(colon + 1, &end, 10);
    return !*end && *number >= 0;
}

struct difference {
    const char *what; /* NULL: there is none */
    double recorded, now;
};

static struct difference difference(struct arena *a, const struct search_result *from,
                                    const struct search_result *to)
{
    if (from->loss != to->loss)
        return (struct difference){"a loss", from->loss, to->loss};
    if (from->drop != to->drop)
        return (struct difference){"a drop", from->drop, to->drop};
    for (int k = 0; k < COST_COUNT; k++)
        if (from->costs[k] != to->costs[k])
            return (struct difference){
                arena_printf(a, "a cost '%s'", search_cost_names[k]), from->costs[k],
                to->costs[k]};
    return (struct difference){0};
}

/* What the record has beside `number`. */
static const char *numbers_of(const struct searching *s)
{
    const int n = record_n_known(s->record);

    return n ? arena_printf(s->q->a, "they are 0 to %d", n - 1) : "it has none at all";
}

static struct status *evaluate_again(struct searching *s, const char *file, long number,
                                     const struct choices **out)
{
    struct search_result recorded, result;

    if (number >= record_n_known(s->record))
        return FAIL(BAD_USAGE, "'%s' has no plan %ld; %s", file, number, numbers_of(s));
    record_at(s->record, (int)number, out, &recorded);
    s->p->evaluate(s->p->self, *out, &result);
    if (s->model->failed)
        return s->model->failed;

    const struct difference d = difference(s->q->a, &recorded, &result);

    if (!d.what)
        return OK;
    return FAIL(INVALID,
                "plan %ld evaluates to %s of %.17g, but '%s' says %.17g: it was made "
                "by another hadmcc or on another processor, or changed",
                number, d.what, d.now, file, d.recorded);
}

struct status *searching_replay(struct searching *s)
{
    struct quantized *q = s->q, own = *q;
    const struct choices *c;
    const char *file;
    long number;

    if (!parse(q->a, q->o->plan_from, &file, &number))
        return FAIL(BAD_USAGE, "--plan-from '%s' is not FILE:NUMBER", q->o->plan_from);
    RETURN_IF_FAIL(record_read(file, s->header, s->p->n_units, &s->record));
    progress("evaluating the plan again");
    RETURN_IF_FAIL(evaluate_again(s, file, number, &c));
    progress("carrying out the plan");
    RETURN_IF_FAIL(
        quantized_carry_out(&own, model_problem_plan(s->model, c, q->co->target)));
    q->searched = arena_printf(q->a,
                               "plan %ld of the %d that a search has evaluated; it "
                               "evaluates to the same loss again",
                               number, record_n_known(s->record));
    quantized_take(q, &own);
    return OK;
}
