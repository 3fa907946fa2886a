// The ranks of a data-parallel run. One process per rank, started with the usual variables: RANK,
// WORLD_SIZE, MASTER_ADDR, MASTER_PORT (torchrun, Slurm and mpirun wrappers set them).
#pragma once

#include <ATen/ATen.h>

#include <memory>

namespace massact::train {

/// All ranks together. The methods are collective: every rank calls them in the same order. If a
/// rank dies or does not answer within a minute, they throw Error on all others.
class World {
 public:
  virtual ~World() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Replaces a CPU or CUDA tensor by its mean over ranks, in place.
  virtual void average(at::Tensor tensor) = 0;

  bool is_first() const { return rank() == 0; }
};

/// The world that the environment describes; without WORLD_SIZE (or with 1) a world of one.
/// Throws Error if the variables are incomplete, the ranks do not find each other within a minute,
/// or this build has no c10d.
std::unique_ptr<World> join_world();

}  // namespace massact::train
