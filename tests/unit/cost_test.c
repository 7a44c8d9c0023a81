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

#define WORK(macs, n_channels, n_weights, n_in, n_out, w_bits, a_bits)                 \
    {                                                                                  \
        .macs_per_channel = macs,                                                      \
        .channels = n_channels,                                                        \
        .weights = n_weights,                                                          \
        .in_elements = n_in,                                                           \
        .out_elements = n_out,                                                         \
        .weight_bits = w_bits,                                                         \
        .activation_bits = a_bits,                                                     \
        .kind = WORK_WINDOW,                                                           \
    }

static bool near(double a, double b)
{
    return a - b < 1e-6 && b - a < 1e-6;
}

/* 4 channels x 100 macs x 2 = 800 ns; 10 + 10 + 10 floats = 120 B in L1: 15 ns. */
TEST(much_arithmetic_costs_its_operations)
{
    const struct device d = toy();
    const struct work w = WORK(100, 4, 10, 10, 10, 32, 32);

    CHECK(near(cost_of(&d, &w).time_ns, 805));
}

/* 4 x 1 x 2 = 8 ns; 3 x 500 floats = 6000 B from memory: 6000 ns. */
TEST(much_data_costs_its_bytes)
{
    const struct device d = toy();
    const struct work w = WORK(1, 4, 500, 500, 500, 32, 32);

    CHECK(near(cost_of(&d, &w).time_ns, 6005));
}

/* 5 channels take two tiles of 4: 8 x 100 x 2 = 1600 ns. */
TEST(a_part_of_a_tile_costs_a_whole_one)
{
    const struct device d = toy();
    const struct work w = WORK(100, 5, 10, 10, 10, 32, 32);

    CHECK(near(cost_of(&d, &w).time_ns, 1605));
}

/* 8 bits: 800 ops at 4 a ns = 200 ns.  16 bits: no such unit, float32's 800 ns. */
TEST(fewer_bits_are_faster_where_the_device_can)
{
    const struct device d = toy();
    struct work w = WORK(100, 4, 10, 10, 10, 8, 8);

    CHECK(near(cost_of(&d, &w).time_ns, 205));
    w.weight_bits = 16;
    CHECK(near(cost_of(&d, &w).time_ns, 805));
    w.weight_bits = 4;
    CHECK(near(cost_of(&d, &w).time_ns, 205));
}

/* 100 sums of 1 product on tiles of 16 rows: 112; 50 sums of 2 bytes on a depth of 4 B:
 * 64 x 4. */
TEST(rows_and_depth_are_rounded_up_to_tiles_too)
{
    struct device d = toy();
    struct work w = WORK(100, 4, 10, 10, 10, 8, 8);

    d.figures[FIGURE_TILE_ROWS].value = 16;
    w.rows = 100;
    CHECK(near(cost_of(&d, &w).time_ns, 5 + 112 * 4 * 2 / 4.0));
    d.figures[FIGURE_TILE_DEPTH].value = 4;
    w.rows = 50;
    CHECK(near(cost_of(&d, &w).time_ns, 5 + 64 * 4 * 4 * 2 / 4.0));
}

/* One tile of 4 channels takes as long as 10; 11 as long as 20. */
TEST(tiles_are_computed_as_many_at_a_time_as_there_are_units)
{
    struct device d = toy();
    struct work w = WORK(100, 4, 10, 10, 10, 32, 32);

    d.figures[FIGURE_TILE_UNITS].value = 10;
    CHECK(near(cost_of(&d, &w).time_ns, 5 + 10 * 800));
    w.channels = 44;
    CHECK(near(cost_of(&d, &w).time_ns, 5 + 20 * 800));
}

/* 4 channels of a depthwise convolution fill one tile of a vector unit, but 4 of one
 * that multiplies matrices: 4 x 4 x 100 x 2. */
