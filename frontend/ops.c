/* SPDX-License-Identifier: Apache-2.0 */
/* The operator table in memory.  A row whose functions do not exist fails to link. */
#include "frontend/ops.h"

#include <stddef.h>
#include <string.h>

const struct op_info op_info[OP_COUNT] = {
    [OP_NONE] = {.name = "none"},
#define OP(name, since, min_in, max_in, min_out, max_out, traits, import, shape, lower) \
    [OP_##name] = {#name, since, min_in, max_in, min_out, max_out,                     \
                   traits, import, shape, lower},
#include "frontend/ops.def"
};

enum ir_op op_from_name(const char *name)
{
    for (int op = OP_NONE + 1; op < OP_COUNT; op++)
        if (!strcmp(op_info[op].name, name))
            return (enum ir_op)op;
    return OP_NONE;
}
