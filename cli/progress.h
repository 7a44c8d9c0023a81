/* SPDX-License-Identifier: Apache-2.0 */
/* One line on a terminal that says what is going on; nothing anywhere else. */
#ifndef HADMC_CLI_PROGRESS_H
#define HADMC_CLI_PROGRESS_H

/* Replaces the line; NULL takes it away. */
void progress(const char *what);

#endif /* HADMC_CLI_PROGRESS_H */