TEST(depthwise_channels_need_tiles_of_their_own_where_sums_are_tiled)
{
    struct device d = toy();
    struct work w = WORK(100, 4, 10, 10, 10, 32, 32);

    w.kind = WORK_DEPTHWISE;
    CHECK(near(cost_of(&d, &w).time_ns, 805));
    d.figures[FIGURE_TILE_DEPTH].value = 8;
    CHECK(near(cost_of(&d, &w).time_ns, 3205));
}

/* 800 ops at 4 a ns, and at 8; 1000 weights are 500 B, 125 B of places and 4 scales. */
TEST(two_zeros_of_four_weights_are_faster_where_the_device_can)
{
    struct device d = toy();
    struct work w = WORK(100, 4, 10, 10, 10, 8, 8);

    w.sparse_2_4 = true;
    CHECK(near(cost_of(&d, &w).time_ns, 205));
    d.figures[FIGURE_SPARSE_RATE].value = 2;
    CHECK(near(cost_of(&d, &w).time_ns, 105));
    w.weights = 1000;
    CHECK_EQ(cost_of(&d, &w).weight_bytes, 641);
}

/* float32 is kept whole; 19 bits may use the faster products. */
TEST(tf32_is_used_only_for_numbers_of_19_bits)
{
    struct device d = toy();
    struct work w = WORK(100, 4, 10, 10, 10, 32, 32);

    d.figures[FIGURE_TF32_PEAK].value = 8e9;
    CHECK(near(cost_of(&d, &w).time_ns, 805));
    w.weight_bits = w.activation_bits = 19;
    CHECK(near(cost_of(&d, &w).time_ns, 105));
    CHECK_EQ(cost_of(&d, &w).weight_bytes, 40); /* 10 of 32 bits */
}

/* 10 inputs at once: 8000 ns of work and one step, weights once. */
TEST(a_batch_shares_step_and_weights)
{
    const struct device d = toy();
    const struct work one = WORK(100, 4, 10, 10, 10, 32, 32);
    const struct work all = work_of_batch(&one, 10);

    CHECK(near(cost_of(&d, &all).time_ns, 8005));
    CHECK_EQ(cost_of(&d, &all).weight_bytes, 40);
}

/* ---- measured kernels -------------------------------------------------------------
 */

static const double channels[] = {8, 32}, depths[] = {1}, rows[] = {10, 1000};
static double times[] = {100, 10000, 400, 40000};

static struct device measured(struct kernel_table *t)
{
    struct device d = toy();

    *t = (struct kernel_table){.kind = WORK_WINDOW,
                               .weight_bits = 8,
                               .activation_bits = 8,
                               .n = {2, 1, 2},
                               .at = {channels, depths, rows},
                               .ns = times};
    d.n_kernels = 1;
    d.kernels = t;
    return d;
}

static double measured_time(const struct device *d, int64_t n_channels, int64_t n_rows)
{
    struct work w = WORK(n_rows, n_channels, 1, 1, 1, 8, 8);

    w.rows = n_rows;
    return cost_of(d, &w).time_ns;
}

/* Halfway between 8 and 32 channels, and 10 and 1000 rows, lie 16 and 100. */
TEST(measured_times_are_interpolated_in_logarithms)
{
    struct kernel_table t;
    const struct device d = measured(&t);

    CHECK(near(measured_time(&d, 8, 10), 100));
    CHECK(near(measured_time(&d, 16, 10), 200));
    CHECK(near(measured_time(&d, 8, 100), 1000));
    CHECK(near(measured_time(&d, 16, 100), 2000));
}

/* Between 8 and 32 channels, 10 and 1000 rows the time rises as they do, so it falls
 * so below; above the largest size it rises with the work. */
TEST(beyond_what_was_measured_times_follow_the_work)
{
    struct kernel_table t;
    const struct device d = measured(&t);

    CHECK(near(measured_time(&d, 8, 1), 10));
    CHECK(near(measured_time(&d, 2, 10), 25));
    CHECK(near(measured_time(&d, 64, 1000), 80000));
    CHECK(near(measured_time(&d, 64, 4000), 320000));
}

