/* SPDX-License-Identifier: Apache-2.0 */
/* The page about the main job's search (search/search_page.h). */
#include "cli/searching.h"

/* Exact costs for a device whose energy figures are multiplied. */
static void costs_at(void *arg, double operations, double memory,
                     const struct choices *c, double *out)
{
    static const enum figure_id of_operations[] = {FIGURE_F32_ENERGY, FIGURE_F16_ENERGY,
                                                   FIGURE_I8_ENERGY, FIGURE_I4_ENERGY};
    struct model_problem *m = ((struct searching *)arg)->model;
    const struct device *const usual = m->device;
    struct device scaled = *usual;

    for (int i = 0; i < 4; i++)
        scaled.figures[of_operations[i]].value *= operations;
    scaled.figures[FIGURE_BYTE_ENERGY].value *= memory;
    m->device = &scaled;
    model_problem_costs(m, c, out);
    m->device = usual;
}

const char *searching_page(struct searching *s, const struct evaluation *chosen)
{
    struct quantized *q = s->q;
    const struct search_page p = {
        .model = model_short_name(q->a, q->model),
        .target = q->co->target,
        .sentence = q->searched,
        .e = s->e,
        .reward = &s->reward,
        .chosen = chosen,
        .n_trials = s->n_trials,
        .trials = s->trials,
        .distillation = s->distillation,
        .costs = s->model->has_energy ? costs_at : NULL,
        .costs_arg = s,
    };
    struct text t = {0};

    search_page_put(q->a, &p, &t);

    const char *page = arena_strdup(q->a, t.bytes);

    text_free(&t);
    return page;
}
