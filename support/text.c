/* SPDX-License-Identifier: Apache-2.0 */
/* Growing text: see text.h. */
#include "support/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reserve(struct text *t, size_t more)
{
    if (t->cap - t->len > more)
        return;

    size_t cap = t->cap ? t->cap : 256;

    while (cap - t->len <= more)
        cap *= 2;
    char *bytes = realloc(t->bytes, cap);

    if (!bytes) {
        fprintf(stderr, "hadmcc: out of memory (%zu more bytes wanted)\n", cap);
        exit(1);
    }
    t->bytes = bytes;
    t->cap = cap;
}

void text_printf(struct text *t, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    reserve(t, (size_t)n);
    va_start(args, format);
    vsnprintf(t->bytes + t->len, (size_t)n + 1, format, args);
    va_end(args);
    t->len += (size_t)n;
}

void text_append(struct text *t, const void *bytes, size_t n_bytes)
{
    reserve(t, n_bytes);
    if (n_bytes)
        memcpy(t->bytes + t->len, bytes, n_bytes);
    t->len += n_bytes;
    t->bytes[t->len] = '\0';
}

void text_puts(struct text *t, const char *string)
{
    text_append(t, string, strlen(string));
}

void text_free(struct text *t)
{
    free(t->bytes);
    *t = (struct text){0};
}

void text_put_f32(struct text *t, float value)
{
    char digits[40];

    if (isnan(value)) {
        text_puts(t, "nan");
        return;
    }
    if (isinf(value)) {
        text_puts(t, value < 0 ? "-inf" : "inf");
        return;
    }
    for (int precision = 6; precision <= 9; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, (double)value);
        if (strtof(digits, NULL) == value)
            break;
    }
    text_puts(t, digits);
}
