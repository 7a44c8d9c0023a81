/* SPDX-License-Identifier: Apache-2.0 */
/* Geometry of integer convolutions, shared by the cost rule, the packer and the
 * emitter; what conv_shape.h says about tiles holds here too.
 *
 * A step is four neighbouring inputs for all output channels.  Where the length of a
 * run is not a multiple of four, its last step reads the run's last four bytes again:
 * those that an earlier step has had meet weights of zero, and nothing beyond the run
 * is read.  21 inputs: steps at 0, 4, 8, 12, 16 and 17.
 */
#ifndef HADMC_CODEGEN_INT_SHAPE_H
#define HADMC_CODEGEN_INT_SHAPE_H

#include "codegen/conv_shape.h"
#include "codegen/emit_int.h"

enum { INT_STEP = 4 }; /* inputs */

/* Steps that sums of 16 bits can take: eight of two products of 255 and -8 each are
 * -32 640. */
enum { INT_BYTE_STEPS = 8 };

/* A kernel row of one group is `n` runs of `length` inputs that lie `step` bytes apart;
 * runs start `next` bytes apart.  `reach` >= length inputs may be read for a pixel
 * whose columns all exist; what is beyond `length` meets zeros. */
struct int_runs {
    enum {
        INT_RUN_ROW,      /* (column, channel) */
        INT_RUN_CHANNELS, /* a run a column */
        INT_RUN_COLUMNS,  /* a run a channel */
    } kind;
    int64_t n, length, reach, step, next;
};
struct int_runs int_runs(const struct conv *v);
int64_t int_run_steps(const struct int_runs *r);
/* First input of step k. */
int64_t int_step_at(const struct int_runs *r, int64_t k);

/* Kernel columns that a tile's pixels must have inside of the input to be alike. */
int64_t int_cut_columns(const struct conv *v);
/* conv_cut_row() for them. */
struct row_cut int_cut_row(const struct conv *v, int pixels);

/* Outputs along one axis, by the taps that they have: `before` ones at the start and
 * `after` ones at the end are classes of their own, the others have all taps. */
struct int_classes {
    int64_t before, after, n;
};
struct int_classes int_row_classes(const struct conv *c);
/* Those of a convolution's bias, whose view is v. */
struct int_classes int_bias_rows(const struct int_conv *c, const struct conv *v);
struct int_classes int_bias_columns(const struct int_conv *c, const struct conv *v);
struct int_classes int_column_classes(const struct conv *c);
/* Every row of outputs has a kernel row inside of the input. */
bool int_rows_have_taps(const struct conv *c);
int64_t int_class_of(const struct int_classes *k, int64_t outputs, int64_t at);
/* Some output of a class. */
int64_t int_class_output(const struct int_classes *k, int64_t outputs, int64_t class);

/* Blocks of a group: whole ones, then at most one tail. */
int64_t int_whole_blocks(const struct int_conv *c, const struct int_tiling *t);
int64_t int_blocks(const struct int_conv *c, const struct int_tiling *t);
/* Channels of a block, of a group and of all groups, with padding. */
int64_t int_block_width(const struct int_tiling *t);
int64_t int_tail_width(const struct int_tiling *t);
int64_t int_group_width(const struct int_conv *c, const struct int_tiling *t);

/* Codes are stored from four vectors at once, which mixes their lanes: the channel, in
 * a block of `vectors`, of lane `lane` of vector `vector`.  With 16 lanes, vector 1
 * holds 4-7, 20-23, 36-39, 52-55.  Vectors beyond a multiple of four are in order, and
 * so are all when results are not codes. */
int64_t int_channel_at(const struct int_conv *c, int lanes, int vectors, int vector,
                       int lane);

/* Of four vectors, the channel in a lane of those that bytes are woven into. */
int64_t int_woven_channel(int vector, int lane);

/* Where a block of `width` channels has the weights of step k of a run, in bytes from
 * the run's first: of whole vectors and of the last one, of `narrow` channels.  That
 * one has `depth` steps of a channel side by side; with 4 bits so many more in the
 * upper halves. */
struct int_step_place {
    int64_t whole, narrow;
};
struct int_step_place int_step_place(const struct int_conv *c, int64_t width,
                                     int64_t narrow, int depth, int64_t k);

/* Bytes of the weights of a run's steps for `width` channels. */
int64_t int_steps_bytes(const struct int_conv *c, int64_t steps, int64_t width);

struct int_header int_header_of(const struct int_conv *c,
                                const struct int_learned *from);

/* Inputs whose sign the form does not want change by 128: unsigned ones have that much
 * less, signed ones more; 0: they are as the form wants them. */
int32_t int_flip_of(const struct int_conv *c, enum int_form form);
int32_t int_form_zero(const struct int_conv *c, enum int_form form, int32_t in_zero);

/* Stretches of so many steps are spread to int16 before they are multiplied, where 32
 * bits of memory fill a vector in one instruction. */
enum { INT_LINE_STEPS = 3 };
bool int_has_lines(const struct isa *isa, enum int_form form);

/* Two vectors beside whole fours are packed with those of the next pixel. */
bool int_in_pixel_pairs(const struct isa *isa, enum int_form form);

/* The sum of a window's inputs is needed beside the products. */
bool int_needs_sums(const struct int_conv *c, enum int_form form);

#endif /* HADMC_CODEGEN_INT_SHAPE_H */
