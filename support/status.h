/* SPDX-License-Identifier: Apache-2.0 */
/* How a function of the compiler says that it failed.
 *
 * A status is NULL for success, or a heap object: code, message, file and line
 * of the cause, then one note per layer it passed through.  Whoever drops a
 * status calls status_free(); print it first if a person should know.
 *
 *     hadmcc: node 'bn1' (BatchNormalization, ONNX node 17): has 3 channels ...
 *       while folding batch normalization
 *       while compiling 'resnet8.onnx' for target 'orin'
 */
#ifndef HADMC_SUPPORT_STATUS_H
#define HADMC_SUPPORT_STATUS_H

#include <stdarg.h>
#include <stdio.h>

/* The code decides the exit status of hadmcc (status_exit_code). */
enum status_code {
    INVALID,     /* the model, data or file is not what it claims to be    -> 1 */
    UNSUPPORTED, /* sound, but outside what hadmcc can do                  -> 1 */
    NO_FIT,      /* a budget or limit cannot be met                        -> 1 */
    IO_ERROR,    /* the file system or the operating system refused        -> 1 */
    BAD_USAGE,   /* the command line                                       -> 2 */
    INTERNAL,    /* a bug in hadmcc                                        -> 3 */
};

struct status;

#define OK ((struct status *)0)
#define FAIL(code, ...) status_new((code), NULL, __FILE__, __LINE__, __VA_ARGS__)

/* The only macro in the tree that returns from its caller. */
#define RETURN_IF_FAIL(expr)                                                           \
    do {                                                                               \
        struct status *status_ = (expr);                                               \
        if (status_)                                                                   \
            return status_;                                                            \
    } while (0)

/* `where` (may be NULL) is copied and printed before the message, with ": ". */
struct status *status_new(enum status_code code, const char *where, const char *file,
                          int line, const char *format, ...)
    __attribute__((format(printf, 5, 6), returns_nonnull));

/* Append "while ..." to a failure; OK stays OK.  Returns its argument. */
struct status *status_note(struct status *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

enum status_code status_code(const struct status *s);
const char *status_message(const struct status *s); /* with `where`, without notes */
int status_n_notes(const struct status *s);
const char *status_note_at(const struct status *s, int i);
int status_exit_code(const struct status *s);       /* 0 for OK */
void status_print(const struct status *s, FILE *to);
void status_free(struct status *s);

#endif /* HADMC_SUPPORT_STATUS_H */
