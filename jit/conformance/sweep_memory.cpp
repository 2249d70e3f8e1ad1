// Evaluators for what moves bytes: ld, ldu, st, addresses of the spaces, matrices' rows, cp.async.
#include <array>

#include "jit/conformance/sweep.h"

namespace attest::conformance {
namespace {

// The 16 bytes of a thread as its operands x0-x3 (32 bits each) say; `pair`: the 32 of an even thread and the
// next.
uint8_t byte_at(const Thread& x, size_t byte, bool pair) {
  const size_t thread = pair ? (x.index & ~size_t{1}) + byte / 16 : x.index;
  return static_cast<uint8_t>(x.of(thread, byte % 16 / 4) >> (8 * (byte % 4)));
}
uint64_t element_at(const Thread& x, size_t element, size_t bytes, bool pair) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value |= uint64_t{byte_at(x, element * bytes + i, pair)} << (8 * i);
  return value;
}

struct Places {
  const char* space;
  const char* place;
  const char* store;  // of 16 bytes, to the same place
};
// A row is tried in one space and with one set of qualifiers: the rows take them in turn.
constexpr Places kPlaces[] = {{".global", "%memory", "st.global.v4.b32 [%memory]"},
                              {"", "%memory", "st.v4.b32 [%memory]"},
                              {".shared", "%shared", "st.shared.v4.b32 [%shared]"}};
constexpr const char* kLoads[] = {"", ".volatile", ".relaxed.gpu", ".acquire.cta", ".weak"};
constexpr const char* kStores[] = {"", ".volatile", ".relaxed.gpu", ".release.cta", ".weak"};

size_t turn(const std::string& form) {
  size_t sum = 0;
  for (const char c : form) sum = sum * 31 + static_cast<size_t>(c);
  return sum;
}

}  // namespace

// ld{.v2, .v4, .v8}.type, ldu, st: values go through memory as bytes; a vector of 32 bytes is shared by two
// threads.
Sweep sweep_memory(const std::string& form) {
  if (contains(form, ".async")) return {};
  const std::vector<std::string> parts = parts_of(form, '.');
  if (!one_of(parts[0], {"ld", "ldu", "st"})) return {};
  const std::string type = parts.back();
  const auto bytes = static_cast<size_t>(bits_of(type) / 8);
  const size_t count = parts.size() == 3 ? static_cast<size_t>(parts[1][1] - '0') : 1;
  const bool pair = bytes * count == 32;
  const bool store = parts[0] == "st", sign = type[0] == 's';
  const Places& where = parts[0] == "ldu" ? kPlaces[0] : kPlaces[turn(form) % 3];
  const char* qualifiers = parts[0] == "ldu" ? ""
                           : store           ? kStores[turn(form) / 3 % 5]
                                             : kLoads[turn(form) / 3 % 5];
  const std::string vector = count > 1 ? "." + parts[1] : "";
  const std::string spelled = parts[0] + qualifiers + where.space + vector + "." + type;
  const std::string wide = bytes == 8 ? "b64" : "b32";
  const std::string place = std::string("[") + where.place + "]";
  if (!store) {
    std::string body = std::string(where.store) + ", {%x0, %x1, %x2, %x3}; bar.warp.sync -1; ";
    if (pair)
      body += std::string("and.b") + (where.place[1] == 's' ? "32 " : "64 ") + where.place + ", " +
              where.place + ", -32; ";
    body += spelled + " " + registers('d', 0, count) + ", " + place + ";";
    return {form, repeated(wide, count), "b32,b32,b32,b32", body, [=](const Thread& x, uint64_t* d) {
              for (size_t i = 0; i < count; ++i) {
                const int bits = static_cast<int>(8 * bytes);
                const uint64_t value = element_at(x, i, bytes, pair);
                d[i] = sign ? low_bits(static_cast<uint64_t>(signed_bits(value, bits)), bytes == 8 ? 64 : 32)
                            : value;
              }
            }};
  }
  std::string body = std::string(where.store) + ", {0, 0, 0, 0}; bar.warp.sync -1; ";
  if (pair)
    body +=
        "{ .reg .pred %odd; .reg .b32 %bit0; and.b32 %bit0, %thread, 1; setp.ne.u32 %odd, %bit0, 0; @!%odd ";
  body += spelled + " " + place + ", " + registers('x', 0, count) + ";";
  if (pair) body += " }";
  body += std::string(" bar.warp.sync -1; ld") + where.space + ".v4.b32 {%d0, %d1, %d2, %d3}, " + place + ";";
  return {form, "b32,b32,b32,b32", repeated(wide, count), body, [=](const Thread& x, uint64_t* d) {
            for (size_t i = 0; i < 16; ++i) {
              const size_t at = pair ? i + 16 * (x.index % 2) : i;
              if (i % 4 == 0) d[i / 4] = 0;
              if (at >= bytes * count) continue;
              const size_t writer = pair ? x.index & ~size_t{1} : x.index;
              const uint64_t byte = low_bits(x.of(writer, at / bytes) >> (8 * (at % bytes)), 8);
              d[i / 4] |= byte << (8 * (i % 4));
            }
          }};
}

