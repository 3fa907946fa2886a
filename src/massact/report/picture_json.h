// pictures.json: what `massact report` shows over pictures (docs/schema/pictures.schema.json).
#pragma once

#include <string>
#include <string_view>

#include "massact/study/picture_maps.h"

namespace massact {

inline constexpr std::string_view kPicturesSchema = "massact.pictures";
inline constexpr int kPicturesSchemaVersion = 1;

/// The pictures themselves are in it, as data: URLs of PNG files; numbers have four digits.
std::string pictures_json_text(const PictureMaps& maps, std::string_view model_hash);

}  // namespace massact
