/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* docs/operators.md is generated from ops.def and the importer's list:
 *
 *     HADMC_UPDATE=1 build/bin/operators_doc_test       writes it again
 */
#include "tests/generated_doc.h"

#include "frontend/onnx_import.h"
#include "frontend/ops.h"

static const char head[] =
    "# Operators\n"
    "\n"
    "Generated from `frontend/ops.def`; `HADMC_UPDATE=1 build/bin/operators_doc_test` "
    "writes it again.\n"
    "\n"
    "Opsets 1 to 21 of ONNX, as far as each operator's versions go; operators that "
    "quantizers and exporters add\n(`com.microsoft`) have a row like the others. "
    "`hadmcc check MODEL` says which nodes of a model are not covered, and\nwhy; "
    "`tests/onnx_backend.tsv` has the verdict of every ONNX backend case.\n"
    "\n"
    "*since*: first opset whose form is understood; above 21, a form that passes make "
    "of older operators. *inputs*, *outputs*: in canonical form, after old attributes "
    "became\ninputs and shape-valued inputs became attributes. *how*:\n"
    "\n"
    "- **elements**: computed element by element; neighbours are fused into one loop\n"
    "- **view**: the same bytes with another shape; copied only where it must be\n"
    "- **kernel**: a kernel of `kernels/`, specialised for the shape; convolutions, "
    "products and pools have emitted kernels\n  beside it\n"
    "- **jumps**: bodies run as steps with jumps\n"
    "- **rewritten**: becomes other operators, or a constant, when the model is read\n"
    "\n"
    "| operator | since | inputs | outputs | how |\n"
    "|---|---|---|---|---|\n";

static const char structural[] =
    "\n"
    "Resolved when the model is read, so that nothing of them is left at run time (`If`, "
    "`Loop` and `Scan` only where\ntheir conditions and trip counts are known; sequences "
    "have lengths that are known at compile time):\n"
    "\n";

static const char *how(const struct op_info *op)
{
    if (op->traits & OPT_CONTROL)
        return "jumps";
    if (!op->lower)
        return "rewritten";
    if (op->traits & OPT_VIEW)
        return "view";
    return op->traits & OPT_ELTWISE ? "elements" : "kernel";
}

static void put_range(struct text *out, int least, int most)
{
    if (most == OP_MANY)
        text_printf(out, " %d or more |", least);
    else if (most != least)
        text_printf(out, " %d-%d |", least, most);
    else
        text_printf(out, " %d |", least);
}

static void put_all(struct text *out)
{
    text_puts(out, head);
    for (int i = OP_NONE + 1; i < OP_COUNT; i++) {
        const struct op_info *op = &op_info[i];

        text_printf(out, "| %s | %d |", op->name, op->since);
        put_range(out, op->min_in, op->max_in);
        put_range(out, op->min_out, op->max_out);
        text_printf(out, " %s |\n", how(op));
    }
    text_puts(out, structural);
    for (int i = 0; onnx_structural_name(i); i++)
        text_printf(out, "%s%s", i ? ", " : "", onnx_structural_name(i));
    text_puts(out, ".\n");
}

TEST(docs_operators_is_what_the_table_says)
{
    struct text want = {0};

    put_all(&want);
    generated_doc_check("docs/operators.md", &want);
    text_free(&want);
}

/* The table is read by people, and rows are added by several hands. */
TEST(operators_are_in_alphabetical_order)
{
    for (int i = OP_NONE + 2; i < OP_COUNT; i++)
        CHECK(strcmp(op_info[i - 1].name, op_info[i].name) < 0);
}
