// Which family uses which options of the generic block, from the families themselves: each reads
// the configurations of published models.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "massact/report/text_style.h"

namespace massact {

/// For the terminal: per family its model types, per published model its options.
std::string families_text(const TextStyle& style);

/// The table of docs/families.md.
std::string families_markdown();

/// Schema "massact.families", version 1.
nlohmann::ordered_json families_to_json();

}  // namespace massact
