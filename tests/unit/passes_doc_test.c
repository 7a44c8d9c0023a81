/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* docs/passes.md is generated from pipeline.def:
 *
 *     HADMC_UPDATE=1 build/bin/passes_doc_test          writes it again
 */
#include "tests/generated_doc.h"

#include "frontend/pass.h"

static const char head[] =
    "# Passes\n"
    "\n"
    "Generated from `frontend/pipeline.def`; `HADMC_UPDATE=1 build/bin/passes_doc_test` "
    "writes it again.\n"
    "\n"
    "Passes run in this order over the imported graph; the graph is verified after each. "
    "The file of a pass opens\nwith the algebra it performs. `--dump-after PASS`, "
    "`--stop-after PASS` and `--skip PASS` take the names below.\n"
    "\n"
    "*bytes*: every output keeps its bytes. *rounding*: outputs may differ by rounding, "
    "because sums are taken in\nanother order or constants are combined at compile time.\n"
    "\n"
    "| pass | keeps | what it does | file |\n"
    "|---|---|---|---|\n";

static const char again[] =
    "\n"
    "Some passes run once more, for what others have uncovered:\n"
    "\n";

static const char tail[] =
    "\n"
    "After all of them, for targets with emitted kernels, `channels-last` "
    "(`frontend/channels_last.c`) chooses the\norder of dims of every activation, and "
    "`unsigned-codes` (`frontend/unsigned_codes.c`) makes\nint8 activations uint8 where "
    "the processor wants them so.\n";

static void put_file_name(struct text *out, const char *pass)
{
    text_puts(out, "`frontend/");
    for (; *pass; pass++)
        text_printf(out, "%c", *pass == '-' ? '_' : *pass);
    text_puts(out, ".c`");
}

static void put_all(struct text *out)
{
    text_puts(out, head);
    for (int i = 0; i < pass_count(); i++) {
        const struct pass_info *p = &pass_info[i];

        text_printf(out, "| %s | %s | %s | ", p->name, p->lossless ? "bytes" : "rounding",
                    p->summary);
        put_file_name(out, p->name);
        text_puts(out, " |\n");
    }
    text_puts(out, again);
    for (int i = 0; pass_at(i); i++)
        text_printf(out, "%s%s", i ? " → " : "", pass_at(i)->name);
    text_puts(out, "\n");
    text_puts(out, tail);
}

TEST(docs_passes_is_what_the_table_says)
{
    struct text want = {0};

    put_all(&want);
    generated_doc_check("docs/passes.md", &want);
    text_free(&want);
}
