/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the operators that work along one axis: op_reduce.c, op_norm.c. */
#ifndef HADMC_FRONTEND_OP_NORM_H
#define HADMC_FRONTEND_OP_NORM_H

#include "frontend/op_help.h"

/* kernel_<dtype>(x, y) over the rows of attribute `axis`. */
struct status *op_call_rows(struct lowering *lw, const struct ir_node *n, const char *kernel);

#endif /* HADMC_FRONTEND_OP_NORM_H */
