/* SPDX-License-Identifier: Apache-2.0 */
/* Work of many pieces on copies of this process: each copy takes the next piece that
 * nobody has taken.
 *
 *     RETURN_IF_FAIL(side_by_side(4, n, play, show, arg));
 */
#ifndef HADMC_SUPPORT_SIDE_BY_SIDE_H
#define HADMC_SUPPORT_SIDE_BY_SIDE_H

#include <stddef.h>

#include "support/status.h"

/* work(arg, i) for i from 0 to n - 1, in this process if jobs is 1.  Otherwise what it
 * leaves in memory is lost with its copy, except in memory of side_by_side_memory, and
 * watch(arg) is called here every now and then; no other thread may run.  After a
 * failure no copy takes another piece; it is returned when all have ended, with its
 * message and without its notes. */
struct status *side_by_side(int jobs, int n, struct status *(*work)(void *arg, int i),
                            void (*watch)(void *arg), void *arg);

/* Zeroed, shared with all copies, for as long as the process lives; never NULL. */
void *side_by_side_memory(size_t bytes);

#endif /* HADMC_SUPPORT_SIDE_BY_SIDE_H */
