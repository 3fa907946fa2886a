#include "massact/io/pickle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <unordered_map>

#include "massact/base/suggest.h"
#include "massact/io/byte_cursor.h"

namespace massact {
namespace {

using Kind = PickleValue::Kind;

// Opcodes by the names of Python's pickletools. Those below kRefused are read.
enum Op : std::uint8_t {
  kMark = '(',
  kStop = '.',
  kBinFloat = 'G',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersId = 'Q',
  kReduce = 'R',
  kBinUnicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kEmptyDict = '}',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kEmptyList = ']',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kEmptyTuple = ')',
  kSetItems = 'u',
  kProto = 0x80,
  kNewObj = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95
};

struct NamedOp {
  std::uint8_t code;
  const char* name;
};

// What else a pickle may contain: refused, by name.
constexpr std::array kRefused = std::to_array<NamedOp>({{'0', "POP"},
                                                        {'1', "POP_MARK"},
                                                        {'2', "DUP"},
                                                        {'F', "FLOAT"},
                                                        {'I', "INT"},
                                                        {'L', "LONG"},
                                                        {'P', "PERSID"},
                                                        {'S', "STRING"},
                                                        {'T', "BINSTRING"},
                                                        {'U', "SHORT_BINSTRING"},
                                                        {'V', "UNICODE"},
                                                        {'d', "DICT"},
                                                        {'g', "GET"},
                                                        {'i', "INST"},
                                                        {'l', "LIST"},
                                                        {'o', "OBJ"},
                                                        {'p', "PUT"},
                                                        {'B', "BINBYTES"},
                                                        {'C', "SHORT_BINBYTES"},
                                                        {0x81, "NEWOBJ"},
                                                        {0x82, "EXT1"},
                                                        {0x83, "EXT2"},
                                                        {0x84, "EXT4"},
                                                        {0x8b, "LONG4"},
                                                        {0x8e, "BINBYTES8"},
                                                        {0x8f, "EMPTY_SET"},
                                                        {0x90, "ADDITEMS"},
                                                        {0x91, "FROZENSET"},
                                                        {0x92, "NEWOBJ_EX"},
                                                        {0x96, "BYTEARRAY8"},
                                                        {0x97, "NEXT_BUFFER"},
                                                        {0x98, "READONLY_BUFFER"}});

constexpr std::uint64_t kLongestGlobal = 256;

}  // namespace

// The pickle machine: a stack with marks, and a memo.
class PickleReader {
 public:
  PickleReader(Pickle& pickle, std::span<const std::byte> bytes, const std::string& where,
               std::span<const std::string_view> allowed, std::string_view class_prefix)
      : pickle_(pickle),
        bytes_(bytes),
        cursor_(bytes, where),
        allowed_(allowed),
        class_prefix_(class_prefix) {
    none_ = make(Kind::none);
    for (const int value : {0, 1}) {
      booleans_[static_cast<std::size_t>(value)] = make(Kind::boolean);
      booleans_[static_cast<std::size_t>(value)]->integer = value;
    }
    empty_tuple_ = make(Kind::tuple);
  }

  const PickleValue* run() {
    const auto first = cursor_.read<std::uint8_t>("the first opcode");
    require(first == kProto, cursor_.where(), "expected a pickle of protocol 2 to 4");
    const auto protocol = cursor_.read<std::uint8_t>("the protocol");
    require(protocol >= 2 && protocol <= 4, cursor_.where(),
            "expected a pickle of protocol 2 to 4, got {}", protocol);
    for (;;) {
      const auto op = cursor_.read<std::uint8_t>("an opcode");
      if (op == kStop) return pop();
      if (!scalar(op) && !container(op) && !reference(op)) refuse(op);
    }
  }

 private:
  PickleValue* make(Kind kind) {
    pickle_.values_.emplace_back().kind = kind;
    return &pickle_.values_.back();
  }

  void push(PickleValue* value) { stack_.push_back(value); }

  template <typename... Args>
  [[noreturn]] void bad(fmt::format_string<Args...> format, Args&&... args) const {
    fail(fmt::format("{}: byte {}", cursor_.where(), cursor_.offset()), format,
         std::forward<Args>(args)...);
  }

  PickleValue* pop() {
    const std::size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() <= floor) bad("expected a value on the pickle's stack, got none");
    PickleValue* value = stack_.back();
    stack_.pop_back();
    return value;
  }

  std::vector<const PickleValue*> pop_to_mark() {
    if (marks_.empty()) bad("expected a mark on the pickle's stack, got none");
    const auto from = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<const PickleValue*> values(from, stack_.end());
    stack_.erase(from, stack_.end());
    marks_.pop_back();
    return values;
  }

