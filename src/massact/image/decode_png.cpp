// PNG through libpng. Its errors leave by longjmp: see decode_jpeg.cpp.
#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "massact/base/error.h"
#include "massact/image/formats.h"

namespace massact {
namespace {

// zlib makes at most 1,032 bytes of one: a file that promises more is truncated.
constexpr std::int64_t kMaxExpansion = 1032;
constexpr png_alloc_size_t kMaxChunkBytes = 8 << 20;  // of text, profiles and the like
constexpr png_uint_32 kMaxSide = 1'000'000;

class Decoder {
 public:
  explicit Decoder(const EncodedImage& input) : input_(input) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    info_ = png_ ? png_create_info_struct(png_) : nullptr;
    if (!info_) png_destroy_read_struct(&png_, nullptr, nullptr);
    require(info_ != nullptr, input_.where, "cannot set up libpng");
  }
  ~Decoder() { png_destroy_read_struct(&png_, &info_, nullptr); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  DecodedImage decode() {
    require_whole_chunks();
    require_read(read_header());
    const std::int64_t width = png_get_image_width(png_, info_);
    const std::int64_t height = png_get_image_height(png_, info_);
    input_.check_size(width, height);
    const auto stored = static_cast<std::int64_t>(png_get_rowbytes(png_, info_)) * height;
    require(stored / kMaxExpansion <= static_cast<std::int64_t>(input_.bytes.size()), input_.where,
            "expected a PNG image of {} x {} pixels, got a file of {} bytes (truncated?)", width,
            height, input_.bytes.size());
    DecodedImage decoded;
    decoded.image = Image(width, height);
    rows_.resize(static_cast<std::size_t>(height));
    for (std::int64_t y = 0; y < height; ++y) {
      rows_[static_cast<std::size_t>(y)] = decoded.image.row(y);
    }
    require_read(read_rows());
    decoded.exif = exif();
    return decoded;
  }

 private:
  void require_read(bool read) const {
    require(read, input_.where, "expected a PNG image, got a damaged one: {}", message_);
  }

  // libpng takes memory for as much Exif data as a chunk says it has, before it reads any.
  void require_whole_chunks() const {
    constexpr std::size_t kSignature = 8, kAroundData = 12;  // length, type, CRC
    const std::size_t size = input_.bytes.size();
    for (std::size_t at = kSignature; at + kAroundData <= size;) {
      const unsigned char* chunk = input_.data() + at;
      if (std::memcmp(chunk + 4, "IEND", 4) == 0) return;  // what follows is not looked at
      const std::size_t length = png_get_uint_32(chunk);
      require(length <= size - at - kAroundData, input_.where,
              "expected a PNG image, got a damaged one: a chunk of {} bytes in a file of {} "
              "(truncated?)",
              length, size);
      at += kAroundData + length;
    }
  }

  bool read_header() {
    if (setjmp(png_jmpbuf(png_))) return false;
    png_set_user_limits(png_, kMaxSide, kMaxSide);
    png_set_chunk_malloc_max(png_, kMaxChunkBytes);
    png_set_read_fn(png_, this, read);
    png_read_info(png_, info_);
    return true;
  }

  bool read_rows() {
    if (setjmp(png_jmpbuf(png_))) return false;
    // As PIL's convert("RGB"): the higher byte of 16 bits, alpha dropped, gamma not applied.
    png_set_strip_16(png_);
    png_set_palette_to_rgb(png_);
    png_set_expand_gray_1_2_4_to_8(png_);
    png_set_gray_to_rgb(png_);
    png_set_strip_alpha(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    if (png_get_rowbytes(png_, info_) != 3 * std::size_t{png_get_image_width(png_, info_)}) {
      png_error(png_, "unexpected pixel format");
    }
    png_read_image(png_, rows_.data());
    png_read_end(png_, info_);
    return true;
  }

  std::vector<std::uint8_t> exif() {
    png_bytep data = nullptr;
    png_uint_32 count = 0;
    if (png_get_eXIf_1(png_, info_, &count, &data) == 0) return {};
    return {data, data + count};
  }

  static void read(png_structp png, png_bytep out, std::size_t count) {
    auto* self = static_cast<Decoder*>(png_get_io_ptr(png));
    if (count > self->input_.bytes.size() - self->position_) {
      png_error(png, "the file ends before the picture (truncated)");
    }
    std::memcpy(out, self->input_.data() + self->position_, count);
    self->position_ += count;
  }

  static void on_error(png_structp png, png_const_charp message) {
    auto* self = static_cast<Decoder*>(png_get_error_ptr(png));
    std::snprintf(self->message_, sizeof(self->message_), "%s", message);
    png_longjmp(png, 1);
  }

  static void on_warning(png_structp, png_const_charp) {}

  const EncodedImage& input_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::size_t position_ = 0;
  std::vector<png_bytep> rows_;
  char message_[256] = {};
};

}  // namespace

DecodedImage decode_png(const EncodedImage& input) { return Decoder(input).decode(); }

}  // namespace massact
