// One row an opcode: code, name, handler. Values live in an arena and refer to each other by index; text
// stays in the file.
#include "golden/pickle.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <string_view>
#include <unordered_map>

#include "golden/allocation_budget.h"

namespace attest::golden {
namespace {

enum class Kind { none, boolean, integer, real, text, tuple, list, dict, global, storage, tensor };
constexpr std::array<std::string_view, 11> kKindNames{"None",          "a bool",    "an int",  "a float",
                                                      "a string",      "a tuple",   "a list",  "a dict",
                                                      "a global name", "a storage", "a tensor"};

// What an allowed global makes when it is reduced.
enum class Rule { ordered_dict, rebuild_tensor, rebuild_parameter, storage_class };

using Id = uint32_t;  // index of a value in the arena

struct Value {
  Kind kind = Kind::none;
  int64_t integer = 0;  // integer, boolean; index of the tensor or storage; storage class: its ElementType
  Rule rule = Rule::ordered_dict;
  std::string_view text{};  // text; global: its name in its module
  std::vector<Id> items{};  // tuple, list; dict: key, value, key, value, ...
};

struct Storage {
  std::string_view key;
  ElementType type;
  Index elements;
};

class Machine {
 public:
  Machine(std::span<const std::byte> pickle, const std::string& path)
      : pickle_(pickle), path_(path), budget_(path) {}

  std::vector<PickledTensor> run() {
    while (!stopped_) {
      opcode_at_ = at_;
      const uint8_t code = std::to_integer<uint8_t>(take(1)[0]);
      const auto row =
          std::find_if(kOpcodes.begin(), kOpcodes.end(), [&](const Opcode& op) { return op.code == code; });
      if (row == kOpcodes.end()) {
        opcode_ = "unknown opcode";
        fail(std::to_string(code) + " is not one that a state dict of tensors needs; nothing was executed");
      }
      opcode_ = row->name;
      (this->*row->run)();
    }
    if (at_ != pickle_.size())
      fail(std::to_string(pickle_.size() - at_) + " bytes follow the end of the pickle");
    return state_dict();
  }

 private:
  struct Opcode {
    uint8_t code;
    std::string_view name;
    void (Machine::*run)();
  };
  static const std::array<Opcode, 35> kOpcodes;

  [[noreturn]] void fail(const std::string& problem) const {
    throw CheckpointError(
        path_, "data.pkl byte " + std::to_string(opcode_at_) + ", " + std::string(opcode_) + ": " + problem);
  }

  // Operands
  std::span<const std::byte> take(uint64_t count) {
    if (count > pickle_.size() - at_) fail("the pickle ends inside an opcode (truncated?)");
    at_ += count;
    return pickle_.subspan(at_ - count, count);
  }
  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view text(uint64_t bytes) {
    const auto found = take(bytes);
    return {reinterpret_cast<const char*>(found.data()), found.size()};
  }
  std::string_view line() {
    const std::string_view rest(reinterpret_cast<const char*>(pickle_.data()) + at_, pickle_.size() - at_);
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) fail("the pickle ends inside a line (truncated?)");
    at_ += end + 1;
    return rest.substr(0, end);
  }

