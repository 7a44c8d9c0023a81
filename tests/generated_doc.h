/* SPDX-License-Identifier: Apache-2.0 */
/* For documents that are generated from a table: the test of one fails when the file
 * in the tree is stale, and writes it when HADMC_UPDATE is set. */
#ifndef HADMC_TESTS_GENERATED_DOC_H
#define HADMC_TESTS_GENERATED_DOC_H

#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "support/text.h"

static inline void generated_doc_read(const char *path, struct text *out)
{
    FILE *f = fopen(path, "r");
    char part[4096];
    size_t n;

    if (!f)
        return;
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        text_append(out, part, n);
    fclose(f);
}

/* The file at `path` in the tree says what `want` says. */
static inline void generated_doc_check(const char *path, const struct text *want)
{
    struct text have = {0};

    if (getenv("HADMC_UPDATE")) {
        FILE *f = fopen(path, "w");

        CHECK(f && fwrite(want->bytes, 1, want->len, f) == want->len);
        CHECK_EQ(fclose(f), 0);
    }
    generated_doc_read(path, &have);
    CHECK_TEXT(have.bytes ? have.bytes : "", want->bytes);
    text_free(&have);
}

#endif /* HADMC_TESTS_GENERATED_DOC_H */
