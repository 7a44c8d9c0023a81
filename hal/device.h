/* SPDX-License-Identifier: Apache-2.0 */
/* What a device can do, as its device.json states it.
 *
 *     {"device": "NVIDIA Jetson ...", "about": "...", "code": "aarch64",
 *      "figures": [{"name": "l2", "value": 262144, "unit": "B per core",
 *                   "origin": "datasheet", "source": "..."}, ...],
 *      "kernels": [...]}
 *
 * A device.json may come from anywhere; device_parse checks it once and completely,
 * and what the cost model (cost.h) divides by is there afterwards.  Every figure keeps
 * its source, so that a report can cite it.  figures.def is the list of figures; one
 * that nobody stated or measured is left out, not guessed.
 *
 * code      the target whose code the device runs; in files of users only
 * kernels   measured times (kernel_table.h), as `hadmcc targets --probe` writes them
 *           down; may be left out
 */
#ifndef HADMC_HAL_DEVICE_H
#define HADMC_HAL_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/kernel_table.h"
#include "support/arena.h"
#include "support/status.h"
#include "support/text.h"

enum figure_id {
#define FIGURE(id, ...) FIGURE_##id,
#include "hal/figures.def"
    FIGURE_COUNT
};

/* How a figure came about. */
enum figure_origin {
    FIGURE_DATASHEET, /* its maker states it */
    FIGURE_COMPUTED,  /* from other figures, or from the instruction set */
    FIGURE_MEASURED,  /* on the device that the source names */
};

struct figure {
    double value; /* in the unit of figures.def; 0: not stated */
    enum figure_origin origin;
    const char *unit, *source;
};

/* What a multiply-accumulate takes and gives; the order is that of falling width. */
enum precision {
    PRECISION_F32,
    PRECISION_TF32, /* float32 cut to 19 bits; stored in 32 */
    PRECISION_F16,
    PRECISION_I8,
    PRECISION_I4,
    PRECISION_COUNT
};

/* Memory from the core outwards. */
enum memory_level { LEVEL_L1, LEVEL_L2, LEVEL_L3, LEVEL_MEMORY, LEVEL_COUNT };

enum { DEVICE_MAX_KERNELS = 64, DEVICE_MAX_POINTS = 64 }; /* tables; sizes of an axis */

struct device {
    const char *name, *about;
    const char *code; /* name of a target, not yet looked for; NULL: not stated */
    struct figure figures[FIGURE_COUNT];
    int n_kernels;
    struct kernel_table *kernels;
};

/* Everything in *out lives in `a`.  `what` names the text in messages.  INVALID: no
 * JSON, an unknown key or figure (with those that there are), a figure stated twice,
 * a wrong unit or a value out of range, no source; or the figures give no float32
 * rate or no memory bandwidth; or a table of kernels is not one. */
struct status *device_parse(struct arena *a, const char *what, const char *json,
                            size_t len, struct device *out);

/* The same from a file; IO_ERROR where it cannot be read. */
struct status *device_load(struct arena *a, const char *path, struct device *out);

/* What device_parse reads: for files that were measured. */
void device_write(const struct device *d, struct text *out);

/* Code with vectors of this many bytes: the float32 rate per cycle that the device
 * states for it counts from now on, and what else takes vectors, which is stated for
 * the widest, takes longer in proportion.  Once for a device. */
void device_use_vectors(struct device *d, int vector_bytes);

/* Code that has no products of bytes and makes them of wider ones: 8-bit and 4-bit
 * products are so many times as fast as float32 ones. */
void device_use_multiples(struct device *d, double i8, double i4);

const char *figure_name(enum figure_id id);
const char *figure_origin_name(enum figure_origin origin);

/* Whether the device computes faster in this precision than by converting to the next
 * wider one. */
bool device_has(const struct device *d, enum precision p);
/* p, or where the device lacks it, the next wider precision that it has. */
enum precision device_precision(const struct device *d, enum precision p);
/* Operations a second in device_precision(d, p), a multiply and an add counting as two.
 * Above 0. */
double device_peak(const struct device *d, enum precision p);
/* Output and input channels that kernels of a precision compute together; 1: any
 * number. */
int64_t device_tile_outputs(const struct device *d, enum precision p);
int64_t device_tile_inputs(const struct device *d, enum precision p);
/* Bytes that the level holds; 0: not stated.  Main memory of unknown size holds all. */
double device_capacity(const struct device *d, enum memory_level level);
/* Bytes a second; where none is stated, that of the next level outwards.  Above 0 and
 * never more than the next level inwards has. */
double device_bandwidth(const struct device *d, enum memory_level level);
/* The measured times of such kernels, or those of the narrowest wider precision, or of
 * weights without zero points; where a kind was not measured, direct windows for those
 * by Winograd, moves for other work without weights.  NULL: nobody measured any. */
const struct kernel_table *device_kernels(const struct device *d, enum work_kind kind,
                                          int weight_bits, int activation_bits,
                                          bool weight_zeros);
/* The innermost level that holds so many bytes. */
enum memory_level device_level_for(const struct device *d, double n_bytes);

#endif /* HADMC_HAL_DEVICE_H */
