#include "pipeline/plan/settings.h"

#include <gtest/gtest.h>

#include "errors.h"

namespace t2v {
namespace {

const Setting& setting_named(const std::string& key) {
  for (const auto& setting : generation_settings())
    if (key == setting.key) return setting;
  throw std::out_of_range(key);
}

// A value for every setting.
Json full_object() {
  Json object = Json::object();
  for (const auto& setting : generation_settings()) {
    object[setting.key] = std::visit(
        [&](auto field) {
          using Value = typename std::remove_reference_t<decltype(std::declval<GenerationRequest&>().*
                                                                  field)>::value_type;
          if constexpr (std::is_same_v<Value, std::string>)
            return Json("text of " + std::string(setting.key));
          else if constexpr (std::is_same_v<Value, std::vector<std::string>>)
            return Json({"one", "two"});
          else if constexpr (std::is_same_v<Value, std::vector<double>>)
            return Json({0.5, 0.25});
          else if constexpr (std::is_same_v<Value, bool>)
            return Json(true);
          else if constexpr (std::is_same_v<Value, double>)
            return Json(0.1 + static_cast<double>(object.size()));
          else
            return Json((int64_t{1} << 53) + 1 + static_cast<int64_t>(object.size()));
        },
        setting.field);
  }
  return object;
}

TEST(Settings, GoThroughJsonAndBack) {
  const auto object = full_object();
  EXPECT_EQ(request_to_json(request_from_json(object, "config.json")), object);
  EXPECT_EQ(request_to_json({}), Json::object());
}

TEST(Settings, LeaveOutWhatIsNull) {
  EXPECT_EQ(request_to_json(request_from_json({{"seed", nullptr}, {"steps", 5}}, "config.json")),
            (Json{{"steps", 5}}));
}

TEST(Settings, OfAModelAreThoseThatItMayHave) {
  ModelDefaults defaults;
  for (const auto& setting : generation_settings())
    if (setting.in_model) defaults.settings[setting.key] = nullptr;
  EXPECT_EQ(request_to_json(default_settings(defaults, "t2v.json")), Json::object());
  defaults.settings = {{"steps", 5}, {"negative_prompt", ""}, {"guidance_rescale", 0.5}, {"fps", 24}};
  EXPECT_EQ(request_to_json(default_settings(defaults, "t2v.json")), defaults.settings);
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {R"({"guidence_scale": 6})", {"'guidence_scale'", "did you mean 'guidance_scale'?"}},
      {R"({"licens": "MIT"})", {"'licens'", "did you mean 'licence'?"}},
      {R"({"seed": 6})", {"unknown key 'seed'"}},
      {R"({"bananas": 6})", {"unknown key 'bananas'"}},
      {R"({"guidance_rescale": 1.5})", {"'guidance_rescale'", "between 0 and 1", "1.5"}},
      {R"({"width": 0})", {"'width'", "between 1 and 16384", "found 0"}},
      {R"({"fps": -1})", {"'fps'", "between 0.1 and 1000", "found -1"}},
      {R"({"steps": "many"})", {"'steps'", "an integer"}},
      {R"({"steps": 2.5})", {"'steps'", "an integer"}},
      {R"({"scheduler": 3})", {"'scheduler'"}},
  };
  for (auto [json, parts] : cases) {
    SCOPED_TRACE(json);
    defaults.settings = Json::parse(json);
    parts.emplace_back("model/t2v.json");
    test::expect_error(ErrorKind::bad_input, parts, [&] { default_settings(defaults, "model/t2v.json"); });
  }
}

TEST(Settings, OutOfTheirRangeAreRefusedByFlag) {
  GenerationRequest request;
  request.fps = 2000;
  test::expect_error(ErrorKind::usage, {"--fps should be between 0.1 and 1000, found 2000"},
                     [&] { check_ranges(request); });
  request.fps = 8;
  request.guidance_scale = -1;
  test::expect_error(ErrorKind::usage, {"--guidance-scale should be between 0 and 1000, found -1"},
                     [&] { check_ranges(request); });
}

TEST(Settings, AreRecordedWhereTheyBelong) {
  const auto request = request_from_json(full_object(), "config.json");
  const auto of_clip = recorded_settings(request, Record::clip);
  const auto of_plan = recorded_settings(request, Record::plan);
  for (const char* key : {"prompt", "steps", "timesteps", "image", "codec", "lora"})
    EXPECT_TRUE(of_clip.contains(key) && of_plan.contains(key)) << key;
  for (const char* key : {"threads", "sidecar"})
    EXPECT_TRUE(!of_clip.contains(key) && of_plan.contains(key)) << key;
  for (const char* key : {"size", "output", "count"}) EXPECT_FALSE(of_plan.contains(key)) << key;
}

TEST(Settings, RefuseUnknownKeysWithTheNearest) {
  test::expect_error(ErrorKind::usage, {"config.json", "'guidance_scal'", "did you mean 'guidance_scale'?"},
                     [] {
                       request_from_json({{"guidance_scal", 5}}, "config.json");
                     });
  test::expect_error(ErrorKind::usage, {"config.json", "'step'", "did you mean 'steps'?"}, [] {
    request_from_json({{"step", 5}}, "config.json");
  });
  test::expect_error(ErrorKind::usage, {"unknown key 'bananas'"}, [] {
    request_from_json({{"bananas", 5}}, "config.json");
  });
}

TEST(Settings, RefuseValuesOfAnotherType) {
  for (const auto& [key, value] : std::vector<std::pair<std::string, Json>>{{"steps", "ten"},
                                                                            {"steps", 2.5},
                                                                            {"seed", 18446744073709551615ULL},
                                                                            {"fps", "24"},
                                                                            {"prompt", 3},
                                                                            {"sidecar", 1},
                                                                            {"timesteps", 999},
                                                                            {"sigmas", {1, "0.5"}},
                                                                            {"size", {832, 480}}})
    test::expect_error(ErrorKind::usage, {"config.json", "'" + key + "'"}, [key = key, value = value] {
      request_from_json({{key, value}}, "config.json");
    });
  for (const Json& object : {Json::array(), Json(nullptr), Json("text")})
    test::expect_error(ErrorKind::usage, {"config.json", "JSON object"},
                       [&] { request_from_json(object, "config.json"); });
}

TEST(Settings, ReadNumbersAndSwitchesFromText) {
  GenerationRequest request;
  set_from_text(request, setting_named("steps"), "20", "--steps");
  set_from_text(request, setting_named("fps"), "23.976", "--fps");
  set_from_text(request, setting_named("prompt"), " a circle ", "--prompt");
  for (const auto& [text, value] :
       std::vector<std::pair<std::string, bool>>{{"true", true}, {"0", false}, {"on", true}, {"no", false}}) {
    set_from_text(request, setting_named("sidecar"), text, "T2V_SIDECAR");
    EXPECT_EQ(request.sidecar, value);
  }
  set_from_text(request, setting_named("sigmas"), "1, 0.5", "--sigmas");
  set_from_text(request, setting_named("sigmas"), "0.25", "--sigmas");
  EXPECT_EQ(request.sigmas, (std::vector<double>{1, 0.5, 0.25}));
  EXPECT_EQ(request.steps, 20);
  EXPECT_EQ(request.fps, 23.976);
  EXPECT_EQ(request.prompt, " a circle ");
}

TEST(Settings, RefuseTextThatIsNoNumberNamingItsSource) {
  const auto refused = [](const std::string& key, const std::string& text) {
    GenerationRequest request;
    test::expect_error(ErrorKind::usage, {"T2V_VALUE", "'" + text + "'"},
                       [&] { set_from_text(request, setting_named(key), text, "T2V_VALUE"); });
  };
  for (const char* text : {"", "ten", "12x", "1e3", "2.5", " 5", "9223372036854775808"})
    refused("steps", text);
  for (const char* text : {"", "fast", "24fps", "nan", "inf", "1e999", "1,5"}) refused("fps", text);
  for (const char* text : {"", "maybe", "TRUE", "2"}) refused("sidecar", text);
  for (const char* text : {"", ",", "x"}) refused("timesteps", text);
}

TEST(MergeRequests, LetsTheLaterSourceWinSettingBySetting) {
  GenerationRequest base;
  base.prompt = "base";
  base.steps = 10;
  GenerationRequest over;
  over.steps = 20;
  over.seed = 0;
  const auto merged = merge_requests(base, over);
  EXPECT_EQ(merged.prompt, "base");
  EXPECT_EQ(merged.steps, 20);
  EXPECT_EQ(merged.seed, 0);
}

TEST(MergeRequests, StepsTimestepsAndSigmasDisplaceEachOther) {
  GenerationRequest steps, timesteps, sigmas;
  steps.steps = 8;
  timesteps.timesteps = {999, 499};
  sigmas.sigmas = {1, 0.5};
  EXPECT_FALSE(merge_requests(steps, timesteps).steps);
  EXPECT_FALSE(merge_requests(timesteps, steps).timesteps);
  EXPECT_FALSE(merge_requests(timesteps, sigmas).timesteps);
  EXPECT_FALSE(merge_requests(sigmas, timesteps).sigmas);
}

TEST(MergeRequests, DisplacesWhatSaysTheSameInOtherWords) {
  const auto merged = [](const Json& base, const Json& over) {
    return request_to_json(merge_requests(request_from_json(base, "base"), request_from_json(over, "over")));
  };
  EXPECT_EQ(merged({{"seconds", 2.0}}, {{"frames", 17}}), (Json{{"frames", 17}}));
  EXPECT_EQ(merged({{"frames", 17}}, {{"seconds", 2.0}}), (Json{{"seconds", 2.0}}));
  EXPECT_EQ(merged({{"aspect", "16:9"}}, {{"size", "64x64"}}), (Json{{"size", "64x64"}}));
  EXPECT_EQ(merged({{"width", 64}, {"height", 48}}, {{"size", "64x64"}}), (Json{{"size", "64x64"}}));
  EXPECT_EQ(merged({{"size", "64x64"}}, {{"aspect", "16:9"}}), (Json{{"aspect", "16:9"}}));
  EXPECT_EQ(merged({{"width", 64}, {"height", 48}}, {{"aspect", "16:9"}}), (Json{{"aspect", "16:9"}}));
  EXPECT_EQ(merged({{"size", "64x64"}}, {{"width", 80}, {"height", 48}}),
            (Json{{"width", 80}, {"height", 48}}));
  EXPECT_EQ(merged({{"size", "64x64"}, {"seconds", 2.0}}, {{"fps", 8.0}}),
            (Json{{"size", "64x64"}, {"seconds", 2.0}, {"fps", 8.0}}));
}

}  // namespace
}  // namespace t2v
