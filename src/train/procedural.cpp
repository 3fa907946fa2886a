#include "train/procedural.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "massact/base/error.h"
#include "massact/edit/random.h"

namespace massact::train {
namespace {

enum class Shape { circle, square, triangle, cross };
enum class Texture { noise, stripes, checks, spots };

constexpr int kSubpixels = 2;  // per side, against jagged edges
constexpr double kPi = std::numbers::pi;

struct Class {
  const char* name;
  std::int64_t count;  // of figures; 0: the texture alone
  Shape shape;
  Texture texture;
};

// In alphabetical order, so that readers of image folders, which number classes by name, agree.
constexpr std::array<Class, 16> kClasses{{
    {"checks", 0, {}, Texture::checks},
    {"circle-1", 1, Shape::circle, {}},
    {"circle-2", 2, Shape::circle, {}},
    {"circle-3", 3, Shape::circle, {}},
    {"cross-1", 1, Shape::cross, {}},
    {"cross-2", 2, Shape::cross, {}},
    {"cross-3", 3, Shape::cross, {}},
    {"noise", 0, {}, Texture::noise},
    {"spots", 0, {}, Texture::spots},
    {"square-1", 1, Shape::square, {}},
    {"square-2", 2, Shape::square, {}},
    {"square-3", 3, Shape::square, {}},
    {"stripes", 0, {}, Texture::stripes},
    {"triangle-1", 1, Shape::triangle, {}},
    {"triangle-2", 2, Shape::triangle, {}},
    {"triangle-3", 3, Shape::triangle, {}},
}};
constexpr std::int64_t kTextures = 4;

using Colour = std::array<double, 3>;  // in [0, 1]

/// Numbers from a hash of where they are used.
class Random {
 public:
  Random(std::uint64_t seed, std::int64_t number)
      : hash_(edit::mix(seed, static_cast<std::uint64_t>(number))) {}

  double uniform(double low, double high) {
    return low + (high - low) * (double(next() >> 11) / 9007199254740992.0);  // 2^53
  }
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(n));
  }
  std::uint64_t next() { return edit::mix(hash_, ++used_); }

 private:
  std::uint64_t hash_;
  std::uint64_t used_ = 0;
};

Colour random_colour(Random& random) {
  Colour c;
  for (double& channel : c) channel = random.uniform(0.1, 0.9);
  return c;
}

double distance(const Colour& a, const Colour& b) {
  return std::abs(a[0] - b[0]) + std::abs(a[1] - b[1]) + std::abs(a[2] - b[2]);
}

/// A colour that `other` can be told from.
Colour contrasting_colour(Random& random, const Colour& other) {
  Colour c = random_colour(random);
  while (distance(c, other) < 0.8) c = random_colour(random);
  return c;
}

/// How much of its second colour a texture shows at a place; all lengths in units of the image.
struct Pattern {
  Texture kind = Texture::noise;
  double across = 0, along = 0;  // unit vector
  double period = 0.25;
  double shift_x = 0, shift_y = 0;

  static Pattern random(Random& random, Texture kind) {
    Pattern p;
    p.kind = kind;
    const double angle = random.uniform(0, kPi);
    p.across = std::cos(angle);
    p.along = std::sin(angle);
    p.period = random.uniform(0.16, 0.3);
    p.shift_x = random.uniform(0, 1);
    p.shift_y = random.uniform(0, 1);
    return p;
  }

  double at(double x, double y) const {
    const double u = (x * across + y * along) / period + shift_x;
    const double v = (y * across - x * along) / period + shift_y;
    const double from_u = u - std::floor(u) - 0.5, from_v = v - std::floor(v) - 0.5;
    switch (kind) {
      case Texture::noise:
        return 0;  // the noise that every image has
      case Texture::stripes:
        return from_u < 0 ? 1 : 0;
      case Texture::checks:
        return (from_u < 0) != (from_v < 0) ? 1 : 0;
      case Texture::spots:
        return from_u * from_u + from_v * from_v < 0.09 ? 1 : 0;
    }
    return 0;
  }
};

struct Figure {
  Shape shape = Shape::circle;
  double x = 0, y = 0, radius = 0;
  double cos = 1, sin = 0;
  Colour colour{};

  bool covers(double px, double py) const {
    const double dx = px - x, dy = py - y;
    const double u = (dx * cos + dy * sin) / radius, v = (dy * cos - dx * sin) / radius;
    switch (shape) {
      case Shape::circle:
        return u * u + v * v < 0.8;  // about the area of the others
      case Shape::square:
        return std::max(std::abs(u), std::abs(v)) < 0.75;
      case Shape::triangle:
        return v > -0.5 && std::sqrt(3.0) * std::abs(u) + v < 1;
      case Shape::cross:
        return std::min(std::abs(u), std::abs(v)) < 0.28 &&
               std::max(std::abs(u), std::abs(v)) < 0.95;
    }
    return false;
  }
};