/* Twice the channels take no longer: half of them take as long, too. */
TEST(below_what_was_measured_a_time_that_did_not_fall_stays)
{
    double flat[] = {100, 10000, 100, 10000};
    struct kernel_table t;
    const struct device d = measured(&t);

    t.ns = flat;
    CHECK(near(measured_time(&d, 1, 10), 100));
}

/* 1000 B of weights: 1 ns each from memory, 1/8 from a cache of 2000 B, but no more
 * than the cache holds can be missing from it. */
TEST(weights_that_an_inference_pushes_out_of_the_cache_are_read_again)
{
    struct kernel_table t;
    struct device d = measured(&t);
    struct work w = WORK(10, 8, 1000 - 4 * 8, 1, 1, 8, 8);

    w.rows = 10;
    d.figures[FIGURE_L2_BYTES].value = 2000;
    d.figures[FIGURE_L2_BANDWIDTH].value = 8e9;
    CHECK(near(cost_of(&d, &w).time_ns, 100));
    w.resident_bytes = 2000;
    CHECK(near(cost_of(&d, &w).time_ns, 100));
    w.resident_bytes = 2001;
    CHECK(near(cost_of(&d, &w).time_ns, 100 + 875));
    w.weights = 9000;
    CHECK(near(cost_of(&d, &w).time_ns, 100 + 1750));
}

/* 100 codes alone: 70 ns, after a product as well; floats cost nothing there. */
TEST(codes_that_a_kernel_adds_cost_what_adding_them_does)
{
    static const double one[] = {1}, elements[] = {100};
    double ns[] = {70};
    struct kernel_table t[2];
    struct device d = measured(&t[0]);
    struct work w = WORK(10, 8, 1, 1, 1, 8, 8);

    t[1] = (struct kernel_table){.kind = WORK_CODES,
                                 .weight_bits = 8,
                                 .activation_bits = 8,
                                 .n = {1, 1, 1},
                                 .at = {one, one, elements},
                                 .ns = ns};
    d.n_kernels = 2;
    w.rows = 10;
    w.added = 100;
    CHECK(near(cost_of(&d, &w).time_ns, 100 + 70));
    t[0].weight_bits = t[0].activation_bits = w.weight_bits = w.activation_bits = 32;
    CHECK(near(cost_of(&d, &w).time_ns, 100));
}

/* A pool's window is looked up like a depth, but is no arithmetic for the roofline. */
TEST(work_without_weights_costs_its_bytes)
{
    const struct device d = toy();
    struct work w = WORK(1000000, 1, 0, 400, 100, 32, 32);

    w.kind = WORK_POOL;
    CHECK(near(cost_of(&d, &w).time_ns, 2005));
}

/* 8-bit kernels serve 4 bits; float32 ones were not measured: the roofline's 805. */
TEST(kernels_serve_narrower_numbers_but_no_wider_ones)
{
    struct kernel_table t;
    const struct device d = measured(&t);
    struct work w = WORK(100, 8, 1, 1, 1, 4, 8);

    w.rows = 100;
    CHECK(near(cost_of(&d, &w).time_ns, 1000));
    w.weight_bits = 32;
    CHECK(near(cost_of(&d, &w).time_ns, 1605));
}

TEST(a_size_counts_at_most_as_much_as_a_larger_one)
{
    double odd[] = {100, 90, 80, 300};
    struct kernel_table t;

    measured(&t);
    t.ns = odd;
    kernel_table_smooth(&t);
    CHECK(odd[0] == 80 && odd[1] == 90 && odd[2] == 80 && odd[3] == 300);
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
    const struct work w = WORK(100, 4, 10, 10, 10, 32, 32);

    CHECK(!cost_has_energy(&d) && cost_of(&d, &w).energy_j == 0);
    d.figures[FIGURE_F32_ENERGY].value = 2;
    d.figures[FIGURE_BYTE_ENERGY].value = 3;
    d.figures[FIGURE_IDLE_POWER].value = 1e9;
    CHECK(near(cost_of(&d, &w).energy_j, 1600 + 360 + 805));
}

