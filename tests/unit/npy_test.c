/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* .npy headers: what is read, and what is refused. */
#include "tests/test.h"

#include "frontend/dataset_formats.h"

/* A version 1 file of the given header, followed by n zero bytes of contents. */
static struct status *parse(const char *header, size_t n, struct npy *out)
{
    static uint8_t bytes[512];
    const size_t n_header = strlen(header);

    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, "\x93NUMPY\1\0", 8);
    bytes[8] = (uint8_t)n_header;
    memcpy(bytes + 10, header, n_header);
    return npy_parse(bytes, 10 + n_header + n, out);
}

TEST(npy_reads_type_and_shape)
{
    struct npy a;

    CHECK_OK(
        parse("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", 24, &a));
    CHECK_EQ(a.dtype, DT_f32);
    CHECK_EQ(a.rank, 2);
    CHECK_EQ(a.dim[0], 2);
    CHECK_EQ(a.dim[1], 3);
    CHECK(!a.swapped);
}

TEST(npy_reads_vectors_scalars_and_big_endian_numbers)
{
    struct npy a;

    CHECK_OK(parse("{\"shape\":(3,),'fortran_order':True,'descr':'>i2'}", 6, &a));
    CHECK_EQ(a.rank, 1);
    CHECK(a.swapped);
    CHECK_OK(parse("{'descr':'|u1','fortran_order':False,'shape':()}", 1, &a));
    CHECK_EQ(a.rank, 0);
}

TEST(npy_refuses_what_is_not_there)
{
    struct npy a;

    CHECK_FAILS(parse("{'descr':'<f4','fortran_order':False,'shape':(2,3)}", 23, &a),
                INVALID, "cut short: 23 bytes of 24");
    CHECK_FAILS(parse("{'descr':'<f4','fortran_order':False,'shape':(0,3)}", 9, &a),
                INVALID, "it is empty");
    CHECK_FAILS(
        parse("{'descr':'<f8','fortran_order':False,'shape':(4611686018427387904,)}", 9,
              &a),
        INVALID, "impossible");
    CHECK_FAILS(
        parse("{'descr':'<f8','fortran_order':False,'shape':(99999999999999999999,)}",
              9, &a),
        INVALID, "not a whole number");
}

TEST(npy_refuses_other_headers)
{
    struct npy a;

    CHECK_FAILS(parse("{'descr':'<f4','fortran_order':True,'shape':(2,3)}", 24, &a),
                UNSUPPORTED, "Fortran order");
    CHECK_FAILS(
        parse("{'descr':[('a','<f4')],'fortran_order':False,'shape':(2,)}", 8, &a),
        UNSUPPORTED, "records");
    CHECK_FAILS(parse("{'descr':'<c8','fortran_order':False,'shape':(2,)}", 16, &a),
                UNSUPPORTED, "'<c8'");
    CHECK_FAILS(parse("{'descr':'<f4','shape':(2,)}", 8, &a), INVALID, "lacks a key");
    CHECK_FAILS(parse("{'descr':'<f4','descr':'<f4','shape':(2,)}", 8, &a), INVALID,
                "'descr' twice");
    CHECK_FAILS(parse("{'descr':'<f4','fortran_order':False,'shape':(2", 8, &a),
                INVALID, "not a tuple");
    CHECK_FAILS(npy_parse((const uint8_t *)"\x93NUMPZ\1\0\0\0\0\0", 12, &a), INVALID,
                "not a .npy file");
    CHECK_FAILS(npy_parse((const uint8_t *)"\x93NUMPY\1\0\3\0\0\0", 12, &a), INVALID,
                "header is cut short");
}
