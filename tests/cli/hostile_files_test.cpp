// Failure classes of files that nobody vouches for: model folders, tensors, tokenizers, pictures. Exit 3, in
// bounded memory and time.
#include "expect.h"
#include "model_copy.h"
#include "starts.h"

namespace t2v::test {

namespace {

ProgramResult make_clip(const ModelCopy& model, const TemporaryFolder& folder) {
  return run_program(quick_clip(folder / "clip.mp4", {"--model", model.path()}), one_thread, {},
                     with_little_memory_and_time(10));
}

std::string repeated(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

// A chunk of a PNG. Source: PNG specification, third edition, section 5.3 and annex D.
std::string png_chunk(const std::string& type_and_data) {
  uint32_t crc = 0xFFFFFFFF;
  for (const unsigned char byte : type_and_data) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xEDB88320U : 0U);
  }
  std::string bytes;
  const auto append = [&](uint32_t value) {
    for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(value >> shift);
  };
  append(static_cast<uint32_t>(type_and_data.size() - 4));
  bytes += type_and_data;
  append(~crc);
  return bytes;
}

void change_json(ModelCopy& model, const std::string& file,
                 const std::function<void(nlohmann::json&)>& change) {
  auto json = nlohmann::json::parse(bytes_of(shipped_model() / file));
  change(json);
  model.replace(file, json.dump());
}

}  // namespace

TEST(FailureClass02, HostileHeadersAreRefusedInLittleMemoryAndTime) {
  const TemporaryFolder folder;
  const auto path = folder / "x.safetensors";
  const auto largest = [](const std::string& piece) {
    return "{" + repeated(piece, 33'000'000 / static_cast<int>(piece.size()));
  };
  for (const auto& [what, header] : std::vector<std::pair<std::string, std::string>>{
           {"30 MB of lists", std::string(30'000'000, '[')},
           {"30 MB of objects", largest(R"({"a":)")},
           {"30 MB of one name", R"({")" + std::string(30'000'000, 'n')},
           {"30 MB of white space", std::string(30'000'000, ' ')},
           {"30 MB of sizes", R"({"w":{"shape":[)" + repeated("1,", 15'000'000)},
           {"30 MB of good tensors, and none of the bytes they claim", [] {
              std::string text = "{";
              for (int i = 0; i < 500'000; ++i)
                text += "\"t" + std::to_string(i) + R"(":{"dtype":"U8","shape":[1],"data_offsets":[)" +
                        std::to_string(i) + "," + std::to_string(i + 1) + "]},";
              text.back() = '}';
              return text;
            }()}}) {
    SCOPED_TRACE(what);
    write_bytes(path, safetensors_bytes(header));
    expect_refused(run_program({"info", path.string()}, one_thread, {}, with_little_memory_and_time()), 3,
                   {path.string()});
  }
  write_bytes(path, std::string(8, '\x7f') + "{}");
  expect_refused(run_program({"info", path.string()}, one_thread, {}, with_little_memory_and_time()), 3,
                 {path.string(), "claims a header"});
}

TEST(FailureClass02, AFileOfHalfAMillionTensorsIsDescribedInLinearTime) {
  const TemporaryFolder folder;
  std::string header = "{";
  for (int i = 0; i < 500'000; ++i)
    header += "\"t" + std::to_string(i) + R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},)";
  header.back() = '}';
  write_bytes(folder / "x.safetensors", safetensors_bytes(header));
  const auto result = run_program({"info", (folder / "x.safetensors").string()}, one_thread, {},
                                  with_little_memory_and_time(10));
  expect_done(result);
  EXPECT_NE(result.out.find("t499999: F32 [0]"), std::string::npos);
}

TEST(FailureClass03, AShardIndexMayNotLeaveItsFolder) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "outside");
  std::filesystem::copy(shipped_model() / transformer_file, folder / "outside/weights.safetensors");
  const auto index = "transformer/diffusion_pytorch_model.safetensors.index.json";
  for (const std::string& file :
       {std::string("../../outside/weights.safetensors"), (folder / "outside/weights.safetensors").string(),
        std::string("sub/weights.safetensors"), std::string(".."), std::string("."), std::string()}) {
    SCOPED_TRACE(file);
    std::filesystem::remove_all(folder / "model");
    ModelCopy model(folder / "model");
    std::filesystem::remove(folder / "model" / transformer_file);
    write_bytes(folder / "model" / index,
                nlohmann::json{{"metadata", {}}, {"weight_map", {{"proj_out.weight", file}}}}.dump());
    expect_refused(make_clip(model, folder), 3,
                   {index, "'proj_out.weight' should name a file beside the index"});
  }
}

