/* SPDX-License-Identifier: Apache-2.0 */
/* Status objects: see status.h.  Out of memory is handled by one static object,
 * so that a failure can always be reported. */
#include "support/status.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NOTES = 16 };

struct status {
    enum status_code code;
    const char *file;
    int line;
    char *message;
    int n_notes;
    char *notes[MAX_NOTES];
};

static struct status out_of_memory = {
    .code = NO_FIT,
    .file = __FILE__,
    .message = (char[]){"out of memory"},
};

static char *format_text(const char *where, const char *format, va_list args)
{
    va_list again;

    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, format, again);
    va_end(again);

    const size_t n_where = where ? strlen(where) + 2 : 0;
    char *text = n < 0 ? NULL : malloc(n_where + (size_t)n + 1);

    if (!text)
        return NULL;
    if (where)
        sprintf(text, "%s: ", where);
    vsnprintf(text + n_where, (size_t)n + 1, format, args);
    return text;
}

struct status *status_new(enum status_code code, const char *where, const char *file,
                          int line, const char *format, ...)
{
    struct status *s = calloc(1, sizeof *s);

    if (!s)
        return &out_of_memory;
    s->code = code;
    s->file = file;
    s->line = line;

    va_list args;

    va_start(args, format);
    s->message = format_text(where, format, args);
    va_end(args);
    if (!s->message) {
        free(s);
        return &out_of_memory;
    }
    return s;
}

struct status *status_note(struct status *s, const char *format, ...)
{
    if (!s || s == &out_of_memory || s->n_notes == MAX_NOTES)
        return s;

    va_list args;

    va_start(args, format);
    char *text = format_text(NULL, format, args);
    va_end(args);
    if (text)
        s->notes[s->n_notes++] = text;
    return s;
}

enum status_code status_code(const struct status *s)
{
    return s->code;
}

const char *status_message(const struct status *s)
{
    return s->message;
}

int status_n_notes(const struct status *s)
{
    return s->n_notes;
}

const char *status_note_at(const struct status *s, int i)
{
    return s->notes[i];
}

int status_exit_code(const struct status *s)
{
    if (!s)
        return 0;
    switch (s->code) {
    case INVALID:
    case UNSUPPORTED:
    case NO_FIT:
    case IO_ERROR:
        return 1;
    case BAD_USAGE:
        return 2;
    case INTERNAL:
        break;
    }
    return 3;
}

void status_print(const struct status *s, FILE *to)
{
    fprintf(to, "hadmcc: %s\n", s->message);
    for (int i = 0; i < s->n_notes; i++)
        fprintf(to, "  %s\n", s->notes[i]);
    if (s->code == INTERNAL)
        fprintf(to, "  this is a bug in hadmcc (%s:%d)\n", s->file, s->line);
}

void status_free(struct status *s)
{
    if (!s || s == &out_of_memory)
        return;
    for (int i = 0; i < s->n_notes; i++)
        free(s->notes[i]);
    free(s->message);
    free(s);
}
