// Mapped files, files written aside, near names.
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

#include "massact/base/suggest.h"
#include "massact/io/atomic_file.h"
#include "massact/io/mapped_file.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

using io_test::error_of;
using io_test::TemporaryDirectory;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(MappedFile, ShowsTheBytesAndSurvivesHints) {
  const TemporaryDirectory directory;
  std::string contents(3 * 4096 + 17, 'x');
  contents[5000] = 'y';
  const auto file = MappedFile::open(directory.write("weights", contents));
  ASSERT_EQ(file->bytes().size(), contents.size());
  file->will_need(4000, 5000);
  file->release(0, contents.size());
  // Ranges outside the file are only hints about nothing.
  file->will_need(1 << 20, 1);
  file->release(100, ~std::uint64_t{0});
  EXPECT_EQ(std::memcmp(file->bytes().data(), contents.data(), contents.size()), 0);
}

TEST(MappedFile, NamesWhatIsWrong) {
  const TemporaryDirectory directory;
  const auto open = [](const std::filesystem::path& path) {
    return error_of([&] { MappedFile::open(path); });
  };
  EXPECT_THAT(open(directory / "none"), HasSubstr("none] expected a readable file, got: No such"));
  EXPECT_THAT(open(directory.path()), HasSubstr("got a directory"));
  EXPECT_THAT(open(directory.write("empty", "")), HasSubstr("got an empty file"));
  const auto pipe = directory / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(open(pipe), HasSubstr("expected a regular file"));
}

TEST(AtomicFile, AppearsOnlyOnCommit) {
  const TemporaryDirectory directory;
  const auto target = directory.write("result.json", "old");
  {
    AtomicFile file(target);
    file.append("half of the new");
  }
  EXPECT_EQ(io_test::read_all(target), "old");
  EXPECT_EQ(directory.file_count(), 1u) << "the temporary file stayed";
  AtomicFile file(target);
  file.append("new ");
  file.append("contents");
  EXPECT_EQ(io_test::read_all(target), "old");
  file.commit();
  EXPECT_EQ(io_test::read_all(target), "new contents");
  EXPECT_EQ(directory.file_count(), 1u);
}

TEST(AtomicFile, RefusesPlacesThatCannotBeWritten) {
  const TemporaryDirectory directory;
  EXPECT_THAT(error_of([&] { write_file_atomically(directory / "no/such/dir/file", "x"); }),
              HasSubstr("no/such/dir/file] expected to create a file beside it, got: No such"));
  EXPECT_THAT(error_of([&] { write_file_atomically(directory.path(), "x"); }),
              HasSubstr("got a directory"));
}

TEST(AtomicFile, ReplacesRegularFilesOnly) {
  const TemporaryDirectory directory;
  const auto pipe = directory / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(error_of([&] { write_file_atomically(pipe, "x"); }),
              HasSubstr("pipe] expected a regular file to write, got a device, pipe or socket"));
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  const auto target = directory.write("target", "old"), link = directory / "link";
  std::filesystem::create_symlink("target", link);
  write_file_atomically(link, "new");
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(io_test::read_all(target), "new");
  const auto dangling = directory / "dangling", loop = directory / "loop";
  std::filesystem::create_symlink("later", dangling);
  write_file_atomically(dangling, "made");
  EXPECT_TRUE(std::filesystem::is_symlink(dangling));
  EXPECT_EQ(io_test::read_all(directory / "later"), "made");
  std::filesystem::create_symlink("loop", loop);
  EXPECT_THAT(error_of([&] { write_file_atomically(loop, "x"); }), HasSubstr("loop of links"));
}

// A limit on file sizes stands in for a full disk: the same calls fail, with another errno.
class LimitedFileSize {
 public:
  explicit LimitedFileSize(rlim_t bytes) {
    old_handler_ = std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &old_limit_);
    const rlimit limit{bytes, old_limit_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~LimitedFileSize() {
    ::setrlimit(RLIMIT_FSIZE, &old_limit_);
    std::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_limit_{};
  void (*old_handler_)(int) = nullptr;
};

TEST(AtomicFile, ReportsThatItCannotGrowAndLeavesNothing) {
  const TemporaryDirectory directory;
  {
    const LimitedFileSize limit(1000);
    EXPECT_THAT(error_of([&] { write_file_atomically(directory / "big", std::string(2000, 'x')); }),
                HasSubstr("big] expected to write"));
    EXPECT_THAT(error_of([&] { AtomicFile(directory / "big").reserve(5000); }),
                HasSubstr("big] expected to reserve 5000 bytes, got: File too large"));
  }
  EXPECT_EQ(directory.file_count(), 0u);
}

TEST(NearNames, RanksByEditDistance) {
  const std::vector<std::string> known = {"model.norm.weight", "model.layers.0.mlp.up_proj.weight",
                                          "model.layers.1.mlp.up_proj.weight", "x"};
  EXPECT_THAT(
      near_names("model.layers.0.mlp.up_prj.weight", known),
      ElementsAre("model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight"));
  EXPECT_THAT(near_names("completely different", known), ElementsAre());
  EXPECT_THAT(near_names("", known), ElementsAre());
  EXPECT_THAT(nearest("y", known, 1), ElementsAre("x"));
}

TEST(NearNames, LongListsAreCut) {
  const std::vector<std::string> names = {"a", "b", "c"};
  EXPECT_EQ(list_names(names), "a, b, c");
  EXPECT_EQ(list_names(names, 2), "a, b and 1 more");
}

}  // namespace
}  // namespace massact
