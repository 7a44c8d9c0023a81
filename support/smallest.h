/* SPDX-License-Identifier: Apache-2.0 */
/* Which of many numbers are the smallest, in time that grows with their count alone. */
#ifndef HADMC_SUPPORT_SMALLEST_H
#define HADMC_SUPPORT_SMALLEST_H

#include <stdint.h>

/* is_small[n] becomes 1 for the `count` smallest of size[n], the first ones where some
 * are equal, and 0 for the others.  Sizes are at least 0; count is 0 to n. */
void smallest_mark(int64_t n, const double *size, int64_t count, uint8_t *is_small);

#endif /* HADMC_SUPPORT_SMALLEST_H */
