/* SPDX-License-Identifier: Apache-2.0 */
/* What vectors this processor has, of what inner loops are compiled for: the levels of
 * x86-64's psABI, https://gitlab.com/x86-psABIs/x86-64-ABI.  Such a source is compiled
 * once for each level (cmake/levels.cmake); elsewhere once, for CPU_PLAIN.
 */
#ifndef HADMC_SUPPORT_CPU_LEVEL_H
#define HADMC_SUPPORT_CPU_LEVEL_H

enum cpu_level {
    CPU_PLAIN,
    CPU_V3, /* AVX2 and fma: vectors of 32 bytes */
    CPU_V4, /* AVX-512: vectors of 64 bytes */
    CPU_LEVELS
};

enum cpu_level cpu_level(void);

#endif /* HADMC_SUPPORT_CPU_LEVEL_H */
