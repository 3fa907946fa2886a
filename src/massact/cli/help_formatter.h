// How `--help` is laid out.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Formatter.hpp>
#include <string>

#include "massact/report/text_style.h"

namespace massact {

/// CLI11's help, wrapped to the style's width. Where that leaves too little beside the flags, what
/// they do stands below them. Examples (lines of a footer that begin with two spaces) stay as they
/// are, so that they can be copied.
class HelpFormatter : public CLI::Formatter {
 public:
  explicit HelpFormatter(TextStyle style) : style_(style) {}

  std::string make_group(std::string group, bool is_positional,
                         std::vector<const CLI::Option*> options) const override;
  std::string make_description(const CLI::App* app) const override;
  std::string make_usage(const CLI::App* app, std::string name) const override;
  std::string make_subcommand(const CLI::App* command) const override;
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
  std::string make_footer(const CLI::App* app) const override;

 private:
  std::string wrapped(const std::string& text, int indent, int first_column) const;
  std::string entry(const std::string& name, const std::string& description) const;

  TextStyle style_;
};

}  // namespace massact
