/* SPDX-License-Identifier: Apache-2.0 */
/* The list of targets and their device descriptions, from targets.def. */
#include "targets/targets.h"

#include <string.h>

/* The assembler includes the folder's device.json, with a NUL behind it. */
#define TARGET(name)                                                                   \
    __asm__(".pushsection .rodata.device_json,\"a\",%progbits\n"                       \
            ".globl hadmc_device_json_" #name "\n"                                     \
            ".hidden hadmc_device_json_" #name "\n"                                    \
            "hadmc_device_json_" #name ":\n"                                           \
            ".incbin \"" #name "/device.json\"\n"                                      \
            ".byte 0\n"                                                                \
            ".popsection\n");
#include "targets/targets.def"

const struct target *const all_targets[] = {
#define TARGET(name) &target_##name,
#include "targets/targets.def"
    NULL,
};

const struct target *target_find(const char *name)
{
    for (int i = 0; all_targets[i]; i++)
        if (strcmp(all_targets[i]->name, name) == 0)
            return all_targets[i];
    return NULL;
}

struct status *target_device(struct arena *a, const struct target *t, const char *file,
                             struct device *out)
{
    return file ? device_load(a, file, out)
                : device_parse(a, t->name, t->device_json, strlen(t->device_json), out);
}

enum cost_halves target_halves(const struct target *t, const struct device *d)
{
    switch (t->emits) {
    case EMITS_CODE:
        return HALVES_READ;
    case EMITS_C:
        return HALVES_WIDENED;
    case EMITS_PLAN:
        break;
    }
    return device_has(d, PRECISION_F16) ? HALVES_MULTIPLIED : HALVES_NONE;
}

int target_depthwise_bits(const struct target *t, bool as_c)
{
    return t->emits == EMITS_CODE && !as_c ? 8 : 4;
}

/* Without VNNI a vector has twice as many products of 16 bits as of floats; AVX2
 * takes bytes, four times as many, for weights of 4 bits (docs/kernels.md). */
void target_fit_device(const struct isa *isa, const char *file, struct device *d)
{
    device_use_vectors(d, isa->vector_bytes);
    if (!file && !isa->dot && !isa->lane_fma)
        device_use_multiples(d, 2, isa->vector_bytes == 32 ? 4 : 2);
}

struct status *target_fitted_device(struct arena *a, const struct target *t,
                                    const char *cpu, const char *file,
                                    struct device *out)
{
    struct isa isa;
    uint64_t features;

    RETURN_IF_FAIL(target_device(a, t, file, out));
    if (!t->resolve)
        return OK;
    RETURN_IF_FAIL(t->resolve(a, cpu, &isa, &features));
    target_fit_device(&isa, file, out);
    return OK;
}

static struct status *no_such_code(struct arena *a, const char *file, const char *code)
{
    const char *list = "";

    for (int i = 0; all_targets[i]; i++)
        list = arena_printf(a, "%s%s%s", list, i ? ", " : "", all_targets[i]->name);
    if (!code)
        return FAIL(INVALID,
                    "'%s': 'code' is missing; it says which target's code this device"
                    " runs: %s",
                    file, list);
    return FAIL(INVALID, "'%s': 'code' is '%.40s', no target; there are %s", file, code,
                list);
}

struct status *target_of_file(struct arena *a, const char *file,
                              const struct target **out)
{
    struct device d;

    RETURN_IF_FAIL(device_load(a, file, &d));
    *out = d.code ? target_find(d.code) : NULL;
    return *out ? OK : no_such_code(a, file, d.code);
}