TEST(FailureClass05, AConfigThatContradictsTheWeightsIsReportedTensorByTensor) {
  const TemporaryFolder folder;
  ModelCopy model(folder / "model");
  change_json(model, "transformer/config.json",
              [](auto& config) { config["ffn_dim"] = config["ffn_dim"].template get<int>() + 8; });
  expect_refused(make_clip(model, folder), 3,
                 {"transformer", "do not fit config.json", "blocks.0.ffn.net.0.proj.weight should be"});
  change_json(model, "transformer/config.json",
              [](auto& config) { config["num_layers"] = config["num_layers"].template get<int>() + 1; });
  expect_refused(make_clip(model, folder), 3, {"transformer", "missing: blocks."});
  change_json(model, "transformer/config.json",
              [](auto& config) { config["num_layers"] = config["num_layers"].template get<int>() - 1; });
  expect_refused(make_clip(model, folder), 3, {"transformer", "unexpected: blocks."});
  EXPECT_FALSE(std::filesystem::exists(folder / "clip.mp4"));
}

TEST(FailureClass05, ConfigsThatContradictEachOtherAreRefused) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& file, const std::string& key, const nlohmann::json& value,
                           const std::vector<std::string>& parts) {
    SCOPED_TRACE(file + " " + key);
    std::filesystem::remove_all(folder / "model");
    ModelCopy model(folder / "model");
    change_json(model, file, [&](auto& config) { config[key] = value; });
    expect_refused(make_clip(model, folder), 3, parts);
  };
  refused("transformer/config.json", "text_dim", 64, {"text_dim 64", "d_model"});
  refused("transformer/config.json", "in_channels", 16, {"in_channels 16 should be 8", "z_dim 8"});
  refused("text_encoder/config.json", "vocab_size", 100, {"tokenizer", "different tokens", "100"});
  refused("transformer/config.json", "num_layers", 1'000'000'000'000,
          {"transformer/config.json", "num_layers"});
  refused("transformer/config.json", "num_layers", 1024, {"transformer", "problems"});
  refused("vae/config.json", "z_dim", -1, {"vae/config.json", "z_dim"});
  refused("model_index.json", "_class_name", "StableDiffusionPipeline",
          {"model_index.json", "StableDiffusionPipeline"});
  refused("t2v.json", "frames", 0, {"t2v.json", "frames"});
  refused("scheduler/scheduler_config.json", "beta_start", "low", {"scheduler_config.json", "beta_start"});
}

