/* SPDX-License-Identifier: Apache-2.0 */
/* Recurrent layers as they stand in the graph (op_recurrent.c): what others do to their
 * weights. */
#ifndef HADMC_FRONTEND_OP_RECURRENT_H
#define HADMC_FRONTEND_OP_RECURRENT_H

#include "frontend/ir.h"

enum { RECURRENT_GATES, RECURRENT_R }; /* operands */

/* n is an RNN, GRU or LSTM, and what it multiplies its state with is float32, constant,
 * finite, and can be codes: [directions, hidden, columns].  NULL: not so. */
const struct ir_value *recurrent_weights(const struct ir_node *n);

/* Those become codes in steps of their columns: step[i][j] (code[i][k][j] - 128).  All
 * three are copied. */
struct status *recurrent_set_codes(struct ir_node *n, const uint8_t *codes,
                                   const float *step);

/* Bytes of these codes, steps and zero points in a weights file. */
int64_t recurrent_code_bytes(const struct ir_value *weights);

#endif /* HADMC_FRONTEND_OP_RECURRENT_H */
