// State dicts as torch writes them, attacks, and one malformed pickle for every check.
#include "golden/pickle.h"

#include <gtest/gtest.h>

#include "file_builders.h"

namespace attest::golden {
namespace {

using namespace pickle;  // NOLINT: opcodes read as words

std::vector<PickledTensor> read(const std::string& bytes) {
  return read_state_dict(std::as_bytes(std::span(bytes)), "w.bin");
}
std::string error(const std::string& bytes) {
  return error_of([&] { read(bytes); });
}
std::string tensor_error(int64_t elements, int64_t offset, const std::vector<int64_t>& size,
                         const std::vector<int64_t>& stride) {
  return error(state_dict({{"w", tensor(storage("0", elements), offset, size, stride)}}));
}
constexpr int64_t kHuge = int64_t{1} << 62;

TEST(Pickle, ReadsTensorsWithTheirStoragesAndStrides) {
  const auto tensors = read(state_dict({{"a", tensor(storage("0", 12), 2, {2, 3}, {1, 3})},
                                        {"b", tensor(storage("1", 1, "BFloat16Storage"), 0, {}, {})}}));
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors[0].name, "a");
  EXPECT_EQ(tensors[0].storage, "0");
  EXPECT_EQ(tensors[0].type, ElementType::f32);
  EXPECT_EQ(tensors[0].offset, 2);
  EXPECT_EQ(tensors[0].shape, (std::vector<Index>{2, 3}));
  EXPECT_EQ(tensors[0].strides, (std::vector<Index>{1, 3}));
  EXPECT_EQ(tensors[1].type, ElementType::bf16);
}

TEST(Pickle, ReadsOrderedDictsParametersAndModuleVersions) {
  const std::string parameter = global("torch._utils", "_rebuild_parameter") +
                                tuple({tensor(storage("0", 4), 0, {4}, {1}), "\x88", ordered_dict()}) + "R";
  // OrderedDict, its items, then the attribute dict that BUILD hangs on it
  const std::string bytes = proto() + ordered_dict() + "(" + text("w") + parameter + "u" + "}(" +
                            text("_metadata") + ordered_dict() + "ub.";
  ASSERT_EQ(read(bytes).size(), 1u);
  EXPECT_EQ(read(bytes)[0].name, "w");
}

TEST(Pickle, ReadsProtocolFourAndMemo) {
  const auto short_text = [](const std::string& s) {
    return "\x8c" + raw(static_cast<uint8_t>(s.size())) + s;
  };
  const std::string dict =
      short_text("collections") + short_text("OrderedDict") + "\x93" + "\x94";  // memoised as 0
  const std::string stored =
      tuple({short_text("storage"), short_text("torch") + short_text("FloatStorage") + "\x93",
             short_text("0"), short_text("cpu"), "K\x04"}) +
      "Q";
  const std::string made =
      short_text("torch._utils") + short_text("_rebuild_tensor_v2") + "\x93" +
      tuple({stored, std::string("K\0", 2), "K\x04\x85", "K\x01\x85", "\x89", std::string("h\0)R", 4)}) + "R";
  std::string body = dict + ")R" + short_text("w") + made + "s.";
  const std::string bytes = proto(4) + "\x95" + raw<uint64_t>(body.size()) + body;
  ASSERT_EQ(read(bytes).size(), 1u);
  EXPECT_EQ(read(bytes)[0].shape, (std::vector<Index>{4}));
}

TEST(Pickle, RefusesOsSystemNamingItsOffsetAndRunsNothing) {
  const TemporaryFolder folder;
  const std::string marker = folder / "was-run";
  const std::string bytes = proto() + "cos\nsystem\n" + text("touch " + marker) + "\x85R.";
  EXPECT_EQ(
      error(bytes),
      "w.bin: data.pkl byte 2, GLOBAL: asks for 'os.system', which is not on the list of names that a state "
      "dict of tensors needs; nothing was executed");
  EXPECT_FALSE(std::filesystem::exists(marker));
}

TEST(Pickle, RefusesEveryOtherWayToAName) {
  for (const auto& [module, name] :
       std::vector<std::pair<std::string, std::string>>{{"builtins", "eval"},
                                                        {"torch", "load"},
                                                        {"torch._utils", "_rebuild_tensor"},
                                                        {"collections", "UserDict"},
                                                        {"collections.OrderedDict", ""},
                                                        {"torch", "FloatStorage.x"},
                                                        {"", ""},
                                                        {"os\x1b[2J", "system"}}) {
    EXPECT_NE(error(proto() + global(module, name) + ".").find("not on the list"), std::string::npos)
        << module;
  }
  EXPECT_NE(error(proto() + text("os") + text("system") + "\x93.").find("asks for 'os.system'"),
            std::string::npos);
  EXPECT_EQ(error(proto() + global("os\x1b[2J", "system") + ".").find('\x1b'), std::string::npos)
      << "terminal escapes stay out";
}

TEST(Pickle, RefusesOpcodesThatBuildOrLoadObjects) {
  // INST, OBJ, NEWOBJ, EXT1, PERSID, PUT, GET, LONG, POP, DUP, NEXT_BUFFER
  for (const std::string opcode : {"i", "o", "\x81", "\x82", "P", "p", "g", "L", "0", "2", "\x97"}) {
    EXPECT_NE(error(proto() + opcode).find("unknown opcode"), std::string::npos) << opcode;
  }
}

TEST(Pickle, RefusesProtocolsItDoesNotKnow) {
  EXPECT_NE(error(proto(1) + "}.").find("protocol 1"), std::string::npos);
  EXPECT_NE(error(proto(6) + "}.").find("protocol 6"), std::string::npos);
}

TEST(Pickle, RefusesViewsOutsideTheirStorage) {
  EXPECT_NE(tensor_error(6, 1, {6}, {1}).find("ends outside storage '0' of 6 elements"), std::string::npos);
  EXPECT_NE(tensor_error(6, 7, {0}, {1}).find("begins outside"), std::string::npos);
  EXPECT_NE(tensor_error(6, -1, {1}, {1}).find("begins outside"), std::string::npos);
  EXPECT_NE(tensor_error(6, 0, {2, 2}, {5, 1}).find("ends outside"), std::string::npos);
  EXPECT_NE(tensor_error(6, 0, {-2}, {1}).find("negative element -2"), std::string::npos);
  EXPECT_NE(tensor_error(6, 0, {2}, {-1}).find("negative element -1"), std::string::npos);
  EXPECT_NE(tensor_error(6, 0, {2, 2}, {1}).find("different lengths"), std::string::npos);
  EXPECT_NE(tensor_error(-6, 0, {0}, {1}).find("count is negative"), std::string::npos);
}

TEST(Pickle, ArithmeticOnSizesCannotWrap) {
  EXPECT_NE(tensor_error(6, 0, {5}, {kHuge}).find("ends outside"), std::string::npos);
  EXPECT_NE(tensor_error(6, 5, {3, 3}, {kHuge, kHuge}).find("ends outside"), std::string::npos);
  EXPECT_NE(tensor_error(6, 0, {kHuge, 8}, {0, 0}).find("ends outside"), std::string::npos);
  EXPECT_NE(tensor_error(6, 0, {kHuge, kHuge, 0}, {1, 1, 1}).find("does not fit 64 bits"), std::string::npos);
}

TEST(Pickle, RefusesViewsWithMoreElementsThanTheirStorage) {
  EXPECT_NE(tensor_error(6, 0, {1000000}, {0}).find("overlapping views are not read"), std::string::npos);
  EXPECT_EQ(read(state_dict({{"w", tensor(storage("0", 6), 0, {6}, {0})}})).size(), 1u);
}

TEST(Pickle, RefusesWhatIsNotAStateDict) {
  EXPECT_NE(error(proto() + "].").find("the pickled object is a list, expected a dict"), std::string::npos);
  EXPECT_NE(error(state_dict({{"step", integer(3)}}))
                .find("entry 'step' of the state dict is an int, expected a tensor"),
            std::string::npos);
  EXPECT_NE(error(proto() + "}K\x01K\x02s.").find("a key of the state dict is an int"), std::string::npos);
  const std::string w = tensor(storage("0", 1), 0, {1}, {1});
  EXPECT_NE(error(state_dict({{"w", w}, {"w", w}})).find("'w' twice"), std::string::npos);
}

TEST(Pickle, RefusesMalformedTensorsAndStorages) {
  const auto rebuild = [](const std::vector<std::string>& arguments) {
    return error(state_dict({{"w", global("torch._utils", "_rebuild_tensor_v2") + tuple(arguments) + "R"}}));
  };
  const std::string stored = storage("0", 1), one = integers({1}), zero = wide(0), hooks = ordered_dict();
  EXPECT_NE(rebuild({stored, zero, one, one, "\x89"}).find("5 arguments"), std::string::npos);
  EXPECT_NE(rebuild({zero, zero, one, one, "\x89", hooks}).find("the storage is an int"), std::string::npos);
  EXPECT_NE(rebuild({stored, "N", one, one, "\x89", hooks}).find("the offset is None"), std::string::npos);
  EXPECT_NE(rebuild({stored, zero, tuple({"N"}), one, "\x89", hooks}).find("the size's element is None"),
            std::string::npos);
  EXPECT_NE(rebuild({stored, zero, one, one, "N", hooks}).find("requires_grad is None"), std::string::npos);
  EXPECT_NE(rebuild({stored, zero, one, one, "\x89", "}K\x01K\x02s"}).find("backward hooks"),
            std::string::npos);
  EXPECT_NE(error(proto() + tuple({text("file"), "N", "N", "N", "N"}) + "Q.").find("not that of a storage"),
            std::string::npos);
  EXPECT_NE(
      error(proto() +
            tuple({text("storage"), global("collections", "OrderedDict"), text("0"), text("cpu"), wide(1)}) +
            "Q.")
          .find("the storage's class is 'OrderedDict'"),
      std::string::npos);
  EXPECT_NE(error(proto() + global("torch", "FloatStorage") + ")R.").find("calls the storage class"),
            std::string::npos);
}

TEST(Pickle, RefusesAStackThatDoesNotAddUp) {
  EXPECT_NE(error(proto() + "R.").find("the stack is empty"), std::string::npos);
  EXPECT_NE(error(proto() + "t.").find("no mark"), std::string::npos);
  EXPECT_NE(error(proto() + "K\x01(\x85.").find("the stack is empty"), std::string::npos)
      << "a mark guards what lies below";
  EXPECT_NE(error(proto() + "}}.").find("2 values are left"), std::string::npos);
  EXPECT_NE(error(proto() + "}(.").find("values are left"), std::string::npos);
  EXPECT_NE(error(proto() + "}(K\x01u.").find("a key without a value"), std::string::npos);
  EXPECT_NE(error(proto() + "h\x05.").find("nothing was remembered under 5"), std::string::npos);
  EXPECT_NE(error(proto() + "}.x").find("1 bytes follow"), std::string::npos);
  EXPECT_NE(error(proto() + "\x8a\x09" + std::string(9, '\x01') + ".").find("does not fit 64 bits"),
            std::string::npos);
}

TEST(Pickle, EveryTruncationIsRefused) {
  const std::string good = state_dict({{"a", tensor(storage("0", 6), 0, {2, 3}, {3, 1})}});
  for (size_t length = 0; length < good.size(); ++length)
    EXPECT_THROW(read(good.substr(0, length)), CheckpointError) << length;
}

TEST(Pickle, ReadsIntegersOfEveryWidthWithTheirSign) {
  const auto shape_of = [](const std::string& number) {
    return read(state_dict({{"w", global("torch._utils", "_rebuild_tensor_v2") +
                                      tuple({storage("0", 70000), wide(0), number + "\x85", wide(1) + "\x85",
                                             "\x89", ordered_dict()}) +
                                      "R"}}))[0]
        .shape[0];
  };
  EXPECT_EQ(shape_of("K\xFF"), 255);
  EXPECT_EQ(shape_of("M" + raw<uint16_t>(60000)), 60000);
  EXPECT_EQ(shape_of("J" + raw<int32_t>(70000)), 70000);
  EXPECT_EQ(shape_of(std::string("\x8a\x03\x70\x11\x01", 5)), 70000);
  EXPECT_EQ(shape_of(std::string("\x8a\x00", 2)), 0);
  EXPECT_NE(error_of([&] { shape_of(std::string("\x8a\x01\xFE", 3)); }).find("negative element -2"),
            std::string::npos);
}

TEST(Pickle, StopsBeforeManySmallValuesFillTheMemory) {
  EXPECT_NE(error(proto() + std::string(10'000'000, ']')).find("needs more than 64 MiB"), std::string::npos);
  EXPECT_NE(error(proto() + std::string(100'000'000, '(')).find("needs more than 64 MiB"), std::string::npos);
}

}  // namespace
}  // namespace attest::golden
