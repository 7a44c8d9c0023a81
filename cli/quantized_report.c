/* SPDX-License-Identifier: Apache-2.0 */
/* What fewer bits did, for reports and the terminal. */
#include <stdio.h>
#include <string.h>

#include "cli/quantized_job.h"

static const double Z = 1.96; /* 95 % */

static const char *samples_of(const struct quantized *q, enum splits_use use, int64_t n)
{
    if (!q->o->data)
        return arena_printf(q->a, "%lld made-up samples", (long long)n);
    return arena_printf(q->a, "%lld samples (%s)", (long long)n,
                        dataset_split_name(q->splits.use[use].from));
}

/* NULL: nothing was to be decided on samples. */
static const char *calibrated_on(const struct quantized *q)
{
    bool any = q->pruning || q->sparsity;

    for (int i = 0; i < q->n_units; i++)
        any |= q->quantization->units[i].has_codes;
    return any ? samples_of(q, SPLITS_CALIBRATION, q->quantization->n_samples) : NULL;
}

static double zeros_of(const struct quantized *q, int i)
{
    const struct sparse_unit *u = q->sparsity ? &q->sparsity->units[i] : NULL;

    if (q->thins_in_training)
        return q->o->zeros;
    return u && u->n_weights ? (double)u->n_zeros / (double)u->n_weights : 0.0;
}

static bool has_two_of_four(const struct sparsity *s)
{
    for (int i = 0; i < s->n_units; i++)
        if (s->units[i].zeros == ZEROS_two_of_four)
            return true;
    return false;
}

/* Times as fast that the target multiplies weights of which two of four are zero. */
static double sparse_rate(const struct quantized *q)
{
    struct device d;
    struct status *s = quantized_device(q, &d);
    const double rate = s ? 0.0 : d.figures[FIGURE_SPARSE_RATE].value;

    status_free(s);
    return rate;
}

static const char *use_of_zeros(const struct quantized *q)
{
    if (q->sparsity && has_two_of_four(q->sparsity) && sparse_rate(q) > 1.0)
        return arena_printf(q->a, "two of four: %s multiplies codes %g times as fast",
                            q->co->target, sparse_rate(q));
    return "multiplied and stored like others, so neither time nor bytes are saved";
}

/* NULL: none were made. */
static const char *zeros_sentence(const struct quantized *q)
{
    const struct sparsity *s = q->sparsity;

    if (q->thins_in_training)
        return arena_printf(q->a, "%.1f %% of the weights, %s", 100.0 * q->o->zeros,
                            use_of_zeros(q));
    return s ? arena_printf(q->a, "%lld of %lld weights (%.1f %%), %s",
                            (long long)s->n_zeros, (long long)s->n_weights,
                            100.0 * (double)s->n_zeros / (double)s->n_weights,
                            use_of_zeros(q))
             : NULL;
}

static const struct compression_unit *units_of(const struct quantized *q)
{
    struct compression_unit *to =
        arena_new_array(q->a, struct compression_unit, q->n_units);

    for (int i = 0; i < q->n_units; i++) {
        const struct quantized_unit *u = &q->quantization->units[i];

        to[i] = (struct compression_unit){
            .name = q->units[i].name,
            .weight_bits = u->weight_bits,
            .activation_bits = u->activation_bits,
            .activation_codes = u->calibrator == CALIBRATOR_pair ? 2 : 1,
            .macs = u->macs,
            .weight_bytes = cost_weight_bytes(q->units[i].n_weights,
                                              q->units[i].channels, u->weight_bits),
            .zeros = zeros_of(q, i),
            .error = u->error,
        };
    }
    return to;
}

static void put_top1(struct compression *k, const struct metrics_paired *p)
{
    const int64_t n = p->both + p->lost + p->gained + p->neither;
    const struct metrics_interval before = metrics_wilson(p->both + p->lost, n, Z);
    const struct metrics_interval after = metrics_wilson(p->both + p->gained, n, Z);

    k->n = n;
    k->lost = p->lost;
    k->gained = p->gained;
    k->original_low = before.low;
    k->original_high = before.high;
    k->compressed_low = after.low;
    k->compressed_high = after.high;
}

const struct compression *quantized_report(const struct quantized *q,
                                           const struct score *score, const char *why)
{
    struct compression *k = arena_new(q->a, struct compression);

    *k = (struct compression){
        .calibrated_on = calibrated_on(q),
        .zeros = zeros_sentence(q),
        .search = q->searched,
        .evaluations = q->evaluations,
        .search_page = q->search_page,
        .why_unmeasured = why,
        .n_units = q->n_units,
        .units = units_of(q),
    };
    if (!score)
        return k;
    k->tested_on = samples_of(q, SPLITS_TEST, score->n);
    k->n = score->n;
    k->score = score_names[score->kind];
    k->original = score->original;
    k->compressed = score->compressed;
    k->kl = score->has_kl ? score->kl : -1.0;
    k->cosine = score->cosine;
    if (score->kind == SCORE_TOP1)
        put_top1(k, &score->top1);
    return k;
}

