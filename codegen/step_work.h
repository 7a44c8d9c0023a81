/* SPDX-License-Identifier: Apache-2.0 */
/* What the cost model is asked about a step of a program. */
#ifndef HADMC_CODEGEN_STEP_WORK_H
#define HADMC_CODEGEN_STEP_WORK_H

#include "codegen/program.h"
#include "plan/units.h"

/* Emitted products by their sizes, library products by the unit (of p->graph) that they
 * carry out; pools, functions and kernels of rows by theirs; any other step moves the
 * bytes of its operands. */
struct work step_work(const struct program *p, const struct step *s, int n_units,
                      const struct unit *units);

#endif /* HADMC_CODEGEN_STEP_WORK_H */
