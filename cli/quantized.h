/* SPDX-License-Identifier: Apache-2.0 */
/* The main job with --bits, --plan, --distill or a search: decides, calibrates, trains,
 * compiles, and says what that does to accuracy, on samples that nothing was decided
 * on. */
#ifndef HADMC_CLI_QUANTIZED_H
#define HADMC_CLI_QUANTIZED_H

#include "cli/deployed.h"
#include "compress/prune.h"

struct quantized_options {
    const char *data; /* path of a data set */
    const char *spec; /* file of its specification; NULL: what is in it */
    uint64_t seed;    /* of the split into calibration and test samples */
    const struct deployed_options *deployed; /* or NULL */
    int bits; /* of weights: 8 or 4, activations have 8; 32; 0: `plan` or a search */
    bool may_raise;           /* units that these bits would spoil get more (relax.h) */
    const char *plan;         /* file, or NULL */
    enum plan_pattern fusion; /* of every unit, unless `plan` says it */
    double prune;             /* share of the multiply-adds to remove before; 0: none */
    enum prune_saliency saliency;
    bool any_count;      /* channels left need not be whole tiles of the target */
    double zeros;        /* share of the weights that become zero; 0: none */
    bool two_of_four;    /* two of each four instead (sparsify.h) */
    const char *distill; /* settings of training.h; NULL: no training afterwards */
    const char *train;   /* data set to train on; NULL: what `data` has for it.  What a
                            search finds is trained only where there is one */
    /* Of a search. */
    double max_drop;   /* points of accuracy */
    bool has_max_drop; /* it was asked for */
    double max_ms;     /* 0: no budget */
    double max_energy; /* mJ; 0: no budget */
    int64_t max_bytes; /* of weights; 0: no budget */
    int64_t max_ram;   /* 0: no budget */
    int evaluations;
    const char *method; /* of methods.def, or what `controller` is a half of */
    const char *controller;
    const char *search_file; /* where evaluations are noted as they happen */
    bool resume;             /* from that file */
    const char *plan_from;   /* "foo.search.jsonl:17": carried out, nothing is searched */
    int jobs;                /* processes that evaluate; at least 1 */
};

/* compile_model(model, co) with the graph quantized; prints what was decided and the
 * comparison.  NO_FIT: no plan meets the budgets. */
struct status *quantized_compile(struct arena *a, const char *model,
                                 const struct compile_options *co,
                                 const struct quantized_options *o);

#endif /* HADMC_CLI_QUANTIZED_H */
