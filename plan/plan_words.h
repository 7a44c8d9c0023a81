/* SPDX-License-Identifier: Apache-2.0 */
/* What the writer and the reader of plans share: words and limits of the format. */
#ifndef HADMC_PLAN_PLAN_WORDS_H
#define HADMC_PLAN_PLAN_WORDS_H

enum { PLAN_FORMAT = 1 };

extern const char plan_word_all[]; /* kept: every channel */

/* By enum; end with NULL. */
extern const char *const plan_calibrators[],
    *const plan_patterns[], *const plan_zero_words[], *const plan_strategies[],
    *const plan_bits_policies[];

#endif /* HADMC_PLAN_PLAN_WORDS_H */
