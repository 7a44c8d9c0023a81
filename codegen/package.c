/* SPDX-License-Identifier: Apache-2.0 */
/* How other builds find a bundle: pkg-config, CMake, and the dependency file that
 * says which inputs it was made from.  All paths are relative to the folder, or as
 * given on the command line. */
#include <string.h>

#include "codegen/bundle.h"

void package_pkg_config(const struct bundle_job *job, struct text *t)
{
    const char *foo = job->names->prefix;

    text_printf(t,
                "prefix=${pcfiledir}\n\n"
                "Name: %s\n"
                "Description: compiled neural network\n"
                "Version: %d\n"
                "Cflags: -I${prefix}\n",
                foo, HADM_ABI);
    if (job->options->kind != EMIT_C)
        text_printf(t, "Libs: -L${prefix} -l%s\n", foo);
}

void package_cmake(const struct bundle_job *job, struct text *t)
{
    const char *foo = job->names->prefix;

    text_printf(
        t,
        "# find_package(%s CONFIG PATHS <this folder>) gives %s::%s and the path of the\n"
        "# weights, %s_WEIGHTS.\n"
        "set(%s_WEIGHTS \"${CMAKE_CURRENT_LIST_DIR}/%s.weights\")\n"
        "if(NOT TARGET %s::%s)\n",
        foo, foo, foo, foo, foo, foo, foo, foo);
    if (job->options->kind == EMIT_C)
        text_printf(
            t,
            "  add_library(%s_model STATIC \"${CMAKE_CURRENT_LIST_DIR}/%s.c\"\n"
            "    \"${CMAKE_CURRENT_LIST_DIR}/%s_kernels.c\"%s)\n"
            "  target_include_directories(%s_model PUBLIC \"${CMAKE_CURRENT_LIST_DIR}\")\n"
            "  set_target_properties(%s_model PROPERTIES C_STANDARD 11)\n"
            "  target_link_libraries(%s_model PUBLIC m)\n"
            "  add_library(%s::%s ALIAS %s_model)\n",
            foo, foo, foo,
            job->options->embed ? arena_printf(
                job->arena, "\n    \"${CMAKE_CURRENT_LIST_DIR}/%s_weights.c\"", foo)
                                : "",
            foo, foo, foo, foo, foo, foo);
    else
        text_printf(t,
                    "  add_library(%s::%s STATIC IMPORTED)\n"
                    "  set_target_properties(%s::%s PROPERTIES\n"
                    "    IMPORTED_LOCATION \"${CMAKE_CURRENT_LIST_DIR}/lib%s.a\"\n"
                    "    INTERFACE_INCLUDE_DIRECTORIES \"${CMAKE_CURRENT_LIST_DIR}\")\n",
                    foo, foo, foo, foo, foo);
    text_puts(t, "endif()\n");
}

/* As make reads it: spaces and # behind a backslash, $ doubled. */
static void put_path(struct text *t, const char *path)
{
    for (const char *p = path; *p; p++) {
        if (*p == ' ' || *p == '#')
            text_puts(t, "\\");
        if (*p == '$')
            text_puts(t, "$");
        text_append(t, p, 1);
    }
}

/* External data lies below the model's folder. */
static void put_data_files(struct text *t, const struct bundle_job *job)
{
    const char *model = job->options->model_path, *slash = strrchr(model, '/');
    const int folder = slash ? (int)(slash - model) + 1 : 0;
    const char *line = job->compile->data_files.bytes;

    while (line && *line) {
        const int len = (int)strcspn(line, "\n");

        text_puts(t, " \\\n  ");
        put_path(t, arena_printf(job->arena, "%.*s%.*s", folder, model, len, line));
        line += len + 1;
    }
}

void package_depfile(const struct bundle_job *job, struct text *t)
{
    put_path(t, job->options->folder);
    text_printf(t, "/%s.h: ", job->names->prefix);
    put_path(t, job->options->model_path);
    put_data_files(t, job);
    text_puts(t, "\n");
}
