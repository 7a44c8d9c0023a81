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
        {.channels = 1, .weight_bits = 4, .activation_bits = 4, .kind = WORK_MOVE},
        {.macs_per_channel = 1,
         .channels = 1,
         .weights = 1,
         .in_elements = 1,
         .out_elements = 1,
         .weight_bits = 8,
         .activation_bits = 8,
         .rows = 1},
        {.macs_per_channel = 1000,
         .channels = 17,
         .weights = 17000,
         .in_elements = 1000,
         .out_elements = 1000,
         .weight_bits = 8,
         .activation_bits = 16,
         .rows = 10,
         .kind = WORK_DEPTHWISE,
         .sparse_2_4 = true},
        {.macs_per_channel = INT64_C(1) << 30,
         .channels = 4096,
         .weights = INT64_C(1) << 40,
         .in_elements = INT64_C(1) << 40,
         .out_elements = 1,
         .weight_bits = 32,
         .activation_bits = 32,
         .rows = 1 << 20,
         .added = INT64_C(1) << 40,
         .resident_bytes = INT64_MAX,
         .kind = WORK_WINDOW},
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
