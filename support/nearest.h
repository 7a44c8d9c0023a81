/* SPDX-License-Identifier: Apache-2.0 */
/* "did you mean": the word of a list that somebody probably wanted to write. */
#ifndef HADMC_SUPPORT_NEAREST_H
#define HADMC_SUPPORT_NEAREST_H

/* The candidate (the list ends with NULL) nearest to `word`, or NULL when none is
 * close.  Edits are insert, delete, replace, swap neighbours (Damerau 1964). */
const char *nearest_word(const char *word, const char *const *candidates);

#endif /* HADMC_SUPPORT_NEAREST_H */
