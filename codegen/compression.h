/* SPDX-License-Identifier: Apache-2.0 */
/* What compression did to a model and what that cost: the code generator only writes it
 * into the reports (docs/report.md).  Numbers are measured on samples, by running both
 * models compiled for the machine that compiles. */
#ifndef HADMC_CODEGEN_COMPRESSION_H
#define HADMC_CODEGEN_COMPRESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "support/arena.h"

struct compression_unit {
    const char *name;
    int weight_bits, activation_bits;
    int activation_codes; /* for a number: 1; 2 where one would be too coarse */
    int64_t macs;
    int64_t weight_bytes; /* codes packed, and scales */
    double zeros;         /* share of the weights that were made zero */
    double error;         /* of its result, relative to the variance; 0 for 32 bits */
};

struct compression {
    const char *calibrated_on;   /* "512 samples of the train split"; NULL: none */
    const char *zeros;           /* how many weights, and what that is good for; or NULL */
    const char *search;          /* what was searched for; NULL: nothing */
    const char *evaluations;     /* of that search, lines of JSON for a file; or NULL */
    const char *search_page;     /* HTML about it for a file; or NULL */
    const char *update;          /* how accurate devices are after one that leaves
                                    layers old; or NULL */
    const char *why_unmeasured;  /* accuracy; NULL: it is */
    const char *tested_on;       /* NULL: no number below counts */
    int64_t n;                   /* test samples */
    const char *score;           /* "top1", "perplexity", "ap50"; NULL: no labels */
    double original, compressed; /* scores */
    /* top1: */
    int64_t lost, gained;
    double original_low, original_high; /* 95 % (Wilson) */
    double compressed_low, compressed_high;
    double
        kl; /* mean divergence of the outputs in nats; negative: they are no classes */
    double cosine;
    int n_units;
    const struct compression_unit *units;
};

/* "0.00012 nats"; "not finite" where outputs are not. */
const char *compression_number(struct arena *a, int digits, double x, const char *unit);

#endif /* HADMC_CODEGEN_COMPRESSION_H */
