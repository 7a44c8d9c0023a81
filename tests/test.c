/* SPDX-License-Identifier: Apache-2.0 */
/* The main program of every unit test: runs what TEST() registered. */
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_TESTS = 512 };

static struct CMUnitTest tests[MAX_TESTS];
static size_t n_tests;

void test_register(const char *name, CMUnitTestFunction run)
{
    if (n_tests == MAX_TESTS)
        abort();
    tests[n_tests++] = (struct CMUnitTest){.name = name, .test_func = run};
}

void test_check_ok(struct status *s, const char *expr, const char *file, int line)
{
    if (!s)
        return;
    print_error("%s is not OK:\n", expr);
    status_print(s, stderr);
    status_free(s);
    _fail(file, line);
}

void test_check_fails(struct status *s, enum status_code code, const char *words,
                      const char *expr, const char *file, int line)
{
    if (!s) {
        print_error("%s is OK but should fail with '%s'\n", expr, words);
        _fail(file, line);
    }
    const bool good = status_code(s) == code && strstr(status_message(s), words);

    if (!good) {
        print_error("%s fails otherwise than with '%s':\n", expr, words);
        status_print(s, stderr);
    }
    status_free(s);
    if (!good)
        _fail(file, line);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return _cmocka_run_group_tests(argv[0], tests, n_tests, NULL, NULL);
}
