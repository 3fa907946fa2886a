#include "massact/io/atomic_file.h"

#include <fcntl.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "massact/base/error.h"

namespace massact {
namespace {

constexpr int kMostLinks = 40;  // as the kernel

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
  namespace fs = std::filesystem;
  const std::string name = target_.string();
  require(target_.has_filename(), name, "expected a file name, got a directory");
  std::error_code ignored, error;
  // Also where what it points to is not there yet.
  for (int links = 0; fs::is_symlink(target_, ignored) && !error; ++links) {
    require(links < kMostLinks, name, "expected a file to write, got a loop of links");
    target_ = target_.parent_path() / fs::read_symlink(target_, error);  // or an absolute one
  }
  require(!error, name, "expected a file to write, got: {}", error.message());
  const fs::file_type type = fs::status(target_, ignored).type();
  require(type != fs::file_type::directory, name, "expected a file to write, got a directory");
  require(type == fs::file_type::regular || type == fs::file_type::not_found ||
              type == fs::file_type::none,
          name, "expected a regular file to write, got a device, pipe or socket");
  temporary_ = temporary_beside(target_);
  open_temporary();
}

AtomicFile::~AtomicFile() {
  if (has_name_) ::unlink(temporary_.c_str());
}

// A plain open, unlike mkstemp, gives the permissions that the user's umask asks for.
void AtomicFile::open_temporary() {
  const std::filesystem::path directory = target_.has_parent_path() ? target_.parent_path() : ".";
  // Only through /proc can it get a name later.
  if (::access("/proc/self/fd", X_OK) == 0) {
    file_ = FileDescriptor(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666));
    if (file_.get() >= 0) return;
  }
  file_ = FileDescriptor(::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (file_.get() < 0) fail_write("create a file beside it");
  has_name_ = true;
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
  // A file without a name gets one first: a link cannot replace another file.
  if (!has_name_) {
    const std::string unnamed = fmt::format("/proc/self/fd/{}", file_.get());
    if (::linkat(AT_FDCWD, unnamed.c_str(), AT_FDCWD, temporary_.c_str(), AT_SYMLINK_FOLLOW) != 0)
      fail_write("give it a name");
    has_name_ = true;
  }
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail_write("replace it");
  has_name_ = false;
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
