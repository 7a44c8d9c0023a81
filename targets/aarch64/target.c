/* SPDX-License-Identifier: Apache-2.0 */
/* Any 64-bit Arm processor under Linux; --cpu names a newer one than the first. */
#include "targets/targets.h"

static struct status *resolve(struct arena *a, const char *cpu, struct isa *out,
                              uint64_t *cpu_features)
{
    return aarch64_resolve(a, cpu ? cpu : "generic", out, cpu_features);
}

const struct target target_aarch64 = {
    .name = "aarch64",
    .summary = "64-bit Arm Linux; NEON, or what --cpu has",
    .device_json = hadmc_device_json_aarch64,
    .resolve = resolve,
#if !defined(__aarch64__)
    .run_with = {"qemu-aarch64", "-cpu", "cortex-a76"},
#endif
};
