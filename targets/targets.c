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
