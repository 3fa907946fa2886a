// Listing folders, trees and CSV files.
#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include "massact/base/error.h"
#include "massact/base/whole_number.h"
#include "massact/image/image_set.h"
#include "massact/io/json.h"

namespace massact {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxListBytes = 1 << 30;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

// An image by its content, or a file that calls itself one (and may be broken).
bool looks_like_image(const fs::path& path) {
  static const std::set<std::string> kNames = {".jpg", ".jpeg", ".png", ".webp"};
  if (kNames.contains(lower(path.extension().string()))) return true;
  std::array<char, 16> start;
  std::ifstream file(path, std::ios::binary);
  file.read(start.data(), start.size());
  return image_format(
             std::as_bytes(std::span(start.data(), static_cast<std::size_t>(file.gcount()))))
      .has_value();
}

bool hidden(const fs::path& path) { return path.filename().string().starts_with("."); }

std::vector<fs::path> images_below(const fs::path& folder, std::int64_t& passed_over) {
  std::vector<fs::path> images;
  std::error_code error;
  fs::recursive_directory_iterator entries(folder, error);
  require(!error, folder.string(), "cannot read the folder: {}", error.message());
  for (const fs::recursive_directory_iterator end; entries != end; entries.increment(error)) {
    require(!error, folder.string(), "cannot read the folder: {}", error.message());
    if (hidden(entries->path())) {
      if (entries->is_directory(error)) entries.disable_recursion_pending();
      continue;
    }
    if (!entries->is_regular_file(error)) continue;
    if (looks_like_image(entries->path())) {
      images.push_back(entries->path());
    } else {
      ++passed_over;
    }
  }
  std::sort(images.begin(), images.end());
  return images;
}

ImageList list_folder(const fs::path& folder) {
  ImageList list;
  const std::vector<fs::path> images = images_below(folder, list.passed_over);
  std::set<std::string> tops;
  bool some_on_top = false;
  const auto top_of = [&](const fs::path& image) {
    return image.lexically_relative(folder).begin()->string();
  };
  for (const fs::path& image : images) {
    some_on_top = some_on_top || image.lexically_relative(folder).parent_path().empty();
    tops.insert(top_of(image));
  }
  const bool tree = !some_on_top && tops.size() >= 2;
  if (tree) list.classes.assign(tops.begin(), tops.end());
  for (const fs::path& image : images) {
    ImageEntry entry = {image, std::nullopt};
    if (tree) entry.label = std::distance(tops.begin(), tops.find(top_of(image)));
    list.entries.push_back(std::move(entry));
  }
  return list;
}

// The fields of one line; a doubled quote inside quotes is one quote.
std::vector<std::string> csv_fields(std::string_view line, std::string_view where) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"') {
      fields.back() += '"';
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  require(!quoted, where, "expected a closing quote");
  return fields;
}

bool is_header(const std::vector<std::string>& fields) {
  static const std::set<std::string> kPath = {"path", "image", "file", "filename"};
  static const std::set<std::string> kLabel = {"label", "class"};
  return kPath.contains(lower(fields[0])) &&
         (fields.size() == 1 || kLabel.contains(lower(fields[1])));
}

// Distinct labels in their order, each with its index.
std::map<std::string, std::int64_t> number_labels(const std::vector<std::string>& labels,
                                                  std::vector<std::string>& classes) {
  const std::set<std::string> distinct(labels.begin(), labels.end());
  classes.assign(distinct.begin(), distinct.end());
  if (std::all_of(classes.begin(), classes.end(),
                  [](const std::string& text) { return whole_number(text).has_value(); })) {
    std::stable_sort(classes.begin(), classes.end(),
                     [](const std::string& a, const std::string& b) {
                       return *whole_number(a) < *whole_number(b);
                     });
  }
  std::map<std::string, std::int64_t> numbers;
  for (const std::string& name : classes) {
    numbers.emplace(name, static_cast<std::int64_t>(numbers.size()));
  }
  return numbers;
}

ImageList list_csv(const fs::path& path) {
  const std::string text = read_text_file(path, kMaxListBytes);
  ImageList list;
  std::vector<std::string> labels;
  std::int64_t number = 0;
  bool first = true;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line(text.data() + at, end - at);
    at = end + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const std::string where = fmt::format("{}: line {}", path.string(), number);
    const std::vector<std::string> fields = csv_fields(line, where);
    require(fields.size() <= 2, where, "expected path or path,label, got {} fields", fields.size());
    const bool header = first && is_header(fields);
    first = false;
    if (header) continue;
    const fs::path image = path.parent_path() / fields[0];
    require(fs::is_regular_file(image), where, "expected a path of a file, got {}", image.string());
    list.entries.push_back({image, std::nullopt});
    if (fields.size() == 2) labels.push_back(fields[1]);
  }
  require(labels.empty() || labels.size() == list.entries.size(), path.string(),
          "expected a label on every line or on none, got {} of {}", labels.size(),
          list.entries.size());
  if (labels.empty()) return list;
  const auto numbers = number_labels(labels, list.classes);
  for (std::size_t i = 0; i < labels.size(); ++i) list.entries[i].label = numbers.at(labels[i]);
  return list;
}

ImageList list_one(const fs::path& path) {
  require(fs::exists(path), path.string(),
          "expected an image, a folder or a .csv list, found none");
  if (fs::is_directory(path)) return list_folder(path);
  if (lower(path.extension().string()) == ".csv") return list_csv(path);
  ImageList list;
  list.entries.push_back({path, std::nullopt});
  return list;
}

}  // namespace

ImageList list_images(std::span<const fs::path> paths) {
  ImageList all;
  for (const fs::path& path : paths) {
    ImageList one = list_one(path);
    require(paths.size() == 1 || !one.labelled(), path.string(),
            "expected labels from one folder or list alone, got {} with labels among {} paths",
            path.string(), paths.size());
    all.classes = std::move(one.classes);
    all.passed_over += one.passed_over;
    std::move(one.entries.begin(), one.entries.end(), std::back_inserter(all.entries));
  }
  if (all.entries.empty()) {
    fail(paths.empty() ? "images" : paths.front().string(),
         "expected JPEG, PNG or WebP images, found none ({} other files)", all.passed_over);
  }
  return all;
}

}  // namespace massact
