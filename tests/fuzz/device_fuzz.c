/* SPDX-License-Identifier: Apache-2.0 */
// links: hal frontend kernels runtime
/* Device files: whatever is accepted gives costs that are numbers. */
#include <math.h>

#include "hal/cost.h"
#include "tests/fuzz/fuzz.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_costs(const struct device *d)
{
    static const struct work works[] = {
        {0, 1, 0, 0, 0, 4, 4},
        {1, 1, 1, 1, 1, 8, 8},
        {1000, 17, 17000, 1000, 1000, 8, 16},
        {INT64_C(1) << 30, 4096, INT64_C(1) << 40, INT64_C(1) << 40, 1, 32, 32},
    };

    for (size_t i = 0; i < sizeof works / sizeof works[0]; i++) {
        const struct cost c = cost_of(d, &works[i]);

        require(isfinite(c.time_ns) && c.time_ns >= 0);
        require(isfinite(c.energy_j) && c.energy_j >= 0);
        require(c.weight_bytes >= 0);
    }
    require(isfinite(cost_conversion_ns(d, 1 << 20, 32, 8)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_create();
    struct device d;
    struct status *s = device_parse(a, "device.json", (const char *)data, size, &d);

    if (s)
        fuzz_check(s);
    else
        check_costs(&d);
    arena_destroy(a);
    return 0;
}
