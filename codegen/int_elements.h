/* SPDX-License-Identifier: Apache-2.0 */
/* How element operators on codes are cut: rows of vectors of bytes. */
#ifndef HADMC_CODEGEN_INT_ELEMENTS_H
#define HADMC_CODEGEN_INT_ELEMENTS_H

#include "codegen/emit_int.h"

/* The same work with as few dimensions as possible. */
struct int_elements int_elements_flatten(const struct int_elements *c);

/* A unit is `rows` rows of one block, or `columns` of a single one. */
struct int_elements_cut {
    int64_t rows, columns;
    int64_t strips, chunks; /* of a block */
};
struct int_elements_cut int_elements_cut(const struct int_elements *flat);

#endif /* HADMC_CODEGEN_INT_ELEMENTS_H */
