/* SPDX-License-Identifier: Apache-2.0 */
/* All that the runtime wants of a C library.  Declared here, as C allows (C11 7.1.4),
 * because a freestanding compiler has no <string.h>, and a hosted one's may need files
 * of the target's C library that a cross compiler lacks. */
#ifndef HADMC_RUNTIME_MEM_H
#define HADMC_RUNTIME_MEM_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memset(void *to, int byte, size_t n);

#endif
