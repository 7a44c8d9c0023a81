/* SPDX-License-Identifier: Apache-2.0 */
/* The FlatBuffer in front of foo.weights, through the official library.
 * weights_header.cc is the only C++ of the compiler; no exception leaves it, and
 * this header is all that C and C++ share. */
#ifndef HADMC_CODEGEN_WEIGHTS_HEADER_H
#define HADMC_CODEGEN_WEIGHTS_HEADER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { WEIGHTS_FORMAT_MAJOR = 1, WEIGHTS_FORMAT_MINOR = 1, WEIGHTS_BLOCK_BYTES = 4096 };

struct weights_tensor {
    const char *name;
    int dtype; /* ONNX number; 0: packed for the generated code */
    int rank;
    const int64_t *dim;
    uint64_t offset, bytes;
    uint32_t layer; /* 1 + number of the first step that reads it; 0: not known */
};

struct weights_header {
    uint16_t format_major, format_minor;
    const uint8_t *structure_hash; /* 32 bytes */
    uint64_t payload_offset, payload_bytes;
    uint64_t n_digests;
    const uint8_t *digests; /* 32 bytes each */
    int n_tensors;
    struct weights_tensor *tensors;
    const char *tool, *llvm, *target, *cpu, *options, *model;
    const uint8_t *model_sha256; /* NULL when not known */
    int opset;
    uint64_t seed;
};

/* The encoded header; free() it.  NULL when it does not fit into memory. */
uint8_t *weights_header_encode(const struct weights_header *h, size_t *n_bytes);

/* The header of `bytes`, which hadm_weights_read has accepted; borrows from them.
 * out->tensors is left to the caller: call with room for 0, then for n_tensors. */
void weights_header_decode(const uint8_t *bytes, struct weights_header *out, int room);

/* What the library's own verifier says about bytes [0, len). */
int weights_header_verify(const uint8_t *bytes, size_t len);

#ifdef __cplusplus
}
#endif
#endif /* HADMC_CODEGEN_WEIGHTS_HEADER_H */
