/* SPDX-License-Identifier: Apache-2.0 */
/* The few functions of ONNX Runtime's C API that a comparison needs, without its
 * headers (the PyPI wheel ships only the library).  The API is a table of function
 * pointers to which releases only append, so positions are stable. */
#ifndef HADMC_BENCH_ORT_API_H
#define HADMC_BENCH_ORT_API_H

#include <stddef.h>
#include <stdint.h>

struct ort_model;

/* Opens `library` (libonnxruntime.so...) and a session on `model_path` with all
 * graph optimisations and `n_threads` intra-op threads.  Ends the process with a
 * message on any error: this is a bench. */
struct ort_model *ort_open(const char *library, const char *model_path, int n_threads);
const char *ort_version(const struct ort_model *m);

int ort_input_count(const struct ort_model *m);
int ort_output_count(const struct ort_model *m);
/* Bytes of input i; unknown dims count as 1. */
size_t ort_input_bytes(const struct ort_model *m, int i);
/* ONNX element type of input i: 1 float, 6 int32, 7 int64 ... */
int ort_input_type(const struct ort_model *m, int i);
/* The buffer that every run reads; fill it before. */
void *ort_input(struct ort_model *m, int i);
/* After a run: contents and bytes of output i. */
const void *ort_output(const struct ort_model *m, int i, size_t *n_bytes);
void ort_run(struct ort_model *m);

#endif /* HADMC_BENCH_ORT_API_H */
