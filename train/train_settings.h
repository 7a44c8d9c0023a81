/* SPDX-License-Identifier: Apache-2.0 */
/* What may be set of a training, and kept to repeat it: train_settings.def is the list.
 *
 * Every setting is also a number, so that what reads, writes and compares them is one
 * loop over the list:
 *
 *     for (int i = 0; i < TRAIN_SETTINGS; i++)
 *         printf("%s=%g ", train_setting[i].name, train_settings_get(&s, i));
 */
#ifndef HADMC_TRAIN_TRAIN_SETTINGS_H
#define HADMC_TRAIN_TRAIN_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "support/anneal.h"
#include "train/augment.h"

/* What they do: optimizer.h. */
enum optimizer_kind { OPTIMIZER_SGD, OPTIMIZER_ADAM, OPTIMIZER_ADAMW };
enum optimizer_schedule { SCHEDULE_COSINE, SCHEDULE_STEPS, SCHEDULE_CONSTANT };

struct optimizer {
    enum optimizer_kind kind;
    enum optimizer_schedule schedule;
    double rate, momentum, decay;
    bool nesterov;
    int64_t warmup, steps; /* of the rate; in all */
};

struct train_settings {
    int64_t epochs, batch;      /* a batch is never larger than the samples are many */
    double temperature;         /* of both sides, 1 to 20 */
    double alpha;               /* 0 to 1: the share of the original's voice */
    double feature;             /* what its features count (features.h); 0: nothing */
    struct optimizer optimizer; /* .warmup in steps; .steps is of no meaning here */
    double clip; /* longest gradient of all weights together; 0: any length */
    bool norms;  /* put normalization behind convolutions: norms.h */
    bool floats; /* who rounds weights does so after training: not read in train/ */
    struct augment augment;
    struct anneal masks; /* how more weights become zero, `final` of them; `begin` and
                            `end` are of no meaning here.  ANNEAL_NONE: no more do */
};

/* What has worked for plain weights: SGD, momentum 0.9 with look ahead, rate 0.003
 * along a cosine, decay 1e-4, five epochs of 128, T = 8, alpha = 0.7
 * (docs/training.md). */
struct train_settings train_settings_defaults(void);

/* By index, in the order of the list. */
enum {
#define WHOLE(name, key, member, least, most) TRAIN_SETTING_##name,
#define REAL(name, key, member, least, most)  TRAIN_SETTING_##name,
#define WORD(name, key, member, words)        TRAIN_SETTING_##name,
#include "train/train_settings.def"
    TRAIN_SETTINGS
};
enum { TRAIN_SETTINGS_ALWAYS = 3 }; /* stand in every plan */

struct train_setting {
    const char *name, *key;
    double least, most;
    bool whole;
    const char *const *words; /* by number, ends with NULL; NULL: a number */
};
extern const struct train_setting train_setting[TRAIN_SETTINGS];

/* `value` is within the setting's limits; of one that is not whole 9 digits count, as
 * many as plans have, so that what repeats a plan repeats the training. */
double train_settings_get(const struct train_settings *s, int i);
void train_settings_set(struct train_settings *s, int i, double value);

/* Is i written where settings are kept: one of the first, or not the default? */
bool train_settings_kept(const struct train_settings *s, int i);

#endif /* HADMC_TRAIN_TRAIN_SETTINGS_H */
