/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the main job with fewer bits share: quantized.c drives,
 * quantized_search.c finds a plan, quantized_report.c says what came of it. */
#ifndef HADMC_CLI_QUANTIZED_JOB_H
#define HADMC_CLI_QUANTIZED_JOB_H

#include "cli/quantized.h"
#include "cli/training.h"
#include "compress/evaluate.h"
#include "compress/prune.h"
#include "compress/quantize.h"
#include "compress/sparsify.h"
#include "frontend/splits.h"
#include "hal/device.h"
#include "plan/plan.h"

/* Progress of what takes `all` parts, for callbacks. */
struct quantized_clock {
    const char *what;
    double start;
};

struct quantized {
    struct arena *a;
    const char *model;
    const struct compile_options *co;     /* of one sample: what is decided on */
    const struct compile_options *bundle; /* of all samples at once */
    const struct quantized_options *o;
    struct dataset *data;
    struct splits splits;
    struct compile *c;  /* what decisions are made on: */
    struct ir_graph *g; /* the graph as quantize_apply will find it */
    int n_units;
    const struct unit *units;
    enum cost_halves halves; /* on the target */
    struct plan *plan;           /* what is asked for, then what is done */
    int n_raised;                /* units that 8 bits would have spoilt (relax.h) */
    const char *searched;        /* a sentence for the reports, or NULL */
    const char *evaluations;     /* of the search, lines of JSON; or NULL */
    const char *over;            /* the file of a search that need not go on; or NULL */
    const char *search_page;     /* search_page.h; or NULL */
    struct compile *searched_in; /* holds the plan that a search chose; or NULL */
    struct pruning *pruning;     /* NULL: no channel is removed */
    struct sparsity *sparsity;   /* NULL: no weight becomes zero before training */
    bool thins_in_training;      /* weights become zero by a schedule */
    struct quantization *quantization;
    struct quantized_clock clock; /* of the part that is going on */
    struct training training;     /* model NULL: none, or nothing is decided yet */
    struct plan *written;         /* `plan` in memory of the compile in progress */
    struct plan_update update;    /* what it will say */
    const char *deployed;         /* a sentence about it, or NULL */
    const char *updated; /* how accurate devices then are; NULL: as what is compiled */
    struct outputs original; /* of the test samples, and what was measured on them; */
    struct score score;      /* n 0: nothing */
};

struct quantized_clock quantized_clock(const char *what);
void quantized_show(int done, int all, void *arg); /* a clock */

/* By --distill, as the plan to repeat has done it, or, for a search, as is usual there
 * where one of --train and --distill is given; training.model stays NULL without.  With
 * the splits that decisions are made with: no sample of the test.  `stop` as in
 * train_options. */
struct status *quantized_begin_training(struct quantized *q,
                                        const volatile sig_atomic_t *stop);

/* Figures of the target. */
struct status *quantized_device(const struct quantized *q, struct device *out);

/* Compiles for this machine, with or without what was decided, and runs samples.
 * weights_bytes, of the file, may be NULL. */
struct status *quantized_run_here(struct quantized *q, bool compressed, int64_t n,
                                  const int64_t *sample, struct outputs *out,
                                  int64_t *weights_bytes);

/* The bundle has the code that quantized_run_here runs. */
bool quantized_is_for_here(const struct quantized *q);

/* Samples of one inference on the target. */
static inline int64_t quantized_batch(const struct quantized *q)
{
    return q->bundle->onnx.batch > 1 ? q->bundle->onnx.batch : 1;
}

/* What the report says of the compressed model on the target. */
struct status *quantized_on_target(struct quantized *q, struct bundle_meta *out);

/* A fresh graph in q, and on it what the plan decides; calibrators are chosen anew.
 * quantized_take makes what was decided in `from` that of q. */
struct status *quantized_carry_out(struct quantized *q, struct plan *plan);
void quantized_take(struct quantized *q, const struct quantized *from);

/* ---- quantized_search.c -----------------------------------------------------------
 */

/* Finds a plan and carries it out. */
struct status *quantized_search(struct quantized *q);

/* ---- quantized_report.c -----------------------------------------------------------
 */

/* For the reports of the bundle, in q->a.  `score` NULL: not measured, for `why`. */
const struct compression *quantized_report(const struct quantized *q,
                                           const struct score *score, const char *why);
/* The same on stdout, without the units. */
void quantized_print(const struct quantized *q, const struct compression *k);

#endif /* HADMC_CLI_QUANTIZED_JOB_H */