  // Values and stack. A vector that grows holds up to three times its elements while it moves.
  Id make(Value value) {
    budget_.charge(3 * sizeof(Value) + value.items.size() * sizeof(Id));
    values_.push_back(std::move(value));
    return static_cast<Id>(values_.size() - 1);
  }
  void push(Id id) {
    budget_.charge(3 * sizeof(Id));
    stack_.push_back(id);
  }
  void push(Value value) { push(make(std::move(value))); }
  Id pop() {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) fail("the stack is empty");
    const Id id = stack_.back();
    stack_.pop_back();
    return id;
  }
  std::vector<Id> pop_to_mark() {
    if (marks_.empty()) fail("there is no mark on the stack");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    budget_.charge(static_cast<uint64_t>(stack_.end() - begin) * sizeof(Id));
    std::vector<Id> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }
  Value& top(Kind expected) {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) fail("the stack is empty");
    return checked(stack_.back(), expected, "the value to extend");
  }
  Value& checked(Id id, Kind expected, const std::string& what) {
    if (values_[id].kind != expected) {
      fail(what + " is " + std::string(kKindNames[static_cast<size_t>(values_[id].kind)]) + ", expected " +
           std::string(kKindNames[static_cast<size_t>(expected)]));
    }
    return values_[id];
  }
  void extend(Kind kind, const std::vector<Id>& items) {
    if (kind == Kind::dict && items.size() % 2 != 0) fail("a dict is given a key without a value");
    budget_.charge(3 * items.size() * sizeof(Id));
    Value& value = top(kind);
    value.items.insert(value.items.end(), items.begin(), items.end());
  }

  // Opcodes (Python, Lib/pickletools.py)
  void proto() {
    const auto version = number<uint8_t>();
    if (version < 2 || version > 5) fail("protocol " + std::to_string(version) + ", expected 2 to 5");
  }
  void frame() {
    if (number<uint64_t>() > pickle_.size() - at_) fail("the frame is longer than the pickle");
  }
  void stop() { stopped_ = true; }
  void mark() {
    budget_.charge(3 * sizeof(size_t));
    marks_.push_back(stack_.size());
  }
  void none() { push(Value{}); }
  void new_true() { push({.kind = Kind::boolean, .integer = 1}); }
  void new_false() { push({.kind = Kind::boolean, .integer = 0}); }
  void binint() { push({.kind = Kind::integer, .integer = number<int32_t>()}); }
  void binint1() { push({.kind = Kind::integer, .integer = number<uint8_t>()}); }
  void binint2() { push({.kind = Kind::integer, .integer = number<uint16_t>()}); }
  void long1() {
    const auto bytes = take(number<uint8_t>());
    if (bytes.size() > 8)
      fail("an integer of " + std::to_string(bytes.size()) + " bytes does not fit 64 bits");
    uint64_t bits = 0;
    for (size_t i = 0; i < bytes.size(); ++i) bits |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
    const bool negative = !bytes.empty() && (std::to_integer<uint8_t>(bytes.back()) & 0x80) != 0;
    if (negative && bytes.size() < 8) bits |= ~uint64_t{0} << (8 * bytes.size());
    push({.kind = Kind::integer, .integer = static_cast<int64_t>(bits)});
  }
  void binfloat() {
    take(8);
    push({.kind = Kind::real});  // no rule needs its value
  }
  void binunicode() { push_text(number<uint32_t>()); }
  void short_binunicode() { push_text(number<uint8_t>()); }
  void push_text(uint64_t bytes) {
    const std::string_view found = text(bytes);
    push({.kind = Kind::text, .text = found});
  }
  void empty_tuple() { push({.kind = Kind::tuple}); }
  void empty_list() { push({.kind = Kind::list}); }
  void empty_dict() { push({.kind = Kind::dict}); }
  void tuple() { push({.kind = Kind::tuple, .items = pop_to_mark()}); }
  void tuple_of(size_t count) {
    std::vector<Id> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    push({.kind = Kind::tuple, .items = std::move(items)});
  }
  void tuple1() { tuple_of(1); }
  void tuple2() { tuple_of(2); }
  void tuple3() { tuple_of(3); }
  void append() { extend(Kind::list, {pop()}); }
  void appends() { extend(Kind::list, pop_to_mark()); }
  void setitem() {
    const Id value = pop(), key = pop();
    extend(Kind::dict, {key, value});
  }
  void setitems() { extend(Kind::dict, pop_to_mark()); }

  void put(uint32_t slot) {
    if (stack_.empty()) fail("the stack is empty");
    budget_.charge(64);
    memo_[slot] = stack_.back();
  }
  void get(uint32_t slot) {
    const auto found = memo_.find(slot);
    if (found == memo_.end()) fail("nothing was remembered under " + std::to_string(slot));
    push(found->second);
  }
  void binput() { put(number<uint8_t>()); }
  void long_binput() { put(number<uint32_t>()); }
  void memoize() { put(static_cast<uint32_t>(memo_.size())); }
  void binget() { get(number<uint8_t>()); }
  void long_binget() { get(number<uint32_t>()); }

  void global() {
    const std::string_view module = line();
    push_global(module, line());
  }
  void stack_global() {
    const Id name = pop(), module = pop();
    push_global(checked(module, Kind::text, "the module").text, checked(name, Kind::text, "the name").text);
  }
  void push_global(std::string_view module, std::string_view name) {
    Value value{.kind = Kind::global, .text = name};
    if (module == "collections" && name == "OrderedDict") {
      value.rule = Rule::ordered_dict;
    } else if (module == "torch._utils" && name == "_rebuild_tensor_v2") {
      value.rule = Rule::rebuild_tensor;
    } else if (module == "torch._utils" && name == "_rebuild_parameter") {
      value.rule = Rule::rebuild_parameter;
    } else if (const auto type = element_type_from_torch_storage(name); module == "torch" && type) {
      value.rule = Rule::storage_class;
      value.integer = static_cast<int64_t>(*type);
    } else {
      fail("asks for " +
           in_quotes(std::string(module.substr(0, 100)) + "." + std::string(name.substr(0, 100))) +
           ", which is not on the list of names that a state dict of tensors needs; nothing was executed");
    }
    push(std::move(value));
  }

  void reduce() {
    const Id arguments = pop(), callee = pop();
    const Rule rule = checked(callee, Kind::global, "what is called").rule;
    const std::vector<Id> items = checked(arguments, Kind::tuple, "the arguments").items;
    if (rule == Rule::ordered_dict) {
      if (!items.empty()) fail("OrderedDict is given arguments");
      push({.kind = Kind::dict});
    } else if (rule == Rule::rebuild_tensor) {
      rebuild_tensor(items);
    } else if (rule == Rule::rebuild_parameter) {  // (tensor, requires_grad, hooks)
      if (items.size() != 3)
        fail("_rebuild_parameter is given " + std::to_string(items.size()) + " arguments, expected 3");
      checked(items[0], Kind::tensor, "_rebuild_parameter's first argument");
      push(items[0]);
    } else {
      fail("calls the storage class " + in_quotes(values_[callee].text));
    }
  }

  // (storage, offset, size, stride, requires_grad, hooks[, metadata]); Source: torch/_utils.py,
  // _rebuild_tensor_v2
  void rebuild_tensor(const std::vector<Id>& items) {
    if (items.size() < 6 || items.size() > 7) {
      fail("_rebuild_tensor_v2 is given " + std::to_string(items.size()) + " arguments, expected 6 or 7");
    }
    const auto storage_index = static_cast<size_t>(checked(items[0], Kind::storage, "the storage").integer);
    const Storage& storage = storages_[storage_index];
    PickledTensor tensor;
    budget_.charge(3 * sizeof tensor + storage.key.size());
    tensor.storage = storage.key;
    tensor.type = storage.type;
    tensor.storage_elements = storage.elements;
    tensor.offset = checked(items[1], Kind::integer, "the offset").integer;
    tensor.shape = integers(items[2], "the size");
    tensor.strides = integers(items[3], "the stride");
    checked(items[4], Kind::boolean, "requires_grad");
    if (!checked(items[5], Kind::dict, "the hooks").items.empty()) fail("the tensor has backward hooks");
    check_extent(tensor);
    tensors_.push_back(std::move(tensor));
    push({.kind = Kind::tensor, .integer = static_cast<int64_t>(tensors_.size() - 1)});
  }

  std::vector<Index> integers(Id id, const std::string& what) {
    const std::vector<Id>& items = checked(id, Kind::tuple, what).items;
    budget_.charge(items.size() * sizeof(Index));
    std::vector<Index> result;
    result.reserve(items.size());
    for (const Id item : items) {
      const Index value = checked(item, Kind::integer, what + "'s element").integer;
      if (value < 0) fail(what + " has the negative element " + std::to_string(value));
      result.push_back(value);
    }
    return result;
  }

  // offset + sum over axes of (size - 1) * stride < elements of the storage, in arithmetic that cannot wrap.
  void check_extent(const PickledTensor& tensor) const {
    const std::string where = "a tensor of size " + shape_text(tensor.shape) + " and stride " +
                              shape_text(tensor.strides) + " at offset " + std::to_string(tensor.offset);
    const std::string storage = " storage " + in_quotes(tensor.storage) + " of " +
                                std::to_string(tensor.storage_elements) + " elements";
    if (tensor.shape.size() != tensor.strides.size())
      fail(where + ": size and stride have different lengths");
    if (tensor.offset < 0 || tensor.offset > tensor.storage_elements)
      fail(where + " begins outside" + storage);
    if (std::find(tensor.shape.begin(), tensor.shape.end(), 0) != tensor.shape.end()) {
      Index product = 1;  // element_count multiplies in order, and must not overflow before it meets the zero
      for (const Index size : tensor.shape) {
        if (__builtin_mul_overflow(product, size, &product)) fail(where + ": its size does not fit 64 bits");
      }
      return;
    }
    Index last = tensor.offset, elements = 1;
    bool wraps = false;
    for (size_t axis = 0; axis < tensor.shape.size(); ++axis) {
      Index step = 0;
      wraps = wraps || __builtin_mul_overflow(tensor.shape[axis] - 1, tensor.strides[axis], &step) ||
              __builtin_add_overflow(last, step, &last) ||
              __builtin_mul_overflow(elements, tensor.shape[axis], &elements);
    }
    if (wraps || last >= tensor.storage_elements) fail(where + " ends outside" + storage);
    if (elements > tensor.storage_elements) {
      fail(where + " names more elements than" + storage + " has: overlapping views are not read");
    }
  }

  // ('storage', class, key, location, elements)
  void binpersid() {
    const std::vector<Id> items = checked(pop(), Kind::tuple, "the persistent id").items;
    if (items.size() != 5 || checked(items[0], Kind::text, "the persistent id's kind").text != "storage") {
      fail("the persistent id is not that of a storage");
    }
    const Value& storage_class = checked(items[1], Kind::global, "the storage's class");
    if (storage_class.rule != Rule::storage_class)
      fail("the storage's class is " + in_quotes(storage_class.text));
    Storage storage{checked(items[2], Kind::text, "the storage's key").text,
                    static_cast<ElementType>(storage_class.integer),
                    checked(items[4], Kind::integer, "the storage's element count").integer};
    checked(items[3], Kind::text, "the storage's location");
    if (storage.elements < 0) fail("the storage's element count is negative");
    budget_.charge(3 * sizeof storage);
    storages_.push_back(storage);
    push({.kind = Kind::storage, .integer = static_cast<int64_t>(storages_.size() - 1)});
  }

  // state_dict() hangs `_metadata` (versions of modules) on its OrderedDict; it says nothing about tensors.
  void build() {
    checked(pop(), Kind::dict, "the state to build from");
    top(Kind::dict);
  }

  std::vector<PickledTensor> state_dict() {
    if (stack_.size() != 1 || !marks_.empty())
      fail(std::to_string(stack_.size()) + " values are left on the stack, expected 1");
    const std::vector<Id> items = checked(stack_[0], Kind::dict, "the pickled object").items;
    std::vector<PickledTensor> result;
    std::set<std::string_view> names;
    for (size_t i = 0; i < items.size(); i += 2) {
      const std::string_view name = checked(items[i], Kind::text, "a key of the state dict").text;
      const Value& value =
          checked(items[i + 1], Kind::tensor, "entry " + in_quotes(name) + " of the state dict");
      const PickledTensor& tensor = tensors_[static_cast<size_t>(value.integer)];
      budget_.charge(3 * sizeof(PickledTensor) + 128 + name.size() + tensor.storage.size() +
                     2 * tensor.shape.size() * sizeof(Index));
      if (!names.insert(name).second) fail("the state dict names tensor " + in_quotes(name) + " twice");
      result.push_back(tensor);
      result.back().name = name;
    }
    return result;
  }

  std::span<const std::byte> pickle_;
  const std::string& path_;
  AllocationBudget budget_;
  uint64_t at_ = 0, opcode_at_ = 0;
  std::string_view opcode_ = "start";
  bool stopped_ = false;
  std::vector<Value> values_;
  std::vector<Id> stack_;
  std::vector<size_t> marks_;  // stack heights
  std::unordered_map<uint32_t, Id> memo_;
  std::vector<Storage> storages_;
  std::vector<PickledTensor> tensors_;
};

