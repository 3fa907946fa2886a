// The zip archives of torch.save and torch.jit.save: a pickle, and one stored entry per storage.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "massact/io/mapped_weights.h"
#include "massact/io/pickle.h"
#include "massact/io/zip.h"

namespace massact {

/// What stands in a pickle for a tensor, also inside a parameter; null if the value is neither.
const PickleValue* as_tensor(const PickleValue& value);

/// The name in a dict's key or a module's attribute, `prefix` before it. Throws Error for what is
/// no name: more than 1,024 bytes in all (a small pickle may repeat a long text without end), or
/// control characters.
std::string tensor_name(std::string_view text, const std::string& where,
                        std::string_view prefix = "");

/// The pieces of an archive: NAME/data.pkl, NAME/data/0, …. Immutable.
class TorchArchive {
 public:
  /// Maps the file. Throws Error naming it if it is no such archive.
  explicit TorchArchive(const std::filesystem::path& path);

  const std::string& name() const { return name_; }
  /// True if torch.jit.save wrote it: the pickle's root is an object with tensors in its state, and
  /// there is code beside it, which is left alone.
  bool is_script() const { return is_script_; }

  /// Reads data.pkl. Objects (of the script's classes, `__torch__.…`) only occur in scripts.
  Pickle read_pickle() const;

  /// Where the tensor of `call` (as_tensor) is, checked against its storage.
  MappedTensor place(const PickleValue& call, std::string name) const;

 private:
  void require_zip() const;
  void find_root();
  void check_byte_order() const;
  const ZipEntry& storage(const PickleValue& id, DType type, const std::string& where) const;

  std::shared_ptr<const MappedFile> file_;
  std::string name_;
  std::map<std::string, ZipEntry, std::less<>> entries_;
  std::string root_;  // "archive/"
  bool is_script_ = false;
};

}  // namespace massact
