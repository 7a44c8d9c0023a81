/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks (search/ranks.h) of a program that `mpirun` has started, on one machine or
 * many. */
#ifndef HADMC_CLI_RANKS_MPI_H
#define HADMC_CLI_RANKS_MPI_H

#include <stdbool.h>

#include "search/ranks.h"

/* Of the environment, without touching MPI; 0 outside of mpirun. */
int ranks_mpi_rank(void);
bool ranks_mpi_is_used(void);

/* UNSUPPORTED when hadmcc was built without MPI.  A rank that is lost ends all of them,
 * as MPI does.  close() ends the process of every rank but 0. */
struct status *ranks_mpi_open(struct ranks *out);

#endif /* HADMC_CLI_RANKS_MPI_H */
