/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* int8 activations as uint8; networks of codes (int_program_test) check the bytes. */
#include "tests/pass_test.h"

#define WINDOW "kernel_shape=[1,1], strides=[1,1], dilations=[1,1], pads=[0,0,0,0]"

/* Weights stay; zero points, limits and a Pad's value go along; a zero point that was
 * left out appears. */
TEST(unsigned_codes_shifts_zero_points_limits_and_pads)
{
    CHECK_PASS(
        "unsigned-codes",
        "graph g(%x: f32[1,2,3,4]) {\n"
        "  %s = const f32[] {0.5}\n"
        "  %z = const i8[] {-3}\n"
        "  %k = const i8[2,2,1,1] {1,2,3,4}\n"
        "  %kz = const i8[] {0}\n"
        "  %b = const i32[2] {7,8}\n"
        "  %l = const i32[2] {-3,100}\n"
        "  %a = QuantizeLinear(%x, %s, %z) {axis=0, block_size=0} : i8[1,2,3,4]\n"
        "  %c = QLinearConv(%a, %s, %z, %k, %s, %kz, %s, %z, %b, %l) {" WINDOW
        "} : i8[1,2,3,4]\n"
        "  %p = Pad(%c, %z) {mode=\"constant\", pads=[0,0,0,0,0,0,0,1]} : "
        "i8[1,2,3,5]\n"
        "  %y = ConvInteger(%p, %k) {" WINDOW "} : i32[1,2,3,5]\n"
        "  return %y\n"
        "}\n",
        "graph g(%x: f32[1,2,3,4]) {\n"
        "  %s = const f32[] {0.5}\n"
        "  %t = const u8[] {125}\n"
        "  %k = const i8[2,2,1,1] {1,2,3,4}\n"
        "  %kz = const i8[] {0}\n"
        "  %t.1 = const u8[] {125}\n"
        "  %b = const i32[2] {7,8}\n"
        "  %t.2 = const i32[2] {125,228}\n"
        "  %t.3 = const u8[] {125}\n"
        "  %t.4 = const u8[] {125}\n"
        "  %t.5 = const u8[] {128}\n"
        "  %a = QuantizeLinear(%x, %s, %t) {axis=0, block_size=0} : u8[1,2,3,4]\n"
        "  %c = QLinearConv(%a, %s, %t.1, %k, %s, %kz, %s, %t.3, %b, %t.2) {" WINDOW
        "} : u8[1,2,3,4]\n"
        "  %p = Pad(%c, %t.4) {mode=\"constant\", pads=[0,0,0,0,0,0,0,1]} : "
        "u8[1,2,3,5]\n"
        "  %y = ConvInteger(%p, %k, %t.5) {" WINDOW "} : i32[1,2,3,5]\n"
        "  return %y\n"
        "}\n");
}

/* Scale and zero point of x, of y, then limits. */
TEST(unsigned_codes_shifts_averages)
{
    CHECK_PASS("unsigned-codes",
               "graph g(%x: f32[1,1,2,2]) {\n"
               "  %s = const f32[] {0.5}\n"
               "  %z = const i8[] {-3}\n"
               "  %l = const i32[2] {-3,100}\n"
               "  %a = QuantizeLinear(%x, %s, %z) {axis=0, block_size=0} "
               ": i8[1,1,2,2]\n"
               "  %p = QLinearAveragePool(%a, %s, %z, %s, %z, %l) "
               "{kernel_shape=[2,2]} : i8[1,1,1,1]\n"
               "  %y = DequantizeLinear(%p, %s, %z) {axis=0, block_size=0} "
               ": f32[1,1,1,1]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: f32[1,1,2,2]) {\n"
               "  %s = const f32[] {0.5}\n"
               "  %t = const u8[] {125}\n"
               "  %t.1 = const u8[] {125}\n"
               "  %t.2 = const u8[] {125}\n"
               "  %t.3 = const i32[2] {125,228}\n"
               "  %t.4 = const u8[] {125}\n"
               "  %a = QuantizeLinear(%x, %s, %t) {axis=0, block_size=0} "
               ": u8[1,1,2,2]\n"
               "  %p = QLinearAveragePool(%a, %s, %t.1, %s, %t.2, %t.3) "
               "{kernel_shape=[2,2]} : u8[1,1,1,1]\n"
               "  %y = DequantizeLinear(%p, %s, %t.4) {axis=0, block_size=0} "
               ": f32[1,1,1,1]\n"
               "  return %y\n"
               "}\n");
}

/* The caller's input is joined with codes that could change: none of them does. */
TEST(unsigned_codes_leaves_what_the_caller_sees)
{
    CHECK_PASS_DOES_NOTHING(
        "unsigned-codes",
        "graph g(%x: i8[1,2,3,4]) {\n"
        "  %s = const f32[] {0.5}\n"
        "  %z = const i8[] {0}\n"
        "  %k = const i8[2,2,1,1] {1,2,3,4}\n"
        "  %a = QLinearConv(%x, %s, %z, %k, %s, %z, %s, %z) {" WINDOW
        "} : i8[1,2,3,4]\n"
        "  %b = Concat(%a, %x) {axis=1} : i8[1,4,3,4]\n"
        "  %c = DequantizeLinear(%b, %s, %z) {axis=0, block_size=0} : f32[1,4,3,4]\n"
        "  %y = QLinearConv(%x, %s, %z, %k, %s, %z, %s, %z) {" WINDOW
        "} : i8[1,2,3,4]\n"
        "  return %c, %y\n"
        "}\n");
}

/* A table of codes has the type that it has. */
TEST(unsigned_codes_leaves_constants)
{
    CHECK_PASS_DOES_NOTHING(
        "unsigned-codes", "graph g(%i: i64[3]) {\n"
                          "  %s = const f32[] {0.5}\n"
                          "  %z = const i8[] {0}\n"
                          "  %k = const i8[4,2] {1,2,3,4,5,6,7,8}\n"
                          "  %a = Gather(%k, %i) {axis=0} : i8[3,2]\n"
                          "  %y = DequantizeLinear(%a, %s, %z) {axis=0, block_size=0} "
                          ": f32[3,2]\n"
                          "  return %y\n"
                          "}\n");
}
