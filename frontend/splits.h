/* SPDX-License-Identifier: Apache-2.0 */
/* Which samples of a data set are for what: calibration (ranges of activations),
 * validation (scores a candidate during search) and test (touched once, for the
 * report).  The three never share a sample.
 *
 *     the set has             test         calibration and validation come from
 *     train and test          test         val and train, see below
 *     train and val only      val          train
 *     val and test only       test         val
 *     one split, any name     3/4 of it    the other quarter
 *
 * With train, val and test: validation from val, calibration from train.  Where both
 * come from one pool the pool is shuffled, the first half of it is for calibration and
 * the second for validation; without search (`wants_validation` false) all of it is for
 * calibration, and the test samples are the same ones.  A set of one sample calibrates
 * with it and tests nothing.
 *
 * Everything is shuffled by `seed` and then cut to the limits, so a larger limit adds
 * samples to those of a smaller one.  Samples are listed in ascending order.
 */
#ifndef HADMC_FRONTEND_SPLITS_H
#define HADMC_FRONTEND_SPLITS_H

#include "frontend/dataset.h"

enum splits_use { SPLITS_CALIBRATION, SPLITS_VALIDATION, SPLITS_TEST, SPLITS_N_USES };

struct splits_options {
    uint64_t seed;
    bool wants_validation;
    int64_t most[SPLITS_N_USES]; /* samples; 0: all there are */
};

struct splits {
    uint64_t seed;
    struct {
        int64_t n;
        const int64_t *at;  /* sample numbers of dataset_read */
        uint8_t sha256[32]; /* of the numbers as 8 bytes each, low byte first */
        enum dataset_split from;
    } use[SPLITS_N_USES];
};

/* Lists are in `a`. */
struct splits splits_make(const struct dataset *d, const struct splits_options *options,
                          struct arena *a);

/* dataset_digest of the samples of several uses: `n_uses` from SPLITS_CALIBRATION on.
 */
struct status *splits_digest(const struct splits *s, const struct dataset *d,
                             int n_uses, uint8_t out[32]);

/* For plans and reports:
 *   {"seed": 7, "calibration": {"from": "train", "samples": 512, "sha256": "..."},
 *    "validation": {...}, "test": {...}} */
void splits_print_json(const struct splits *s, struct text *out);

#endif /* HADMC_FRONTEND_SPLITS_H */
