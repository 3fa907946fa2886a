// Which way is up: the Exif orientation (through libexif) and the eight ways to turn a picture.
#include <libexif/exif-data.h>

#include <array>
#include <cstring>
#include <memory>

#include "massact/image/formats.h"

namespace massact {
namespace {

struct FreeExif {
  void operator()(ExifData* data) const { exif_data_unref(data); }
};

// Orientation o reads the stored pixel of the upright (x, y) from here.
struct Turn {
  bool transposed;  // rows and columns change places
  bool from_right;  // the stored x runs backwards
  bool from_bottom;
};

// By Exif's table: where row 0 and column 0 of the stored picture lie in the upright one.
constexpr std::array<Turn, 9> kTurns = {{
    {false, false, false},  // 0: not used
    {false, false, false},  // 1: top, left
    {false, true, false},   // 2: top, right
    {false, true, true},    // 3: bottom, right
    {false, false, true},   // 4: bottom, left
    {true, false, false},   // 5: left, top
    {true, false, true},    // 6: right, top
    {true, true, true},     // 7: right, bottom
    {true, true, false},    // 8: left, bottom
}};

}  // namespace

int exif_orientation(std::span<const std::uint8_t> exif) {
  if (exif.empty()) return 1;
  // libexif wants the name that JPEG puts before the data.
  std::vector<unsigned char> named = {'E', 'x', 'i', 'f', 0, 0};
  named.insert(named.end(), exif.begin(), exif.end());
  const std::unique_ptr<ExifData, FreeExif> data(
      exif_data_new_from_data(named.data(), static_cast<unsigned>(named.size())));
  if (!data) return 1;
  ExifEntry* entry = exif_content_get_entry(data->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);
  if (!entry || entry->format != EXIF_FORMAT_SHORT || entry->size < 2) return 1;
  const int value = exif_get_short(entry->data, exif_data_get_byte_order(data.get()));
  return value >= 1 && value <= 8 ? value : 1;
}

Image upright(Image image, int orientation) {
  if (orientation == 1) return image;
  const Turn turn = kTurns[static_cast<std::size_t>(orientation)];
  Image turned =
      turn.transposed ? Image(image.height, image.width) : Image(image.width, image.height);
  for (std::int64_t y = 0; y < turned.height; ++y) {
    std::uint8_t* out = turned.row(y);
    for (std::int64_t x = 0; x < turned.width; ++x, out += 3) {
      std::int64_t from_x = turn.transposed ? y : x;
      std::int64_t from_y = turn.transposed ? x : y;
      if (turn.from_right) from_x = image.width - 1 - from_x;
      if (turn.from_bottom) from_y = image.height - 1 - from_y;
      std::memcpy(out, image.row(from_y) + from_x * 3, 3);
    }
  }
  return turned;
}

}  // namespace massact
