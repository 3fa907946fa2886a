#include "massact/report/explain_maps.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "massact/report/explain_report.h"

namespace massact {
namespace {

constexpr std::int64_t kMostPixels = 1024;  // of a side

// A C-ordered float32 array, .npy version 1.
std::string npy(std::int64_t rows, std::int64_t cols, const std::vector<float>& values) {
  std::string header =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, cols);
  while ((10 + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  std::string out = "\x93NUMPY";
  out += '\x01';
  out += '\0';
  out += static_cast<char>(header.size() & 0xFF);
  out += static_cast<char>(header.size() >> 8);
  out += header;
  static_assert(std::endian::native == std::endian::little);
  const std::size_t at = out.size();
  out.resize(at + values.size() * sizeof(float));
  std::memcpy(out.data() + at, values.data(), values.size() * sizeof(float));
  return out;
}

void add_big_endian(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>((value >> shift) & 0xFF);
}

std::uint32_t crc_of(std::string_view data) {
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const char byte : data) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1u) != 0 ? 0xEDB88320u : 0u);
  }
  return ~crc;
}

void add_chunk(std::string& png, const std::string& type_and_data) {
  add_big_endian(png, static_cast<std::uint32_t>(type_and_data.size() - 4));
  png += type_and_data;
  add_big_endian(png, crc_of(type_and_data));
}

// zlib's format with stored (uncompressed) blocks.
std::string stored_zlib(std::string_view data) {
  std::string out = "\x78\x01";
  std::uint32_t a = 1, b = 0;
  for (const char byte : data) {
    a = (a + static_cast<unsigned char>(byte)) % 65521;
    b = (b + a) % 65521;
  }
  do {
    const std::string_view block = data.substr(0, 65535);
    data.remove_prefix(block.size());
    const auto size = static_cast<std::uint32_t>(block.size());
    out += data.empty() ? '\x01' : '\0';
    for (const std::uint32_t field : {size, ~size}) {
      out += static_cast<char>(field & 0xFF);
      out += static_cast<char>((field >> 8) & 0xFF);
    }
    out += block;
  } while (!data.empty());
  add_big_endian(out, (b << 16) | a);
  return out;
}

// White to dark blue; the last entry marks what the mask hides.
std::string palette() {
  static constexpr std::array<std::array<double, 3>, 5> kStops = {
      {{255, 255, 255}, {190, 215, 235}, {95, 160, 205}, {25, 90, 160}, {5, 25, 75}}};
  std::string colours;
  for (int i = 0; i < 255; ++i) {
    const double at = i / 254.0 * (kStops.size() - 1);
    const auto stop = std::min(static_cast<std::size_t>(at), kStops.size() - 2);
    for (std::size_t c = 0; c < 3; ++c) {
      const double mix = at - static_cast<double>(stop);
      colours +=
          static_cast<char>(std::lround((1 - mix) * kStops[stop][c] + mix * kStops[stop + 1][c]));
    }
  }
  return colours + std::string(3, '\xE6');
}

// One byte per pixel: 0 to 254 from the smallest to the largest finite value, 255 for −inf. Large
// maps are shrunk, each pixel showing the largest of its values.
std::string png(const AttentionMap& map, const std::vector<float>& values) {
  const std::int64_t step = (std::max(map.queries, map.columns) + kMostPixels - 1) / kMostPixels;
  const std::int64_t height = (map.queries + step - 1) / step;
  const std::int64_t width = (map.columns + step - 1) / step;
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
  std::vector<float> pixels(static_cast<std::size_t>(width * height), kHidden);
  float low = std::numeric_limits<float>::infinity(), high = kHidden;
  for (std::int64_t r = 0; r < map.queries; ++r) {
    for (std::int64_t c = 0; c < map.columns; ++c) {
      const float value = values[static_cast<std::size_t>(r * map.columns + c)];
      float& pixel = pixels[static_cast<std::size_t>(r / step * width + c / step)];
      pixel = std::max(pixel, value);
      if (!std::isfinite(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  const float range = high > low ? high - low : 1.0f;
  std::string rows;
  for (std::int64_t y = 0; y < height; ++y) {
    rows += '\0';  // no filter
    for (std::int64_t x = 0; x < width; ++x) {
      const float value = pixels[static_cast<std::size_t>(y * width + x)];
      rows += std::isfinite(value) ? static_cast<char>(std::lround((value - low) / range * 254))
                                   : '\xFF';
    }
  }
  std::string header = "IHDR";
  add_big_endian(header, static_cast<std::uint32_t>(width));
  add_big_endian(header, static_cast<std::uint32_t>(height));
  header += std::string("\x08\x03\0\0\0", 5);  // 8 bits, palette
  std::string out = "\x89PNG\r\n\x1a\n";
  add_chunk(out, header);
  add_chunk(out, "PLTE" + palette());
  add_chunk(out, "IDAT" + stored_zlib(rows));
  add_chunk(out, "IEND");
  return out;
}

}  // namespace

std::string map_file(const AttentionMap& map, std::string_view what) {
  const std::string head = map.head ? fmt::format("head{}", *map.head) : "mean";
  return fmt::format("map-layer{}-{}-{}", map.layer, head, what);
}

std::vector<ResultFile> explain_map_files(const ExplainResult& result) {
  std::vector<ResultFile> files;
  for (const AttentionMap& map : result.maps) {
    files.push_back({map_file(map, "logits.npy"), npy(map.queries, map.columns, map.logits)});
    files.push_back(
        {map_file(map, "probabilities.npy"), npy(map.queries, map.columns, map.probabilities)});
    files.push_back({map_file(map, "logits.png"), png(map, map.logits)});
    files.push_back({map_file(map, "probabilities.png"), png(map, map.probabilities)});
  }
  return files;
}

}  // namespace massact
