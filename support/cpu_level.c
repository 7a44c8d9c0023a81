/* SPDX-License-Identifier: Apache-2.0 */
/* See cpu_level.h. */
#include "support/cpu_level.h"

enum cpu_level cpu_level(void)
{
#if defined __x86_64__
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512cd"))
        return CPU_V4;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
        && __builtin_cpu_supports("bmi2"))
        return CPU_V3;
#endif
    return CPU_PLAIN;
}
