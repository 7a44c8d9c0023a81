/* SPDX-License-Identifier: Apache-2.0 */
/* The version of this build; the number is CMake's. */
#include "codegen/bundle.h"

const char *hadmcc_version(void)
{
    return HADMC_VERSION;
}
