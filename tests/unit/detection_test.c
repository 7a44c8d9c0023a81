/* SPDX-License-Identifier: Apache-2.0 */
// links: compress frontend
/* Detection: boxes of a few tenths. */
#include <math.h>

#include "tests/test.h"

#include "compress/detection.h"

static void near(double got, double want)
{
    if (!(fabs(got - want) < 1e-6))
        fail_msg("%.9g is not %.9g", got, want);
}

static struct dataset_box box(int64_t class_id, double x0, double y0, double x1,
                              double y1)
{
    return (struct dataset_box){class_id, (float)x0, (float)y0, (float)x1, (float)y1};
}

/* Half of each: 1/2 over 3/2. */
TEST(iou_of_boxes)
{
    const struct dataset_box a = box(0, 0, 0, 1, 1), half = box(0, 0.5, 0, 1.5, 1);
    const struct dataset_box far = box(0, 2, 2, 3, 3), none = box(0, 1, 1, 1, 1);

    near(detection_iou(&a, &a), 1);
    near(detection_iou(&a, &half), 1.0 / 3);
    near(detection_iou(&a, &far), 0);
    near(detection_iou(&none, &none), 0);
}

TEST(suppression_keeps_the_best_of_a_class)
{
    struct detection at[] = {{box(0, 0, 0, 1, 1), 0.5f, 0},
                             {box(0, 0, 0, 1, 0.9), 0.9f, 1},
                             {box(1, 0, 0, 1, 1), 0.4f, 2},
                             {box(0, 2, 0, 3, 1), 0.1f, 3}};
    struct detection_list list = {4, at};

    detection_suppress(&list, 0.5);
    CHECK_EQ(list.n, 3);
    CHECK_EQ(list.at[0].index, 1);
    CHECK_EQ(list.at[1].index, 2);
    CHECK_EQ(list.at[2].index, 3);
}

/* ---- decoders -------------------------------------------------------------------- */

static struct dataset_decoder grid(void)
{
    return (struct dataset_decoder){.kind = DATASET_GRID,
                                    .score_threshold = 0.3,
                                    .nms_iou = 0.5,
                                    .max_boxes = 10,
                                    .objectness = 0,
                                    .box = 1,
                                    .classes = 5,
                                    .objectness_power = 0.5,
                                    .class_power = 1,
                                    .background = -1,
                                    .unit_x = 1,
                                    .unit_y = 1};
}

/* One row of two cells, seven channels.  In the right cell objectness 1/4, whose root
 * times 0.8 is 0.4 for class 1; centre (1 + 0.5) / 2, 0.25 / 1; size 0.5, 0.25. */
static const float cells[] = {0,    0.25f, 0,     0.5f, 0,    0.25f, 0,
                              0.5f, 0,     0.25f, 0,    0.2f, 0,     0.8f};
static const int64_t cells_dim[] = {1, 7, 1, 2};

TEST(grid_decoder_reads_the_best_class_of_a_cell)
{
    struct arena *a = arena_create();
    const struct detection_output out = {"o", 4, cells_dim, cells};
    struct dataset_decoder d = grid();
    struct detection_list found;

    CHECK_OK(detection_decode(&d, &out, 1, a, &found));
    CHECK_EQ(found.n, 1);
    CHECK_EQ(found.at[0].box.class_id, 1);
    near((double)found.at[0].score, 0.4f);
    near((double)found.at[0].box.x0, 0.5);
    near((double)found.at[0].box.x1, 1);
    near((double)found.at[0].box.y0, 0.125);
    near((double)found.at[0].box.y1, 0.375);
    arena_destroy(a);
}

/* tanh 0.5 = 0.4621172, sigmoid 0.5 = 0.6224593: x from (1.4621172 - 0.6224593) / 2 ...
 */
TEST(grid_decoder_squashes)
{
    struct arena *a = arena_create();
    const struct detection_output out = {"o", 4, cells_dim, cells};
    struct dataset_decoder d = grid();
    struct detection_list found;

    d.offset = DATASET_TANH;
    d.size = DATASET_SIGMOID;
    CHECK_OK(detection_decode(&d, &out, 1, a, &found));
    near((double)found.at[0].box.x0, (1.4621172 - 0.6224593) / 2);
    near((double)found.at[0].box.x1, (1.4621172 + 0.6224593) / 2);
    arena_destroy(a);
}

TEST(grid_decoder_refuses_other_outputs)
{
    struct arena *a = arena_create();
    struct detection_output out = {"o", 4, cells_dim, cells};
    struct dataset_decoder d = grid();
    struct detection_list found;

    d.output = "p";
    CHECK_FAILS(detection_decode(&d, &out, 1, a, &found), INVALID, "output 'p' is not");
    d.output = "o";
    d.classes = 7;
    CHECK_FAILS(detection_decode(&d, &out, 1, a, &found), INVALID, "7 channels");
    out.rank = 3;
    CHECK_FAILS(detection_decode(&d, &out, 1, a, &found), INVALID, "rows x columns");
    arena_destroy(a);
}

