#include "massact/study/image_classifier.h"

#include <fmt/format.h>

#include <set>

#include "massact/base/error.h"
#include "massact/eval/linear_head.h"
#include "massact/eval/zero_shot.h"
#include "massact/study/head_labels.h"
#include "massact/text/prompts.h"

namespace massact {
namespace {

std::vector<std::string> all_names(const std::vector<ClassName>& classes) {
  std::vector<std::string> names;
  for (const ClassName& name : classes) names.push_back(name.all());
  return names;
}

// The flags that this model cannot use, before anything is read.
void check_request(const Model& model, const ClassifierRequest& request) {
  const HeadKind head = model.config().head.kind;
  const bool zero_shot = head == HeadKind::embedding && request.head.empty();
  if (!request.templates.empty() && !request.head.empty()) {
    fail_usage("--templates", "expected either templates (zero-shot) or --head, got both");
  }
  if (!request.templates.empty() && !zero_shot) {
    fail_usage("--templates", "expected a model with a text tower: {} has none to compare with",
               model.name());
  }
  if (!request.templates.empty() && request.class_names.empty()) {
    fail_usage("--templates", "expected --class-names as well");
  }
  if (head == HeadKind::features && !(request.head.empty() && request.class_names.empty())) {
    fail_usage(request.head.empty() ? "--class-names" : "--head",
               "expected a model that can tell classes apart: {} gives features of each patch",
               model.name());
  }
  if (head == HeadKind::none && request.head.empty() && !request.class_names.empty()) {
    fail_usage("--class-names",
               "expected a classifier or a text tower: {} has neither (--head "
               "gives it a linear classifier)",
               model.name());
  }
}

class Builder {
 public:
  Builder(const Model& model, const ImageFiles& images, const ClassifierRequest& request)
      : model_(model), images_(images), request_(request) {
    if (!request.class_names.empty()) classes_ = read_class_names(request.class_names);
  }

  ImageClassifier build(Progress& progress) {
    if (!request_.head.empty()) {
      result_.classifier = eval::read_linear_head(request_.head, model_.config());
      result_.description = "linear classifier " + request_.head.filename().string();
      const std::int64_t count = result_.classifier->classes();
      const bool named =
          model_.config().head.kind == HeadKind::classes && model_.config().logit_count() == count;
      match(classes_.empty() && named ? class_names_of(model_, count) : all_names(classes_), count);
    } else if (auto own = eval::own_classifier(model_)) {
      result_.classifier = std::move(own);
      const std::int64_t count = result_.classifier->classes();
      match(classes_.empty() ? class_names_of(model_, count) : all_names(classes_), count);
    } else if (!classes_.empty()) {
      build_zero_shot(progress);
    }
    return std::move(result_);
  }

 private:
  void match(const std::vector<std::string>& names, std::int64_t count) {
    require(classes_.empty() || std::ssize(classes_) == count, request_.class_names.string(),
            "expected the names of the classifier's {} classes, got {}", count, classes_.size());
    if (!images_.list().labelled()) return;
    ClassMatch match = match_classes(images_.list().classes, names, count, images_.name(0));
    if (!match.remark.empty()) result_.warnings.push_back(std::move(match.remark));
    for (std::int64_t i = 0; i < images_.count(); ++i) {
      const auto label = static_cast<std::size_t>(images_.entry(i).label.value());
      result_.labels.push_back(match.classes[label]);
    }
  }

  void build_zero_shot(Progress& progress) {
    eval::ZeroShotOptions options{
        .classes = classes_, .tokenizer = request_.tokenizer, .run = request_.run};
    if (!request_.templates.empty()) options.templates = read_templates(request_.templates);
    match(all_names(classes_), std::ssize(classes_));
    tell_doubles();
    result_.classifier = eval::zero_shot_classifier(eval::class_vectors(model_, options, progress));
    result_.description = fmt::format("zero-shot, {} classes, {}", classes_.size(),
                                      options.templates.size() == 1
                                          ? fmt::format("\"{}\"", options.templates.front())
                                          : fmt::format("{} templates", options.templates.size()));
  }

  // Two classes of one name have one vector: the first of them always wins.
  void tell_doubles() {
    std::set<std::string> seen;
    std::string first;
    std::size_t doubles = 0;
    for (const ClassName& name : classes_) {
      if (seen.insert(name.prompt_name()).second) continue;
      if (doubles++ == 0) first = name.prompt_name();
    }
    if (doubles == 0) return;
    result_.warnings.push_back(
        fmt::format("{} of the class names were given before (\"{}\"): such classes have the same "
                    "logits, and the first of them is chosen",
                    doubles, first));
  }

  const Model& model_;
  const ImageFiles& images_;
  const ClassifierRequest& request_;
  std::vector<ClassName> classes_;
  ImageClassifier result_;
};

}  // namespace

ImageClassifier image_classifier(const Model& model, const ImageFiles& images,
                                 const ClassifierRequest& request, Progress& progress) {
  check_request(model, request);
  return Builder(model, images, request).build(progress);
}

}  // namespace massact
