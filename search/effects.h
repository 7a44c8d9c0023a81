/* SPDX-License-Identifier: Apache-2.0 */
/* The table of single changes. */
#ifndef HADMC_SEARCH_EFFECTS_H
#define HADMC_SEARCH_EFFECTS_H

#include "search/choices.h"

/* Loss when one unit alone is changed, as evaluated: of pruning and of bits, per unit.
 */
struct method_effects {
    double (*ratio)[CHOICE_RATIOS], (*bits)[CHOICE_BITS];
};

#endif /* HADMC_SEARCH_EFFECTS_H */
