#include "massact/image/image_set.h"

#include "massact/base/threads.h"
#include "unit/image/image_test.h"

namespace massact {
namespace {

namespace fs = std::filesystem;
using image_test::images_folder;
using io_test::error_of;
using testing::ElementsAre;
using testing::HasSubstr;

class ImageSet : public testing::Test {
 protected:
  void add(const std::string& name, const char* from = "rgb.png") {
    fs::create_directories((folder_ / name).parent_path());
    fs::copy_file(images_folder() / "files" / from, folder_ / name);
  }
  void write(const std::string& name, std::string_view bytes) {
    fs::create_directories((folder_ / name).parent_path());
    folder_.write(name, bytes);
  }
  ImageList list(const std::string& name = "") {
    const std::vector<fs::path> paths = {name.empty() ? folder_.path() : folder_ / name};
    return list_images(paths);
  }
  std::vector<std::string> names(const ImageList& images) {
    std::vector<std::string> found;
    for (const ImageEntry& entry : images.entries) {
      found.push_back(entry.path.lexically_relative(folder_.path()));
    }
    return found;
  }
  static std::vector<std::int64_t> labels(const ImageList& images) {
    std::vector<std::int64_t> found;
    for (const ImageEntry& entry : images.entries) found.push_back(entry.label.value_or(-1));
    return found;
  }
  static Preprocess steps() { return read_preprocess(images_folder() / "preprocess/vit"); }
  ImageFiles files(ImageFilesOptions options = {}) {
    return ImageFiles(list(), steps(), options, threads_);
  }

