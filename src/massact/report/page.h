// The report as one HTML file that needs nothing else (src/report/web).
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace massact {

/// False in a program that was built without Node: there is no page then.
bool has_page();

/// The page with `report` (report_json.h) in it, for any text in it whatever: nothing of it can end
/// the element it stands in. Throws Error without has_page().
std::string page_html(const nlohmann::ordered_json& report);

}  // namespace massact
