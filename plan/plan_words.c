/* SPDX-License-Identifier: Apache-2.0 */
/* The words of plan_words.def by enum. */
#include "plan/plan_words.h"

#include <stddef.h>

const char plan_word_all[] = "all";

const char *const plan_calibrators[] = {
#define CALIBRATOR(word, about) #word,
#include "plan/plan_words.def"
    NULL,
};

const char *const plan_patterns[] = {
#define PATTERN(word, about) #word,
#include "plan/plan_words.def"
    NULL,
};

const char *const plan_zero_words[] = {
#define ZEROS(word, about) #word,
#include "plan/plan_words.def"
    NULL,
};

const char *const plan_strategies[] = {
#define STRATEGY(word, about) #word,
#include "plan/plan_words.def"
    NULL,
};

const char *const plan_bits_policies[] = {
#define BITS_POLICY(word, about) #word,
#include "plan/plan_words.def"
    NULL,
};
