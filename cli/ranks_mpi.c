/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks of MPI: see ranks_mpi.h. */
#include "cli/ranks_mpi.h"

#include <stdlib.h>

/* What OpenMPI, and MPICH and its relatives, tell each rank. */
static int from_environment(const char *openmpi, const char *pmi, int otherwise)
{
    const char *text = getenv(openmpi);

    text = text ? text : getenv(pmi);
    return text ? atoi(text) : otherwise;
}

int ranks_mpi_rank(void)
{
    return from_environment("OMPI_COMM_WORLD_RANK", "PMI_RANK", 0);
}

bool ranks_mpi_is_used(void)
{
    return from_environment("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", 1) > 1;
}

#ifdef HADMC_MPI
#include <mpi.h>

/* MPI's own handling of errors ends all ranks. */
static struct status *broadcast(struct ranks *r, void *bytes, size_t n)
{
    (void)r;
    MPI_Bcast(bytes, (int)n, MPI_BYTE, 0, MPI_COMM_WORLD);
    return OK;
}

static struct status *gather(struct ranks *r, const void *own, size_t n, void *all)
{
    (void)r;
    MPI_Gather(own, (int)n, MPI_BYTE, all, (int)n, MPI_BYTE, 0, MPI_COMM_WORLD);
    return OK;
}

static void close_mpi(struct ranks *r)
{
    MPI_Finalize();
    if (r->rank)
        exit(0);
    r->n = 1;
}

struct status *ranks_mpi_open(struct ranks *out)
{
    *out = (struct ranks){
        .n = 1, .broadcast = broadcast, .gather = gather, .close = close_mpi};
    MPI_Init(NULL, NULL);
    MPI_Comm_rank(MPI_COMM_WORLD, &out->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &out->n);
    return OK;
}
#else
struct status *ranks_mpi_open(struct ranks *out)
{
    (void)out;
    return FAIL(UNSUPPORTED, "this hadmcc was built without MPI; --jobs N uses the "
                             "processors of one machine");
}
#endif
