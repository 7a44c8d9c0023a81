/* SPDX-License-Identifier: Apache-2.0 */
/* Accuracy and bits in the reports of a bundle. */
#include <math.h>
#include <string.h>

#include "codegen/bundle.h"

/* ---- foo.report.json ------------------------------------------------------------- */

static json_t *accuracy_json(const struct compression *k)
{
    json_t *o;

    o = json_pack("{s:b}", "measured", k->why_unmeasured == NULL);
    if (k->why_unmeasured)
        json_object_set_new(o, "why", json_string(k->why_unmeasured));
    if (!k->tested_on)
        return o;
    json_object_set_new(o, "tested_on", json_string(k->tested_on));
    json_object_set_new(o, "samples", json_integer(k->n));
    json_object_set_new(o, "cosine", json_real(k->cosine));
    if (k->kl >= 0.0)
        json_object_set_new(o, "kl_nats", json_real(k->kl));
    if (!k->score)
        return o;
    json_object_set_new(o, "score", json_string(k->score));
    json_object_set_new(o, "original", json_real(k->original));
    json_object_set_new(o, "compressed", json_real(k->compressed));
    if (k->original_high > 0.0) {
        json_object_set_new(o, "original_95",
                            json_pack("[f, f]", k->original_low, k->original_high));
        json_object_set_new(o, "compressed_95",
                            json_pack("[f, f]", k->compressed_low, k->compressed_high));
        json_object_set_new(o, "lost", json_integer(k->lost));
        json_object_set_new(o, "gained", json_integer(k->gained));
    }
    return o;
}

json_t *report_compression_json(const struct compression *k)
{
    json_t *units = json_array();
    json_t *o = json_object();

    for (int i = 0; i < k->n_units; i++) {
        const struct compression_unit *u = &k->units[i];

        json_array_append_new(
            units,
            json_pack("{s:s, s:i, s:i, s:i, s:I, s:I, s:f, s:f}", "name", u->name,
                      "weight_bits", u->weight_bits, "activation_bits",
                      u->activation_bits, "activation_codes", u->activation_codes,
                      "macs", (json_int_t)u->macs, "weight_bytes",
                      (json_int_t)u->weight_bytes, "zeros", u->zeros, "error", u->error));
    }
    if (k->calibrated_on)
        json_object_set_new(o, "calibrated_on", json_string(k->calibrated_on));
    if (k->search)
        json_object_set_new(o, "search", json_string(k->search));
    if (k->zeros)
        json_object_set_new(o, "zeros", json_string(k->zeros));
    if (k->update)
        json_object_set_new(o, "update", json_string(k->update));
    json_object_set_new(o, "accuracy", accuracy_json(k));
    json_object_set_new(o, "units", units);
    return o;
}

const char *compression_number(struct arena *a, int digits, double x, const char *unit)
{
    return isfinite(x) ? arena_printf(a, "%.*f%s", digits, x, unit) : "not finite";
}

/* ---- foo.report.html ------------------------------------------------------------- */

static void put_row(struct text *t, const char *name, const char *value)
{
    text_printf(t, "<tr><th>%s</th><td>%s</td></tr>\n", name, value);
}

static void put_scores(struct text *t, struct arena *a, const struct compression *k)
{
    const bool share = k->original_high > 0.0;

    if (share) {
        put_row(t, "top-1, original",
                arena_printf(a, "%.2f %% <small>95 %%: %.2f to %.2f</small>",
                             100.0 * k->original, 100.0 * k->original_low,
                             100.0 * k->original_high));
        put_row(t, "top-1, compressed",
                arena_printf(a, "%.2f %% <small>95 %%: %.2f to %.2f</small>",
                             100.0 * k->compressed, 100.0 * k->compressed_low,
                             100.0 * k->compressed_high));
        put_row(
            t, "samples lost, gained",
            arena_printf(a, "%lld, %lld", (long long)k->lost, (long long)k->gained));
    } else if (k->score) {
        put_row(t, arena_printf(a, "%s, original", k->score),
                compression_number(a, 4, k->original, ""));
        put_row(t, arena_printf(a, "%s, compressed", k->score),
                compression_number(a, 4, k->compressed, ""));
    }
    if (!(k->kl < 0.0))
        put_row(t, "mean divergence", compression_number(a, 5, k->kl, " nats"));
    put_row(t, "mean cosine", compression_number(a, 6, k->cosine, ""));
}

/* Of all steps that are made of the unit's node. */
static double unit_us(const struct bundle_job *job, const char *name,
                      const struct step_cost *costs)
{
    const struct program *p = job->program;
    double us = 0.0;

    for (int i = 0; i < p->n_steps; i++)
        if (p->steps[i].node && !strcmp(p->steps[i].node->name, name))
            us += (double)costs[i].ns * 1e-3;
    return us;
}

void report_compression_html(const struct bundle_job *job, const struct compression *k,
                             struct text *t)
{
    struct arena *a = job->arena;
    const struct step_cost *costs = report_costs(job);

    text_puts(t, "<h2>Compression</h2>\n<table class=facts>\n");
    if (k->search)
        put_row(t, "searched for", k->search);
    if (k->calibrated_on)
        put_row(t, "calibrated on", k->calibrated_on);
    if (k->zeros)
        put_row(t, "zeros", k->zeros);
    if (k->why_unmeasured)
        put_row(t, "accuracy", arena_printf(a, "not measured: %s", k->why_unmeasured));
    if (k->tested_on) {
        put_row(t, "tested on", k->tested_on);
        put_scores(t, a, k);
    }
    if (k->update)
        put_row(t, "updated", k->update);
    text_puts(t, "</table>\n");
    if (k->search_page)
        text_printf(t, "<p><a href=\"%s.search.html\">What the search found</a></p>\n",
                    job->names->prefix);
    text_puts(t, "<table><thead><tr><th>unit</th><th class=n>weights</th>"
                 "<th class=n>activations</th><th class=n>bytes of weights</th>"
                 "<th class=n>multiply-adds</th><th class=n>error</th>");
    text_puts(t, costs ? "<th class=n>modelled &micro;s</th>" : "");
    text_puts(t, "</tr></thead>\n");
    for (int i = 0; i < k->n_units; i++) {
        const struct compression_unit *u = &k->units[i];

        text_puts(t, "<tr><td>");
        report_put_name(t, u->name);
        text_printf(t, "</td><td class=n>%d bits</td><td class=n>%s%d bits</td>",
                    u->weight_bits, u->activation_codes == 2 ? "2 x " : "",
                    u->activation_bits);
        text_puts(t, "<td class=n>");
        report_put_count(t, u->weight_bytes);
        text_puts(t, "</td><td class=n>");
        report_put_count(t, u->macs);
        text_printf(
            t, u->weight_bits < 16 ? "</td><td class=n>%.2g</td>" : "</td><td></td>",
            u->error);
        if (costs)
            text_printf(t, "<td class=n>%.1f</td>", unit_us(job, u->name, costs));
        text_puts(t, "</tr>\n");
    }
    text_puts(t, "</table>\n");
}
