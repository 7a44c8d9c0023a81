/* SPDX-License-Identifier: Apache-2.0 */
/* NVIDIA Jetson AGX Orin: its twelve Cortex-A78AE cores. */
#include "targets/targets.h"

static struct status *resolve(struct arena *a, const char *cpu, struct isa *out,
                              uint64_t *cpu_features)
{
    return aarch64_resolve(a, cpu ? cpu : "cortex-a78ae", out, cpu_features);
}

const struct target target_orin = {
    .name = "orin",
    .summary = "NVIDIA Jetson AGX Orin: Cortex-A78AE",
    .device_json = hadmc_device_json_orin,
    .resolve = resolve,
#if !defined(__aarch64__)
    .run_with = {"qemu-aarch64", "-cpu", "cortex-a76"},
#endif
};