TEST(a_model_costs_the_sum_of_its_units_and_the_ram_it_is_told)
{
    const struct device d = toy();
    const struct work w[2] = {WORK(100, 4, 10, 10, 10, 32, 32),
                              WORK(1, 4, 500, 500, 500, 32, 32)};
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
    struct work w = WORK(0, 1 + draw(300), draw_amount(), draw_amount(), draw_amount(),
                         bits[draw(4)], bits[draw(4)]);

    w.rows = 1 + draw_amount() % 10000;
    w.macs_per_channel = w.rows * (1 + draw_amount() % 10000);
    w.kind = draw(WORK_KINDS);
    w.sparse_2_4 = draw(2);
    w.added = work_has_weights(w.kind) ? draw_amount() : 0;
    w.resident_bytes = draw_amount();
    w.weight_zeros = draw(2);
    return w;
}

enum { N_AT = 4 };

/* A table of one kind, for all widths, with times as they may be measured. */
static struct kernel_table draw_table(double at[TABLE_AXES][N_AT],
                                      double ns[N_AT * N_AT * N_AT])
{
    struct kernel_table t = {
        .kind = draw(WORK_KINDS), .weight_bits = 32, .activation_bits = 32, .ns = ns};

    for (int axis = 0; axis < TABLE_AXES; axis++) {
        t.n[axis] = 1 + (int)draw(N_AT);
        t.at[axis] = at[axis];
        for (int i = 0; i < N_AT; i++)
            at[axis][i] = (i ? at[axis][i - 1] : 0) + 1 + (double)draw(1000);
    }
    for (int i = 0; i < N_AT * N_AT * N_AT; i++)
        ns[i] = 1 + (double)draw_amount();
    kernel_table_smooth(&t);
    return t;
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

    switch (draw(9)) {
    case 0: /* deeper */
        more.macs_per_channel += w->rows * (draw_amount() % 10000);
        break;
    case 8:
        more.resident_bytes += draw_amount();
        break;
    case 7:
        more = work_of_batch(w, 1 + draw(9));
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
        if (more.weights >= 4 * more.channels) /* otherwise scales weigh more */
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
        double at[TABLE_AXES][N_AT], ns[N_AT * N_AT * N_AT];
        struct kernel_table t = draw_table(at, ns);
        struct device d = draw_device();
        const struct work less = draw_work(), more = more_work(&less);

        d.figures[FIGURE_F16_PEAK].value = 2 * d.figures[FIGURE_F32_PEAK].value;
        d.figures[FIGURE_I8_PEAK].value = 4 * d.figures[FIGURE_F32_PEAK].value;
        d.figures[FIGURE_I4_PEAK].value = 8 * d.figures[FIGURE_F32_PEAK].value;
        for (int e = FIGURE_F16_ENERGY; e <= FIGURE_I4_ENERGY; e++)
            d.figures[e].value = d.figures[FIGURE_F32_ENERGY].value / (1 + e);

        d.n_kernels = (int)draw(2);
        d.kernels = &t;

        const struct cost a = cost_of(&d, &less), b = cost_of(&d, &more);

        CHECK(a.time_ns >= 0 && a.energy_j >= 0 && a.weight_bytes >= 0);
        CHECK(b.time_ns >= a.time_ns * (1 - 1e-12)
              && b.energy_j >= a.energy_j * (1 - 1e-12));
        if (less.weight_bits == more.weight_bits)
            CHECK(b.weight_bytes >= a.weight_bytes);
    }
}
