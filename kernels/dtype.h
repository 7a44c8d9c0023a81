/* SPDX-License-Identifier: Apache-2.0 */
/* Element types, from the table in dtypes.def. */
#ifndef HADMC_KERNELS_DTYPE_H
#define HADMC_KERNELS_DTYPE_H

enum dtype {
    DT_NONE = 0,
#define DTYPE(name, onnx, bytes, ctype) DT_##name,
#include "kernels/dtypes.def"
    DT_COUNT
};

struct dtype_info {
    const char *name;
    int onnx;  /* TensorProto.DataType */
    int bytes; /* of one element */
    const char *ctype;
};

extern const struct dtype_info dtype_info[DT_COUNT]; /* [DT_NONE] is {"none"} */

enum dtype dtype_from_onnx(int onnx);        /* DT_NONE when not supported */
enum dtype dtype_from_name(const char *name);

#endif /* HADMC_KERNELS_DTYPE_H */
