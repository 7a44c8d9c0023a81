/* SPDX-License-Identifier: Apache-2.0 */
/* The machine that hadmcc runs on. */
#include "targets/targets.h"

static struct status *resolve(struct arena *a, const char *cpu, struct isa *out,
                              uint64_t *cpu_features)
{
#if defined(__x86_64__)
    return cpu ? x86_resolve(a, cpu, out, cpu_features)
               : x86_resolve_here(a, out, cpu_features);
#elif defined(__aarch64__)
    return cpu ? aarch64_resolve(a, cpu, out, cpu_features)
               : aarch64_resolve_here(a, out, cpu_features);
#else
    (void)a, (void)cpu, (void)out, (void)cpu_features;
    return FAIL(UNSUPPORTED, "this build of hadmcc runs on a processor that it cannot"
                             " compile for; name a target");
#endif
}

const struct target target_host = {
    .name = "host",
    .summary = "the processor of this machine",
    .device_json = hadmc_device_json_host,
    .resolve = resolve,
};
