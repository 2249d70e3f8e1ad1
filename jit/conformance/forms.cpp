// The conformance kit's forms: patterns with alternatives in braces, one signature each.
#include "jit/conformance/forms.h"

#include <algorithm>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string_view>

#include "jit/conformance/sweep.h"

namespace attest::conformance {
namespace {

// A row. `pattern`: the instruction, braces multiply out; what follows '/' tells bodies apart and is `#` in
// the body. `signature`: results ':' operands, comma-separated types with an optional *count; T is the
// pattern's last component, S the one before, W the double width of T. `body`: `$` is the instruction, `#`
// the suffix, `<d0-3>` a vector; empty means
// "$ d0, x0, x1, ...;".
struct Row {
  const char* pattern;
  const char* signature;
  const char* agreement;  // "", "nan", or an entry of kErrors
  const char* body = "";
};

// Documented errors of approximate instructions. The virtual machine rounds correctly, so this is all that
// may differ, plus its own half ulp.
struct Error {
  const char* name;
  double relative, absolute;
  const char* source;
};
const Error kErrors[] = {
    {"div.full", 0x1.8p-22, 0x1p-149, "PTX ISA, div: 2 ulp"},
    {"rcp", 0x1.8p-23, 0x1p-149, "PTX ISA, rcp: 1 ulp"},
    {"sqrt", 0x1.8p-22, 0x1p-149,
     "PTX ISA, sqrt: maximum relative error 2^-23 (2^-22.9 seen in tables of the ISA)"},
    {"rsqrt", 0x1.8p-22, 0x1p-149, "PTX ISA, rsqrt: maximum relative error 2^-22.9"},
    {"trig", 0x1p-14, 0x1p-20,
     "PTX ISA, sin and cos: absolute error 2^-20.5 in [-2pi, 2pi]; outside not documented tightly"},
    {"lg2", 0x1p-22, 0x1p-21, "PTX ISA, lg2: absolute error 2^-22 in (0.5, 2), relative 2^-22 outside"},
    {"ex2", 0x1.8p-22, 0x1p-148, "PTX ISA, ex2: maximum relative error 2^-22"},
    {"tanh", 0x1p-10, 0x1p-126, "PTX ISA, tanh: maximum relative error 2^-11"},
    {"half", 0x1p-9, 0x1p-23, "PTX ISA, ex2 and tanh on f16: relative error 2^-9.9 and 2^-10.987"},
    {"bhalf", 0x1p-6, 0x1p-126, "PTX ISA, ex2 and tanh on bf16: relative error 2^-7 and 2^-8"},
    {"rcp64", 0x1p-18, 0, "PTX ISA, rcp and rsqrt.approx.ftz.f64: upper 32 bits only, about 20 bits right"},
};

const Row kRows[] = {
    // Integers.
    {"{add,sub,mul.lo,mul.hi,min,max}.{u16,s16,u32,s32,u64,s64}", "T:T,T", ""},
    {"{div,rem}.{u16,s16,u32,s32,u64,s64}", "T:T,nonzero:T", ""},
    {"{add,sub}.sat.s32", "T:T,T", ""},
    {"mul.wide.{u16,s16,u32,s32}", "W:T,T", ""},
    {"mad.{lo,hi}.{u16,s16,u32,s32,u64,s64}", "T:T,T,T", ""},
    {"mad.wide.{u16,s16,u32,s32}", "W:T,T,W", ""},
    {"mad.hi.sat.s32", "T:T,T,T", ""},
    {"mul24.{lo,hi}.{u32,s32}", "T:T,T", ""},
    {"mad24.{lo,hi}.{u32,s32}", "T:T,T,T", ""},
    {"{abs,neg}.{s16,s32,s64}", "T:T", ""},
    {"sad.{u16,s16,u32,s32,u64,s64}", "T:T,T,T", ""},
    {"{dp4a}.{u32.u32,u32.s32,s32.u32,s32.s32}", "b32:b32,b32,b32", ""},
    {"dp2a.{lo,hi}.{u32.u32,u32.s32,s32.u32,s32.s32}", "b32:b32,b32,b32", ""},
    {"add.cc.{u32,s32}", "T,T,T:T,T,T,T,T,T", "",
     "$ %d0, %x0, %x3; addc.cc.u32 %d1, %x1, %x4; addc.u32 %d2, %x2, %x5;"},
    {"add.cc.{u64,s64}", "T,T,T:T,T,T,T,T,T", "",
     "$ %d0, %x0, %x3; addc.cc.u64 %d1, %x1, %x4; addc.u64 %d2, %x2, %x5;"},
    {"sub.cc.{u32,s32}", "T,T,T:T,T,T,T,T,T", "",
     "$ %d0, %x0, %x3; subc.cc.u32 %d1, %x1, %x4; subc.u32 %d2, %x2, %x5;"},
    {"sub.cc.{u64,s64}", "T,T,T:T,T,T,T,T,T", "",
     "$ %d0, %x0, %x3; subc.cc.u64 %d1, %x1, %x4; subc.u64 %d2, %x2, %x5;"},
    {"mad.lo.cc.{u32,s32}", "T,T:T,T,T,T", "", "$ %d0, %x0, %x1, %x2; madc.hi.u32 %d1, %x0, %x1, %x3;"},
    {"mad.lo.cc.u64", "T,T:T,T,T,T", "", "$ %d0, %x0, %x1, %x2; madc.hi.u64 %d1, %x0, %x1, %x3;"},
    {"mad.hi.cc.u32", "T,T:T,T,T,T", "", "$ %d0, %x0, %x1, %x2; madc.lo.u32 %d1, %x0, %x1, %x3;"},

    // Bits.
    {"{and,or,xor}.{b16,b32,b64}", "T:T,T", ""},
    {"{and,or,xor}.pred", "T:T,T", ""},
    {"{not,cnot}.{b16,b32,b64}", "T:T", ""},
    {"not.pred", "T:T", ""},
    {"shl.{b16,b32,b64}", "T:T,shift:u32", ""},
    {"shr.{b16,b32,b64,u16,u32,u64,s16,s32,s64}", "T:T,shift:u32", ""},
    {"shf.{l,r}.{wrap,clamp}.b32", "T:T,T,shift:u32", ""},
    {"bfe.{u32,s32,u64,s64}", "T:T,shift:u32,shift:u32", ""},
    {"bfi.{b32,b64}", "T:T,T,shift:u32,shift:u32", ""},
    {"brev.{b32,b64}", "T:T", ""},
    {"{clz,popc}.{b32,b64}", "u32:T", ""},
    {"bfind.{u32,s32,u64,s64}", "u32:T", ""},
    {"bfind.shiftamt.{u32,s32,u64,s64}", "u32:T", ""},
    {"bmsk.{clamp,wrap}.b32", "T:shift:u32,shift:u32", ""},
    {"szext.{clamp,wrap}.{u32,s32}", "T:T,shift:u32", ""},
    {"fns.b32", "b32:b32,lane:u32,tidy:s32", "",
     "and.b32 %d0, %x1, 31; sub.s32 %x2, %x2, 50; $ %d0, %x0, %d0, %x2;"},
    {"prmt.b32", "T:T,T,T", ""},
    {"prmt.b32.{f4e,b4e,rc8,ecl,ecr,rc16}", "b32:b32,b32,b32", ""},
    {"lop3.b32/{0x00,0x80,0xfe,0x96,0xe8,0xca,0x01,0x7f,0x2d,0xff,0xf0,0xcc,0xaa}", "b32:b32,b32,b32", "",
     "$ %d0, %x0, %x1, %x2, #;"},

    // Selection and comparison.
    {"selp.{b16,b32,b64,u16,s16,u32,s32,u64,s64,f32,f64}", "T:T,T,pred", ""},
    {"slct.{b16,b32,b64,u32,s32,u64,s64,f32,f64}.s32", "S:S,S,T", ""},
    {"slct{,.ftz}.{b16,b32,b64,u32,s32,u64,s64,f32,f64}.f32", "S:S,S,T", ""},
    {"setp.{eq,ne,lt,le,gt,ge}.{s16,s32,s64,u16,u32,u64}", "pred:T,T", ""},
    {"setp.{lo,ls,hi,hs}.{u16,u32,u64}", "pred:T,T", ""},
    {"setp.{eq,ne}.{b16,b32,b64}", "pred:T,T", ""},
    {"setp.{eq,ne,lt,le,gt,ge,equ,neu,ltu,leu,gtu,geu,num,nan}.{f32,f64,f16,bf16,ftz.f32,ftz.f16}",
     "pred:T,T", ""},
    {"setp.{lt,ne}.{and,or,xor}.{f32,s32,u64,f64}", "pred,pred:T,T,pred", "", "$ %d0|%d1, %x0, %x1, %x2;"},
    {"setp.neu.{and,or,xor}.{f32,f64}", "pred,pred:T,T,pred", "", "$ %d0|%d1, %x0, %x1, %x2;"},
    {"setp.{lt,neu}.{and,or,xor}.{f16,bf16}", "pred:T,T,pred", ""},
    {"setp.ge.{and,or,xor}.{f32,s32}", "pred:T,T,pred", "", "$ %d0, %x0, %x1, !%x2;"},
    {"setp.{eq,ne,lt,le,gt,ge,equ,neu,ltu,leu,gtu,geu,num,nan}.{f16x2,bf16x2,ftz.f16x2}", "pred,pred:T,T", "",
     "$ %d0|%d1, %x0, %x1;"},
    {"set.{eq,ne,lt,le,gt,ge}.{u32,s32,f32}.{s16,u16,s32,u32,s64,u64}", "S:T,T", ""},
    {"set.{eq,ne,lt,leu,gt,geu,num,nan}.{u32,s32,f32}.{f32,f64}", "S:T,T", ""},
    {"set.{eq,neu,lt,leu}.{u32,f32}.ftz.f32", "b32:T,T", "", "$ %d0, %x0, %x1;"},
    {"set.{eq,neu,lt,leu,gt,ge,num,nan}.{f16,u16,s16,u32,s32}.f16", "S:T,T", ""},
    {"set.{eq,neu,lt,leu,gt,ge,num,nan}.{f16x2}.f16x2", "S:T,T", ""},
    {"set.{eq,neu,lt,leu,gt,ge,num,nan}.{bf16,u16,s16,u32,s32}.bf16", "S:T,T", ""},
    {"set.{eq,neu,lt,leu,gt,ge,num,nan}.bf16x2.bf16x2", "S:T,T", ""},

    // f32 and f64.
    {"{add,sub}{,.rn,.rz,.rm,.rp}{,.ftz}{,.sat}.f32", "T:T,T", "nan"},
    {"mul{,.rn,.rz,.rm,.rp}{,.ftz}{,.sat}.f32", "T:T,T", "nan"},
    {"fma.{rn,rz,rm,rp}{,.ftz}{,.sat}.f32", "T:T,T,T", "nan"},
    {"mad.{rn,rz,rm,rp}{,.ftz}{,.sat}.f32", "T:T,T,T", "nan"},
    {"div.{rn,rz,rm,rp}{,.ftz}.f32", "T:T,T", "nan"},
    {"{rcp,sqrt}.{rn,rz,rm,rp}{,.ftz}.f32", "T:T", "nan"},
    {"{add,sub,mul}{,.rn,.rz,.rm,.rp}.f64", "T:T,T", "nan"},
    {"{fma,mad}.{rn,rz,rm,rp}.f64", "T:T,T,T", "nan"},
    {"div.{rn,rz,rm,rp}.f64", "T:T,T", "nan"},
    {"{rcp,sqrt}.{rn,rz,rm,rp}.f64", "T:T", "nan"},
    {"{min,max}{,.ftz}{,.NaN}{,.xorsign.abs}.f32", "T:T,T", "nan"},
    {"{min,max}.f64", "T:T,T", "nan"},
    {"{abs,neg}{,.ftz}.f32", "T:T", "nan"},
    {"{abs,neg}.f64", "T:T", "nan"},
    {"copysign.{f32,f64}", "T:T,T", ""},
    {"testp.{finite,infinite,number,notanumber,normal,subnormal}.{f32,f64}", "pred:T", ""},
    {"div.approx{,.ftz}.f32", "T:T,T", "div.full"},
    {"div.full{,.ftz}.f32", "T:T,T", "div.full"},
    {"rcp.approx{,.ftz}.f32", "T:T", "rcp"},
    {"sqrt.approx{,.ftz}.f32", "T:T", "sqrt"},
    {"rsqrt.approx{,.ftz}.f32", "T:T", "rsqrt"},
    {"rcp.approx.ftz.f64", "T:T", "rcp64"},
    {"rsqrt.approx{,.ftz}.f64", "T:T", "rcp64"},
    {"{sin,cos}.approx{,.ftz}.f32", "T:tidy:T", "trig"},
    {"lg2.approx{,.ftz}.f32", "T:T", "lg2"},
    {"ex2.approx{,.ftz}.f32", "T:T", "ex2"},
    {"tanh.approx.f32", "T:T", "tanh"},

    // 16-bit floats.
    {"{add,sub,mul}{,.rn}{,.ftz}{,.sat}.{f16,f16x2}", "T:T,T", "nan"},
    {"{add,sub,mul}{,.rn}.{bf16,bf16x2}", "T:T,T", "nan"},
    {"fma.rn{,.ftz}{,.sat,.relu}.{f16,f16x2}", "T:T,T,T", "nan"},
    {"fma.rn{,.relu}.{bf16,bf16x2}", "T:T,T,T", "nan"},
    {"{min,max}{,.ftz}{,.NaN}{,.xorsign.abs}.{f16,f16x2}", "T:T,T", "nan"},
    {"{min,max}{,.NaN}{,.xorsign.abs}.{bf16,bf16x2}", "T:T,T", "nan"},
    {"{abs,neg}{,.ftz}.{f16,f16x2}", "T:T", "nan"},
    {"{abs,neg}.{bf16,bf16x2}", "T:T", "nan"},
    {"ex2.approx.{f16,f16x2}", "T:T", "half"},
    {"ex2.approx.ftz.{bf16,bf16x2}", "T:T", "bhalf"},
    {"tanh.approx.{f16,f16x2}", "T:T", "half"},
    {"tanh.approx.{bf16,bf16x2}", "T:T", "bhalf"},

    // Conversions.
    {"cvt.{u8,s8,u16,s16,u32,s32,u64,s64}.{u8,s8,u16,s16,u32,s32,u64,s64}", "S:T", ""},
    {"cvt.sat.u8.{s8,u16,s16,u32,s32,u64,s64}", "S:T", ""},
    {"cvt.sat.s8.{u8,u16,s16,u32,s32,u64,s64}", "S:T", ""},
    {"cvt.sat.u16.{s8,s16,u32,s32,u64,s64}", "S:T", ""},
    {"cvt.sat.s16.{u16,u32,s32,u64,s64}", "S:T", ""},
    {"cvt.sat.u32.{s8,s16,s32,u64,s64}", "S:T", ""},
    {"cvt.sat.s32.{u32,u64,s64}", "S:T", ""},
    {"cvt.sat.u64.{s8,s16,s32,s64}", "S:T", ""},
    {"cvt.sat.s64.u64", "S:T", ""},
    {"cvt.{rn,rz,rm,rp}.{f16,f32,f64}.{u8,s8,u16,s16,u32,s32,u64,s64}", "S:T", ""},
    {"cvt.rn.bf16.{u16,s16,u32,s32,u64,s64}", "S:T", ""},
    {"cvt.{rni,rzi,rmi,rpi}{,.sat}.{u8,s8,u16,s16,u32,s32,u64,s64}.{f16,f32,f64}", "S:T", ""},
    {"cvt.{rni,rzi,rmi,rpi}.ftz.{u8,s8,u16,s16,u32,s32,u64,s64}.f32", "S:T", ""},
    {"cvt.{rni,rzi,rmi,rpi}.{u16,s16,u32,s32,u64,s64}.bf16", "S:T", ""},
    {"cvt.{rni,rzi,rmi,rpi}{,.sat}.{f16.f16,f32.f32,f64.f64}", "S:T", "nan"},
    {"cvt.{rni,rzi,rmi,rpi}.ftz{,.sat}.f32.f32", "S:T", "nan"},
    {"cvt.{f32,f64}.f16", "S:T", "nan"},
    {"cvt.f32.bf16", "S:T", "nan"},
    {"cvt.{,ftz.}f64.f32", "f64:T", "nan"},
    {"cvt.{,ftz.}f32.f16", "f32:T", "nan"},
    {"cvt.{,ftz.}sat.f32.f32", "S:T", "nan"},
    {"cvt.sat.f64.f64", "S:T", "nan"},
    {"cvt.sat.f16.f16", "S:T", "nan"},
    {"cvt.{rn,rz,rm,rp}{,.ftz}{,.sat}.f32.f64", "f32:T", "nan"},
    {"cvt.{rn,rz,rm,rp}{,.sat}.f16.f64", "f16:T", "nan"},
    {"cvt.{rn,rz,rm,rp}{,.ftz}{,.sat}.f16.f32", "f16:T", "nan"},
    {"cvt.{rn,rz}{,.relu}.{f16,bf16}.f32", "S:T", "nan"},
    {"cvt.{rn,rz}{,.relu}.{f16x2,bf16x2}.f32", "S:T,T", "nan"},
    {"cvt.rna.tf32.f32", "S:T", "nan"},
    {"cvt.{rn,rz}{,.relu}.tf32.f32", "S:T", "nan"},
    {"cvt.rn.satfinite{,.relu}.{e4m3x2,e5m2x2}.f32", "S:T,T", "nan"},
    {"cvt.rn.satfinite{,.relu}.{e4m3x2,e5m2x2}.f16x2", "S:T", "nan"},
    {"cvt.rn{,.relu}.f16x2.{e4m3x2,e5m2x2}", "S:T", "nan"},
    {"cvt.pack.sat.{u16,s16}.s32", "b32:T,T", ""},
    {"cvt.pack.sat.{u8,s8}.s32.b32", "b32:s32,s32,b32", ""},

    // Packing and moving.
    {"mov.b64/pack", "b64:b32,b32", "", "$ %d0, {%x0, %x1};"},
    {"mov.b64/unpack", "b32,b32:b64", "", "$ {%d0, %d1}, %x0;"},
    {"mov.b32/pack", "b32:b16,b16", "", "$ %d0, {%x0, %x1};"},
    {"mov.b32/unpack", "b16,b16:b32", "", "$ {%d0, %d1}, %x0;"},
    {"mov.b64/pack4", "b64:b16,b16,b16,b16", "", "$ %d0, {%x0, %x1, %x2, %x3};"},
    {"mov.b64/unpack4", "b16,b16,b16,b16:b64", "", "$ {%d0, %d1, %d2, %d3}, %x0;"},
    {"mov.pred", "pred:pred", ""},

    // Warp-wide instructions, all lanes together.
    {"shfl.sync.{up,down,bfly,idx}.b32/{0x0,0x1f,0x181f,0x1807,0x100f}", "b32,pred:b32,lane:u32", "",
     "$ %d0|%d1, %x0, %x1, #, 0xffffffff;"},
    {"vote.sync.{all,any,uni}.pred", "pred:pred", "", "$ %d0, %x0, 0xffffffff;"},
    {"vote.sync.ballot.b32", "b32:pred", "", "$ %d0, %x0, 0xffffffff;"},
    {"match.any.sync.b32", "b32:tidy:b32", "", "and.b32 %x0, %x0, 7; $ %d0, %x0, 0xffffffff;"},
    {"match.any.sync.b64", "b32:tidy:b64", "", "and.b64 %x0, %x0, 7; $ %d0, %x0, 0xffffffff;"},
    {"match.all.sync.{b32,b64}", "b32,pred:T", "", "$ %d0|%d1, %x0, 0xffffffff;"},
    {"match.all.sync.b32/same", "b32,pred:b32", "", "and.b32 %x0, %x0, 0; $ %d0|%d1, %x0, 0xffffffff;"},
    {"redux.sync.{add,min,max}.{u32,s32}", "T:T", "", "$ %d0, %x0, 0xffffffff;"},
    {"redux.sync.{and,or,xor}.b32", "T:T", "", "$ %d0, %x0, 0xffffffff;"},
    {"activemask.b32", "b32:", "", "$ %d0;"},
    {"elect.sync", "b32,pred:", "", "$ %d0|%d1, 0xffffffff;"},
    {"mov.u32/"
     "{%laneid,%tid.x,%ntid.x,%lanemask_eq,%lanemask_le,%lanemask_lt,%lanemask_ge,%lanemask_gt,%nctaid.y}",
     "b32:", "", "$ %d0, #;"},

    // Atomics, each lane on its own place: the old value and what is left behind.
    {"atom.{global,shared}.{add,min,max}.{u32,s32,u64}", "T,T:T,T", ""},
    {"atom.{global,shared}.{min,max}.s64", "T,T:T,T", ""},
    {"atom.{global,shared}.{and,or,xor,exch}.{b32,b64}", "T,T:T,T", ""},
    {"atom.{global,shared}.{inc,dec}.u32", "T,T:T,T", ""},
    {"atom.{global,shared}.cas.{b16,b32,b64}", "T,T:T,T,T", ""},
    {"atom.{global,shared}.add.{f32,f64}", "T,T:T,T", "nan"},
    {"atom.{global,shared}.add.noftz.{f16,f16x2,bf16,bf16x2}", "T,T:T,T", "nan"},
    {"red.{global,shared}.{add,min,max}.{u32,s32,u64}", "T:T,T", ""},
    {"red.{global,shared}.{min,max}.s64", "T:T,T", ""},
    {"red.{global,shared}.{and,or,xor}.{b32,b64}", "T:T,T", ""},
    {"red.{global,shared}.{inc,dec}.u32", "T:T,T", ""},
    {"red.{global,shared}.add.{f32,f64}", "T:T,T", "nan"},
    {"red.{global,shared}.add.noftz.{f16,f16x2,bf16,bf16x2}", "T:T,T", "nan"},

    // Matrices: fragments of a warp.
    {"mma.sync.aligned.m16n8k16.row.col.f32.{f16.f16,bf16.bf16}.f32",
     "f32*4:matrix_a:A*4,matrix_b:A*2,matrix_c:f32*4", "", "$ <d0-3>, <x0-3>, <x4-5>, <x6-9>;"},
    {"mma.sync.aligned.m16n8k8.row.col.f32.{f16.f16,bf16.bf16}.f32",
     "f32*4:matrix_a:A*2,matrix_b:A*1,matrix_c:f32*4", "", "$ <d0-3>, <x0-1>, <x2-2>, <x3-6>;"},
    {"mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16",
     "f16x2*2:matrix_a:f16x2*4,matrix_b:f16x2*2,matrix_c:f16x2*2", "", "$ <d0-1>, <x0-3>, <x4-5>, <x6-7>;"},
    {"mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16",
     "f16x2*2:matrix_a:f16x2*2,matrix_b:f16x2*1,matrix_c:f16x2*2", "", "$ <d0-1>, <x0-1>, <x2-2>, <x3-4>;"},
    {"mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32",
     "f32*4:matrix_a:tf32*4,matrix_b:tf32*2,matrix_c:f32*4", "", "$ <d0-3>, <x0-3>, <x4-5>, <x6-9>;"},
    {"mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32",
     "f32*4:matrix_a:tf32*2,matrix_b:tf32*1,matrix_c:f32*4", "", "$ <d0-3>, <x0-1>, <x2-2>, <x3-6>;"},
    {"mma.sync.aligned.m16n8k32.row.col.f32.{e4m3.e4m3,e4m3.e5m2,e5m2.e4m3,e5m2.e5m2}.f32",
     "f32*4:matrix_a:A*4,matrix_b:B*2,matrix_c:f32*4", "", "$ <d0-3>, <x0-3>, <x4-5>, <x6-9>;"},
    {"mma.sync.aligned.m16n8k32.row.col{,.satfinite}.s32.{s8.s8,s8.u8,u8.s8,u8.u8}.s32",
     "s32*4:A*4,B*2,s32*4", "", "$ <d0-3>, <x0-3>, <x4-5>, <x6-9>;"},
    {"mma.sync.aligned.m16n8k16.row.col{,.satfinite}.s32.{s8.s8,s8.u8,u8.s8,u8.u8}.s32",
     "s32*4:A*2,B*1,s32*4", "", "$ <d0-3>, <x0-1>, <x2-2>, <x3-6>;"},
    {"mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64", "f64*2:matrix_a:f64,matrix_b:f64,matrix_c:f64*2",
     "nan", "$ <d0-1>, <x0-0>, <x1-1>, <x2-3>;"},
    {"mma.sync.aligned.m16n8k4.row.col.f64.f64.f64.f64", "f64*4:matrix_a:f64*2,matrix_b:f64*1,matrix_c:f64*4",
     "nan", "$ <d0-3>, <x0-1>, <x2-2>, <x3-6>;"},
    {"mma.sync.aligned.m16n8k8.row.col.f64.f64.f64.f64", "f64*4:matrix_a:f64*4,matrix_b:f64*2,matrix_c:f64*4",
     "nan", "$ <d0-3>, <x0-3>, <x4-5>, <x6-9>;"},
    {"mma.sync.aligned.m16n8k16.row.col.f64.f64.f64.f64",
     "f64*4:matrix_a:f64*8,matrix_b:f64*4,matrix_c:f64*4", "nan", "$ <d0-3>, <x0-7>, <x8-11>, <x12-15>;"},
    {"movmatrix.sync.aligned.m8n8.trans.b16", "b32:b32", ""},
    {"ldmatrix.sync.aligned.m8n8.x4{,.trans}.shared.b16", "b32*4:b32*4", "",
     "st.shared.v4.b32 [%shared], <x0-3>; bar.warp.sync 0xffffffff; $ <d0-3>, [%shared];"},
    {"ldmatrix.sync.aligned.m8n8.x2{,.trans}.shared.b16", "b32*2:b32*4", "",
     "st.shared.v4.b32 [%shared], <x0-3>; bar.warp.sync 0xffffffff; $ <d0-1>, [%shared];"},
    {"ldmatrix.sync.aligned.m8n8.x1{,.trans}.shared.b16", "b32:b32*4", "",
     "st.shared.v4.b32 [%shared], <x0-3>; bar.warp.sync 0xffffffff; $ <d0-0>, [%shared];"},
    {"stmatrix.sync.aligned.m8n8.x4{,.trans}.shared.b16", "b32*4:b32*4", "",
     "$ [%shared], <x0-3>; bar.warp.sync 0xffffffff; ld.shared.v4.b32 <d0-3>, [%shared];"},
    {"stmatrix.sync.aligned.m8n8.x2{,.trans}.shared.b16", "b32*4:b32*4", "",
     "st.shared.v4.b32 [%shared], <x0-3>; bar.warp.sync 0xffffffff; $ [%shared], <x0-1>; bar.warp.sync "
     "0xffffffff; "
     "ld.shared.v4.b32 <d0-3>, [%shared];"},
    {"stmatrix.sync.aligned.m8n8.x1{,.trans}.shared.b16", "b32*4:b32*4", "",
     "st.shared.v4.b32 [%shared], <x0-3>; bar.warp.sync 0xffffffff; $ [%shared], <x0-0>; bar.warp.sync "
     "0xffffffff; "
     "ld.shared.v4.b32 <d0-3>, [%shared];"},

    // Asynchronous copies, zero-filled past the source's size.
    {"cp.async.ca.shared.global/{4,8,16}", "b32*4:b32*8", "",
     "st.global.v4.b32 [%memory], <x0-3>; st.shared.v4.b32 [%shared], <x4-7>; $ [%shared], [%memory], #; "
     "cp.async.commit_group; cp.async.wait_group 0; ld.shared.v4.b32 <d0-3>, [%shared];"},
    {"cp.async.cg.shared.global/part", "b32*4:b32*4,lane:u32", "",
     "st.global.v4.b32 [%memory], <x0-3>; min.u32 %x4, %x4, 16; $ [%shared], [%memory], 16, %x4; "
     "cp.async.wait_all; ld.shared.v4.b32 <d0-3>, [%shared];"},
};

// Types of a matrix instruction's A and B: the two components before the last; f16 -> f16x2, s8 -> s8x4.
std::string packed(const std::string& type) {
  if (type == "f16" || type == "bf16") return type + "x2";
  if (type == "e4m3" || type == "e5m2" || type == "s8" || type == "u8") return type + "x4";
  return type;
}

std::vector<ValueType> parse_types(const std::string& list, const std::vector<std::string>& components) {
  std::vector<ValueType> types;
  if (list.empty()) return types;
  const auto from_end = [&](std::size_t n) {
    if (n >= components.size()) throw std::logic_error("too few components");
    return components[components.size() - 1 - n];
  };
  for (std::string token : parts_of(list, ',')) {
    std::size_t count = 1;
    if (const std::size_t star = token.find('*'); star != std::string::npos) {
      count = std::stoul(token.substr(star + 1));
      token.resize(star);
    }
    const std::size_t colon = token.find(':');
    const std::string prefix = colon == std::string::npos ? "" : token.substr(0, colon + 1);
    std::string base = colon == std::string::npos ? token : token.substr(colon + 1);
    if (base == "T") base = from_end(0);
    if (base == "S") base = from_end(1);
    if (base == "A") base = packed(from_end(2));
    if (base == "B") base = packed(from_end(1));
    if (base == "W") base = from_end(0).substr(0, 1) + std::to_string(2 * std::stoi(from_end(0).substr(1)));
    types.insert(types.end(), count, parse_value_type(prefix + base));
  }
  return types;
}

std::string default_body(const Form& form) {
  std::string body = "$";
  const char* separator = " ";
  for (std::size_t i = 0; i < form.results.size(); ++i, separator = ", ")
    body += separator + ("%d" + std::to_string(i));
  for (std::size_t i = 0; i < form.operands.size(); ++i, separator = ", ")
    body += separator + ("%x" + std::to_string(i));
  return body + ";";
}

// An atomic on a place that first holds operand 0, and what is left there afterwards as the last result.
std::string atomic_body(const Form& form, const std::string& instruction) {
  const bool shared = instruction.find(".shared") != std::string::npos,
             returns = instruction.starts_with("atom");
  const std::string space = shared ? "shared" : "global", place = shared ? "[%shared]" : "[%memory]";
  const std::string type = ".b" + std::to_string(form.results[0].bits);
  std::string body = "st." + space + type + " " + place + ", %x0; $ " + (returns ? "%d0, " : "") + place;
  for (std::size_t i = 1; i < form.operands.size(); ++i) body += ", %x" + std::to_string(i);
  return body + "; ld." + space + type + " %d" + (returns ? "1, " : "0, ") + place + ";";
}

std::string substitute(std::string body, const std::string& instruction, const std::string& suffix) {
  std::string out;
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (body[i] == '$') {
      out += instruction;
    } else if (body[i] == '#') {
      out += suffix;
    } else if (body[i] == '<') {  // <x4-7> -> {%x4, %x5, %x6, %x7}
      const std::size_t end = body.find('>', i);
      const std::string range = body.substr(i + 1, end - i - 1);
      const std::size_t dash = range.find('-');
      const int first = std::stoi(range.substr(1, dash - 1)), last = std::stoi(range.substr(dash + 1));
      out += "{";
      for (int n = first; n <= last; ++n)
        out += (n == first ? "%" : ", %") + range.substr(0, 1) + std::to_string(n);
      out += "}";
      i = end;
    } else {
      out += body[i];
    }
  }
  return out;
}

Agreement agreement(const std::string& name) {
  if (name.empty()) return {};
  if (name == "nan") return {.any_nan = true, .source = "PTX ISA: payload of a NaN result unspecified"};
  for (const Error& row : kErrors) {
    if (name == row.name) {
      return {.any_nan = true, .relative = row.relative, .absolute = row.absolute, .source = row.source};
    }
  }
  throw std::logic_error("conformance: no agreement is called '" + name + "'");
}

Form build(const Row& row, const std::string& text) {
  Form form;
  form.text = text;
  const std::size_t slash = text.find('/');
  const std::string instruction = text.substr(0, slash);
  const std::string suffix = slash == std::string::npos ? "" : text.substr(slash + 1);
  const std::vector<std::string> components = parts_of(instruction, '.');
  const std::string signature = row.signature;
  const std::size_t middle = signature.find(':');
  form.results = parse_types(signature.substr(0, middle), components);
  form.operands = parse_types(signature.substr(middle + 1), components);
  form.agreement = agreement(row.agreement);
  std::string body = row.body;
  if (body.empty() && (instruction.starts_with("atom.") || instruction.starts_with("red."))) {
    body = atomic_body(form, instruction);
  }
  if (body.empty()) body = default_body(form);
  form.body = substitute(body, instruction, suffix);
  return form;
}

// A family's evaluator, if its kernel is the same: so evaluators, too, are held to what devices gave.
void borrow_evaluator(Form& form) {
  if (form.text.find('/') != std::string::npos) return;  // a row of the kit's own
  const Sweep sweep = sweep_of(form.text);
  if (sweep.body != form.body) return;
  const Form swept = form_of(sweep);
  if (swept.results.size() == form.results.size() &&
      std::ranges::equal(swept.operands, form.operands, {}, &ValueType::name, &ValueType::name))
    form.evaluate = swept.evaluate;
}

}  // namespace