const std::array<Machine::Opcode, 35> Machine::kOpcodes{{
    {0x80, "PROTO", &Machine::proto},
    {0x95, "FRAME", &Machine::frame},
    {'.', "STOP", &Machine::stop},
    {'(', "MARK", &Machine::mark},
    {'N', "NONE", &Machine::none},
    {0x88, "NEWTRUE", &Machine::new_true},
    {0x89, "NEWFALSE", &Machine::new_false},
    {'J', "BININT", &Machine::binint},
    {'K', "BININT1", &Machine::binint1},
    {'M', "BININT2", &Machine::binint2},
    {0x8A, "LONG1", &Machine::long1},
    {'G', "BINFLOAT", &Machine::binfloat},
    {'X', "BINUNICODE", &Machine::binunicode},
    {0x8C, "SHORT_BINUNICODE", &Machine::short_binunicode},
    {')', "EMPTY_TUPLE", &Machine::empty_tuple},
    {']', "EMPTY_LIST", &Machine::empty_list},
    {'}', "EMPTY_DICT", &Machine::empty_dict},
    {'t', "TUPLE", &Machine::tuple},
    {0x85, "TUPLE1", &Machine::tuple1},
    {0x86, "TUPLE2", &Machine::tuple2},
    {0x87, "TUPLE3", &Machine::tuple3},
    {'a', "APPEND", &Machine::append},
    {'e', "APPENDS", &Machine::appends},
    {'s', "SETITEM", &Machine::setitem},
    {'u', "SETITEMS", &Machine::setitems},
    {'q', "BINPUT", &Machine::binput},
    {'r', "LONG_BINPUT", &Machine::long_binput},
    {0x94, "MEMOIZE", &Machine::memoize},
    {'h', "BINGET", &Machine::binget},
    {'j', "LONG_BINGET", &Machine::long_binget},
    {'c', "GLOBAL", &Machine::global},
    {0x93, "STACK_GLOBAL", &Machine::stack_global},
    {'R', "REDUCE", &Machine::reduce},
    {'Q', "BINPERSID", &Machine::binpersid},
    {'b', "BUILD", &Machine::build},
}};

}  // namespace

std::vector<PickledTensor> read_state_dict(std::span<const std::byte> pickle, const std::string& path) {
  return Machine(pickle, path).run();
}

}  // namespace attest::golden
