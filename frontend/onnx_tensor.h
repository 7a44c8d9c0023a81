/* SPDX-License-Identifier: Apache-2.0 */
/* TensorProto -> contents.  onnx_import.h has the functions for files. */
#ifndef HADMC_FRONTEND_ONNX_TENSOR_H
#define HADMC_FRONTEND_ONNX_TENSOR_H

#include "frontend/interpret.h"
#include "frontend/onnx_wire.h"

/* Dense contents, aligned for the element type, in `c->perm` or in a mapped file.
 * External data is looked up below `folder` (NULL: refused). */
struct status *onnx_tensor_load(struct compile *c, const struct onnx_tensor *t,
                                const char *folder, struct tensor *out);
struct status *onnx_sparse_load(struct compile *c, const struct onnx_sparse_tensor *t,
                                const char *folder, struct tensor *out);

/* A tensor of test data: no external data, contents in `a` or where t points to. */
struct status *onnx_tensor_load_alone(struct arena *a, const struct onnx_tensor *t,
                                      struct tensor *out);
/* A whole file in `a`. */
struct status *onnx_read_file(struct arena *a, const char *path, uint8_t **bytes,
                              size_t *len);

/* "float16" for 10; for messages. */
const char *onnx_type_name(int64_t data_type);

#endif /* HADMC_FRONTEND_ONNX_TENSOR_H */
