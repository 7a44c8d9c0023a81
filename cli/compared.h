/* SPDX-License-Identifier: Apache-2.0 */
/* `hadmcc compare` behind its command line: models with their samples, the runs that
 * are on disk and those that are still to be played.
 *
 *     DIR/runs/MODEL.TARGET.METHOD.SEED.jsonl   every evaluation of a run (record.h)
 *     DIR/runs/MODEL.SEED.finals.json           their plans on test samples
 *
 * A run that is being played ends in .part; after a kill it goes on from there.  What is
 * there under its own name is finished when it has all its evaluations: those that were
 * allowed, or as many as the finals say where the method ended before.
 */
#ifndef HADMC_CLI_COMPARED_H
#define HADMC_CLI_COMPARED_H

#include "search/contest_results.h"
#include "support/status.h"

struct compared_model {
    const char *path, *data, *spec; /* spec may be NULL */
};

struct compared_options {
    int n_models, n_samples;
    int jobs;  /* processes, each with a model and a seed at a time; at least 1 */
    int batch; /* samples that an inference is modelled for; at least 1 */
    const struct compared_model *models;
    const char *folder;
};

/* Plays what is missing, then fills in r->runs; the rest of *r is set, the lists but
 * for r->models.  Everything lives in `a`. */
struct status *compared_run(struct arena *a, const struct compared_options *o,
                            struct contest_results *r);

#endif /* HADMC_CLI_COMPARED_H */
