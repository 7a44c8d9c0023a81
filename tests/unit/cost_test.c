/* SPDX-License-Identifier: Apache-2.0 */
// links: hal
/* The roofline: sums that can be checked in the head, and what holds for all work. */
#include "hal/cost.h"
#include "tests/test.h"

/* 1 Gflop/s in float32 and 4 Gop/s in 8 bits; 1 GB/s from memory and 8 from a first
 * level of 1000 B; 5 ns a step; tiles of 4 channels.  So 1 op = 1 ns, 1 B = 1 ns. */
static struct device toy(void)
{
    struct device d = {0};

    d.figures[FIGURE_F32_PEAK].value = 1e9;
    d.figures[FIGURE_I8_PEAK].value = 4e9;
    d.figures[FIGURE_L1_BYTES].value = 1000;
    d.figures[FIGURE_L1_BANDWIDTH].value = 8e9;
    d.figures[FIGURE_MEMORY_BANDWIDTH].value = 1e9;
    d.figures[FIGURE_STEP_OVERHEAD].value = 5e-9;
    d.figures[FIGURE_TILE_CHANNELS].value = 4;
    return d;
}

static bool near(double a, double b)
{
    return a - b < 1e-6 && b - a < 1e-6;
}

/* 4 channels x 100 macs x 2 = 800 ns; 10 + 10 + 10 floats = 120 B in L1: 15 ns. */
TEST(much_arithmetic_costs_its_operations)
{
    const struct device d = toy();
    const struct work w = {100, 4, 10, 10, 10, 32, 32};

    CHECK(near(cost_of(&d, &w).time_ns, 805));
}

/* 4 x 1 x 2 = 8 ns; 3 x 500 floats = 6000 B from memory: 6000 ns. */
TEST(much_data_costs_its_bytes)
{
    const struct device d = toy();
    const struct work w = {1, 4, 500, 500, 500, 32, 32};

    CHECK(near(cost_of(&d, &w).time_ns, 6005));
}

/* 5 channels take two tiles of 4: 8 x 100 x 2 = 1600 ns. */
TEST(a_part_of_a_tile_costs_a_whole_one)
{
    const struct device d = toy();
    const struct work w = {100, 5, 10, 10, 10, 32, 32};

    CHECK(near(cost_of(&d, &w).time_ns, 1605));
}

/* 8 bits: 800 ops at 4 a ns = 200 ns.  16 bits: no such unit, float32's 800 ns. */
TEST(fewer_bits_are_faster_where_the_device_can)
{
    const struct device d = toy();
    struct work w = {100, 4, 10, 10, 10, 8, 8};

    CHECK(near(cost_of(&d, &w).time_ns, 205));
    w.weight_bits = 16;
    CHECK(near(cost_of(&d, &w).time_ns, 805));
    w.weight_bits = 4;
    CHECK(near(cost_of(&d, &w).time_ns, 205));
}

/* 9 numbers: 36 B; 18 B; 9 B and 2 scales; 4.5 -> 5 B and 2 scales. */
TEST(weights_are_packed_and_have_scales_below_16_bits)
{
    CHECK_EQ(cost_weight_bytes(9, 2, 32), 36);
    CHECK_EQ(cost_weight_bytes(9, 2, 16), 18);
    CHECK_EQ(cost_weight_bytes(9, 2, 8), 17);
    CHECK_EQ(cost_weight_bytes(9, 2, 4), 13);
}

/* 400 floats to bytes: 2000 B from memory, 5 ns for the step. */
TEST(a_conversion_costs_a_step_and_its_bytes)
{
    const struct device d = toy();

    CHECK(near(cost_conversion_ns(&d, 400, 32, 8), 2005));
    CHECK(cost_conversion_ns(&d, 400, 8, 8) == 0);
}

