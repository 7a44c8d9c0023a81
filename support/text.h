/* SPDX-License-Identifier: Apache-2.0 */
/* A growing text, for everything that is printed into memory first: IR dumps,
 * generated C, JSON, HTML.  The bytes are always NUL-terminated. */
#ifndef HADMC_SUPPORT_TEXT_H
#define HADMC_SUPPORT_TEXT_H

#include <stddef.h>

struct text {
    char *bytes; /* owned; NULL while empty */
    size_t len, cap;
};

void text_printf(struct text *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void text_append(struct text *t, const void *bytes, size_t n_bytes);
void text_puts(struct text *t, const char *string);
void text_free(struct text *t);

/* Shortest decimal that reads back as the same float32; "nan", "inf", "-inf". */
void text_put_f32(struct text *t, float value);

#endif /* HADMC_SUPPORT_TEXT_H */
