// The metadata of GGUF files in the words of HF's config.json.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "massact/io/gguf.h"

namespace massact {

/// An HF-like config of the file's architecture, with HF's "model_type". Throws Error naming file
/// and key, and for an unknown architecture those that are known.
nlohmann::json gguf_config(const GgufSource& source);

}  // namespace massact
