/* SPDX-License-Identifier: Apache-2.0 */
/* A model and its test data, as the conformance and exactness tests take them: the
 * options of the import are found out from the data, and inputs are made from it.
 *
 *     struct onnx_case s = {.arena = a, .folder = "…/test_abs", .model = "…/model.onnx"};
 *     RETURN_IF_FAIL(onnx_case_import(&s, &frozen));    // s.graph, s.onnx, s.data
 *     compile_model(s.model, &(struct compile_options){.onnx = s.onnx, ...});
 */
#ifndef HADMC_TESTS_ONNX_CASE_H
#define HADMC_TESTS_ONNX_CASE_H

#include "frontend/onnx_import.h"

struct onnx_case {
    struct arena *arena;
    const char *model, *folder; /* FOLDER/test_data_set_k, where there are any */
    const char *work;           /* the caller's folder for bundles */
    struct compile *compile;    /* owns the graph; the caller destroys it */
    struct ir_graph *graph;     /* canonical: what the interpreter runs */
    struct onnx_options onnx;
    struct onnx_data data;      /* inputs of the first set */
};

/* Imports without the data first.  When shapes must be fixed they are taken from it,
 * and when the import needs a value of a shape-like input (rank 0 or 1, an integer, or
 * not the first input), such inputs are frozen. */
struct status *onnx_case_import(struct onnx_case *s, bool *frozen);

int64_t onnx_case_count(const struct tensor *t);
/* NULL when there is none of this name. */
const struct tensor *onnx_case_find(const struct onnx_data *d, const char *name);
/* Floats move a little, other data is reversed: every index stays in range. */
struct tensor onnx_case_perturb(struct arena *a, const struct tensor *t);

#endif /* HADMC_TESTS_ONNX_CASE_H */
