/* SPDX-License-Identifier: Apache-2.0 */
/* Any x86-64 processor under Linux; --cpu names a newer one than the first. */
#include "targets/targets.h"

static struct status *resolve(struct arena *a, const char *cpu, struct isa *out,
                              uint64_t *cpu_features)
{
    return x86_resolve(a, cpu ? cpu : "x86-64", out, cpu_features);
}

const struct target target_x86_64 = {
    .name = "x86_64",
    .summary = "x86-64 Linux; SSE2, or what --cpu has",
    .device_json = hadmc_device_json_x86_64,
    .resolve = resolve,
#if !defined(__x86_64__)
    .run_with = {"qemu-x86_64", "-cpu", "max"},
#endif
};
