// Telling models apart, fast.
#pragma once

#include <string>

#include "massact/model/model.h"

namespace massact {

/// 16 hexadecimal digits: a hash of the configuration's text, of every tensor's name, type and
/// shape, and of up to 64 values from each tensor. The same wherever the files lie; a model of
/// many GiB takes milliseconds. For recognising, not for security.
std::string hash_of(const Model& model);

}  // namespace massact
