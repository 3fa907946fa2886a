#include "massact/model/attention_maps.h"

#include <algorithm>

namespace massact {
namespace {

constexpr std::int64_t kMapValues = 1 << 20;  // of one piece

// Some queries of one head.
struct Piece {
  std::int64_t head, first, count;
};

// One sequence's part of the work.
struct Sequence {
  ConstFloatMatrix q, k, v;
  FloatMatrix z;
  std::int64_t number;  // in the batch
};

std::vector<Piece> cut(std::int64_t heads, std::int64_t queries, std::int64_t piece_rows) {
  std::vector<Piece> pieces;
  for (std::int64_t head = 0; head < heads; ++head) {
    for (std::int64_t first = 0; first < queries; first += piece_rows) {
      pieces.push_back({head, first, std::min(piece_rows, queries - first)});
    }
  }
  return pieces;
}

void show(SiteVisitor& sites, SiteKind kind, std::int64_t sequence, std::span<const Piece> pieces,
          std::span<const FloatMatrix> maps) {
  if (!sites.wants(kind)) return;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    sites.visit_map(kind, sequence, pieces[i].head, pieces[i].first, maps[i]);
  }
}

// Computes a few pieces at once, one per thread, and shows them one after the other.
void attend_pieces(const Sequence& sequence, std::span<const Piece> pieces,
                   std::span<const FloatMatrix> maps, const ops::AttentionOptions& options,
                   SiteVisitor& sites, Threads& threads) {
  const auto count = static_cast<std::int64_t>(pieces.size());
  threads.parallel_for(count, [&](std::int64_t i, int) {
    const Piece& piece = pieces[static_cast<std::size_t>(i)];
    ops::attention_scores(sequence.q, sequence.k, options, piece.head, piece.first,
                          maps[static_cast<std::size_t>(i)]);
  });
  show(sites, SiteKind::attn_scores, sequence.number, pieces, maps);
  threads.parallel_for(count, [&](std::int64_t i, int) {
    ops::attention_pattern(maps[static_cast<std::size_t>(i)], options);
  });
  show(sites, SiteKind::pattern, sequence.number, pieces, maps);
  threads.parallel_for(count, [&](std::int64_t i, int) {
    const Piece& piece = pieces[static_cast<std::size_t>(i)];
    ops::attention_apply(maps[static_cast<std::size_t>(i)], sequence.v, options, piece.head,
                         sequence.z.slice_rows(piece.first, piece.count)
                             .slice_cols(piece.head * options.head_size, options.head_size));
  });
}

}  // namespace

void attend_by_maps(ConstFloatMatrix q, ConstFloatMatrix k, ConstFloatMatrix v,
                    std::span<const ops::RowRange> sequences, const ops::AttentionOptions& options,
                    FloatMatrix z, SiteVisitor& sites, Workspace& workspace, Threads& threads) {
  for (std::size_t s = 0; s < sequences.size(); ++s) {
    const auto [first, count] = sequences[s];
    const ops::AttentionOptions own = options.of_sequence({first, count});
    const Sequence sequence{q.slice_rows(first, count), k.slice_rows(first, count),
                            v.slice_rows(first, count), z.slice_rows(first, count),
                            static_cast<std::int64_t>(s)};
    const std::int64_t S = count + (options.has_slot() ? 1 : 0);
    const std::int64_t piece_rows = std::clamp<std::int64_t>(kMapValues / S, 1, count);
    const std::vector<Piece> pieces = cut(options.heads, count, piece_rows);
    const auto together = static_cast<std::size_t>(threads.count());
    const FloatMatrix memory =
        Workspace::take(workspace.maps, static_cast<std::int64_t>(together) * piece_rows, S);
    for (std::size_t begin = 0; begin < pieces.size(); begin += together) {
      const auto group =
          std::span(pieces).subspan(begin, std::min(together, pieces.size() - begin));
      std::vector<FloatMatrix> maps;
      for (std::size_t i = 0; i < group.size(); ++i) {
        maps.push_back(
            memory.slice_rows(static_cast<std::int64_t>(i) * piece_rows, group[i].count));
      }
      attend_pieces(sequence, group, maps, own, sites, threads);
    }
  }
}

}  // namespace massact
