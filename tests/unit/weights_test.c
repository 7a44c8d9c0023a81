/* SPDX-License-Identifier: Apache-2.0 */
/* links: codegen frontend kernels runtime */
/* The weights file: what the writer writes, the reader reads; and of damaged files
 * the reader accepts exactly those that the FlatBuffers library accepts and whose
 * numbers agree with the file. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "codegen/codegen.h"
#include "codegen/weights_header.h"
#include "runtime/sha256.h"
#include "runtime/weights_reader.h"
#include "tests/test.h"

static const uint8_t hash[32] = {1, 2, 3, 4};

/* A program of two tensors: 1000 floats at 0 and 5 bytes at 4032, with room for
 * 64 bytes that code may read behind the last one. */
struct example {
    float floats[1000];
    uint8_t few[5];
    struct ptensor tensors[2];
    struct program program;
    struct step *steps; /* NULL, or two */
    size_t len;
    uint8_t *bytes; /* page-aligned */
};

static void example_write(struct example *e)
{
    char path[] = "/tmp/weights_test_XXXXXX";
    const struct weights_info info = {
        .structure_hash = hash, .model_name = "m.onnx", .target = "t", .cpu = "c",
        .options = "--x", .tool_version = "hadmcc", .llvm_version = "19", .opset = 13,
        .model_sha256 = hash, .seed = 7,
    };
    uint64_t n_bytes;

    for (int i = 0; i < 1000; i++)
        e->floats[i] = (float)i;
    memset(e->few, 9, sizeof e->few);
    e->tensors[0] = (struct ptensor){.name = "w", .bytes = 4000, .place = IN_WEIGHTS,
                                     .alias_of = -1, .data = e->floats};
    e->tensors[1] = (struct ptensor){.name = "few", .bytes = 5, .place = IN_WEIGHTS,
                                     .alias_of = -1, .offset = 4032, .data = e->few,
                                     .readable_after = 64};
    e->program = (struct program){.n_tensors = 2, .tensors = e->tensors,
                                  .n_steps = e->steps ? 2 : 0, .steps = e->steps,
                                  .payload_bytes = 4037};
    close(mkstemp(path));
    CHECK_OK(weights_write(path, &e->program, &info, &n_bytes));

    FILE *f = fopen(path, "rb");

    e->len = (size_t)n_bytes;
    e->bytes = aligned_alloc(4096, (e->len + 8191) & ~(size_t)4095);
    assert_non_null(f);
    CHECK_EQ(fread(e->bytes, 1, e->len + 1, f), e->len);
    fclose(f);
    unlink(path);
}

TEST(the_reader_finds_what_the_writer_wrote)
{
    struct example e = {0};
    struct hadm_weights w;

    example_write(&e);
    CHECK(hadm_weights_read(&w, e.bytes, e.len));
    CHECK_EQ(w.format_major, 1);
    CHECK_EQ(w.payload_bytes, 4160); /* 4032 + 5 + 64, up to a multiple of 64 */
    CHECK_EQ(w.n_digests, 2);
    CHECK_EQ((w.payload - e.bytes) % 4096, 0);
    CHECK_BYTES(w.structure_hash, hash, 32);
    CHECK_BYTES(w.payload, e.floats, 4000);
    CHECK_BYTES(w.payload + 4032, e.few, 5);
    CHECK(hadm_weights_check_payload(&w));
    free(e.bytes);
}

TEST(the_header_says_where_the_weights_come_from)
{
    struct example e = {0};
    struct weights_tensor tensors[2];
    struct weights_header h = {.tensors = tensors};

    example_write(&e);
    weights_header_decode(e.bytes, &h, 2);
    CHECK_TEXT(h.model, "m.onnx");
    CHECK_TEXT(h.options, "--x");
    CHECK_EQ(h.opset, 13);
    CHECK_EQ(h.n_tensors, 2);
    CHECK_TEXT(tensors[0].name, "w");
    CHECK_EQ(tensors[1].offset, 4032);
    free(e.bytes);
}

/* Step 0 reads `few` and writes over nothing of the file, step 1 reads both. */
TEST(the_header_names_the_first_step_that_reads_a_tensor)
{
    struct example e = {0};
    struct step steps[2] = {
        {.n_operands = 2, .operands = {{.tensor = 1}, {.tensor = 0, .written = true}}},
        {.n_operands = 3, .operands = {{.tensor = OPERAND_ABSENT}, {.tensor = 0}, {.tensor = 1}}},
    };
    struct weights_tensor tensors[2];
    struct weights_header h = {.tensors = tensors};

    e.steps = steps;
    example_write(&e);
    weights_header_decode(e.bytes, &h, 2);
    CHECK_EQ(tensors[0].layer, 2);
    CHECK_EQ(tensors[1].layer, 1);
    free(e.bytes);
}

