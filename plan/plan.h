/* SPDX-License-Identifier: Apache-2.0 */
/* A plan: what compression does to a model for one target, one decision per unit
 * (units.h).  A search writes it, or a person; docs/plan.md is the format for both.
 *
 * plan_read and plan_parse check a file completely on its own; plan_check that it is
 * about this model and target.  What plan_write wrote reads back and writes the same
 * bytes.
 */
#ifndef HADMC_PLAN_PLAN_H
#define HADMC_PLAN_PLAN_H

#include <jansson.h>

#include "plan/units.h"
#include "train/train_settings.h"

enum plan_calibrator {
#define CALIBRATOR(word, about) CALIBRATOR_##word,
#include "plan/plan_words.def"
};

enum plan_pattern {
#define PATTERN(word, about) PATTERN_##word,
#include "plan/plan_words.def"
};

enum plan_zeros {
#define ZEROS(word, about) ZEROS_##word,
#include "plan/plan_words.def"
};

enum plan_strategy {
#define STRATEGY(word, about) STRATEGY_##word,
#include "plan/plan_words.def"
};

enum plan_bits_policy {
#define BITS_POLICY(word, about) BITS_POLICY_##word,
#include "plan/plan_words.def"
};

struct plan_unit {
    const char *name;
    int n_nodes;
    const char **nodes; /* ONNX nodes that the decision is about; the first is
                           the weighted one */
    int weight_bits, activation_bits; /* 4, 8, 16 or 32 */
    enum plan_calibrator calibrator;  /* none, or activation_bits is below 16 */
    int64_t channels;                 /* of the output, before pruning */
    double prune_ratio;               /* that was asked for; 0 to 0.99 */
    int64_t n_kept;                   /* 1 to channels */
    const int64_t *kept;              /* rising channel numbers from 0; NULL: all */
    enum plan_zeros zeros;            /* of the weights that are left */
    double zero_ratio; /* their share: 0 to 1; 0 for `none`, 0.5 for `two_of_four` */
    enum plan_pattern pattern;
};

/* Which samples did what; counts are 0 where no data was used. */
struct plan_split {
    int64_t seed, calibration, validation, test;
};

struct plan_update {
    enum plan_strategy strategy;
    double ratio; /* 0 to 1; counts for `incremental` */
};

struct plan {
    uint8_t model_sha256[32];
    const char *target;
    enum plan_bits_policy bits_policy;
    int64_t seed; /* of the search */
    struct plan_split split;
    struct train_settings distillation; /* against the original; no epochs: none */
    struct plan_update update;
    int n_units;
    struct plan_unit *units;
};

/* How the widths of its units relate. */
enum plan_bits_policy plan_policy(const struct plan *p);

/* The plan that changes nothing: all channels, and 32 bits, or the 8 of units that the
 * model brought as codes (calibrator: minmax, for want of a better word).  The graph's names are
 * borrowed, the rest is perm memory of its compile. */
struct plan *plan_float(const struct ir_graph *g, const char *target);

/* The file: keys in a fixed order, a line per unit; numbers have 9 digits. */
void plan_write(const struct plan *p, struct text *out);
json_t *plan_json(const struct plan *p); /* the same; the caller drops it */

/* Everything in *out lives in `a`.  INVALID names file, unit, key and what would have
 * been right; IO_ERROR. */
struct status *plan_read(struct arena *a, const char *path, struct plan **out);
struct status *plan_parse(struct arena *a, const char *file, const void *bytes,
                          size_t len, struct plan **out);

/* INVALID: `p`, read from `file`, is for another model or target, or its units are not
 * those of `g` in their order. */
struct status *plan_check(const struct plan *p, const char *file,
                          const struct ir_graph *g, const char *target);

#endif /* HADMC_PLAN_PLAN_H */
