/* SPDX-License-Identifier: Apache-2.0 */
/* Passes over the graph.  One file a pass, one exported function each; the order
 * and the documentation are the table pipeline.def. */
#ifndef HADMC_FRONTEND_PASS_H
#define HADMC_FRONTEND_PASS_H

#include "frontend/ir.h"

typedef struct status *pass_fn(struct compile *c, struct ir_graph *g);

struct pass_info {
    const char *name;     /* spelled with dashes: fold-batchnorm */
    pass_fn *run;
    bool lossless;        /* outputs keep their bytes: tested with --skip */
    const char *summary;  /* one line for docs/passes.md */
};

#define PASS(name, lossless, summary) pass_fn pass_##name;
#include "frontend/pipeline.def"

/* The layout pass: convolutions and pools become channels last and transposes are
 * pushed out of the network.  Not in the table: only targets with emitted kernels
 * want it, after everything else. */
pass_fn pass_channels_last;
/* Activations of int8 become uint8; neither in the table, as not every target gains. */
pass_fn pass_unsigned_codes;

extern const struct pass_info pass_info[];
int pass_count(void);
/* The i-th pass that runs, NULL after the last; some run more than once. */
const struct pass_info *pass_at(int i);

enum { PASS_MAX_SKIP = 64 }; /* all passes, and room for names given twice */

struct pass_options {
    const char *dump_after; /* a pass, or "all": print the graph to stderr */
    const char *stop_after;
    const char *skip[PASS_MAX_SKIP];
    int n_skip;
};

/* Runs the table in order; verifies after each pass (always: graphs are small). */
struct status *passes_run(struct compile *c, struct ir_graph *g,
                          const struct pass_options *options);

#endif /* HADMC_FRONTEND_PASS_H */
