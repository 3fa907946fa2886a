// WebP through libwebp, lossy and lossless.
#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>

#include "massact/base/error.h"
#include "massact/image/formats.h"

namespace massact {
namespace {

struct FreeDemuxer {
  void operator()(WebPDemuxer* demuxer) const { WebPDemuxDelete(demuxer); }
};

std::vector<std::uint8_t> exif_of(const EncodedImage& input) {
  const WebPData data = {input.data(), input.bytes.size()};
  const std::unique_ptr<WebPDemuxer, FreeDemuxer> demuxer(WebPDemux(&data));
  WebPChunkIterator chunk;
  if (!demuxer || !WebPDemuxGetChunk(demuxer.get(), "EXIF", 1, &chunk)) return {};
  std::vector<std::uint8_t> exif(chunk.chunk.bytes, chunk.chunk.bytes + chunk.chunk.size);
  WebPDemuxReleaseChunkIterator(&chunk);
  // Some writers keep the name that JPEG needs before the data.
  constexpr std::string_view kName("Exif\0\0", 6);
  if (std::string_view(reinterpret_cast<const char*>(exif.data()), exif.size())
          .starts_with(kName)) {
    exif.erase(exif.begin(), exif.begin() + kName.size());
  }
  return exif;
}

const char* reason(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
      return "the file ends before the picture (truncated)";
    case VP8_STATUS_OUT_OF_MEMORY:
      return "not enough memory";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "a feature that libwebp does not know";
    default:
      return "damaged data";
  }
}

}  // namespace

DecodedImage decode_webp(const EncodedImage& input) {
  WebPBitstreamFeatures features;
  const VP8StatusCode status = WebPGetFeatures(input.data(), input.bytes.size(), &features);
  require(status == VP8_STATUS_OK, input.where, "expected a WebP image, got a damaged one: {}",
          reason(status));
  require(!features.has_animation, input.where,
          "expected a still image, got an animated WebP (save the frame you mean as a picture)");
  input.check_size(features.width, features.height);

  DecodedImage decoded;
  decoded.image = Image(features.width, features.height);
  WebPDecoderConfig config;
  require(WebPInitDecoderConfig(&config) != 0, input.where, "cannot set up libwebp");
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = decoded.image.rgb.data();
  config.output.u.RGBA.size = decoded.image.rgb.size();
  config.output.u.RGBA.stride = features.width * 3;
  const VP8StatusCode result = WebPDecode(input.data(), input.bytes.size(), &config);
  WebPFreeDecBuffer(&config.output);
  require(result == VP8_STATUS_OK, input.where, "expected a WebP image, got a damaged one: {}",
          reason(result));
  decoded.exif = exif_of(input);
  return decoded;
}

}  // namespace massact