  io_test::TemporaryDirectory folder_;
  Threads threads_{3};
};

TEST_F(ImageSet, FoldersAreSortedAndOthersPassedOver) {
  add("b.png");
  add("deep/er/a.jpg", "rgb.jpg");
  add("no-extension");
  add("misnamed.txt", "lossy.webp");
  write("notes.txt", "not a picture");
  write("zero.txt", "");
  add(".hidden/x.png");
  const ImageList images = list();
  EXPECT_THAT(names(images), ElementsAre("b.png", "deep/er/a.jpg", "misnamed.txt", "no-extension"));
  EXPECT_EQ(images.passed_over, 2);
  EXPECT_FALSE(images.labelled());
}

TEST_F(ImageSet, FoldersOfFoldersAreClasses) {
  add("dog/1.png");
  add("cat/2.png");
  add("cat/more/3.png");
  write("LICENSE.txt", "words");
  const ImageList images = list();
  EXPECT_THAT(images.classes, ElementsAre("cat", "dog"));
  EXPECT_THAT(names(images), ElementsAre("cat/2.png", "cat/more/3.png", "dog/1.png"));
  EXPECT_THAT(labels(images), ElementsAre(0, 0, 1));
}

TEST_F(ImageSet, OneFolderInAFolderIsNoClass) {
  add("pictures/1.png");
  EXPECT_FALSE(list().labelled());
}

TEST_F(ImageSet, CsvLists) {
  add("x/a.png");
  add("x/b, c.png");
  write("x/list.csv", "Path,Label\r\na.png,10\r\n\"b, c.png\",9\r\n");
  const ImageList images = list("x/list.csv");
  EXPECT_THAT(names(images), ElementsAre("x/a.png", "x/b, c.png"));
  EXPECT_THAT(images.classes, ElementsAre("9", "10"));  // numbers, not texts
  EXPECT_THAT(labels(images), ElementsAre(1, 0));
  write("x/plain.csv", "a.png\n");
  EXPECT_FALSE(list("x/plain.csv").labelled());
}

TEST_F(ImageSet, CsvMistakesNameTheLine) {
  add("a.png");
  write("missing.csv", "a.png,1\nnone.png,2\n");
  EXPECT_THAT(error_of([&] { list("missing.csv"); }), HasSubstr("line 2"));
  write("half.csv", "a.png,1\na.png\n");
  EXPECT_THAT(error_of([&] { list("half.csv"); }), HasSubstr("1 of 2"));
  write("fields.csv", "a.png,1,2\n");
  EXPECT_THAT(error_of([&] { list("fields.csv"); }), HasSubstr("3 fields"));
  write("quote.csv", "\"a.png,1\n");
  EXPECT_THAT(error_of([&] { list("quote.csv"); }), HasSubstr("quote"));
}

TEST_F(ImageSet, NothingToReadIsAnError) {
  write("a.txt", "words");
  EXPECT_THAT(error_of([&] { list(); }), HasSubstr("found none (1 other files)"));
  EXPECT_THAT(error_of([&] { list("nowhere"); }), HasSubstr("nowhere"));
}

TEST_F(ImageSet, LabelsDoNotMix) {
  add("tree/a/1.png");
  add("tree/b/2.png");
  add("c.png");
  const std::vector<fs::path> paths = {folder_ / "c.png", folder_ / "tree"};
  EXPECT_THAT(error_of([&] { list_images(paths); }), HasSubstr("labels"));
}

TEST_F(ImageSet, ReadsPixelsFromManyThreads) {
  add("a.png");
  add("b.jpg", "rgb.jpg");
  add("c.webp", "lossy.webp");
  const ImageFiles images = files();
  ASSERT_EQ(images.count(), 3);
  const std::size_t size = static_cast<std::size_t>(3 * images.height() * images.width());
  std::vector<std::vector<float>> alone(3, std::vector<float>(size));
  for (std::int64_t i = 0; i < 3; ++i) images.read(i, alone[i]);
  EXPECT_NE(alone[0], alone[1]);
  std::vector<std::vector<float>> together(48, std::vector<float>(size));
  threads_.parallel_for(48, [&](std::int64_t i, int) { images.read(i % 3, together[i]); });
  for (std::size_t i = 0; i < together.size(); ++i) EXPECT_EQ(together[i], alone[i % 3]);
  EXPECT_THAT(images.name(1), HasSubstr("b.jpg"));
}

TEST_F(ImageSet, BrokenImagesAreErrorsOrSkipped) {
  const std::string whole = io_test::read_all(images_folder() / "files/rgb.jpg");
  add("a.png");
  write("b.jpg", whole.substr(0, whole.size() / 2));
  write("c.png", "");
  add("d.png");
  EXPECT_THAT(error_of([&] { files(); }), HasSubstr("c.png"));
  const ImageFiles images = files({.skip_bad = true});
  EXPECT_THAT(names(images.list()), ElementsAre("a.png", "d.png"));
  ASSERT_EQ(images.skipped().size(), 2u);
  EXPECT_EQ(images.skipped()[0].path, folder_ / "b.jpg");
  EXPECT_THAT(images.skipped()[0].reason, HasSubstr("truncated"));
  const ImageFiles first = files({.skip_bad = true, .max_images = 1});
  EXPECT_EQ(first.count(), 1);
}

TEST_F(ImageSet, AFewOfALabelledTreeAreOfAllClasses) {
  for (const char* name : {"a/0.png", "a/1.png", "a/2.png", "b/0.png", "b/1.png", "b/2.png"}) {
    std::filesystem::create_directories((folder_ / name).parent_path());
    add(name);
  }
  const ImageFiles few = files({.max_images = 2});
  EXPECT_THAT(names(few.list()), ElementsAre("a/0.png", "b/0.png"));
  EXPECT_EQ(few.entry(0).label, 0);
  EXPECT_EQ(few.entry(1).label, 1);
  write("b/0.png", "");
  const ImageFiles good = files({.skip_bad = true, .max_images = 3});
  ASSERT_EQ(good.count(), 3);
  EXPECT_EQ(good.entry(0).label, 0);
  EXPECT_EQ(good.entry(2).label, 1);
}

TEST_F(ImageSet, ErrorsWhileReadingNameTheFile) {
  const std::string whole = io_test::read_all(images_folder() / "files/rgb.jpg");
  write("b.jpg", whole.substr(0, whole.size() / 2));
  const ImageFiles images = files();
  std::vector<float> pixels(static_cast<std::size_t>(3 * images.height() * images.width()));
  EXPECT_THAT(error_of([&] { images.read(0, pixels); }), HasSubstr("b.jpg"));
}

TEST_F(ImageSet, OnlyBrokenImagesIsAnError) {
  write("a.png", "");
  EXPECT_THAT(error_of([&] { files({.skip_bad = true}); }), HasSubstr("1 broken"));
}

}  // namespace
}  // namespace massact