std::vector<std::string> expand_braces(const std::string& pattern) {
  const std::size_t open = pattern.find('{');
  if (open == std::string::npos) return {pattern};
  const std::size_t close = pattern.find('}', open);
  if (close == std::string::npos)
    throw std::logic_error("conformance: '" + pattern + "' lacks a closing brace");
  std::vector<std::string> out;
  const std::vector<std::string> rest = expand_braces(pattern.substr(close + 1));
  for (const std::string& choice : parts_of(pattern.substr(open + 1, close - open - 1), ',')) {
    for (const std::string& tail : rest) out.push_back(pattern.substr(0, open) + choice + tail);
  }
  return out;
}

namespace {

std::vector<Form> make_forms() {
  std::vector<Form> forms;
  std::set<std::string> seen;
  for (const Row& row : kRows) {
    for (const std::string& text : expand_braces(row.pattern)) {
      if (!seen.insert(text).second) continue;  // a form that an earlier row has
      try {
        forms.push_back(build(row, text));
        borrow_evaluator(forms.back());
      } catch (const std::exception& error) {
        throw std::logic_error("conformance: row '" + text + "': " + error.what());
      }
    }
  }
  for (Form& form : swept_forms())
    if (seen.insert(form.text).second) forms.push_back(std::move(form));
  return forms;
}

}  // namespace

const std::vector<Form>& all_forms() {
  static const std::vector<Form> forms = make_forms();
  return forms;
}

}  // namespace attest::conformance
