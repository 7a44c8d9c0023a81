/* SPDX-License-Identifier: Apache-2.0 */
/* The line that says what is going on: see progress.h. */
#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

void progress(const char *what)
{
    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r\033[K%s%s", what ? what : "", what ? " ..." : "");
    fflush(stderr);
}
