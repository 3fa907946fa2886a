// Python pickles as data: a restricted reader that builds plain values and nothing else. No object
// is constructed and no function is called, whatever the file says: the few globals that
// checkpoints need are names that the caller interprets.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace massact {

/// A value of a pickle. Values refer to each other by pointers into their Pickle (also in cycles:
/// walk them with a limit).
struct PickleValue {
  enum class Kind : std::uint8_t {
    none,
    boolean,     ///< integer
    integer,     ///< integer
    real,        ///< real
    text,        ///< text
    list,        ///< items
    tuple,       ///< items
    dict,        ///< items: key, value, key, value, …
    global,      ///< text: "module.name"
    call,        ///< items: the global and its arguments (a tuple)
    object,      ///< items: its class (a global) and, where it was set, its state
    persistent,  ///< items: the id
  };

  Kind kind = Kind::none;
  std::int64_t integer = 0;
  double real = 0.0;
  std::string_view text;
  std::vector<const PickleValue*> items;

  bool is(Kind wanted) const { return kind == wanted; }
  /// The value under a text key of a dict, or null.
  const PickleValue* find(std::string_view key) const;
};

/// A pickle that has been read. `bytes` must outlive it.
class Pickle {
 public:
  /// Reads protocols 2 to 4 with the opcodes that plain data and tensors need. `allowed` are the
  /// globals ("collections.OrderedDict") that may be named; those that begin with `class_prefix`,
  /// if it is not empty, may be named as classes and have objects (descriptions: nothing is made).
  /// Throws Error naming `where`, the byte, and the opcode or global that is refused.
  Pickle(std::span<const std::byte> bytes, const std::string& where,
         std::span<const std::string_view> allowed, std::string_view class_prefix = "");

  const PickleValue& root() const { return *root_; }

 private:
  friend class PickleReader;
  std::deque<PickleValue> values_;  // stable addresses
  std::deque<std::string> names_;   // of globals: text that stands nowhere in the file
  const PickleValue* root_ = nullptr;
};

}  // namespace massact
