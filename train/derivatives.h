/* SPDX-License-Identifier: Apache-2.0 */
/* Prototypes of every function that a row of derivatives.def names. */
#ifndef HADMC_TRAIN_DERIVATIVES_H
#define HADMC_TRAIN_DERIVATIVES_H

#include "train/tape.h"

#pragma push_macro("NULL")
#undef NULL
#define DERIVATIVES_PASTE_(a, b) a##b
#define DERIVATIVES_PASTE(a, b)  DERIVATIVES_PASTE_(a, b)
#define NULL                     DERIVATIVES_PASTE(derivative_no_function_, __COUNTER__)
#define DERIVATIVE(op, prepare, forward, backward, traits, trained)                    \
    derivative_prepare_fn prepare;                                                     \
    derivative_run_fn forward, backward;
#include "train/derivatives.def"
#undef DERIVATIVES_PASTE
#undef DERIVATIVES_PASTE_
#undef NULL
#pragma pop_macro("NULL")

#endif /* HADMC_TRAIN_DERIVATIVES_H */