// cvta, isspacep, mapa, getctarank: what is stored through one kind of address is read through the other.
Sweep sweep_address(const std::string& form) {
  const std::vector<std::string> parts = parts_of(form, '.');
  const std::string room = "{ .reg .b64 %s, %g; .reg .b32 %r, %a; .local .align 16 .b8 room[16]; ";
  if (parts[0] == "cvta") {
    const std::string space = parts[1] == "to" ? parts[2] : parts[1];
    if (one_of(space, {"const", "param", "param::entry"})) return {};
    const std::string begin = space == "global"  ? "mov.b64 %s, %memory; "
                              : space == "local" ? "mov.u64 %s, room; "
                                                 : "cvt.u64.u32 %s, %shared; ";
    // Stored through the generic address, read through the space's.
    return {form, "b32", "b32",
            room + begin + "cvta." + space + ".u64 %g, %s; st.b32 [%g], %x0; cvta.to." + space +
                ".u64 %s, %g; ld." + space + ".b32 %d0, [%s]; }",
            [](const Thread& x, uint64_t* d) { d[0] = x(0); }};
  }
  if (parts[0] == "isspacep") {
    if (one_of(parts[1], {"param", "param::entry"})) return {};
    const bool global = parts[1] == "global", local = parts[1] == "local", shared = !global && !local;
    // Of an address in global, shared and local memory, and of another block's shared memory.
    Sweep sweep{form, "pred,pred,pred,pred", "b32",
                room + form + " %d0, %memory; cvt.u64.u32 %s, %shared; cvta.shared.u64 %g, %s; " + form +
                    " %d1, %g; mov.u64 %s, room; cvta.local.u64 %s, %s; " + form +
                    " %d2, %s; mov.u32 %r, %cluster_ctarank; xor.b32 %r, %r, 1; mapa.u64 %s, %g, %r; " +
                    form + " %d3, %s; }",
                [=](const Thread&, uint64_t* d) {
                  d[0] = global;
                  d[1] = shared;
                  d[2] = local;
                  d[3] = parts[1] == "shared::cluster";
                }};
    sweep.blocks = 2;
    return sweep;
  }
  if (parts[0] != "mapa" && parts[0] != "getctarank") return {};
  // Two blocks swap words; whose memory the address names is told too.
  const bool generic = !contains(form, "shared"), wide = parts.back() == "u64";
  const std::string type = wide ? "u64" : "u32", tail = (generic ? "." : ".shared::cluster.") + type;
  const std::string address = wide ? "%g" : "%a";
  std::string own = wide ? "cvt.u64.u32 %g, %shared; " : "mov.b32 %a, %shared; ";
  if (generic) own += "cvta.shared.u64 %g, %g; ";
  Sweep sweep{form, "b32,b32,b32", "b32",
              room + "st.shared.b32 [%shared], %x0; barrier.cluster.arrive; barrier.cluster.wait; " + own +
                  "getctarank" + tail + " %d1, " + address +
                  "; mov.u32 %r, %cluster_ctarank; xor.b32 %r, %r, 1; mapa" + tail + " " + address + ", " +
                  address + ", %r; getctarank" + tail + " %d2, " + address + "; ld" +
                  (generic ? ".b32" : ".shared::cluster.b32") + " %d0, [" + address +
                  "]; barrier.cluster.arrive; barrier.cluster.wait; }",
              [](const Thread& x, uint64_t* d) {
                d[0] = x.of(x.index ^ 256, 0);
                d[1] = x.index / 256;
                d[2] = 1 - x.index / 256;
              }};
  sweep.blocks = 2;
  return sweep;
}