/* Pixels of a 10 x 20 picture; class 0 is the background, so class 1 becomes 0. */
TEST(boxes_decoder_skips_the_background)
{
    struct arena *a = arena_create();
    const int64_t boxes_dim[] = {1, 2, 4}, scores_dim[] = {1, 2, 2};
    const float boxes[] = {1, 2, 3, 4, 5, 10, 5, 10},
                scores[] = {0.9f, 0.1f, 0.2f, 0.8f};
    const struct detection_output out[] = {{"s", 3, scores_dim, scores},
                                           {"b", 3, boxes_dim, boxes}};
    struct dataset_decoder d = grid();
    struct detection_list found;

    d.kind = DATASET_BOXES;
    d.boxes = "b";
    d.scores = "s";
    d.background = 0;
    d.format = DATASET_XYWH;
    d.unit_x = 10;
    d.unit_y = 20;
    CHECK_OK(detection_decode(&d, out, 2, a, &found));
    CHECK_EQ(found.n, 1);
    CHECK_EQ(found.at[0].box.class_id, 0);
    near((double)found.at[0].box.x0, 0.5);
    near((double)found.at[0].box.x1, 1);
    near((double)found.at[0].box.y1, 1);
    arena_destroy(a);
}

/* ---- average precision ----------------------------------------------------------- */

static struct detection_precision score_one(const struct dataset_box *truth,
                                            int n_truth, struct detection *found,
                                            int n_found)
{
    struct arena *a = arena_create();
    struct detection_score *s = detection_score_create(a, 4);

    detection_score_add(s, truth, n_truth, &(struct detection_list){n_found, found});

    const struct detection_precision r = detection_score_result(s);

    arena_destroy(a);
    return r;
}

TEST(ap_of_perfect_boxes_is_one_and_of_none_zero)
{
    const struct dataset_box truth[] = {box(1, 0, 0, 1, 1)};
    struct detection found[] = {{truth[0], 0.5f, 0}};
    const struct detection_precision all = score_one(truth, 1, found, 1);
    const struct detection_precision none = score_one(truth, 1, found, 0);

    near(all.ap, 1);
    near(all.ap50, 1);
    CHECK_EQ(all.n_classes, 1);
    near(none.ap, 0);
    CHECK(isnan(score_one(truth, 0, found, 1).ap));
}

/* IoU 0.7: five of ten overlaps (0.5 ... 0.7). */
TEST(ap_needs_the_overlap)
{
    const struct dataset_box truth[] = {box(0, 0, 0, 1, 1)};
    struct detection found[] = {{box(0, 0, 0, 1, 0.71), 0.5f, 0}};
    const struct detection_precision r = score_one(truth, 1, found, 1);

    near(r.ap50, 1);
    near(r.ap, 0.5);
}

/* Right, wrong, right for two boxes: precision 1 up to recall 1/2 (51 of 101 points),
 * then 2/3 (50 points). */
TEST(ap_interpolates_precision_at_101_recalls)
{
    const struct dataset_box truth[] = {box(0, 0, 0, 1, 1), box(0, 2, 0, 3, 1)};
    struct detection found[] = {
        {truth[0], 0.9f, 0}, {box(0, 5, 5, 6, 6), 0.8f, 1}, {truth[1], 0.7f, 2}};

    near(score_one(truth, 2, found, 3).ap50, (51 + 50 * 2.0 / 3) / 101);
}

/* Twice the same truth: one of two is found, recall 1/2 with precision 1.  A box of
 * another class finds nothing. */
TEST(ap_lets_a_true_box_be_found_once_and_in_its_class)
{
    const struct dataset_box truth[] = {box(0, 0, 0, 1, 1), box(0, 2, 0, 3, 1)};
    struct detection twice[] = {{truth[0], 0.9f, 0}, {truth[0], 0.8f, 1}};
    struct detection other[] = {{box(1, 0, 0, 1, 1), 0.9f, 0}};

    near(score_one(truth, 2, twice, 2).ap50, 51.0 / 101);
    near(score_one(truth, 2, other, 1).ap50, 0);
}

/* Class 0 is found, class 2 is not: the mean of 1 and 0. */
TEST(ap_is_the_mean_over_classes_with_truth)
{
    const struct dataset_box truth[] = {box(0, 0, 0, 1, 1), box(2, 0, 0, 1, 1)};
    struct detection found[] = {{truth[0], 0.9f, 0}};
    const struct detection_precision r = score_one(truth, 2, found, 1);

    near(r.ap50, 0.5);
    CHECK_EQ(r.n_classes, 2);
    CHECK_EQ(r.n_truth, 2);
}

/* In two pictures: the better score is wrong, so precision is 1/2 at every recall. */
TEST(ap_ranks_over_all_pictures)
{
    struct arena *a = arena_create();
    struct detection_score *s = detection_score_create(a, 1);
    const struct dataset_box truth = box(0, 0, 0, 1, 1);
    struct detection right = {truth, 0.5f, 0}, wrong = {box(0, 5, 5, 6, 6), 0.9f, 0};

    detection_score_add(s, &truth, 1, &(struct detection_list){1, &right});
    detection_score_add(s, NULL, 0, &(struct detection_list){1, &wrong});
    near(detection_score_result(s).ap50, 0.5);
    arena_destroy(a);
}
