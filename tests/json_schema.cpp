#include "json_schema.h"

#include <algorithm>
#include <set>

namespace massact::testing {
namespace {

using nlohmann::json;

class Validator {
 public:
  explicit Validator(const json& root) : root_(root) {}

  void check(const json& value, const json& schema, const std::string& path) {
    static const std::set<std::string> kKnown = {
        "$schema", "$defs",    "$ref",     "title",    "description", "type",
        "const",   "enum",     "anyOf",    "required", "properties",  "additionalProperties",
        "items",   "minItems", "maxItems", "minimum",  "maximum"};
    for (const auto& [keyword, unused] : schema.items()) {
      if (!kKnown.contains(keyword)) complain(path, "schema keyword " + keyword + " is unknown");
    }
    if (schema.contains("$ref")) {
      const auto reference = schema.at("$ref").get<std::string>();
      check(value, root_.at(json::json_pointer(reference.substr(1))), path);
    }
    if (schema.contains("anyOf")) check_any(value, schema.at("anyOf"), path);
    if (schema.contains("const") && value != schema.at("const")) complain(path, "not the constant");
    if (schema.contains("enum") && !contains(schema.at("enum"), value)) {
      complain(path, value.dump() + " is not in the list");
    }
    if (schema.contains("type") && !has_type(value, schema.at("type"))) {
      complain(path, value.dump().substr(0, 40) + " is no " + schema.at("type").dump());
      return;
    }
    if (value.is_number()) check_number(value, schema, path);
    if (value.is_array()) check_array(value, schema, path);
    if (value.is_object()) check_object(value, schema, path);
  }

  std::vector<std::string> errors;

 private:
  void complain(const std::string& path, const std::string& what) {
    errors.push_back(path + ": " + what);
  }

  static bool contains(const json& list, const json& value) {
    return std::find(list.begin(), list.end(), value) != list.end();
  }

  static bool has_type(const json& value, const json& type) {
    if (type.is_array()) {
      return std::any_of(type.begin(), type.end(),
                         [&](const json& one) { return has_type(value, one); });
    }
    if (type == "integer") return value.is_number_integer();
    return type == (value.is_number() ? "number" : value.type_name());
  }

  void check_any(const json& value, const json& schemas, const std::string& path) {
    for (const json& schema : schemas) {
      Validator one(root_);
      one.check(value, schema, path);
      if (one.errors.empty()) return;
    }
    complain(path, "matches none of the alternatives");
  }

  void check_number(const json& value, const json& schema, const std::string& path) {
    const auto number = value.get<double>();
    if (schema.contains("minimum") && number < schema.at("minimum").get<double>()) {
      complain(path, value.dump() + " is too small");
    }
    if (schema.contains("maximum") && number > schema.at("maximum").get<double>()) {
      complain(path, value.dump() + " is too large");
    }
  }

  void check_array(const json& value, const json& schema, const std::string& path) {
    if (schema.contains("minItems") && value.size() < schema.at("minItems").get<std::size_t>()) {
      complain(path, "has too few items");
    }
    if (schema.contains("maxItems") && value.size() > schema.at("maxItems").get<std::size_t>()) {
      complain(path, "has too many items");
    }
    if (!schema.contains("items")) return;
    for (std::size_t i = 0; i < value.size(); ++i) {
      check(value[i], schema.at("items"), path + "[" + std::to_string(i) + "]");
    }
  }

  void check_object(const json& value, const json& schema, const std::string& path) {
    for (const json& name : schema.value("required", json::array())) {
      if (!value.contains(name.get<std::string>())) complain(path, "lacks " + name.dump());
    }
    const json properties = schema.value("properties", json::object());
    for (const auto& [name, field] : value.items()) {
      if (properties.contains(name)) {
        check(field, properties.at(name), path + "." + name);
      } else if (schema.value("additionalProperties", json(true)) == false) {
        complain(path, "has the unknown field " + name);
      }
    }
  }

  const json& root_;
};

}  // namespace

std::vector<std::string> schema_errors(const json& value, const json& schema) {
  Validator validator(schema);
  validator.check(value, schema, "$");
  return validator.errors;
}

}  // namespace massact::testing
