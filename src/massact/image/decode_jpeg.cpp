// JPEG through libjpeg-turbo. Its errors leave by longjmp: nothing with a destructor may be made
// between setjmp and the library's calls, so those functions hold plain data only.
#include <cstdio>  // jpeglib.h needs FILE and size_t

#include <jpeglib.h>

#include <csetjmp>

#include "massact/base/error.h"
#include "massact/image/formats.h"

namespace massact {
namespace {

// More scans than any encoder writes; a tiny file could otherwise keep the decoder busy for hours.
constexpr int kMaxScans = 500;
constexpr int kExifMarker = JPEG_APP0 + 1;
constexpr std::string_view kExifName("Exif\0\0", 6);

struct Failure {
  jpeg_error_mgr manager;  // first, so that a pointer to it is one to this
  std::jmp_buf target;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void leave(Failure* failure, const char* message) {
  std::snprintf(failure->message, sizeof(failure->message), "%s", message);
  std::longjmp(failure->target, 1);
}

void on_error(j_common_ptr info) {
  char message[JMSG_LENGTH_MAX];
  info->err->format_message(info, message);
  leave(reinterpret_cast<Failure*>(info->err), message);
}

void ignore_warning(j_common_ptr, int) {}

// The memory source would make up an end marker instead; then the rest of the picture is grey.
boolean on_data_missing(j_decompress_ptr info) {
  leave(reinterpret_cast<Failure*>(info->err), "the file ends before the picture (truncated)");
}

void skip(j_decompress_ptr info, long count) {
  if (count <= 0) return;
  const auto bytes = static_cast<std::size_t>(count);
  if (bytes > info->src->bytes_in_buffer) on_data_missing(info);
  info->src->next_input_byte += bytes;
  info->src->bytes_in_buffer -= bytes;
}

void count_scans(j_common_ptr info) {
  const auto* decompress = reinterpret_cast<j_decompress_ptr>(info);
  if (decompress->input_scan_number > kMaxScans) {
    leave(reinterpret_cast<Failure*>(info->err), "more scans than any encoder writes");
  }
}

// One file being decoded. Lives outside of the functions that call setjmp.
class Decoder {
 public:
  explicit Decoder(const EncodedImage& input) : input_(input) {
    info_.err = jpeg_std_error(&failure_.manager);
    failure_.manager.error_exit = on_error;
    failure_.manager.emit_message = ignore_warning;
  }
  ~Decoder() {
    if (created_) jpeg_destroy_decompress(&info_);
  }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  DecodedImage decode() {
    require(read_header(), input_.where, "expected a JPEG image, got a damaged one: {}",
            failure_.message);
    input_.check_size(info_.image_width, info_.image_height);
    DecodedImage decoded = {Image(info_.image_width, info_.image_height), exif()};
    components_.resize(static_cast<std::size_t>(info_.image_width) * 4);
    require(read_rows(&decoded.image), input_.where, "expected a JPEG image, got a damaged one: {}",
            failure_.message);
    return decoded;
  }

 private:
  bool read_header() {
    if (setjmp(failure_.target)) return false;
    jpeg_create_decompress(&info_);
    created_ = true;
    jpeg_mem_src(&info_, input_.data(), static_cast<unsigned long>(input_.bytes.size()));
    info_.src->fill_input_buffer = on_data_missing;
    info_.src->skip_input_data = skip;
    progress_.progress_monitor = count_scans;
    info_.progress = &progress_;
    jpeg_save_markers(&info_, kExifMarker, 0xffff);
    jpeg_read_header(&info_, TRUE);
    // As PIL: everything with three components or one becomes RGB, four components CMYK.
    info_.out_color_space = info_.num_components == 4 ? JCS_CMYK : JCS_RGB;
    return true;
  }

  bool read_rows(Image* image) {
    if (setjmp(failure_.target)) return false;
    jpeg_start_decompress(&info_);
    const bool cmyk = info_.out_color_space == JCS_CMYK;
    while (info_.output_scanline < info_.output_height) {
      std::uint8_t* out = image->row(info_.output_scanline);
      JSAMPROW row = cmyk ? components_.data() : out;
      if (jpeg_read_scanlines(&info_, &row, 1) != 1) on_data_missing(&info_);
      if (cmyk) convert_cmyk(out);
    }
    return true;
  }

  // Four components are stored inverted (Adobe's convention, which PIL assumes too): what is read
  // is 255 − ink.
  void convert_cmyk(std::uint8_t* out) const {
    for (std::size_t x = 0; x < info_.image_width; ++x) {
      const std::uint8_t* in = &components_[4 * x];
      for (int c = 0; c < 3; ++c) *out++ = remaining_light(255 - in[c], 255 - in[3]);
    }
  }

  // White less black, less that much of the ink, in PIL's rounding.
  static std::uint8_t remaining_light(int ink, int black) {
    const int light = 255 - black;
    const int product = ink * light + 128;
    const int covered = ((product >> 8) + product) >> 8;  // ink · light / 255, rounded
    return static_cast<std::uint8_t>(light - covered);
  }

  std::vector<std::uint8_t> exif() const {
    for (const jpeg_marker_struct* marker = info_.marker_list; marker; marker = marker->next) {
      const std::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
      if (marker->marker == kExifMarker && data.starts_with(kExifName)) {
        return {data.begin() + kExifName.size(), data.end()};
      }
    }
    return {};
  }

  const EncodedImage& input_;
  jpeg_decompress_struct info_ = {};
  jpeg_progress_mgr progress_ = {};
  Failure failure_ = {};
  bool created_ = false;
  std::vector<std::uint8_t> components_;  // one row of CMYK
};

}  // namespace

DecodedImage decode_jpeg(const EncodedImage& input) { return Decoder(input).decode(); }

}  // namespace massact
