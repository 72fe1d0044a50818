// How many clips of the picture book are drawn in a second, captions included.
#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>

#include "world/book/book.h"

namespace {

void RenderBook(benchmark::State& state) {
  uint64_t index = static_cast<uint64_t>(state.thread_index()) << 32;
  for (auto _ : state) {
    t2v::WorldRandom random(1, index++);
    const auto scene = t2v::sample_book_scene(random, t2v::WorldSide::training, 17, {});
    benchmark::DoNotOptimize(t2v::book_caption(scene, random));
    benchmark::DoNotOptimize(t2v::render_book(scene, state.range(0), state.range(1)));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(RenderBook)->Args({128, 128})->Threads(1)->Threads(2)->UseRealTime();

}  // namespace

int main(int argc, char** argv) {
  at::set_num_threads(1);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
