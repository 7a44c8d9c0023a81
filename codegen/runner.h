/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that run a bundle share: runner.c lays out request and response
 * and reads the results, runner_native.c loads objects with ORC, runner_link.c
 * makes a program and runs that. */
#ifndef HADMC_CODEGEN_RUNNER_H
#define HADMC_CODEGEN_RUNNER_H

#include "codegen/child.h"
#include "codegen/codegen.h"
#include "codegen/runner_core.h"

struct runner_job {
    struct arena *arena;
    const char *folder;
    const struct bundle_meta *meta;
    const struct run_options *options;
    struct run_request *request; /* with the inputs behind it */
    uint8_t *response;           /* request->response_bytes, MAP_SHARED, zeroed */
    int response_fd;             /* the same memory as a file */
};

/* The model's objects: members of libfoo.a, or what cc makes of foo.c and
 * foo_kernels.c.  `machine` is ELF's number of the processor. */
struct runner_object {
    const char *name;
    struct bytes bytes;
};
struct runner_objects {
    const char *from; /* the library's path, or the folder with the C sources */
    int n;
    struct runner_object *at;
    int machine;
};
struct status *runner_load_objects(struct runner_job *job, struct runner_objects *out);

bool runner_is_native(int machine);

/* Both fill job->response. */
struct status *runner_run_native(struct runner_job *job,
                                 const struct runner_objects *o);
struct status *runner_run_program(struct runner_job *job,
                                  const struct runner_objects *o);

/* A file, whole, in `a`. */
struct status *runner_read_file(struct arena *a, const char *path, struct bytes *out);
struct status *runner_write_file(const char *path, const void *bytes, size_t len);
/* The same for what somebody keeps: what was there stays until all bytes are on the
 * disk, and when they are not.  A device or a pipe is written to. */
struct status *runner_replace_file(const char *path, const void *bytes, size_t len);

#endif /* HADMC_CODEGEN_RUNNER_H */
