/* SPDX-License-Identifier: Apache-2.0 */
/* Run a function in a forked child, so that whatever happens there is a status.
 *
 * LLVM ends the process on its fatal errors and compiled models may be wrong;
 * in a child both become a message.  The child sees all of the parent's memory as
 * it was at the call; nothing it changes comes back except what it writes to
 * `out` and what lies in memory mapped MAP_SHARED.
 *
 *     struct status *emit(void *arg, FILE *out)
 *     {
 *         ...
 *         fwrite(object, 1, len, out);
 *         return OK;
 *     }
 *     RETURN_IF_FAIL(child_run(a, "generating code", emit, &job, NULL, &result));
 *
 * What the child prints on stderr is held back: passed on when it succeeds, part
 * of the message when it does not.
 */
#ifndef HADMC_CODEGEN_CHILD_H
#define HADMC_CODEGEN_CHILD_H

#include <stdio.h>

#include "codegen/codegen.h"
#include "support/arena.h"
#include "support/status.h"

typedef struct status *child_fn(void *arg, FILE *out);

struct child_options {
    int timeout_s; /* 0: wait for ever */
    bool foreign;  /* not our code: a crash or a bad exit code is IO_ERROR, not a bug
                      of hadmcc */
};

/* `what` completes "while ..." and "crashed ...", e.g. "generating code".  `o` may
 * be NULL.  A status that fn returns comes back with its notes.  A crash is
 * INTERNAL (see foreign), a time-out or a kill at a limit is NO_FIT. */
struct status *child_run(struct arena *a, const char *what, child_fn *fn, void *arg,
                         const struct child_options *o, struct bytes *out);

/* The same for a program: argv[0] is looked up in PATH (IO_ERROR when it is not
 * there).  What it prints on stdout is `out`; an exit code other than 0 counts as a
 * crash. */
struct status *child_exec(struct arena *a, const char *what, char *const argv[],
                          const struct child_options *o, struct bytes *out);

/* The first of `names` (ends with NULL) that PATH has, or NULL. */
const char *child_find_program(const char *const *names);

#endif /* HADMC_CODEGEN_CHILD_H */
