/* SPDX-License-Identifier: Apache-2.0 */
/* What the oracle's own tests share: short spellings and a check of codes. */
#ifndef HADMC_TESTS_ORACLE_CHECK_H
#define HADMC_TESTS_ORACLE_CHECK_H

#include <math.h>

#include "tests/oracle/oracle.h"
#include "tests/test.h"

#define I8(s, z) ((struct oracle_output){(s), (z), -128, 127})
#define U8(s, z) ((struct oracle_output){(s), (z), 0, 255})
#define Q(s, z)  ((struct oracle_quant){(s), (z)})

static inline void check_codes(const int32_t *got, const int32_t *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        CHECK_EQ(got[i], want[i]);
}

/* The whole of a braced list. */
#define CHECK_CODES(got, ...)                                                          \
    do {                                                                               \
        const int32_t want_[] = __VA_ARGS__;                                           \
        check_codes((got), want_, sizeof want_ / sizeof want_[0]);                     \
    } while (0)

static inline int64_t random_in(int64_t lo, int64_t hi)
{
    static uint64_t seed = 1;

    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return lo + (int64_t)((seed >> 20) % (uint64_t)(hi - lo + 1));
}

/* One image, stride and dilation 1, no padding. */
static inline struct oracle_window window(int64_t c, int64_t h, int64_t w, int64_t kh,
                                          int64_t kw, int64_t oh, int64_t ow)
{
    return (struct oracle_window){.n = 1,
                                  .c = c,
                                  .h = h,
                                  .w = w,
                                  .oh = oh,
                                  .ow = ow,
                                  .kh = kh,
                                  .kw = kw,
                                  .stride_y = 1,
                                  .stride_x = 1,
                                  .dilation_y = 1,
                                  .dilation_x = 1};
}

#endif /* HADMC_TESTS_ORACLE_CHECK_H */
