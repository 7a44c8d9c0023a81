/* SPDX-License-Identifier: Apache-2.0 */
/* See train_settings.h. */
#include "train/train_settings.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the list ------------------------------------------------------------------- */

static const char *const optimizer_kinds[] = {
    [OPTIMIZER_SGD] = "sgd",
    [OPTIMIZER_ADAM] = "adam",
    [OPTIMIZER_ADAMW] = "adamw",
    NULL,
};

static const char *const optimizer_schedules[] = {
    [SCHEDULE_COSINE] = "cosine",
    [SCHEDULE_STEPS] = "steps",
    [SCHEDULE_CONSTANT] = "constant",
    NULL,
};

static const char *const mask_schedules[] = {
    [ANNEAL_NONE] = "fixed",
    [ANNEAL_LINEAR] = "linear",
    [ANNEAL_CUBIC] = "cubic",
    [ANNEAL_HARMONIC] = "harmonic",
    NULL,
};

const struct train_setting train_setting[TRAIN_SETTINGS] = {
#define WHOLE(name, key, member, least, most) {#name, #key, least, most, true, NULL},
#define REAL(name, key, member, least, most)  {#name, #key, least, most, false, NULL},
#define WORD(name, key, member, words)                                                 \
    {#name, #key, 0, sizeof words / sizeof words[0] - 2, true, words},
#include "train/train_settings.def"
};

struct train_settings train_settings_defaults(void)
{
    return (struct train_settings){
        .epochs = 5,
        .batch = 128,
        .temperature = 8,
        .alpha = 0.7,
        .optimizer = {.kind = OPTIMIZER_SGD,
                      .schedule = SCHEDULE_COSINE,
                      .rate = 0.003,
                      .momentum = 0.9,
                      .decay = 1e-4,
                      .nesterov = true},
        .clip = 5,
        .masks = {.swing = 0.06, .waves = 5},
    };
}

/* ---- members as numbers --------------------------------------------------------- */

double train_settings_get(const struct train_settings *s, int i)
{
    switch (i) {
#define WHOLE(name, key, member, least, most)                                          \
    case TRAIN_SETTING_##name:                                                         \
        return (double)s->member;
#define REAL(name, key, member, least, most) WHOLE(name, key, member, least, most)
#define WORD(name, key, member, words)       WHOLE(name, key, member, 0, 0)
#include "train/train_settings.def"
    default:
        return 0;
    }
}

static double nine_digits(double value)
{
    char text[32];

    snprintf(text, sizeof text, "%.9g", value);
    return strtod(text, NULL);
}

void train_settings_set(struct train_settings *s, int i, double value)
{
    switch (i) {
#define WHOLE(name, key, member, least, most)                                          \
    case TRAIN_SETTING_##name:                                                         \
        s->member = (__typeof__(s->member))value;                                      \
        break;
#define REAL(name, key, member, least, most)                                           \
    case TRAIN_SETTING_##name:                                                         \
        s->member = nine_digits(value);                                                \
        break;
#define WORD(name, key, member, words) WHOLE(name, key, member, 0, 0)
#include "train/train_settings.def"
    default:
        break;
    }
}

bool train_settings_kept(const struct train_settings *s, int i)
{
    const struct train_settings usual = train_settings_defaults();

    return i < TRAIN_SETTINGS_ALWAYS
           || train_settings_get(s, i) != train_settings_get(&usual, i);
}
