/* SPDX-License-Identifier: Apache-2.0 */
/* What came of a comparison: every run's figures, tests of ours against each of the
 * others, and both as JSON and as a page for people.
 *
 * Losses and accuracies are measured, on the machine that compared; latency, energy and
 * bytes are modelled for the target.
 */
#ifndef HADMC_SEARCH_CONTEST_RESULTS_H
#define HADMC_SEARCH_CONTEST_RESULTS_H

#include "search/contest.h"
#include "support/text.h"

/* A run: a contestant with a seed on a model for a target. */
struct contest_run {
    struct contest_figures figures;
    double budget;     /* share of the original's latency */
    int n_evaluations; /* that it ended after; 0: nobody noted it */
    /* Of the plan that it ends with: the most accurate within the budget, or the
     * original where there is none. */
    double test_loss, test_drop; /* on samples that nothing was decided on */
    double *on;                  /* [n_targets] its latency there, as a share of the
                                    original's there */
};

struct contest_results {
    int n_models, n_targets, n_who, n_seeds, n_evaluations;
    const char *const *models, *const *targets;
    const struct contestant *const *who; /* the first is ours */
    double budget_way; /* see contest_budget */
    double fixed_loss;
    const char *command, *samples; /* words for the report */
    struct contest_run *runs;      /* see contest_run_at */
};

static inline struct contest_run *contest_run_at(const struct contest_results *r,
                                                 int model, int target, int who,
                                                 int seed)
{
    return &r->runs[((model * r->n_targets + target) * r->n_who + who) * r->n_seeds
                    + seed];
}

/* ---- what is compared -------------------------------------------------------------
 */

/*   NAME     title                     margin  unit of the margin and of differences */
#define CONTEST_MEASURES(M)                                                            \
    M(kept, "accuracy at the latency budget", 0.01, "exp(-loss) on test samples")      \
    M(volume, "hypervolume", 0.01, "share of the box below the original")              \
    M(speed, "latency at the fixed loss", 0.01, "log of the speed-up")

enum contest_measure {
#define CONTEST_MEASURE(name, title, margin, unit) CONTEST_##name,
    CONTEST_MEASURES(CONTEST_MEASURE)
#undef CONTEST_MEASURE
        CONTEST_MEASURE_COUNT
};

extern const char *const contest_measure_titles[]; /* by enum */

double contest_value(const struct contest_run *run, enum contest_measure m);

/* Ours against one of the others over all models, targets and seeds; p adjusted by
 * Holm, over the methods and over ours with a part missing apart. */
struct contest_verdict {
    double difference;                     /* mean of ours - theirs */
    double p_better, p_not_worse, p_worse; /* one-sided; not worse by the margin */
    double effect;                         /* chance that ours is above */
    double p_t;                            /* published test, two-sided, not adjusted */
    const char *words; /* better, tie, not worse, worse, undecided */
};

/* [n_who] in `a`; of the first, ours, nothing is set. */
struct contest_verdict *contest_judge(struct arena *a, const struct contest_results *r,
                                      enum contest_measure m);

void contest_put_json(struct arena *a, const struct contest_results *r, struct text *t);
void contest_put_html(struct arena *a, const struct contest_results *r, struct text *t);

#endif /* HADMC_SEARCH_CONTEST_RESULTS_H */
