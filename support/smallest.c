/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that are not negative have the order of their bits: the last one that is
 * small is found eight bits at a time, from the top. */
#include "support/smallest.h"

#include <string.h>

enum { DIGIT = 8, DIGITS = 1 << DIGIT };

static uint64_t bits_of(double size)
{
    uint64_t bits;

    memcpy(&bits, &size, sizeof bits);
    return bits;
}

/* Of the numbers that begin as `start` does above `shift` + 8 bits: the next digit of
 * number *rank, which is afterwards counted among those that have it. */
static uint64_t next_digit(int64_t n, const double *size, uint64_t start, int shift,
                           int64_t *rank)
{
    int64_t count[DIGITS] = {0};
    uint64_t digit = 0;

    for (int64_t i = 0; i < n; i++) {
        const uint64_t bits = bits_of(size[i]) >> shift;

        if (bits >> DIGIT == start)
            count[bits % DIGITS]++;
    }
    while (*rank >= count[digit])
        *rank -= count[digit++];
    return digit;
}

void smallest_mark(int64_t n, const double *size, int64_t count, uint8_t *is_small)
{
    uint64_t limit = 0;
    int64_t equal = count - 1; /* in the end: of those that equal the limit, less one */

    memset(is_small, 0, (size_t)n);
    if (count < 1)
        return;
    for (int shift = 64 - DIGIT; shift >= 0; shift -= DIGIT)
        limit = limit << DIGIT | next_digit(n, size, limit, shift, &equal);
    for (int64_t i = 0; i < n; i++) {
        const uint64_t bits = bits_of(size[i]);

        is_small[i] = bits < limit || (bits == limit && equal-- >= 0);
    }
}
