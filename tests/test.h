/* SPDX-License-Identifier: Apache-2.0 */
/* What every test file starts with: TEST(sentence) { CHECK...; } and nothing else;
 * a file tests/<layer>/x_test.c becomes one program that runs all its tests under
 * cmocka.
 *
 *     TEST(fold_batchnorm_leaves_a_shared_convolution_alone)
 *     {
 *         CHECK_TEXT(run_pass("fold-batchnorm", ir), ir);
 *     }
 */
#ifndef HADMC_TESTS_TEST_H
#define HADMC_TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/status.h"

void test_register(const char *name, CMUnitTestFunction run);

#define TEST(name)                                                                     \
    static void name(void **state);                                                    \
    __attribute__((constructor)) static void register_##name(void)                     \
    {                                                                                  \
        test_register(#name, name);                                                    \
    }                                                                                  \
    static void name(void **state __attribute__((unused)))

#define CHECK(condition)     assert_true(condition)
#define CHECK_EQ(a, b)       assert_int_equal((a), (b))
#define CHECK_TEXT(got, want) assert_string_equal((got), (want))
#define CHECK_BYTES(got, want, n) assert_memory_equal((got), (want), (n))

/* The status is OK; otherwise print it and fail. */
#define CHECK_OK(expr) test_check_ok((expr), #expr, __FILE__, __LINE__)
/* The status has this code and its message contains `words`; freed here. */
#define CHECK_FAILS(expr, code, words)                                                 \
    test_check_fails((expr), (code), (words), #expr, __FILE__, __LINE__)

void test_check_ok(struct status *s, const char *expr, const char *file, int line);
void test_check_fails(struct status *s, enum status_code code, const char *words,
                      const char *expr, const char *file, int line);

#endif /* HADMC_TESTS_TEST_H */