TEST(FailureClass07, HostileTokenizersAreRefusedInLittleMemoryAndTime) {
  const std::string spiece = "tokenizer/spiece.model", json = "tokenizer/tokenizer.json";
  const auto whole = bytes_of(shipped_model() / spiece);
  const auto refused = [&](const std::string& what, const std::string& file, const std::string& bytes) {
    SCOPED_TRACE(what);
    const TemporaryFolder folder;
    ModelCopy model(folder / "model");
    if (file == json) std::filesystem::remove(folder / "model" / spiece);
    model.replace(file, bytes);
    expect_refused(make_clip(model, folder), 3, {file});
  };
  refused("empty", spiece, "");
  refused("cut short", spiece, whole.substr(0, whole.size() / 2 + 1));
  refused("a piece of 2^60 bytes", spiece, "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x0f");
  refused("an endless number", spiece, std::string(1000, '\xff'));
  refused("one piece without text", spiece, std::string("\x0a\x02\x0a\x00", 4));
  refused("text", spiece, "<html>not found</html>");
  refused("deep lists", json, std::string(1'000'000, '['));
  refused("deep objects", json, repeated(R"({"a":)", 200'000));
  refused("no vocabulary", json, R"({"model":{"type":"Unigram","vocab":[]}})");
  refused("another kind", json, R"({"model":{"type":"BPE","vocab":{},"merges":[]}})");
  refused("a score that is no number", json,
          R"({"model":{"type":"Unigram","unk_id":0,"vocab":[["a","b"]]}})");
}

TEST(FailureClass08, HostilePicturesAreRefusedInLittleMemoryAndTime) {
  const TemporaryFolder folder;
  write_bytes(folder / "secret.txt", "secret");
  const auto png_of = [](const std::string& size) {  // the header alone; its CRC is not looked at
    return std::string("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", 16) + size +
           std::string("\x08\x02\0\0\0\0\0\0\0", 9) +
           std::string("\0\0\0\0IDAT\0\0\0\0\0\0\0\0IEND\0\0\0\0", 24);
  };
  for (const auto& [what, bytes] : std::vector<std::pair<std::string, std::string>>{
           {"a list of files", "ffconcat version 1.0\nfile 'secret.txt'\n"},
           {"a playlist", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.txt\n#EXT-X-ENDLIST\n"},
           {"a playlist of the network",
            "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"},
           {"a session description",
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n"},
           {"a manifest",
            R"(<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>)"},
           {"a picture of 2^62 pixels", png_of(std::string("\x7f\xff\xff\xff\x7f\xff\xff\xff", 8))},
           {"a picture of 100,000 by 100,000", png_of(std::string("\0\1\x86\xa0\0\1\x86\xa0", 8))},
           {"a video of 60,000 by 60,000", "YUV4MPEG2 W60000 H60000 F25:1 C444\nFRAME\n"},
           {"a video of no size", "YUV4MPEG2 W0 H0 F25:1 C444\nFRAME\n"},
           {"a table of 1.5 GB", bytes_of(source_dir() / "tests/fuzz/seeds/media/table-of-gigabytes.mp4")},
           {"noise", repeated("\x8f\x01\x3c\xee", 5000)},
           {"nothing", ""}}) {
    SCOPED_TRACE(what);
    write_bytes(folder / "input.mp4", bytes);
    for (const Arguments& command : {Arguments{"info", (folder / "input.mp4").string()},
                                     Arguments{"encode", (folder / "input.mp4").string(), "-o",
                                               (folder / "latents.safetensors").string()}}) {
      expect_refused(run_program(command, one_thread, folder.path(), with_little_memory_and_time()), 3,
                     {"input.mp4"});
      const auto unlimited = run_program(command, one_thread, folder.path());
      expect_refused(unlimited, 3, {"input.mp4"});
      EXPECT_TRUE(has_sanitizer || unlimited.peak_megabytes < 700) << unlimited.peak_megabytes;
    }
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "latents.safetensors"));
}

TEST(FailureClass08, AnInputNameIsAFileAndNeverAProtocol) {
  const TemporaryFolder folder;
  for (const std::string name :
       {"http://127.0.0.1:9/a.mp4", "concat:a.mp4|b.mp4", "file:/etc/passwd", "pipe:0", "data:text/plain,a"})
    expect_refused(
        run_program({"encode", name, "-o", (folder / "latents.safetensors").string()}, {}, folder.path()), 3,
        {name, "No such file"});
}

TEST(FailureClass08, WhatAFileSaysOfItselfReachesNoTerminalAsItIs) {
  const TemporaryFolder folder;
  const std::string deep = std::string(3000, '[') + std::string(3000, ']');
  expect_done(run_program(quick_clip(folder / "plain.png", {"--frames", "1"})));
  for (const std::string& said :
       {std::string("\x1b]0;owned\x07"), std::string("bad \xff\xc3"), R"({"a":)" + deep + "}"}) {
    const auto clip = folder / "clip.png";
    auto bytes = bytes_of(folder / "plain.png");
    bytes.insert(bytes.find("IDAT") - 4, png_chunk(std::string("tEXtcomment") + '\0' + said));
    write_bytes(clip, bytes);
    for (const Arguments& command :
         {Arguments{"info", clip.string()}, Arguments{"info", "--json", clip.string()}}) {
      const auto result = run_program(command);
      expect_done(result);
      EXPECT_NE(result.out.find("comment"), std::string::npos) << result.out;
      for (const char c : result.out)
        EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << static_cast<int>(c);
    }
  }
  const auto tensors = folder / "x.safetensors";
  write_bytes(tensors, safetensors_bytes(
                           R"({"\u001b[31mred": {"dtype": "F99", "shape": [], "data_offsets": [0, 0]}})"));
  const auto result = run_program({"info", tensors.string()});
  expect_refused(result, 3, {"F99"});
  EXPECT_EQ(result.err.find('\x1b'), std::string::npos) << result.err;
}

}  // namespace t2v::test
