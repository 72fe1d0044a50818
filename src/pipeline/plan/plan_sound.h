// Which sound a clip has, and where.
#pragma once

#include "pipeline/plan/plan_conditions.h"

namespace t2v {

// plan.sound, of a clip that goes on from videos, connects, fills or edits them: their sound stays with the
// frames that it belongs to. A line on each source says what becomes of it. The conditions, clips and codec
// are there. Throws Error{bad_input}.
void plan_sound(GenerationPlan& plan, const Sources& sources);

}  // namespace t2v