TEST(a_changed_payload_is_noticed_by_its_digest_only)
{
    struct example e = {0};
    struct hadm_weights w;

    example_write(&e);
    e.bytes[e.len - 1] ^= 1;
    CHECK(hadm_weights_read(&w, e.bytes, e.len));
    CHECK(!hadm_weights_check_payload(&w));
    free(e.bytes);
}

TEST(a_truncated_file_is_refused_at_every_length)
{
    struct example e = {0};
    struct hadm_weights w;

    example_write(&e);
    for (size_t len = 0; len < e.len; len++) {
        /* A copy of exactly this size, so that a sanitizer sees a step too far. */
        uint8_t *part = malloc(len + !len);

        memcpy(part, e.bytes, len);
        CHECK(!hadm_weights_read(&w, part, len));
        free(part);
    }
    free(e.bytes);
}

TEST(more_bytes_after_the_payload_are_fine)
{
    struct example e = {0};
    struct hadm_weights w;

    example_write(&e);
    e.bytes[e.len] = 1;
    CHECK(hadm_weights_read(&w, e.bytes, e.len + 1));
    free(e.bytes);
}

/* What hadm_weights_read must say, worked out with the library's accessors. */
static int library_accepts(const uint8_t *bytes, size_t len)
{
    struct weights_header h = {0};
    static struct weights_tensor tensors[4];

    if (!weights_header_verify(bytes, len))
        return 0;
    weights_header_decode(bytes, &h, 0);
    if (h.payload_offset > len || !weights_header_verify(bytes, h.payload_offset)
        || h.format_major != 1 || h.payload_offset % 4096 != 0
        || h.payload_bytes > len - h.payload_offset
        || h.n_digests != (h.payload_bytes + 4095) / 4096 || h.n_tensors > 4)
        return 0;
    h.tensors = tensors;
    weights_header_decode(bytes, &h, 4);
    for (int i = 0; i < h.n_tensors; i++)
        if (tensors[i].offset > h.payload_bytes
            || tensors[i].bytes > h.payload_bytes - tensors[i].offset)
            return 0;
    return 1;
}

static uint64_t random_state = 1;

static uint32_t random_u32(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

/* A byte, a small step of a byte, or a word of a kind that offsets dislike. */
static void damage(uint8_t *header, size_t n)
{
    static const uint32_t words[] = {0, 1, 3, 0x7fffffff, 0x80000000, 0xffffffff, 4096};
    const size_t at = random_u32() % n;

    switch (random_u32() % 4) {
    case 0:
        header[at] = (uint8_t)random_u32();
        break;
    case 1:
        header[at] ^= (uint8_t)(1u << random_u32() % 8);
        break;
    case 2:
        header[at] = (uint8_t)(header[at] + random_u32() % 9 - 4);
        break;
    default:
        memcpy(header + at / 4 * 4, &words[random_u32() % 7], 4);
    }
}

TEST(reader_and_library_agree_on_damaged_headers)
{
    struct example e = {0};
    struct weights_header h = {0};
    int n_accepted = 0, n_refused = 0;

    example_write(&e);
    weights_header_decode(e.bytes, &h, 0);
    uint8_t *copy = aligned_alloc(4096, (e.len + 4095) & ~(size_t)4095);

    for (int i = 0; i < 200000; i++) {
        struct hadm_weights w;

        memcpy(copy, e.bytes, 1024);
        memcpy(copy + 1024, e.bytes + 1024, i == 0 ? e.len - 1024 : 0);
        for (uint32_t k = random_u32() % 3; k < 3; k++)
            damage(copy, 800);

        const int reader = hadm_weights_read(&w, copy, e.len);

        CHECK_EQ(reader, library_accepts(copy, e.len));
        n_accepted += reader;
        n_refused += !reader;
    }
    /* Both happen often, or this test says little. */
    CHECK(n_accepted > 10000 && n_refused > 10000);
    free(copy);
    free(e.bytes);
}

TEST(the_reader_works_at_any_alignment)
{
    struct example e = {0};
    struct hadm_weights w;

    example_write(&e);
    uint8_t *odd = malloc(e.len + 1);

    memcpy(odd + 1, e.bytes, e.len);
    CHECK(hadm_weights_read(&w, odd + 1, e.len));
    CHECK(hadm_weights_check_payload(&w));
    free(odd);
    free(e.bytes);
}

TEST(equal_programs_give_equal_files)
{
    struct example a = {0}, b = {0};

    example_write(&a);
    example_write(&b);
    CHECK_EQ(a.len, b.len);
    CHECK_BYTES(a.bytes, b.bytes, a.len);
    free(a.bytes);
    free(b.bytes);
}
