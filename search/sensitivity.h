/* SPDX-License-Identifier: Apache-2.0 */
/* The sensitivity table: what each unit loses and costs at each level of precision,
 * one unit changed at a time.
 *
 *     {
 *       "format": 1, "model_sha256": "...", "target": "host",
 *       "samples": 512, "seed": 1, "time_origin": "modelled",
 *       "levels": [
 *         {"weight_bits": 32, "activation_bits": 32},
 *         {"weight_bits": 8, "activation_bits": 8}
 *       ],
 *       "units": [
 *         {"name": "conv1", "kl": [0.0, 0.0026], "ns": [1200, 400], "bytes": [400,
 * 110]}
 *       ]
 *     }
 *
 * kl is the mean divergence KL(original || changed) of the outputs in nats, over
 * `samples` samples; null (INFINITY here) where a level is not allowed.  ns and bytes
 * are modelled by hal/cost.h or measured; `time_origin` says which.  The file holds 9
 * digits of a kl.
 */
#ifndef HADMC_SEARCH_SENSITIVITY_H
#define HADMC_SEARCH_SENSITIVITY_H

#include "plan/units.h"
#include "search/bits_programme.h"
#include "support/text.h"

struct sensitivity_level {
    int weight_bits, activation_bits; /* 1 to 32 */
};

struct sensitivity {
    uint8_t model_sha256[32];
    const char *target;
    int64_t samples, seed;
    enum cost_origin time_origin;
    int n_units, n_levels; /* at most BITS_MAX_... */
    struct sensitivity_level *levels;
    const char **names;  /* [n_units] */
    double *kl;          /* [n_units][n_levels] */
    int64_t *ns, *bytes; /* [n_units][n_levels]; at most 2^40 */
};

/* An empty table in `a`: zeros, no names. */
struct sensitivity *sensitivity_create(struct arena *a, int n_units, int n_levels);

/* Names, ns and bytes of all units at s->levels, modelled for the device; units[] has
 * s->n_units. */
void sensitivity_model_costs(struct sensitivity *s, const struct device *d,
                             const struct unit *units);
/* What it costs to read unit i's input in the activation width of one level when the
 * unit before wrote it in that of another: bits_problem.conversion_ns, in `a`. */
const int64_t *sensitivity_conversions(struct arena *a, const struct sensitivity *s,
                                       const struct device *d,
                                       const struct unit *units);

/* The table as a problem without budgets and conversions, which the caller adds; it
 * borrows the table. */
struct bits_problem sensitivity_problem(const struct sensitivity *s);

void sensitivity_write(const struct sensitivity *s, struct text *out);
/* Everything in *out lives in `a`; errors name file, unit, key and what would have been
 * right. */
struct status *sensitivity_read(struct arena *a, const char *path,
                                struct sensitivity **out);
struct status *sensitivity_parse(struct arena *a, const char *file, const void *bytes,
                                 size_t len, struct sensitivity **out);

#endif /* HADMC_SEARCH_SENSITIVITY_H */
