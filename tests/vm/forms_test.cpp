// One small .ptx per instruction form: the operands are words of the input, the result is one word, worked
// out by hand.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "jit/vm/machine.h"
#include "jit/vm/program.h"

namespace attest::vm {
namespace {

struct Row {
  const char* file;          // tests/vm/forms/<file>.ptx
  std::vector<uint64_t> in;  // one 8-byte slot each
  uint64_t out;
};

const std::filesystem::path kFolder = std::filesystem::path(ATTEST_SOURCE_DIR) / "tests/vm/forms";

// clang-format off
const std::vector<Row>& rows() {
  static const std::vector<Row> table = {
    {"add_s32", {0x7fffffff, 1}, 0x80000000},
    {"add_sat_s32", {0x7fffffff, 1}, 0x7fffffff},
    {"add_sat_s32", {0x80000000, 0xffffffff}, 0x80000000},
    {"add_u16", {0xffff, 2}, 1},
    {"sub_s64", {0, 1}, 0xffffffffffffffff},
    {"mul_lo_s32", {0x10001, 0x10001}, 0x20001},
    {"mul_hi_s32", {0xffffffff, 2}, 0xffffffff},
    {"mul_hi_u32", {0xffffffff, 2}, 1},
    {"mul_hi_s64", {0xffffffffffffffff, 2}, 0xffffffffffffffff},
    {"mul_hi_u64", {0x8000000000000000, 4}, 2},
    {"mul_wide_s32", {0xffffffff, 5}, 0xfffffffffffffffb},
    {"mul_wide_u16", {0xffff, 0xffff}, 0xfffe0001},
    {"mad_lo_s32", {3, 0xffffffff, 0xa}, 7},
    {"mad_wide_s32", {0xfffffffe, 3, 1}, 0xfffffffffffffffb},
    {"div_s32", {0xfffffff9, 2}, 0xfffffffd},
    {"div_s32", {0x80000000, 0xffffffff}, 0x80000000},
    {"rem_s32", {0xfffffff9, 2}, 0xffffffff},
    {"rem_s32", {0x80000000, 0xffffffff}, 0},
    {"div_u64", {0xffffffffffffffff, 2}, 0x7fffffffffffffff},
    {"min_s16", {0x8000, 1}, 0x8000},
    {"max_u32", {0x80000000, 1}, 0x80000000},
    {"abs_s32", {0xfffffffb}, 5},
    {"abs_s32", {0x80000000}, 0x80000000},
    {"sad_s32", {0xfffffffd, 4, 0x64}, 0x6b},
    {"add_cc_chain", {0xffffffffffffffff, 1, 5, 6}, 0xc},
    {"add_cc_chain", {1, 1, 5, 6}, 0xb},
    {"sub_cc_chain", {0, 1, 5, 2}, 2},
    {"sub_cc_chain", {1, 0, 5, 2}, 3},
    {"madc_hi", {0xffffffff, 0xffffffff, 0xffffffff, 0}, 0xffffffff},
    {"dp4a_s32", {0x1fe03fc, 0x1010101, 0xa}, 8},
    {"dp2a_lo_s32", {0x2fffd, 0x7f7f05ff, 1}, 0xe},
    {"mul24_lo_u32", {0xff000003, 5}, 0xf},
    {"vabsdiff4", {0x1ff0502, 0x2000502, 0}, 0x1ff0000},
    {"lop3", {0xf0, 0xcc, 0xaa}, 0x96},
    {"lop3_b32_majority", {0xf0, 0xcc, 0xaa}, 0xe8},
    {"cnot_b32", {0}, 1},
    {"cnot_b32", {7}, 0},
    {"shl_b32", {1, 0x1f}, 0x80000000},
    {"shl_b32", {1, 0x20}, 0},
    {"shl_b64", {3, 0x3f}, 0x8000000000000000},
    {"shl_b64", {3, 0x40}, 0},
    {"shr_s32", {0x80000000, 0x28}, 0xffffffff},
    {"shr_s32", {0x80000000, 1}, 0xc0000000},
    {"shr_u32", {0x80000000, 0x20}, 0},
    {"shr_u32", {0x80000000, 0x1f}, 1},
    {"shr_s16", {0x8000, 0x63}, 0xffff},
    {"shf_l_wrap", {0x80000001, 1, 0x21}, 3},
    {"shf_l_wrap", {5, 7, 0x20}, 7},
    {"shf_r_clamp", {5, 7, 0x28}, 7},
    {"shf_r_clamp", {0x10, 1, 4}, 0x10000001},
    {"bfe_s32", {0xf0, 4, 4}, 0xffffffff},
    {"bfe_s32", {0x80000000, 0x1c, 8}, 0xfffffff8},
    {"bfe_u32", {0xabcd1234, 8, 8}, 0x12},
    {"bfe_u32", {0xabcd1234, 8, 0}, 0},
    {"bfi_b32", {0xff, 0, 4, 4}, 0xf0},
    {"bfi_b32", {1, 7, 0x20, 4}, 7},
    {"bfind_u32", {0x10000}, 0x10},
    {"bfind_u32", {0}, 0xffffffff},
    {"bfind_shiftamt_s32", {0xffffff00}, 0x18},
    {"popc_b64", {0x8000000000000001}, 2},
    {"clz_b32", {0}, 0x20},
    {"clz_b32", {0xffff}, 0x10},
    {"brev_b32", {1}, 0x80000000},
    {"prmt_b32", {0x33221100, 0x77665544, 0x7531}, 0x77553311},
    {"prmt_b32", {0x80, 0, 0x8888}, 0xffffffff},
    {"not_pred", {0}, 1},
    {"not_pred", {3}, 0},
    {"add_f32", {0x3f800000, 0x33800000}, 0x3f800000},
    {"add_f32", {0x7f800000, 0xff800000}, 0x7fffffff},
    {"add_f32", {0x7fc12345, 0x3f800000}, 0x7fffffff},
    {"add_rz_f32", {0x3f800000, 0xb0800000}, 0x3f7fffff},
    {"add_rz_f32", {0x7f7fffff, 0x7f7fffff}, 0x7f7fffff},
    {"add_rp_f32", {0x3f800000, 0x21800000}, 0x3f800001},
    {"add_rm_f32", {0x3f800000, 0xbf800000}, 0x80000000},
    {"add_ftz_f32", {1, 1}, 0},
    {"add_ftz_f32", {0x80000001, 0x80000001}, 0x80000000},
    {"add_sat_f32", {0x40400000, 0x3f800000}, 0x3f800000},
    {"add_sat_f32", {0xc0400000, 0x3f800000}, 0},
    {"add_sat_f32", {0x7fc00000, 0}, 0},
    {"mul_f32", {0x800000, 0x3f000000}, 0x400000},
    {"mul_f32", {0x7f800000, 0}, 0x7fffffff},
    {"mul_ftz_f32", {0x800000, 0x3f000000}, 0},
    {"fma_f32", {0x3f800001, 0x3f800001, 0xbf800002}, 0x28800000},
    {"fma_rz_f32", {0x3f800000, 0x3f800000, 0xab800000}, 0x3f7fffff},
    {"div_rn_f32", {0x3f800000, 0x40400000}, 0x3eaaaaab},
    {"div_rn_f32", {0x3f800000, 0x80000000}, 0xff800000},
    {"div_rz_f32", {0x3f800000, 0x40400000}, 0x3eaaaaaa},
    {"div_approx_f32", {0x40c00000, 0x40400000}, 0x40000000},
    {"div_approx_f32", {0x3f800000, 0x7e800000}, 0x800000},
    {"div_approx_f32", {0x3f800000, 0x7f000001}, 0},
    {"div_full_f32", {0x40c00000, 0x40400000}, 0x40000000},
    {"rcp_rn_f32", {0x40400000}, 0x3eaaaaab},
    {"rcp_approx_ftz_f32", {1}, 0x7f800000},
    {"rcp_approx_ftz_f32", {0x40800000}, 0x3e800000},
    {"sqrt_rn_f32", {0x40000000}, 0x3fb504f3},
    {"sqrt_rn_f32", {0xbf800000}, 0x7fffffff},
    {"sqrt_rn_f32", {0x80000000}, 0x80000000},
    {"sqrt_rz_f32", {0x40400000}, 0x3fddb3d7},
    {"rsqrt_approx_f32", {0x40800000}, 0x3f000000},
    {"rsqrt_approx_f32", {0}, 0x7f800000},
    {"ex2_approx_f32", {0xc0400000}, 0x3e000000},
    {"ex2_approx_f32", {0xff800000}, 0},
    {"ex2_approx_f32", {0xc3150000}, 1},
    {"ex2_approx_ftz_f32", {0xc3150000}, 0},
    {"ex2_approx_ftz_f32", {0x41200000}, 0x44800000},
    {"lg2_approx_f32", {0x41000000}, 0x40400000},
    {"lg2_approx_f32", {0}, 0xff800000},
    {"lg2_approx_f32", {0xbf800000}, 0x7fffffff},
    {"sin_approx_f32", {0}, 0},
    {"sin_approx_f32", {0x7f800000}, 0x7fffffff},
    {"cos_approx_f32", {0}, 0x3f800000},
    {"tanh_approx_f32", {0x7f800000}, 0x3f800000},
    {"tanh_approx_f32", {0}, 0},
    {"min_f32", {0x80000000, 0}, 0x80000000},
    {"min_f32", {0x7fc00000, 0x3f800000}, 0x3f800000},
    {"min_nan_f32", {0x7fc00000, 0x3f800000}, 0x7fffffff},
    {"max_f32", {0x80000000, 0}, 0},
    {"max_f32", {0xbf800000, 0xc0000000}, 0xbf800000},
    {"max_xorsign_abs_f32", {0xc0000000, 0x3f800000}, 0xc0000000},
    {"abs_f32", {0xc0000000}, 0x40000000},
    {"neg_ftz_f32", {1}, 0x80000000},
    {"copysign_f32", {0xbf800000, 0x40a00000}, 0xc0a00000},
    {"testp_subnormal_f32", {1}, 1},
    {"testp_subnormal_f32", {0}, 0},
    {"testp_subnormal_f32", {0x800000}, 0},
    {"add_f64", {0x3ff0000000000000, 0x3ca0000000000000}, 0x3ff0000000000000},
    {"fma_rn_f64", {0x3ff0000000000001, 0x3ff0000000000001, 0xbff0000000000002}, 0x3970000000000000},
    {"div_rn_f64", {0x3ff0000000000000, 0x4008000000000000}, 0x3fd5555555555555},
    {"mul_rp_f64", {0x3ff0000000000001, 0x3ff0000000000001}, 0x3ff0000000000003},
    {"min_f64", {0x7ff8000000000000, 0x4000000000000000}, 0x4000000000000000},
    {"rcp_approx_ftz_f64", {0x4010000000000000}, 0x3fd0000000000000},
    {"add_f16", {0x3c00, 0x1000}, 0x3c00},
    {"add_f16", {0x7bff, 0x7bff}, 0x7c00},
    {"fma_f16", {0x3c01, 0x3c01, 0xbc02}, 0x10},
    {"fma_relu_f16", {0x3c00, 0x3c00, 0xc000}, 0},
    {"mul_f16x2", {0x40003c00, 0x42004400}, 0x46004400},
    {"add_sat_f16", {0x4000, 0x4000}, 0x3c00},
    {"fma_bf16", {0x3f81, 0x3f81, 0xbf82}, 0x3880},
    {"fma_bf16_sticky", {0x3f88, 0x3f88, 0x80}, 0x3f91},
    {"mul_bf16x2", {0x40003f80, 0x40404080}, 0x40c04080},
    {"max_nan_bf16", {0x7fc1, 0x3f80}, 0x7fff},
    {"neg_f16x2", {0x3c008000}, 0xbc000000},
    {"ex2_approx_f16", {0xbc00}, 0x3800},
    {"tanh_approx_bf16", {0x7f80}, 0x3f80},
    {"setp_lt_s32", {0xffffffff, 0}, 1},
    {"setp_lt_u32", {0xffffffff, 0}, 0},
    {"setp_hs_u32", {5, 5}, 1},
    {"setp_ne_f32", {0x7fc00000, 0x3f800000}, 0},
    {"setp_ne_f32", {0x3f800000, 0x40000000}, 1},
    {"setp_neu_f32", {0x7fc00000, 0x3f800000}, 1},
    {"setp_neu_f32", {0x80000000, 0}, 0},
    {"setp_leu_f32", {0x7fc00000, 0x3f800000}, 1},
    {"setp_leu_f32", {0x40000000, 0x3f800000}, 0},
    {"setp_nan_f64", {0x3ff0000000000000, 0x7ff8000000000000}, 1},
    {"setp_nan_f64", {0x3ff0000000000000, 0x4000000000000000}, 0},
    {"setp_eq_ftz_f32", {1, 0x80000001}, 1},
    {"setp_pair_and", {2, 1, 0}, 1},
    {"setp_pair_and", {1, 2, 0}, 0},
    {"setp_pair_and", {2, 1, 9}, 0},
    {"setp_gt_f16", {0x3c01, 0x3c00}, 1},
    {"setp_lt_bf16", {0xbf80, 0x3f80}, 1},
    {"set_gt_u32_f32", {0x40000000, 0x3f800000}, 0xffffffff},
    {"set_gt_u32_f32", {0x3f800000, 0x40000000}, 0},
    {"set_eq_f16x2", {0x3c004000, 0x3c004200}, 0x3c000000},
    {"slct_u32_f32", {7, 9, 0xbf800000}, 9},
    {"slct_u32_f32", {7, 9, 0x80000000}, 7},
    {"slct_u32_f32", {7, 9, 0x7fc00000}, 9},
    {"selp_b64", {0x10000000000, 3, 1}, 0x10000000000},
    {"selp_b64", {0x10000000000, 3, 0}, 3},
    {"cvt_rni_s32_f32", {0x40200000}, 2},
    {"cvt_rni_s32_f32", {0xbfc00000}, 0xfffffffe},
    {"cvt_rni_s32_f32", {0x4f32d05e}, 0x7fffffff},
    {"cvt_rni_s32_f32", {0x7fc00000}, 0},
    {"cvt_rzi_u32_f32", {0xc0a00000}, 0},
    {"cvt_rzi_u32_f32", {0x409ccccd}, 4},
    {"cvt_rzi_u32_f32", {0x7f800000}, 0xffffffff},
    {"cvt_rpi_s64_f64", {0x3ff4000000000000}, 2},
    {"cvt_rpi_s64_f64", {0x7ff8000000000000}, 0x8000000000000000},
    {"cvt_rzi_s16_f32", {0x471c4000}, 0x7fff},
    {"cvt_rn_f32_s32", {0x1000001}, 0x4b800000},
    {"cvt_rn_f32_s32", {0x1000003}, 0x4b800002},
    {"cvt_rp_f32_u64", {0x10000000001}, 0x53800001},
    {"cvt_rz_f32_s64", {0xfffffffffefffffd}, 0xcb800001},
    {"cvt_rn_f64_u64", {0xffffffffffffffff}, 0x43f0000000000000},
    {"cvt_s32_s8", {0x12ff}, 0xffffffff},
    {"cvt_s64_s32", {0x80000000}, 0xffffffff80000000},
    {"cvt_sat_u8_s32", {0x12c}, 0xff},
    {"cvt_sat_u8_s32", {0xffffffff}, 0},
    {"cvt_rn_f16_f32", {0x477ff000}, 0x7c00},
    {"cvt_rn_f16_f32", {0x477fef00}, 0x7bff},
    {"cvt_rn_f16_f32", {0x33000000}, 0},
    {"cvt_rn_f16_f32", {0x33400000}, 1},
    {"cvt_rn_f16_f32", {0x7fc00000}, 0x7fff},
    {"cvt_rz_f16_f32", {0x477fff00}, 0x7bff},
    {"cvt_rz_f16_f32", {0xbffffcb9}, 0xbfff},
    {"cvt_rn_bf16_f32", {0x3f808000}, 0x3f80},
    {"cvt_rn_bf16_f32", {0x3f818000}, 0x3f82},
    {"cvt_rn_bf16_f32", {0x7f7fffff}, 0x7f80},
    {"cvt_f32_f16", {1}, 0x33800000},
    {"cvt_f32_f16", {0xfc00}, 0xff800000},
    {"cvt_f32_bf16", {0x3f81}, 0x3f810000},
    {"cvt_rn_f32_f64", {0x3ff0000010000000}, 0x3f800000},
    {"cvt_rn_f32_f64", {0x7e37e43c8800759c}, 0x7f800000},
    {"cvt_rz_f32_f64", {0x7e37e43c8800759c}, 0x7f7fffff},
    {"cvt_rmi_f32_f32", {0xbf000000}, 0xbf800000},
    {"cvt_rmi_f32_f32", {0x3f000000}, 0},
    {"cvt_sat_f32_f32", {0x40e00000}, 0x3f800000},
    {"cvt_sat_f32_f32", {0xffc00000}, 0},
    {"cvt_rn_f16x2_f32", {0x3f800000, 0x40000000}, 0x3c004000},
    {"cvt_rn_relu_bf16x2_f32", {0xbf800000, 0x40000000}, 0x4000},
    {"cvt_e4m3x2_f32", {0x447a0000, 0xbf800000}, 0x7eb8},
    {"cvt_e4m3x2_f32", {0x3b000000, 0x7fc00000}, 0x17f},
    {"cvt_e5m2x2_f32", {0x4e6e6b28, 0x3f800000}, 0x7b3c},
    {"cvt_f16x2_e4m3x2", {0x7e38}, 0x5f003c00},
    {"cvt_f16x2_e5m2x2", {0x7c3c}, 0x7c003c00},
    {"cvt_rna_tf32_f32", {0x3f801000}, 0x3f802000},
    {"cvt_rna_tf32_f32", {0x3f800fff}, 0x3f800000},
    {"cvt_pack_s16", {0x186a0, 0xfffe0000}, 0x7fff8000},
    {"mov_unpack_b64", {0x1122334455667788}, 0x11223344},
    {"mov_pack_b32", {0x1111, 0x2222}, 0x22221111},
    {"mov_laneid", {9}, 0},
    {"ld_s8", {0x80}, 0xffffff80},
    {"ld_u8_wide", {0xab00}, 0xab},
    {"atom_add_u32", {5, 7}, 0xc},
    {"atom_inc_u32", {5, 5}, 0},
    {"atom_inc_u32", {4, 5}, 5},
    {"atom_dec_u32", {0, 5}, 5},
    {"atom_dec_u32", {9, 5}, 5},
    {"atom_dec_u32", {3, 5}, 2},
    {"atom_cas_b64", {0x10000000000, 0x10000000000, 7}, 7},
    {"atom_cas_b64", {3, 0x10000000000, 7}, 3},
    {"atom_max_s32", {0xffffffff, 3}, 0xffffffff},
    {"atom_add_f32", {0x3f800000, 0x3f000000}, 0x3fc00000},
    {"atom_add_f16x2", {0x3c004000, 0x3c003c00}, 0x40004200},
    {"red_xor_b32", {0xf0, 0xff}, 0xf},
    {"isspacep_global", {0}, 1},
    {"shfl_idx", {0x4d}, 0x4d},
    {"vote_ballot", {5}, 1},
    {"vote_ballot", {0}, 0},
    {"match_any", {5}, 1},
    {"redux_add", {0xfffffff0}, 0xfffffff0},
    {"elect", {0}, 9},
    {"activemask", {0}, 1},
    {"mad24_hi_s32", {0x10000, 0x10000, 5}, 0x10005},
    {"mad24_hi_s32", {0xffffff, 0x20000, 0}, 0xfffffffe},
    {"szext_wrap_s32", {0x78, 4}, 0xfffffff8},
    {"szext_wrap_s32", {0x78, 0x20}, 0},
    {"szext_clamp_u32", {0xfffffff8, 4}, 8},
    {"szext_clamp_u32", {0xfffffff8, 0x21}, 0xfffffff8},
    {"fns_b32", {0xb, 0, 2}, 1},
    {"fns_b32", {0xb, 3, 0xfffffffe}, 1},
    {"fns_b32", {0xb, 2, 0}, 0xffffffff},
    {"fns_b32", {0xb, 0, 4}, 0xffffffff},
    {"set_lt_u32_ftz_f32", {0x80000001, 1}, 0},
    {"set_lt_u32_ftz_f32", {0x80800000, 1}, 0xffffffff},
    {"cvt_rn_ftz_sat_f16_f32", {0x40000000}, 0x3c00},
    {"cvt_rn_ftz_sat_f16_f32", {0xc0000000}, 0},
    // What a device answered where it was not what was expected: H100 80GB HBM3, driver 580.159, 2026-11-23.
    {"mul_ftz_f32", {0x800000, 0x3f7fffff}, 0},
    {"mul_ftz_f16", {0x400, 0x3bff}, 0},
    {"fma_ftz_f16", {0x7be, 0xaaa, 0x8400}, 0x8000},
    {"fma_ftz_f16", {0x8821, 0x400, 0x400}, 0x400},
    {"fma_ftz_f32", {0x81518821, 0x800000, 0x800000}, 0x800000},
    {"div_rm_ftz_f32", {0x80800000, 0x3f800001}, 0x80000000},
    {"div_approx_f32", {0xffffffff, 0x7f7fffff}, 0x7fffffff},
    {"bfe_u64", {0xe9ae, 0xf, 0x100}, 1},
    {"bfi_b64", {0xe9ae, 0xfffc08225df93010, 0x100, 0x11}, 0xfffc08225df93010},
    {"testp_normal_f32", {0}, 1},
    {"rsqrt_approx_f64", {1}, 0x6180000000000000},
    {"cvt_rm_ftz_f16_f32", {0x804c4976}, 0x8001},
    {"cvt_rp_ftz_f16_f32", {0x6ce8ad}, 1},
    {"cvta_const", {1}, 0x2c1},
    {"cvta_const", {2}, 0x453},
    {"cvta_param", {0x12345678, 9}, 0x912345678},
    {"cvta_param_entry", {0x12345678, 9}, 0x912345678},
    {"isspacep_param", {0}, 1},
    {"isspacep_param_entry", {0}, 1},
    {"call_direct", {14}, 42},
    {"exit", {0}, 1},
    {"exit", {5}, 2},
    {"brx_idx", {0}, 0xa},
    {"brx_idx", {2}, 0xc},
  };
  return table;
}
// clang-format on

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

uint64_t run(const Row& row, Schedule schedule) {
  const Program program = Program::parse(text_of(kFolder / (std::string(row.file) + ".ptx")));
  Machine machine;
  std::vector<uint64_t> in = row.in;
  in.resize(8);
  const uint64_t out_before = 0;
  const uint64_t params[2] = {machine.memory().allocate(64, "in"), machine.memory().allocate(8, "out")};
  machine.memory().write(params[0], std::as_bytes(std::span(in)));
  machine.memory().write(params[1], std::as_bytes(std::span(&out_before, 1)));
  machine.launch(program, "form", {.schedule = schedule, .seed = 1}, std::as_bytes(std::span(params)));
  uint64_t out = 0;
  machine.memory().read(params[1], std::as_writable_bytes(std::span(&out, 1)));
  return out;
}

TEST(Forms, GiveTheResultWorkedOutByHand) {
  for (const Row& row : rows()) {
    std::string inputs;
    for (uint64_t word : row.in) {
      char text[24];
      std::snprintf(text, sizeof text, " %llx", static_cast<unsigned long long>(word));
      inputs += text;
    }
    try {
      EXPECT_EQ(run(row, Schedule::lockstep), row.out)
          << row.file << " of" << std::hex << inputs << " wants " << row.out;
      EXPECT_EQ(run(row, Schedule::shuffled), row.out)
          << row.file << " of" << std::hex << inputs << ", shuffled";
    } catch (const std::exception& error) {
      ADD_FAILURE() << row.file << ": " << error.what();
    }
  }
}

TEST(Forms, EveryFileHasARow) {
  std::set<std::string> named, found;
  for (const Row& row : rows()) named.insert(row.file);
  for (const auto& entry : std::filesystem::directory_iterator(kFolder))
    found.insert(entry.path().stem().string());
  EXPECT_EQ(named, found);
}

// ptxas is a judge that shares no code with this parser.
TEST(Forms, PtxasAcceptsEveryFile) {
  std::string ptxas;
  for (const char* candidate : {"/usr/local/cuda/bin/ptxas", "/usr/bin/ptxas"})
    if (std::filesystem::exists(candidate)) ptxas = candidate;
  if (ptxas.empty()) GTEST_SKIP() << "no ptxas in /usr/local/cuda/bin or /usr/bin";
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    const std::string command =
        ptxas + " -arch=sm_90 -o /dev/null '" + entry.path().string() + "' > /dev/null 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
  }
}

}  // namespace
}  // namespace attest::vm
