/* SPDX-License-Identifier: Apache-2.0 */
/* The element types as data. */
#include "kernels/dtype.h"

#include <string.h>

const struct dtype_info dtype_info[DT_COUNT] = {
    [DT_NONE] = {"none", 0, 0, "void"},
#define DTYPE(name, onnx, bytes, ctype) [DT_##name] = {#name, onnx, bytes, #ctype},
#include "kernels/dtypes.def"
};

enum dtype dtype_from_onnx(int onnx)
{
    for (enum dtype t = DT_NONE + 1; t < DT_COUNT; t++)
        if (dtype_info[t].onnx == onnx)
            return t;
    return DT_NONE;
}

enum dtype dtype_from_name(const char *name)
{
    for (enum dtype t = DT_NONE + 1; t < DT_COUNT; t++)
        if (!strcmp(dtype_info[t].name, name))
            return t;
    return DT_NONE;
}
