// What torch.jit.save wrote, as data: the tensors of the program's modules. The program itself is
// not looked at.
#pragma once

#include <vector>

#include "massact/io/torch_archive.h"

namespace massact {

/// The tensors among the attributes of the module `root` (data.pkl of an archive that is_script)
/// and of the modules in it, by the names that a state dict has: "visual.conv1.weight". Throws
/// Error if modules are nested too deep or in a cycle.
std::vector<MappedTensor> script_tensors(const TorchArchive& archive, const PickleValue& root);

}  // namespace massact
