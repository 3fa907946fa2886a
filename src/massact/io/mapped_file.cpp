#include "massact/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "massact/base/error.h"
#include "massact/io/file_descriptor.h"

namespace massact {
namespace {

std::uint64_t page_size() {
  static const auto size = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

void advise(std::span<const std::byte> bytes, std::uint64_t first, std::uint64_t last, int advice) {
  if (first >= last) return;
  // madvise wants a writable pointer although these two hints change nothing.
  ::madvise(const_cast<std::byte*>(bytes.data()) + first, last - first, advice);
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const std::string name = path.string();
  // Non-blocking: opening a pipe that nobody writes to must not hang.
  const FileDescriptor file(::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  require(file.get() >= 0, name, "expected a readable file, got: {}", std::strerror(errno));
  struct stat status {};
  require(::fstat(file.get(), &status) == 0, name, "expected a readable file, got: {}",
          std::strerror(errno));
  require(!S_ISDIR(status.st_mode), name, "expected a file, got a directory");
  require(S_ISREG(status.st_mode), name, "expected a regular file, got a device, pipe or socket");
  require(status.st_size > 0, name, "expected a file with contents, got an empty file");
  const auto size = static_cast<std::size_t>(status.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  require(data != MAP_FAILED, name, "expected to map {} bytes, got: {}", size,
          std::strerror(errno));
  return std::shared_ptr<const MappedFile>(
      new MappedFile(path, {static_cast<const std::byte*>(data), size}));
}

MappedFile::~MappedFile() { ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size()); }

void MappedFile::will_need(std::uint64_t offset, std::uint64_t count) const {
  const std::uint64_t size = bytes_.size();
  const std::uint64_t first = std::min(offset, size) / page_size() * page_size();
  advise(bytes_, first, std::min(offset, size) + std::min(count, size - std::min(offset, size)),
         MADV_WILLNEED);
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