// ldmatrix, stmatrix: matrix m has its rows at the addresses of lanes 8m to 8m + 7; lane l holds elements
// 2 (l % 4) and the next of row l / 4, or with .trans of column l / 4.
Sweep sweep_matrix_move(const std::string& form) {
  const std::vector<std::string> parts = parts_of(form, '.');
  if (!one_of(parts[0], {"ldmatrix", "stmatrix"})) return {};
  const auto count = static_cast<size_t>(parts[4][1] - '0');
  const bool trans = contains(form, ".trans"), generic = !contains(form, "shared");
  const std::string address = generic ? "[%g]" : "[%shared]";
  const std::string begin =
      std::string("{ .reg .b64 %g; ") + (generic ? "cvt.u64.u32 %g, %shared; cvta.shared.u64 %g, %g; " : "");
  const std::string all = "{%x0, %x1, %x2, %x3}";
  if (parts[0] == "ldmatrix") {
    std::string list = registers('d', 0, count);
    if (count == 1) list = "{" + list + "}";
    return {form, repeated("b32", count), "b32,b32,b32,b32",
            begin + "st.shared.v4.b32 [%shared], " + all + "; bar.warp.sync -1; " + form + " " + list + ", " +
                address + "; }",
            [=](const Thread& x, uint64_t* d) {
              const size_t lane = x.index % 32, warp = x.index - lane;
              for (size_t m = 0; m < count; ++m) {
                d[m] = 0;
                for (size_t e = 0; e < 2; ++e) {
                  const size_t row = trans ? 2 * (lane % 4) + e : lane / 4,
                               column = trans ? lane / 4 : 2 * (lane % 4) + e;
                  const uint64_t word = x.of(warp + 8 * m + row, column / 2);
                  d[m] |= low_bits(word >> (16 * (column % 2)), 16) << (16 * e);
                }
              }
            }};
  }
  std::string list = registers('x', 0, count);
  if (count == 1) list = "{" + list + "}";
  return {form, "b32,b32,b32,b32", "b32,b32,b32,b32",
          begin + "st.shared.v4.b32 [%shared], {0, 0, 0, 0}; bar.warp.sync -1; " + form + " " + address +
              ", " + list + "; bar.warp.sync -1; ld.shared.v4.b32 {%d0, %d1, %d2, %d3}, [%shared]; }",
          [=](const Thread& x, uint64_t* d) {
            const size_t lane = x.index % 32, warp = x.index - lane, m = lane / 8, row = lane % 8;
            for (size_t word = 0; word < 4; ++word) d[word] = 0;
            if (m >= count) return;
            for (size_t column = 0; column < 8; ++column) {
              const size_t from = trans ? 4 * column + row / 2 : 4 * row + column / 2;
              const size_t half = trans ? row % 2 : column % 2;
              d[column / 2] |= low_bits(x.of(warp + from, m) >> (16 * half), 16) << (16 * (column % 2));
            }
          }};
}

// cp.async of 16 bytes of which the first x4 are copied and the rest is zero.
Sweep sweep_copy(const std::string& form) {
  if (!starts(form, "cp.async.") || contains(form, "mbarrier") || contains(form, "bulk")) return {};
  std::string copy = form, commit = "cp.async.commit_group; ", wait = "cp.async.wait_group 0; ";
  if (!contains(form, ".global")) {
    copy = "cp.async.ca.shared.global";
    if (form == "cp.async.wait_all") commit.clear(), wait = "cp.async.wait_all; ";
  }
  const bool hint = contains(form, "cache_hint");
  return {
      form, "b32,b32,b32,b32", "b32,b32,b32,b32,lane:u32",
      "{ .reg .b64 %policy; .reg .b32 %size; createpolicy.fractional.L2::evict_last.b64 %policy, 0f3F800000; "
      "min.u32 %size, %x4, 16; st.global.v4.b32 [%memory], {%x0, %x1, %x2, %x3}; " +
          copy + " [%shared], [%memory], 16, %size" + (hint ? ", %policy; " : "; ") + commit + wait +
          "ld.shared.v4.b32 {%d0, %d1, %d2, %d3}, [%shared]; }",
      [](const Thread& x, uint64_t* d) {
        for (size_t i = 0; i < 16; ++i) {
          if (i % 4 == 0) d[i / 4] = 0;
          if (i < x(4)) d[i / 4] |= uint64_t{byte_at(x, i, false)} << (8 * (i % 4));
        }
      }};
}

}  // namespace attest::conformance