/* 800 ops x 2 J + 120 B x 3 J + 805 ns x 1e9 W. */
TEST(energy_counts_operations_bytes_and_time)
{
    struct device d = toy();
    const struct work w = {100, 4, 10, 10, 10, 32, 32};

    CHECK(!cost_has_energy(&d) && cost_of(&d, &w).energy_j == 0);
    d.figures[FIGURE_F32_ENERGY].value = 2;
    d.figures[FIGURE_BYTE_ENERGY].value = 3;
    d.figures[FIGURE_IDLE_POWER].value = 1e9;
    CHECK(near(cost_of(&d, &w).energy_j, 1600 + 360 + 805));
}

TEST(a_model_costs_the_sum_of_its_units_and_the_ram_it_is_told)
{
    const struct device d = toy();
    const struct work w[2] = {{100, 4, 10, 10, 10, 32, 32},
                              {1, 4, 500, 500, 500, 32, 32}};
    const struct model_cost c = cost_of_model(&d, 2, w, 77);

    CHECK(near(c.time_ns, 805 + 6005));
    CHECK_EQ(c.weight_bytes, 40 + 2000);
    CHECK_EQ(c.ram_bytes, 77);
    CHECK_TEXT(cost_origin_names[c.origin], "modelled");
}

/* ---- what holds for all work ------------------------------------------------------
 */

static uint64_t seed = 1;

static int64_t draw(int64_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((seed >> 20) % (uint64_t)n);
}

/* Small and large amounts alike. */
static int64_t draw_amount(void)
{
    return draw(INT64_C(1) << (1 + draw(30)));
}

static struct work draw_work(void)
{
    static const int bits[] = {4, 8, 16, 32};

    return (struct work){draw_amount(), 1 + draw(300), draw_amount(), draw_amount(),
                         draw_amount(), bits[draw(4)], bits[draw(4)]};
}

static struct device draw_device(void)
{
    struct device d = toy();

    for (int i = 0; i < FIGURE_COUNT; i++)
        if (draw(2) && (d.figures[i].value == 0 || draw(2)))
            d.figures[i].value = (double)(1 + draw_amount());
    return d;
}

static struct work more_work(const struct work *w)
{
    struct work more = *w;

    switch (draw(7)) {
    case 0:
        more.macs_per_channel += draw_amount();
        break;
    case 1:
        more.channels += draw(20);
        break;
    case 2:
        more.weights += draw_amount();
        break;
    case 3:
        more.in_elements += draw_amount();
        break;
    case 4:
        more.out_elements += draw_amount();
        break;
    case 5:
        if (more.weights >= 2 * more.channels) /* otherwise scales weigh more */
            more.weight_bits = 32;
        break;
    default:
        more.activation_bits = 32;
        break;
    }
    return more;
}

/* Bits: the device of this test has rates that rise as bits fall. */
TEST(costs_are_never_negative_and_never_fall_when_work_rises)
{
    for (int i = 0; i < 100000; i++) {
        struct device d = draw_device();
        const struct work less = draw_work(), more = more_work(&less);

        d.figures[FIGURE_F16_PEAK].value = 2 * d.figures[FIGURE_F32_PEAK].value;
        d.figures[FIGURE_I8_PEAK].value = 4 * d.figures[FIGURE_F32_PEAK].value;
        d.figures[FIGURE_I4_PEAK].value = 8 * d.figures[FIGURE_F32_PEAK].value;
        for (int e = FIGURE_F16_ENERGY; e <= FIGURE_I4_ENERGY; e++)
            d.figures[e].value = d.figures[FIGURE_F32_ENERGY].value / (1 + e);

        const struct cost a = cost_of(&d, &less), b = cost_of(&d, &more);

        CHECK(a.time_ns >= 0 && a.energy_j >= 0 && a.weight_bytes >= 0);
        CHECK(b.time_ns >= a.time_ns && b.energy_j >= a.energy_j);
        if (less.weight_bits == more.weight_bits)
            CHECK(b.weight_bytes >= a.weight_bytes);
    }
}
