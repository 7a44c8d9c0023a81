/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that write a bundle share: bundle.c drives, the others make one
 * file of the folder each. */
#ifndef HADMC_CODEGEN_BUNDLE_H
#define HADMC_CODEGEN_BUNDLE_H

#include <jansson.h>

#include "codegen/codegen.h"

struct bundle_job {
    struct compile *compile;
    struct arena *arena; /* compile->perm */
    const struct program *program;
    const struct bundle_options *options;
    const struct model_names *names;
    const struct hadm_model *model;
    uint64_t weights_bytes; /* of foo.weights */
    int64_t stack_bytes;    /* of the deepest call chain below foo_run */
    int64_t code_bytes;     /* machine code and constants of libfoo.a; 0 for C */
};

const char *hadmcc_version(void);

/* ---- c_text.c: pieces of generated C --------------------------------------------- */

/* For use inside a comment: one line, printable ASCII, never its end. */
void c_put_comment(struct text *t, const char *words);
/* "[1, 3, 224, 224]"; "a scalar" for rank 0. */
void c_put_shape(struct text *t, const struct ir_value *v);
/* "TYPE NAME(PARAM, PARAM)", broken before column 88. */
void c_put_prototype(struct text *t, const char *type, const char *name, int n,
                     const char *const *params);
/* The statement about generated code that opens every file of a bundle. */
void c_put_banner(struct text *t, const struct bundle_job *job, const char *what);
/* An embedded source file as part of another one: its own includes are left out
 * (<...> too: the including text has them), so is the licence line. */
struct status *c_put_source(struct text *t, const char *path);
/* Input or output number i of the program's graph. */
const struct ir_value *bundle_door(const struct bundle_job *job, int i);

/* ---- api_text.c, selftest.c, report.c, report_html.c, package.c ------------------ */

void api_header(const struct bundle_job *job, struct text *out);
struct status *api_source(const struct bundle_job *job, struct text *out);
struct status *selftest_source(const struct bundle_job *job, struct text *source,
                               struct text *probe);
/* What job->options->device is modelled to take for every step, and after the last one
 * for all together; NULL without a device. */
struct step_cost {
    int64_t ns;
    double energy_j;
    enum work_kind kind; /* of the kernel that was looked up; not of the sum */
};
const struct step_cost *report_costs(const struct bundle_job *job);
/* Part of both reports when there is compression. */
json_t *report_compression_json(const struct compression *k);
void report_compression_html(const struct bundle_job *job, const struct compression *k,
                             struct text *out);
/* Also used for what is measured of a bundle: the page up to its first heading, and
 * its end; words with what HTML would take for its own written out; 1,234,567. */
void report_html_begin(struct text *t, const char *title, const char *about);
void report_html_end(struct text *t);
void report_put_escaped(struct text *t, const char *words);
void report_put_name(struct text *t, const char *words); /* long ones may be broken */
void report_put_count(struct text *t, int64_t n);
void report_json(const struct bundle_job *job, struct text *out);
void report_html(const struct bundle_job *job, struct text *out);
void package_pkg_config(const struct bundle_job *job, struct text *out);
void package_cmake(const struct bundle_job *job, struct text *out);
void package_depfile(const struct bundle_job *job, struct text *out);

/* ---- bundle_folder.c ------------------------------------------------------------- */

/* The folder that `path` means, in `a`; of a link where it leads to, which need not be
 * a bundle yet.  IO_ERROR: something is there that may not be replaced. */
struct status *bundle_folder_find(struct arena *a, const char *path, const char **out);
/* Whether a bundle may have a file `name`: no other is ever removed. */
bool bundle_folder_knows(const char *prefix, const char *name);
/* `fresh`, a scratch folder, becomes `folder`; what was there before is removed.  A line
 * on stderr says where it stays when that fails: the new bundle is in its place all the
 * same. */
struct status *bundle_folder_replace(const char *fresh, const char *folder);

/* ---- archive.c, elf_blob.c ------------------------------------------------------- */

struct archive_member {
    const char *name;
    struct bytes bytes;
};

/* A Unix archive with symbol table; equal members give equal bytes. */
struct status *archive_write(const struct archive_member *members, int n, struct text *out);

/* The bytes of `code` as the linker counts them: sections that are loaded. */
int64_t elf_loaded_bytes(struct bytes object);

/* An ELF object for the triple's processor that defines `symbol` as `contents`, read-
 * only and aligned to 64 bytes.  LLVM would need several times the size in memory. */
struct bytes elf_blob(struct arena *a, const char *triple, const char *symbol,
                      struct bytes contents);

#endif /* HADMC_CODEGEN_BUNDLE_H */
