// What test-time registers do to the evaluation images.

#include "massact/study/test_time_parts.h"

namespace massact::test_time {
namespace {

using observe::AttentionShares;
using observe::PatchNorms;

template <typename Image, typename Value>
eval::Losses each(const std::vector<Image>& images, const Value& value) {
  eval::Losses list;
  for (const Image& image : images) {
    list.sums.push_back(static_cast<double>(value(image)));
    list.weights.push_back(1.0);
  }
  return list;
}

double largest_of(const PatchNorms& image) { return image.largest; }
double outliers_of(const PatchNorms& image) { return static_cast<double>(image.outliers.size()); }
double added_of(const PatchNorms& image) { return image.added; }

// Means over the watched layers, by image.
std::vector<AttentionShares> mean_of_layers(const observe::AttentionTable& attention) {
  std::vector<AttentionShares> means;
  const auto layers = static_cast<double>(attention.size());
  for (const auto& [block, images] : attention) {
    means.resize(images.size());
    for (std::size_t i = 0; i < images.size(); ++i) {
      means[i].outliers += images[i].outliers / layers;
      means[i].largest_patch += images[i].largest_patch / layers;
      means[i].added += images[i].added / layers;
    }
  }
  return means;
}

}  // namespace

OutlierMeter::OutlierMeter(const Context& context, const TestTimeResult& result)
    : context_(context), outlier_layer_(result.outlier_layer), images_(image_meter(context.split)) {
  // Behind the last edit all streams run for themselves.
  for (int block = result.last_layer; block < context.model.config().layers; ++block) {
    if (result.last_layer > 0) blocks_.push_back(block);
  }
}

void OutlierMeter::attach(Plan& plan) {
  images_->attach(plan);
  const ModelConfig& config = plan.model().config();
  const bool first_query = config.vision.class_tokens > 0 && config.prefix_rows() == 0;
  // The original is the same in every plan.
  for (int s = streams_.empty() ? 0 : 1; s < static_cast<int>(plan.streams().size()); ++s) {
    Stream& stream = streams_.emplace_back();
    stream.name = plan.streams()[static_cast<std::size_t>(s)].name;
    stream.table = std::make_shared<observe::OutlierTable>();
    plan.observe(sites::resid_post(config),
                 observe::OutlierPatches(context_.patches(), context_.options.rule, stream.table),
                 s);
    if (blocks_.empty()) continue;
    stream.attention = std::make_shared<observe::AttentionTable>();
    plan.watch_attention(blocks_,
                         observe::OutlierAttention({context_.patches(), first_query, stream.table},
                                                   stream.attention),
                         s);
  }
}

const std::vector<PatchNorms>& OutlierMeter::norms_of(const Stream& stream) const {
  return stream.table->at(outlier_layer_ - 1);
}

std::vector<OutlierMeasures> OutlierMeter::outliers() const {
  std::vector<OutlierMeasures> all;
  const auto& original = norms_of(streams_.front());
  for (const Stream& stream : streams_) {
    const auto& images = norms_of(stream);
    OutlierMeasures& measures = all.emplace_back();
    measures.name = stream.name;
    measures.largest = eval::mean_of(each(images, largest_of));
    measures.outliers = eval::mean_of(each(images, outliers_of));
    measures.added = eval::mean_of(each(images, added_of));
    if (all.size() > 1) {
      measures.largest_change =
          eval::paired_difference(each(images, largest_of), each(original, largest_of));
      measures.outliers_change =
          eval::paired_difference(each(images, outliers_of), each(original, outliers_of));
    }
    if (stream.attention == nullptr) continue;
    const auto shares = mean_of_layers(*stream.attention);
    measures.attention = OutlierAttentionMeasures{
        eval::mean_of(each(shares, [](const auto& image) { return image.outliers; })),
        eval::mean_of(each(shares, [](const auto& image) { return image.largest_patch; })),
        eval::mean_of(each(shares, [](const auto& image) { return image.added; }))};
  }
  return all;
}

}  // namespace massact::test_time
