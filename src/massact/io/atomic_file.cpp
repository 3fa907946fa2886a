#include "massact/io/atomic_file.h"

#include <fcntl.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "massact/base/error.h"

namespace massact {
namespace {

// Unique within the process; the process id makes it unique on the machine.
std::filesystem::path temporary_beside(const std::filesystem::path& target) {
  static std::atomic<unsigned> counter{0};
  return target.parent_path() /
         fmt::format(".{}.{}-{}.tmp", target.filename().string(), ::getpid(), counter.fetch_add(1));
}

std::span<const std::byte> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path target) : target_(std::move(target)) {
  require(target_.has_filename(), target_.string(), "expected a file name, got a directory");
  require(!std::filesystem::is_directory(target_), target_.string(),
          "expected a file to write, got a directory");
  temporary_ = temporary_beside(target_);
  // A plain open, unlike mkstemp, gives the permissions that the user's umask asks for.
  file_ = FileDescriptor(::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (file_.get() < 0) fail_write("create a file beside it");
}

AtomicFile::~AtomicFile() {
  if (file_.get() >= 0) ::unlink(temporary_.c_str());
}

void AtomicFile::fail_write(std::string_view doing) const {
  const int error = errno;
  fail(target_.string(), "expected to {}, got: {}{}", doing, std::strerror(error),
       error == ENOSPC ? " (free some space or choose another directory)" : "");
}

void AtomicFile::reserve(std::uint64_t bytes) {
  if (bytes == 0) return;
  if (::fallocate(file_.get(), 0, 0, static_cast<off_t>(bytes)) == 0) return;
  // Not every file system can reserve; those only get their length.
  if (errno != EOPNOTSUPP) fail_write(fmt::format("reserve {} bytes", bytes));
  if (::ftruncate(file_.get(), static_cast<off_t>(bytes)) != 0) fail_write("set the file's size");
}

void AtomicFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_write(fmt::format("write {} bytes", bytes.size()));
    offset += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::append(std::span<const std::byte> bytes) {
  write_at(appended_, bytes);
  appended_ += bytes.size();
}

void AtomicFile::append(std::string_view text) { append(as_bytes(text)); }

void AtomicFile::commit() {
  if (::fsync(file_.get()) != 0) fail_write("write everything to disk");
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail_write("replace it");
  ::close(file_.release());
  // The rename itself is durable once the directory is; a failure here loses nothing visible.
  const std::filesystem::path parent = target_.has_parent_path() ? target_.parent_path() : ".";
  const FileDescriptor directory(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) ::fsync(directory.get());
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.append(text);
  file.commit();
}

}  // namespace massact
