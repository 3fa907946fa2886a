#include "massact/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "massact/base/error.h"

namespace massact {
namespace {

// Of a longer request the system reads only the beginning (its readahead window).
constexpr std::uint64_t kReadAhead = 128 << 10;

std::uint64_t page_size() {
  static const auto size = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

void advise(std::span<const std::byte> bytes, std::uint64_t first, std::uint64_t last, int advice) {
  if (first >= last) return;
  // madvise wants a writable pointer although this hint changes nothing.
  ::madvise(const_cast<std::byte*>(bytes.data()) + first, last - first, advice);
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const std::string name = path.string();
  // Non-blocking: opening a pipe that nobody writes to must not hang.
  FileDescriptor file(::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  require(file.get() >= 0, name, "expected a readable file, got: {}", std::strerror(errno));
  struct stat status {};
  const int unknown = ::fstat(file.get(), &status) == 0 ? 0 : errno;
  require(unknown == 0, name, "expected a readable file, got: {}", std::strerror(unknown));
  require(!S_ISDIR(status.st_mode), name, "expected a file, got a directory");
  require(S_ISREG(status.st_mode), name, "expected a regular file, got a device, pipe or socket");
  require(status.st_size > 0, name, "expected a file with contents, got an empty file");
  const auto size = static_cast<std::size_t>(status.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  require(data != MAP_FAILED, name, "expected to map {} bytes, got: {}", size,
          std::strerror(errno));
  return std::shared_ptr<const MappedFile>(
      new MappedFile(path, std::move(file), {static_cast<const std::byte*>(data), size}));
}

MappedFile::~MappedFile() { ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size()); }

void MappedFile::copy(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t got = ::pread(file_.get(), out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    require(got > 0, path_.string(), "expected {} bytes at byte {}, got: {}", out.size(), offset,
            got == 0 ? "the end of the file" : std::strerror(errno));
    offset += static_cast<std::uint64_t>(got);
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

void MappedFile::will_need(std::uint64_t offset, std::uint64_t count) const {
  const std::uint64_t size = bytes_.size(), begin = std::min(offset, size);
  const std::uint64_t end = begin + std::min(count, size - begin);
  for (std::uint64_t at = begin; at < end; at += kReadAhead) {
    ::posix_fadvise(file_.get(), static_cast<off_t>(at),
                    static_cast<off_t>(std::min(kReadAhead, end - at)), POSIX_FADV_WILLNEED);
  }
  // Reading a byte of each part waits for it without mapping its pages.
  for (std::uint64_t at = begin; at < end; at += kReadAhead) {
    char byte = 0;
    const auto last = static_cast<off_t>(std::min(at + kReadAhead, end) - 1);
    if (::pread(file_.get(), &byte, 1, last) != 1) return;
  }
}

void MappedFile::release(std::uint64_t offset, std::uint64_t count) const {
  const std::uint64_t size = bytes_.size();
  const std::uint64_t begin = std::min(offset, size);
  const std::uint64_t end = begin + std::min(count, size - begin);
  const std::uint64_t first = (begin + page_size() - 1) / page_size() * page_size();
  // The last page of the file belongs to the range if the range reaches the end of the file.
  const std::uint64_t last = end == size ? end : end / page_size() * page_size();
  advise(bytes_, first, last, MADV_DONTNEED);
}

}  // namespace massact
