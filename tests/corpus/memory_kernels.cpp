// Address spaces, vector accesses, local arrays, constants, parameters by value.
#include <algorithm>
#include <array>

#include "corpus.h"

namespace attest::corpus {
namespace {

using u32 = std::uint32_t;

constexpr Kernel kKernels[] = {
    {"vector_copy", "16-byte loads and stores, 8-byte ones too",
     "extern \"C\" __global__ void vector_copy(const unsigned* in, unsigned* out, int n) {"
     "  int i = blockIdx.x * blockDim.x + threadIdx.x;"
     "  if (i < n / 8) { uint4 v = reinterpret_cast<const uint4*>(in)[i]; reinterpret_cast<uint4*>(out)[i] = "
     "make_uint4(v.w, v.z, v.y, v.x); }"
     "  else if (i < n / 8 + n / 4) { int k = i - n / 8; uint2 v = reinterpret_cast<const uint2*>(in)[n / 4 "
     "+ k]; reinterpret_cast<uint2*>(out)[n / 4 + k] = make_uint2(v.y, v.x); } }",
     [](std::span<const u32> in) {
       Words out(in.begin(), in.end());
       for (std::size_t i = 0; i < in.size(); ++i) out[i] = i < in.size() / 2 ? in[i ^ 3] : in[i ^ 1];
       return out;
     }},
    {"bytes_and_shorts", "byte and short loads and stores with sign extension",
     "extern \"C\" __global__ void bytes_and_shorts(const unsigned* in, unsigned* out, int n) {"
     "  int i = blockIdx.x * blockDim.x + threadIdx.x; if (i >= n) return;"
     "  const signed char* c = reinterpret_cast<const signed char*>(in) + i; const unsigned short* s = "
     "reinterpret_cast<const unsigned short*>(in) + i;"
     "  unsigned char* o = reinterpret_cast<unsigned char*>(out + i); o[0] = (unsigned char)(*c * 3); o[1] = "
     "(unsigned char)(*s >> 4); reinterpret_cast<short*>(o)[1] = (short)(*c + *s); }",
     [](std::span<const u32> in) {
       Words out;
       for (std::size_t i = 0; i < in.size(); ++i) {
         const auto c = static_cast<std::int8_t>(in[i / 4] >> (8 * (i % 4)));
         const auto s = static_cast<std::uint16_t>(in[i / 2] >> (16 * (i % 2)));
         const u32 low = static_cast<std::uint8_t>(c * 3), next = static_cast<std::uint8_t>(s >> 4);
         out.push_back(low | (next << 8) | (u32{static_cast<std::uint16_t>(c + s)} << 16));
       }
       return out;
     }},
    {"array_of_structures", "a 12-byte structure read field by field",
     "struct Record { unsigned key; short weight; unsigned char tag, flags; unsigned next; };"
     "extern \"C\" __global__ void array_of_structures(const unsigned* in, unsigned* out, int n) {"
     "  int i = blockIdx.x * blockDim.x + threadIdx.x; int records = n / 3; if (i >= n) return; Record r = "
     "reinterpret_cast<const Record*>(in)[i % records];"
     "  const Record& s = reinterpret_cast<const Record*>(in)[r.next % records]; out[i] = s.key + "
     "(unsigned)(s.weight * r.tag) + r.flags; }",
     [](std::span<const u32> in) {
       Words out;
       const u32 records = static_cast<u32>(in.size()) / 3;
       for (u32 i = 0; i < in.size(); ++i) {
         const u32 r = i % records, s = in[3 * r + 2] % records;
         const auto weight = static_cast<std::int16_t>(in[3 * s + 1]);
         const u32 tag = (in[3 * r + 1] >> 16) & 0xff, flags = in[3 * r + 1] >> 24;
         out.push_back(in[3 * s] + static_cast<u32>(weight * static_cast<int>(tag)) + flags);
       }
       return out;
     }},
    {"local_sort", "insertion sort in a local array with variable indices",
     "extern \"C\" __global__ void local_sort(const unsigned* in, unsigned* out, int n) {"
     "  int i = blockIdx.x * blockDim.x + threadIdx.x; if (i >= n) return; unsigned v[9];"
     "  for (int k = 0; k < 9; ++k) v[k] = in[(i * 5 + k * 11) % n];"
     "  for (int k = 1; k < 9; ++k) { unsigned x = v[k]; int j = k - 1; while (j >= 0 && v[j] > x) { v[j + "
     "1] = v[j]; --j; } v[j + 1] = x; }"
     "  out[i] = v[in[i] % 9]; }",
     [](std::span<const u32> in) {
       Words out;
       for (std::size_t i = 0; i < in.size(); ++i) {
         std::array<u32, 9> v{};
         for (std::size_t k = 0; k < 9; ++k) v[k] = in[(i * 5 + k * 11) % in.size()];
         std::ranges::sort(v);
         out.push_back(v[in[i] % 9]);
       }
       return out;
     }},
    {"constant_table", "a CRC-32 through a table in constant memory",
     "__constant__ unsigned table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, "
     "0x6b6b51f4, 0x4db26158, 0x5005713c,"
     "  0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};"
     "extern \"C\" __global__ void constant_table(const unsigned* in, unsigned* out, int n) {"
     "  int i = blockIdx.x * blockDim.x + threadIdx.x; if (i >= n) return; unsigned crc = ~0u, w = in[i];"
     "  for (int k = 0; k < 4; ++k) { crc ^= (w >> (8 * k)) & 0xff; crc = table[crc & 15] ^ (crc >> 4); crc "
     "= table[crc & 15] ^ (crc >> 4); } out[i] = ~crc; }",
     [](std::span<const u32> in) {
       return each(in, [](u32 w) {
         u32 crc = ~0u;  // bit by bit from the polynomial, without the table
         for (int bit = 0; bit < 32; ++bit) {
           const u32 mixed = (crc ^ (w >> bit)) & 1;
           crc = (crc >> 1) ^ (mixed != 0 ? 0xedb88320u : 0u);
         }
         return ~crc;
       });
     }},
    {"global_variable", "initialised device variables, read and updated",
     "__device__ unsigned offsets[4] = {3, 1, 4, 1}; __device__ unsigned long long total = 5; __device__ "
     "const float half_one = 0.5f;"
     "extern \"C\" __global__ void global_variable(const unsigned* in, unsigned* out, int n) {"
     "  int i = blockIdx.x * blockDim.x + threadIdx.x; if (i >= n) return; out[i] = in[i] + offsets[i & 3] + "
     "(unsigned)total + (unsigned)(half_one * 8.0f); }",
     [](std::span<const u32> in) {
       Words out;
       constexpr u32 kOffsets[] = {3, 1, 4, 1};
       for (std::size_t i = 0; i < in.size(); ++i) out.push_back(in[i] + kOffsets[i % 4] + 5 + 4);
       return out;
     }},
    {"generic_pointer", "one pointer into shared, local or global memory, chosen at run time",
     "extern \"C\" __global__ void generic_pointer(const unsigned* in, unsigned* out, int n) {"
     "  __shared__ unsigned tile[64]; int i = blockIdx.x * blockDim.x + threadIdx.x; unsigned own[4] = "
     "{in[i], in[i] + 1, in[i] + 2, in[i] + 3};"
     "  tile[threadIdx.x] = in[i] * 3; __syncthreads();"
     "  const unsigned* p = in[i] % 3 == 0 ? in : in[i] % 3 == 1 ? tile : own; unsigned at = in[i] % 3 == 2 "
     "? in[i] & 3 : in[i] & 63; out[i] = p[at]; }",
     [](std::span<const u32> in) {
       Words out;
       for (std::size_t i = 0; i < in.size(); ++i) {
         const u32 w = in[i];
         const std::size_t block = i / 64 * 64;
         out.push_back(w % 3 == 0 ? in[w & 63] : w % 3 == 1 ? in[block + (w & 63)] * 3 : w + (w & 3));
       }
       return out;
     }},
    {"grid_stride", "a loop over more words than threads, in reverse",
     "extern \"C\" __global__ void grid_stride(const unsigned* in, unsigned* out, int n) {"
     "  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) out[n - 1 - "
     "i] = in[i] ^ (unsigned)(gridDim.x * blockDim.x); }",
     [](std::span<const u32> in) {
       Words out(in.rbegin(), in.rend());
       for (u32& word : out) word ^= 3 * 17;
       return out;
     },
     3, 17},
    {"read_only_path", "__ldg, volatile and cache-hinted accesses",
     "extern \"C\" __global__ void read_only_path(const unsigned* in, unsigned* out, int n) {"
     "  int i = blockIdx.x * blockDim.x + threadIdx.x; if (i >= n) return; unsigned r = __ldg(in + i) + "
     "__ldcg(in + (i + 1) % n) + __ldcs(in + (i + 2) % n);"
     "  volatile unsigned* o = out; o[i] = r; o[i] = o[i] * 3; __stcg(out + i, out[i] + 1); }",
     [](std::span<const u32> in) {
       Words out;
       for (std::size_t i = 0; i < in.size(); ++i)
         out.push_back((in[i] + in[(i + 1) % in.size()] + in[(i + 2) % in.size()]) * 3 + 1);
       return out;
     }},
};

}  // namespace

std::span<const Kernel> memory_kernels() { return kKernels; }

}  // namespace attest::corpus
