// What kind of position a token is at: massive activations sit at few kinds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace massact {

/// In order of precedence; see `PositionLists`.
enum class PositionClass : std::uint8_t { start, first_delimiter, delimiter, weak, other };

inline constexpr int kPositionClasses = 5;

/// "start", "first_delimiter", ….
std::string_view position_class_name(PositionClass position_class);

/// The class of that name; throws UsageError naming `where` otherwise.
PositionClass parse_position_class(std::string_view name, std::string_view where);

/// Which token texts are delimiters and which are weak in meaning. Compared exactly, with the
/// token's text stripped of spaces (and of the marks that tokenizers write for them).
struct PositionLists {
  std::unordered_set<std::string> delimiters;
  std::unordered_set<std::string> weak;

  /// . , ; : ! ? newline " ' ( ) - and each of them doubled; and or of the a an in to from for
  /// with on at by as that this is was it.
  static PositionLists defaults();
  /// `{"delimiter": [...], "weak": [...]}`; a list that is absent keeps its default. Throws Error
  /// naming the file and field for other fields and types.
  static PositionLists from_file(const std::filesystem::path& path);
};

/// The classes of one sequence's positions, from its tokens' texts: position 0 is `start`, BOS or
/// not; the first later delimiter is `first_delimiter`; the rest goes by the lists.
std::vector<PositionClass> classify(std::span<const std::string> token_texts,
                                    const PositionLists& lists);

}  // namespace massact
