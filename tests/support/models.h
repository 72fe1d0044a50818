// Models for tests.
#pragma once

#include <memory>

#include "models/model.h"
#include "paths.h"

namespace t2v::test {

// The random model tests/golden/wan-tiny.
inline std::shared_ptr<const Model> tiny_model() { return open_model(open_model_folder(golden("wan-tiny"))); }

}  // namespace t2v::test
