#include "massact/report/page.h"

#include <string_view>

#include "massact/base/error.h"
#include "massact/io/json_text.h"

extern "C" const char massact_page_begin[];
extern "C" const char massact_page_end[];

namespace massact {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kPlace = "/*@data@*/";

std::string_view page_template() {
  return {massact_page_begin, static_cast<std::size_t>(massact_page_end - massact_page_begin)};
}

// JSON in which no character means anything to an HTML parser.
std::string inert(const Json& report) {
  const std::string json = json_text(report);
  std::string out;
  out.reserve(json.size() + json.size() / 64);
  for (const char c : json) {
    switch (c) {
      case '<':
        out += "\\u003c";
        break;
      case '>':
        out += "\\u003e";
        break;
      case '&':
        out += "\\u0026";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace

bool has_page() { return !page_template().empty(); }

std::string page_html(const Json& report) {
  const std::string_view page = page_template();
  const std::size_t place = page.find(kPlace);
  require(place != std::string_view::npos, "report",
          "expected a program with the page in it, got one that was built without Node");
  std::string html(page.substr(0, place));
  html += inert(report);
  html += page.substr(place + kPlace.size());
  return html;
}

}  // namespace massact