/// `count` figures inside the image that do not touch. Whoever does not fit after some trials makes
/// all begin again, smaller.
std::vector<Figure> place_figures(Random& random, Shape shape, std::int64_t count,
                                  const Colour& background) {
  double largest = 0.22;
  std::vector<Figure> figures;
  for (int trials = 0; static_cast<std::int64_t>(figures.size()) < count; ++trials) {
    if (trials == 50) {
      trials = 0;
      largest *= 0.9;
      figures.clear();
    }
    Figure f;
    f.shape = shape;
    f.radius = random.uniform(0.75 * largest, largest);
    f.x = random.uniform(f.radius, 1 - f.radius);
    f.y = random.uniform(f.radius, 1 - f.radius);
    const double angle = random.uniform(0, 2 * kPi);
    f.cos = std::cos(angle);
    f.sin = std::sin(angle);
    f.colour = contrasting_colour(random, background);
    const bool free = std::all_of(figures.begin(), figures.end(), [&](const Figure& other) {
      return std::hypot(f.x - other.x, f.y - other.y) > 1.05 * (f.radius + other.radius);
    });
    if (free) figures.push_back(f);
  }
  return figures;
}

struct Scene {
  Colour ground{};
  Colour second{};  // of the texture
  Pattern pattern;
  std::vector<Figure> figures;
  double noise = 0;  // standard deviation, per channel

  Colour at(double x, double y) const {
    for (const auto& figure : figures) {
      if (figure.covers(x, y)) return figure.colour;
    }
    return pattern.at(x, y) > 0.5 ? second : ground;
  }
};

Scene random_scene(Random& random, const Class& wanted) {
  Scene scene;
  scene.noise = random.uniform(0.02, 0.08);
  scene.ground = random_colour(random);
  if (wanted.count == 0) {
    scene.second = contrasting_colour(random, scene.ground);
    scene.pattern = Pattern::random(random, wanted.texture);
    return scene;
  }
  // Faint: a part of the way to another colour.
  const Colour other = random_colour(random);
  for (std::size_t i = 0; i < 3; ++i) {
    scene.second[i] = scene.ground[i] + 0.12 * (other[i] - scene.ground[i]);
  }
  scene.pattern = Pattern::random(random, Texture(random.below(kTextures)));
  scene.figures = place_figures(random, wanted.shape, wanted.count, scene.ground);
  return scene;
}

}  // namespace

const std::vector<std::string>& procedural_labels() {
  static const std::vector<std::string> labels = [] {
    std::vector<std::string> names;
    for (const auto& known : kClasses) names.emplace_back(known.name);
    return names;
  }();
  return labels;
}

ProceduralImage draw_image(std::uint64_t seed, std::int64_t number, std::int64_t size) {
  if (size < kMinImageSize || size > kMaxImageSize) {
    fail_usage("--image-size", "expected {} to {} pixels, got {}", kMinImageSize, kMaxImageSize,
               size);
  }
  Random random(seed, number);
  ProceduralImage image;
  image.label = random.below(std::ssize(kClasses));
  const Scene scene = random_scene(random, kClasses[static_cast<std::size_t>(image.label)]);
  image.pixels.reserve(static_cast<std::size_t>(size * size * 3));
  for (std::int64_t row = 0; row < size; ++row) {
    for (std::int64_t column = 0; column < size; ++column) {
      Colour sum{};
      for (int i = 0; i < kSubpixels * kSubpixels; ++i) {
        const double x = double(column) + (i % kSubpixels + 0.5) / kSubpixels;
        const double y = double(row) + (i / kSubpixels + 0.5) / kSubpixels;
        const Colour c = scene.at(x / double(size), y / double(size));
        for (std::size_t channel = 0; channel < 3; ++channel) sum[channel] += c[channel];
      }
      const std::uint64_t bits = random.next();  // 21 for the noise of each channel
      for (std::size_t channel = 0; channel < 3; ++channel) {
        const double noise = double(bits >> (21 * channel) & 0x1fffff) / 0x100000 - 1.0;
        const double value =
            sum[channel] / (kSubpixels * kSubpixels) + std::sqrt(3.0) * scene.noise * noise;
        image.pixels.push_back(
            static_cast<std::uint8_t>(std::lround(255 * std::clamp(value, 0.0, 1.0))));
      }
    }
  }
  return image;
}

}  // namespace massact::train