  PickleValue* top(Kind kind, const char* what) const {
    const std::size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() <= floor || !stack_.back()->is(kind)) {
      bad("expected {} on the pickle's stack", what);
    }
    return stack_.back();
  }

  void push_integer(std::int64_t value) {
    push(make(Kind::integer));
    stack_.back()->integer = value;
  }

  std::string_view characters(std::uint64_t length) {
    const std::uint64_t at = cursor_.skip(length, "a text");
    return {reinterpret_cast<const char*>(bytes_.data()) + at, length};
  }

  void push_text(std::uint64_t length) {
    const std::string_view text = characters(length);
    push(make(Kind::text));
    stack_.back()->text = text;
  }

  // A little-endian two's complement number of `length` bytes.
  void push_long(std::uint64_t length) {
    if (length > 8) bad("expected an integer of at most 64 bits, got {} bytes", length);
    const std::uint64_t at = cursor_.skip(length, "an integer");
    std::uint64_t value = 0;
    for (std::uint64_t i = 0; i < length; ++i) {
      value |= std::to_integer<std::uint64_t>(bytes_[at + i]) << (8 * i);
    }
    const std::uint64_t unused = 64 - 8 * length;
    if (length > 0) {  // extends the sign
      push_integer(static_cast<std::int64_t>(value << unused) >> unused);
    } else {
      push_integer(0);
    }
  }

  // Floats are big-endian, unlike everything else.
  void push_float() {
    const auto bits = cursor_.read<std::uint64_t>("a number");
    push(make(Kind::real));
    stack_.back()->real = std::bit_cast<double>(__builtin_bswap64(bits));
  }

  bool scalar(std::uint8_t op) {
    switch (op) {
      case kNone:
        push(none_);
        return true;
      case kNewTrue:
      case kNewFalse:
        push(booleans_[op == kNewTrue]);
        return true;
      case kBinInt:
        push_integer(cursor_.read<std::int32_t>("an integer"));
        return true;
      case kBinInt1:
        push_integer(cursor_.read<std::uint8_t>("an integer"));
        return true;
      case kBinInt2:
        push_integer(cursor_.read<std::uint16_t>("an integer"));
        return true;
      case kLong1:
        push_long(cursor_.read<std::uint8_t>("an integer's length"));
        return true;
      case kBinFloat:
        push_float();
        return true;
      case kBinUnicode:
        push_text(cursor_.read<std::uint32_t>("a text's length"));
        return true;
      case kShortBinUnicode:
        push_text(cursor_.read<std::uint8_t>("a text's length"));
        return true;
      case kBinUnicode8:
        push_text(cursor_.read<std::uint64_t>("a text's length"));
        return true;
      case kFrame:
        cursor_.skip(8, "a frame's length");
        return true;
      default:
        return false;
    }
  }

  void push_tuple(std::vector<const PickleValue*> items) {
    push(make(Kind::tuple));
    stack_.back()->items = std::move(items);
  }

  void push_tuple_of(int count) {
    std::vector<const PickleValue*> items(static_cast<std::size_t>(count));
    for (auto item = items.rbegin(); item != items.rend(); ++item) *item = pop();
    push_tuple(std::move(items));
  }

  bool container(std::uint8_t op) {
    switch (op) {
      case kMark:
        marks_.push_back(stack_.size());
        return true;
      case kEmptyDict:
        push(make(Kind::dict));
        return true;
      case kEmptyList:
        push(make(Kind::list));
        return true;
      case kEmptyTuple:
        push(empty_tuple_);
        return true;
      case kTuple1:
      case kTuple2:
      case kTuple3:
        push_tuple_of(op - kTuple1 + 1);
        return true;
      case kTuple:
        push_tuple(pop_to_mark());
        return true;
      case kAppend: {
        const PickleValue* item = pop();
        extend(Kind::list, {item});
        return true;
      }
      case kAppends:
        extend(Kind::list, pop_to_mark());
        return true;
      case kSetItem: {
        const PickleValue* value = pop();
        const PickleValue* key = pop();
        extend(Kind::dict, {key, value});
        return true;
      }
      case kSetItems:
        extend(Kind::dict, pop_to_mark());
        return true;
      default:
        return false;
    }
  }

  void extend(Kind kind, const std::vector<const PickleValue*>& items) {
    PickleValue* target = top(kind, kind == Kind::dict ? "a dict" : "a list");
    if (kind == Kind::dict && items.size() % 2 != 0) bad("expected keys with values in a dict");
    target->items.insert(target->items.end(), items.begin(), items.end());
  }

  std::string_view line() {
    const std::uint64_t begin = cursor_.offset();
    const auto rest = bytes_.subspan(begin, std::min(cursor_.remaining(), kLongestGlobal));
    const auto end = std::find(rest.begin(), rest.end(), std::byte{'\n'});
    if (end == rest.end()) bad("expected a name of at most {} characters", kLongestGlobal);
    const auto length = static_cast<std::uint64_t>(end - rest.begin());
    const std::string_view text = characters(length);
    cursor_.skip(1, "a line's end");
    return text;
  }

  void push_global(std::string_view module, std::string_view name) {
    std::string full = fmt::format("{}.{}", module, name);
    if (full.size() > kLongestGlobal)
      bad("expected a name of at most {} characters", kLongestGlobal);
    if (std::find(allowed_.begin(), allowed_.end(), full) == allowed_.end() && !is_class(full)) {
      for (char& c : full) c = c >= 0x20 && c < 0x7f ? c : '?';
      bad("refused the global '{}': checkpoints are read as data, and nothing in them is executed "
          "(to keep only the tensors, save the model's state_dict() with torch.save)",
          full);
    }
    pickle_.names_.push_back(std::move(full));
    push(make(Kind::global));
    stack_.back()->text = pickle_.names_.back();
  }

  bool is_class(std::string_view name) const {
    return !class_prefix_.empty() && name.starts_with(class_prefix_);
  }

  // An object stays a description of one: its class, and its state once that is set.
  void new_object() {
    const PickleValue* arguments = pop();
    const PickleValue* type = pop();
    if (!type->is(Kind::global) || !is_class(type->text) || !arguments->is(Kind::tuple) ||
        !arguments->items.empty()) {
      bad("expected an object of a class that may be named, without arguments");
    }
    push(make(Kind::object));
    stack_.back()->items = {type};
  }

  void build() {
    const PickleValue* state = pop();
    const std::size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() > floor && stack_.back()->is(Kind::object)) {
      stack_.back()->items = {stack_.back()->items.front(), state};
      return;
    }
    // Attributes such as a state dict's version: nobody needs them.
    top(Kind::dict, "a dict to set attributes of");
  }

  // A call stays a description of one; but an OrderedDict is a dict, to be filled.
  void reduce() {
    const PickleValue* arguments = pop();
    const PickleValue* function = pop();
    if (!function->is(Kind::global) || !arguments->is(Kind::tuple)) {
      bad("expected a call of a global with a tuple of arguments");
    }
    if (function->text == "collections.OrderedDict") {
      if (!arguments->items.empty()) bad("expected OrderedDict() without arguments");
      return push(make(Kind::dict));
    }
    push(make(Kind::call));
    stack_.back()->items = {function, arguments};
  }

  bool reference(std::uint8_t op) {
    switch (op) {
      case kGlobal: {
        const std::string_view module = line();
        push_global(module, line());
        return true;
      }
      case kStackGlobal: {
        const PickleValue* name = pop();
        const PickleValue* module = pop();
        if (!name->is(Kind::text) || !module->is(Kind::text)) bad("expected a global's names");
        push_global(module->text, name->text);
        return true;
      }
      case kReduce:
        reduce();
        return true;
      case kBuild:
        build();
        return true;
      case kNewObj:
        if (class_prefix_.empty()) refuse(op);
        new_object();
        return true;
      case kBinPersId: {
        const PickleValue* id = pop();
        push(make(Kind::persistent));
        stack_.back()->items = {id};
        return true;
      }
      default:
        return memo(op);
    }
  }

  bool memo(std::uint8_t op) {
    switch (op) {
      case kBinPut:
        remember(cursor_.read<std::uint8_t>("a memo's number"));
        return true;
      case kLongBinPut:
        remember(cursor_.read<std::uint32_t>("a memo's number"));
        return true;
      case kMemoize:
        remember(static_cast<std::uint32_t>(memo_.size()));
        return true;
      case kBinGet:
        recall(cursor_.read<std::uint8_t>("a memo's number"));
        return true;
      case kLongBinGet:
        recall(cursor_.read<std::uint32_t>("a memo's number"));
        return true;
      default:
        return false;
    }
  }

  void remember(std::uint32_t number) {
    if (stack_.empty()) bad("expected a value on the pickle's stack, got none");
    memo_[number] = stack_.back();
  }

  void recall(std::uint32_t number) {
    const auto found = memo_.find(number);
    if (found == memo_.end()) bad("expected a memo that was set, got number {}", number);
    push(found->second);
  }

  [[noreturn]] void refuse(std::uint8_t op) const {
    for (const NamedOp& known : kRefused) {
      if (known.code == op) {
        bad("refused the pickle opcode {}: state dicts of plain tensors do not need it",
            known.name);
      }
    }
    bad("expected a pickle opcode, got {:#04x}", op);
  }

  Pickle& pickle_;
  std::span<const std::byte> bytes_;
  ByteCursor cursor_;
  std::span<const std::string_view> allowed_;
  std::string_view class_prefix_;
  std::vector<PickleValue*> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint32_t, PickleValue*> memo_;
  PickleValue* none_ = nullptr;
  std::array<PickleValue*, 2> booleans_{};
  PickleValue* empty_tuple_ = nullptr;
};

Pickle::Pickle(std::span<const std::byte> bytes, const std::string& where,
               std::span<const std::string_view> allowed, std::string_view class_prefix) {
  root_ = PickleReader(*this, bytes, where, allowed, class_prefix).run();
}

const PickleValue* PickleValue::find(std::string_view key) const {
  if (!is(Kind::dict)) return nullptr;
  for (std::size_t i = items.size(); i >= 2; i -= 2) {  // the last assignment counts
    if (items[i - 2]->is(Kind::text) && items[i - 2]->text == key) return items[i - 1];
  }
  return nullptr;
}

}  // namespace massact
