#include "massact/observe/dump.h"

#include <gtest/gtest.h>

#include "massact/base/error.h"
#include "unit/observe/synthetic.h"

namespace massact::observe {
namespace {

using massact::testing::gaussian;
using massact::testing::Hidden;

ModelConfig small_config() {
  ModelConfig config;
  config.layers = 2;
  config.width = 6;
  config.heads = 3;
  config.kv_heads = 1;
  config.head_size = 2;
  config.mlp_size = 5;
  config.vocab = 11;
  return config;
}

struct Piece {
  Site site;
  std::int64_t sequence, positions, first, head;
};

void show_piece(Dump& dump, const Piece& piece, FloatMatrix values) {
  Threads threads(1);
  const std::vector<std::int32_t> tokens(static_cast<std::size_t>(piece.positions), 1);
  SiteView view;
  view.site = piece.site;
  view.sequence = piece.sequence;
  view.tokens = tokens;
  view.first_position = piece.first;
  view.head = piece.head;
  view.values = values;
  dump.observe(view, threads);
}

class DumpTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::path(::testing::TempDir()) /
            (std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()) +
             ".safetensors");
    std::filesystem::remove(path_);
  }
  std::vector<float> read(const std::string& name, const Shape& shape) const {
    const auto file = open_safetensors(path_);
    const TensorInfo& info = file->info(name);
    EXPECT_EQ(info.shape, shape) << info.shape.to_string();
    EXPECT_EQ(info.type, DType::f32);
    std::vector<float> values(static_cast<std::size_t>(info.shape.element_count()));
    file->read(name, 0, std::ssize(values), values.data());
    return values;
  }
  std::filesystem::path path_;
};

TEST_F(DumpTest, StacksSequencesOfOneLength) {
  const Site post{SiteKind::resid_post, 1}, pattern{SiteKind::pattern, 0}, q{SiteKind::q, 0};
  Dump dump(path_, {post, pattern, q}, small_config(), {4, 4}, {{"model", "tiny"}});
  std::vector<float> want_post, want_pattern, want_q;
  for (std::int64_t s = 0; s < 2; ++s) {
    // A view into a wider matrix, in two pieces.
    Hidden wide = gaussian(4, 9, static_cast<std::uint64_t>(s));
    const FloatMatrix values = wide.view().slice_cols(2, 6);
    show_piece(dump, {post, s, 4, 0, -1}, values.slice_rows(0, 3));
    show_piece(dump, {post, s, 4, 3, -1}, values.slice_rows(3, 1));
    for (std::int64_t r = 0; r < 4; ++r) {
      want_post.insert(want_post.end(), values.row(r), values.row(r) + 6);
    }
    for (std::int64_t head = 0; head < 3; ++head) {
      Hidden map = gaussian(4, 4, static_cast<std::uint64_t>(10 * s + head + 5));
      show_piece(dump, {pattern, s, 4, 0, head}, map.view().slice_rows(0, 2));
      show_piece(dump, {pattern, s, 4, 2, head}, map.view().slice_rows(2, 2));
      want_pattern.insert(want_pattern.end(), map.values.begin(), map.values.end());
    }
    Hidden queries = gaussian(4, 6, static_cast<std::uint64_t>(s + 70));
    show_piece(dump, {q, s, 4, 0, -1}, queries.view());
    want_q.insert(want_q.end(), queries.values.begin(), queries.values.end());
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
  dump.commit();
  EXPECT_EQ(read("blocks.1.hook_resid_post", {2, 4, 6}), want_post);
  EXPECT_EQ(read("blocks.0.attn.hook_pattern", {2, 3, 4, 4}), want_pattern);
  EXPECT_EQ(read("blocks.0.attn.hook_q", {2, 4, 3, 2}), want_q);
  EXPECT_EQ(read_safetensors_metadata(path_).at("model"), "tiny");
}

TEST_F(DumpTest, KeepsSequencesOfDifferentLengthsApart) {
  const Site post{SiteKind::resid_post, 0};
  Dump dump(path_, {post}, small_config(), {2, 3});
  Hidden first = gaussian(2, 6, 1), second = gaussian(3, 6, 2);
  show_piece(dump, {post, 0, 2, 0, -1}, first.view());
  show_piece(dump, {post, 1, 3, 0, -1}, second.view());
  dump.commit();
  EXPECT_EQ(read("seq0/blocks.0.hook_resid_post", {2, 6}), first.values);
  EXPECT_EQ(read("seq1/blocks.0.hook_resid_post", {3, 6}), second.values);
}

TEST_F(DumpTest, LeavesNothingWhenValuesAreMissing) {
  const Site post{SiteKind::resid_post, 0};
  {
    Dump dump(path_, {post}, small_config(), {2, 2});
    Hidden hidden = gaussian(2, 6, 1);
    show_piece(dump, {post, 0, 2, 0, -1}, hidden.view());
    EXPECT_THROW(dump.commit(), Error);
    EXPECT_THROW(show_piece(dump, {post, 2, 2, 0, -1}, hidden.view()), Error);
    EXPECT_THROW(show_piece(dump, {{SiteKind::resid_post, 1}, 0, 2, 0, -1}, hidden.view()), Error);
    EXPECT_THROW(show_piece(dump, {post, 1, 5, 0, -1}, hidden.view()), Error);
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace massact::observe
