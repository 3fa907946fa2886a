#include "massact/text/sentencepiece_tokenizer.h"

#include <sentencepiece_processor.h>

#include <cctype>

#include "massact/base/error.h"
#include "massact/base/interrupt.h"
#include "massact/io/json.h"
#include "massact/text/aligned_text.h"
#include "massact/text/utf8.h"

namespace massact {
namespace {

using sentencepiece::SentencePieceProcessor;

constexpr std::uint64_t kMaxFileBytes = 64ull << 20;
constexpr std::size_t kPartBytes = 4096;
constexpr std::string_view kMark = "\u2581";

std::optional<std::int32_t> valid_id(int id) {
  if (id < 0) return std::nullopt;
  return id;
}

class SentencePieceTokenizer final : public Tokenizer {
 public:
  SentencePieceTokenizer(std::unique_ptr<SentencePieceProcessor> processor, bool wants_bos)
      : processor_(std::move(processor)), adds_bos_(wants_bos && processor_->bos_id() >= 0) {
    const auto probe = processor_->EncodeAsPieces("a");
    has_dummy_prefix_ = !probe.empty() && probe.front().starts_with(kMark);
    can_cut_ = has_dummy_prefix_;
    for (int id = 0; id < processor_->GetPieceSize(); ++id) {
      const std::string& piece = processor_->IdToPiece(id);
      const auto first = piece.find_first_not_of(kMark);
      if (first != std::string::npos && piece.find(kMark, first) != std::string::npos)
        can_cut_ = false;
    }
  }

  std::int64_t vocab_size() const override { return processor_->GetPieceSize(); }

  Encoding encode(std::string_view text, std::int64_t enough) const override {
    const AlignedText original(text);
    const AlignedText clean = is_valid_utf8(text) ? original : replace_invalid_utf8(original);
    OriginCursor origins(clean);
    Encoding encoding;
    for (std::size_t begin = 0; begin < clean.view().size();) {
      if (static_cast<std::int64_t>(encoding.ids.size()) >= enough) break;
      check_interrupted();
      const std::size_t end = part_end(clean.view(), begin);
      // The space before a part stands for the dummy prefix that the library puts in front.
      const bool inner = begin > 0;
      const std::size_t skip = inner ? 1 : 0;
      sentencepiece::ImmutableSentencePieceText result;
      const auto status = processor_->Encode(clean.view().substr(begin + skip, end - begin - skip),
                                             result.mutable_proto());
      require(status.ok(), "sentencepiece", "expected text that can be encoded, got: {}",
              status.ToString());
      for (std::size_t i = 0; i < result.pieces_size(); ++i) {
        const auto piece = result.pieces(static_cast<int>(i));
        encoding.ids.push_back(static_cast<std::int32_t>(piece.id()));
        const auto offset = static_cast<std::int64_t>(begin + skip);
        const std::int64_t first = inner && i == 0 ? offset - 1 : offset + piece.begin();
        encoding.spans.push_back(origins.span(first, offset + piece.end()));
      }
      begin = end;
    }
    return encoding;
  }

  std::string decode(std::span<const std::int32_t> ids) const override {
    std::string text;
    for (const std::int32_t id : ids) text += token_bytes(id);
    if (has_dummy_prefix_ && text.starts_with(' ')) text.erase(0, 1);
    return massact::replace_invalid_utf8(std::string_view(text));
  }

  std::string token_text(std::int32_t id) const override { return printable(token_bytes(id)); }
  std::optional<std::int32_t> bos() const override { return valid_id(processor_->bos_id()); }
  std::optional<std::int32_t> eos() const override { return valid_id(processor_->eos_id()); }
  bool adds_bos() const override { return adds_bos_; }

 private:
  // Where the part that starts at `begin` ends: the text's end, or a single space inside it.
  std::size_t part_end(std::string_view text, std::size_t begin) const {
    const auto plain = [&](std::size_t at) {
      const auto byte = static_cast<unsigned char>(text[at]);
      return byte < 0x80 && std::isalnum(byte) != 0;
    };
    if (!can_cut_) return text.size();
    for (std::size_t at = begin + kPartBytes; at + 1 < text.size(); ++at)
      if (text[at] == ' ' && plain(at - 1) && plain(at + 1)) return at;
    return text.size();
  }

  std::string token_bytes(std::int32_t id) const {
    require(id >= 0 && id < vocab_size(), "token id", "expected an id below {}, got {}",
            vocab_size(), id);
    const std::string& piece = processor_->IdToPiece(id);
    if (processor_->IsByte(id)) return std::string(1, static_cast<char>(byte_of_token(piece)));
    return replaced(piece, kMark, " ");
  }

  std::unique_ptr<SentencePieceProcessor> processor_;
  bool adds_bos_;
  bool has_dummy_prefix_ = false;
  bool can_cut_ = false;  // no piece has a space mark behind another character
};

}  // namespace

std::unique_ptr<Tokenizer> open_sentencepiece(const std::filesystem::path& model) {
  auto processor = std::make_unique<SentencePieceProcessor>();
  const std::string bytes = read_text_file(model, kMaxFileBytes);
  const auto status = processor->LoadFromSerializedProto(bytes);
  require(status.ok() && processor->GetPieceSize() > 0, model.string(),
          "expected a sentencepiece model, got: {}", status.ToString());
  bool wants_bos = true;
  const auto config = model.parent_path() / "tokenizer_config.json";
  if (std::filesystem::exists(config))
    wants_bos = JsonObject::from_file(config, kMaxFileBytes).get_or("add_bos_token", true);
  return std::make_unique<SentencePieceTokenizer>(std::move(processor), wants_bos);
}

}  // namespace massact