/* ---- the terminal ------------------------------------------------------------------
 */

static void print_share(const char *what, double share, double low, double high,
                        int64_t n)
{
    printf("  %-10s %6.2f %%   %lld of %lld (95 %%: %.2f to %.2f)\n", what,
           100.0 * share, (long long)(share * (double)n + 0.5), (long long)n,
           100.0 * low, 100.0 * high);
}

static void print_score(struct arena *a, const struct compression *k)
{
    if (k->original_high > 0.0) {
        print_share("original", k->original, k->original_low, k->original_high, k->n);
        print_share("compressed", k->compressed, k->compressed_low, k->compressed_high,
                    k->n);
        printf("  %lld lost, %lld gained\n", (long long)k->lost, (long long)k->gained);
    } else if (k->score) {
        printf("  %s %s, of the original %s\n", k->score,
               compression_number(a, 4, k->compressed, ""),
               compression_number(a, 4, k->original, ""));
    }
    if (!(k->kl < 0.0))
        printf("  mean divergence %s\n", compression_number(a, 5, k->kl, " nats"));
    printf("  mean cosine of the outputs %s\n",
           compression_number(a, 6, k->cosine, ""));
}

/* "19 units of 4 bits, 1 of 8, 1 of 32 (0.3 % of the multiply-adds)" */
static void print_units(const struct compression *k)
{
    static const int widths[] = {4, 8, 16, 32};
    int64_t all = 0;
    const char *between = "  ";

    for (int i = 0; i < k->n_units; i++)
        all += k->units[i].macs;
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        int64_t macs = 0;
        int n = 0;

        for (int i = 0; i < k->n_units; i++)
            if (k->units[i].weight_bits == widths[w]) {
                macs += k->units[i].macs;
                n++;
            }
        if (!n)
            continue;
        printf("%s%d unit%s of %d bits (%.1f %% of the multiply-adds)", between, n,
               n == 1 ? "" : "s", widths[w],
               all ? 100.0 * (double)macs / (double)all : 0.0);
        between = ", ";
    }
    printf("\n");
}

/* "2 of them read 2 x 8 bits for each number (43.0 % of the multiply-adds, twice)" */
static void print_pairs(const struct compression *k)
{
    int64_t all = 0, macs = 0;
    int n = 0;

    for (int i = 0; i < k->n_units; i++) {
        all += k->units[i].macs;
        if (k->units[i].activation_codes == 2) {
            macs += k->units[i].macs;
            n++;
        }
    }
    if (n)
        printf("  %d of them %s 2 x 8 bits for each number (%.1f %% of the "
               "multiply-adds, twice), for what one code would lose\n",
               n, n == 1 ? "reads" : "read", 100.0 * (double)macs / (double)all);
}

/* A long sentence, a line for each part between semicolons. */
static void print_parts(const char *sentence)
{
    const char *indent = "  ";

    for (const char *end; (end = strstr(sentence, "; ")); sentence = end + 2) {
        printf("%s%.*s\n", indent, (int)(end - sentence), sentence);
        indent = "    ";
    }
    printf("%s%s\n", indent, sentence);
}

void quantized_print(const struct quantized *q, const struct compression *k)
{
    if (k->calibrated_on)
        printf("calibrated on %s%s%s\n", k->calibrated_on, q->o->data ? " of " : "",
               q->o->data ? q->o->data : "");
    if (k->search)
        print_parts(k->search);
    if (q->pruning)
        printf("  %.1f %% of the multiply-adds are left of %lld\n",
               100.0 * (double)q->pruning->macs_after / (double)q->pruning->macs_before,
               (long long)q->pruning->macs_before);
    if (k->zeros)
        printf("  zeros: %s\n", k->zeros);
    print_units(k);
    print_pairs(k);
    if (q->n_raised && q->o->may_raise)
        printf("  %d of them %s 32 bits, for what %s would lose\n", q->n_raised,
               q->n_raised == 1 ? "has" : "have", q->n_raised == 1 ? "it" : "they");
    if (q->deployed)
        printf("  %s\n", q->deployed);
    if (k->why_unmeasured)
        printf("accuracy is not measured: %s\n", k->why_unmeasured);
    if (!k->tested_on)
        return;
    printf("tested on %s, on this machine\n", k->tested_on);
    print_score(q->a, k);
}
