// A clip in memory with libt2v: plans it, receives its frames, and prints how bright each is.
//   make_clip MODEL_FOLDER "PROMPT"
#include <t2v/generate.h>

#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: make_clip MODEL_FOLDER \"PROMPT\"\n");
    return 2;
  }
  try {
    t2v::GenerationRequest request;
    request.model = argv[1];
    request.prompt = argv[2];
    request.frames = 5;
    request.steps = 4;
    request.seed = 1;
    request.to_receiver = true;  // no file: the frames come to `receive`
    const auto plan = t2v::plan_generation(request);

    const auto receive = [](std::size_t, std::size_t, const t2v::FrameBlock& block) {
      const auto pixels = block.height * block.width;
      for (std::int64_t frame = 0; frame < block.frames; ++frame) {
        double sum = 0;  // over three planes of numbers from -1 to 1
        for (std::int64_t colour = 0; colour < 3; ++colour)
          for (std::int64_t i = 0; i < pixels; ++i)
            sum += block.values[(colour * block.frames + frame) * pixels + i];
        std::printf("frame %lld: %.2f\n", static_cast<long long>(block.first + frame),
                    sum / static_cast<double>(3 * pixels));
      }
    };
    const auto finished = [](const t2v::ClipOutcome& outcome) {
      if (outcome.error) throw t2v::Error(*outcome.error);
    };
    t2v::Observer observer;  // says nothing; its check_cancelled() may throw to stop
    t2v::generate_all({plan}, {}, observer, finished, receive);
  } catch (const t2v::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return error.exit_code();
  }
}
