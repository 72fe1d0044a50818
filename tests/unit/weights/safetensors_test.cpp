#include "weights/safetensors.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "errors.h"
#include "faulty_files.h"
#include "paths.h"
#include "sanitizer.h"
#include "support.h"

namespace t2v {
namespace {

using namespace std::string_literals;

struct DtypeCase {
  const char* dtype;
  at::ScalarType type;
  const char* shape;
  std::string data;
  std::vector<double> values;  // empty: only the bytes are compared
};

const std::vector<DtypeCase>& dtype_cases() {
  static const std::vector<DtypeCase> cases = {
      {"BOOL", at::kBool, "[3]", "\0\1\1"s, {0, 1, 1}},
      {"U8", at::kByte, "[2]", "\x07\xff", {7, 255}},
      {"I8", at::kChar, "[2]", "\x07\xff", {7, -1}},
      {"I16", at::kShort, "[2]", "\x01\x02\xfe\xff"s, {513, -2}},
      {"U16", at::kUInt16, "[2]", "\x01\x02\xfe\xff"s, {513, 65534}},
      {"I32", at::kInt, "[2]", "\x01\0\0\0\xfe\xff\xff\xff"s, {1, -2}},
      {"U32", at::kUInt32, "[2]", "\x01\0\0\0\xfe\xff\xff\xff"s, {1, 4294967294.0}},
      {"I64", at::kLong, "[1]", "\xfe\xff\xff\xff\xff\xff\xff\xff"s, {-2}},
      {"U64", at::kUInt64, "[1]", "\0\0\0\0\0\0\0\x80"s, {9223372036854775808.0}},
      {"F16", at::kHalf, "[2]", "\0\x3e\0\xc0"s, {1.5, -2}},
      {"BF16", at::kBFloat16, "[2]", "\xc0\x3f\0\xc0"s, {1.5, -2}},
      {"F32", at::kFloat, "[1, 2]", "\0\0\xc0\x3f\0\0\0\xc0"s, {1.5, -2}},
      {"F64", at::kDouble, "[1]", "\0\0\0\0\0\0\xf8\x3f"s, {1.5}},
      {"F8_E4M3", at::kFloat8_e4m3fn, "[2]", "\x3c\xc0"s, {1.5, -2}},
      {"F8_E5M2", at::kFloat8_e5m2, "[2]", "\x3e\xc0"s, {1.5, -2}},
      {"F8_E8M0", at::kFloat8_e8m0fnu, "[2]", "\x7f\x81"s, {1, 4}},
      {"C64", at::kComplexFloat, "[1]", "\0\0\xc0\x3f\0\0\0\xc0"s, {}},
      {"F4", at::kFloat4_e2m1fn_x2, "[2, 2]", "\x21\x43"s, {}},
  };
  return cases;
}

TEST(Safetensors, ReadsEveryDtypeThatTorchHas) {
  const test::TemporaryFolder folder;
  for (const auto& c : dtype_cases()) {
    const auto header = R"({"x": {"dtype": ")"s + c.dtype + R"(", "shape": )" + c.shape +
                        R"(, "data_offsets": [0, )" + std::to_string(c.data.size()) + "]}}";
    const auto path = folder / (std::string(c.dtype) + ".safetensors");
    test::write_bytes(path, test::safetensors_bytes(header, c.data));
    const auto x = SafetensorsFile::open(path)->tensor("x");
    EXPECT_EQ(x.scalar_type(), c.type) << c.dtype;
    ASSERT_EQ(x.nbytes(), c.data.size()) << c.dtype;
    EXPECT_EQ(std::string(static_cast<const char*>(x.const_data_ptr()), x.nbytes()), c.data) << c.dtype;
    if (c.values.empty()) continue;
    const auto values = x.to(at::kFloat).to(at::kDouble).flatten();
    for (std::size_t i = 0; i < c.values.size(); ++i)
      EXPECT_EQ(values[static_cast<int64_t>(i)].item<double>(),
                static_cast<double>(static_cast<float>(c.values[i])))
          << c.dtype;
  }
}

TEST(Safetensors, ReadsComplexNumbersAndPackedHalfBytes) {
  const test::TemporaryFolder folder;
  const auto header =
      R"({"c": {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}, "f4": {"dtype": "F4", "shape": [2, 4], "data_offsets": [8, 12]}})";
  test::write_bytes(folder / "x", test::safetensors_bytes(header, "\0\0\xc0\x3f\0\0\0\xc0\1\2\3\4"s));
  const auto file = SafetensorsFile::open(folder / "x");
  EXPECT_EQ(at::view_as_real(file->tensor("c")).sum().item<double>(), -0.5);
  EXPECT_EQ(file->tensor("f4").sizes(), (std::vector<int64_t>{2, 2}));  // two elements to a byte
}

TEST(Safetensors, ReadsAnyByteButZeroAsTrue) {
  const test::TemporaryFolder folder;
  test::write_bytes(folder / "x",
                    test::safetensors_bytes(
                        R"({"x": {"dtype": "BOOL", "shape": [3], "data_offsets": [0, 3]}})", "\0\2\xff"s));
  EXPECT_EQ(SafetensorsFile::open(folder / "x")->tensor("x").to(at::kByte).sum().item<int64_t>(), 2);
}

TEST(Safetensors, RefusesADtypeThatTorchLacksOnlyWhenItIsAskedFor) {
  const test::TemporaryFolder folder;
  test::write_bytes(
      folder / "x",
      test::safetensors_bytes(R"({"x": {"dtype": "F6_E2M3", "shape": [4], "data_offsets": [0, 3]}})", "abc"));
  const auto file = SafetensorsFile::open(folder / "x");
  test::expect_error(ErrorKind::bad_input, {(folder / "x").string(), "'x'", "F6_E2M3"},
                     [&] { file->tensor("x"); });
  test::expect_error(ErrorKind::bad_input, {(folder / "x").string(), "'y'"}, [&] { file->tensor("y"); });
}

TEST(Safetensors, ReadsScalarsEmptyTensorsAndMisalignedData) {
  const test::TemporaryFolder folder;
  const auto header =
      R"({"a": {"dtype": "U8", "shape": [], "data_offsets": [0, 1]}, "b": {"dtype": "F32", "shape": [2], "data_offsets": [1, 9]},
      "none": {"dtype": "F32", "shape": [3, 0, 2], "data_offsets": [9, 9]}, "scalar": {"dtype": "F64", "shape": [], "data_offsets": [9, 17]}})";
  test::write_bytes(folder / "x",
                    test::safetensors_bytes(header, "\x07\0\0\xc0\x3f\0\0\0\xc0\0\0\0\0\0\0\xf8\x3f"s));
  const auto file = SafetensorsFile::open(folder / "x");
  EXPECT_EQ(file->tensor("a").dim(), 0);
  EXPECT_EQ(file->tensor("a").item<int64_t>(), 7);
  EXPECT_EQ(file->tensor("b")[0].item<float>(), 1.5F);
  EXPECT_EQ(file->tensor("b")[1].item<float>(), -2.0F);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file->tensor("b").const_data_ptr()) % sizeof(float), 0U);
  EXPECT_EQ(file->tensor("none").sizes(), (std::vector<int64_t>{3, 0, 2}));
  EXPECT_EQ(file->tensor("scalar").item<double>(), 1.5);
}

TEST(Safetensors, ReadsAFileWithoutTensors) {
  const test::TemporaryFolder folder;
  test::write_bytes(folder / "x", test::safetensors_bytes("{}", ""));
  EXPECT_TRUE(SafetensorsFile::open(folder / "x")->entries().empty());
}

TEST(Safetensors, KeepsTheMappingAliveForItsTensors) {
  const test::TemporaryFolder folder;
  save_safetensors(folder / "x", {{"x", at::arange(1000).to(at::kFloat)}});
  const auto x = SafetensorsFile::open(folder / "x")->tensor("x");  // the file object is gone
  EXPECT_EQ(x.sum().item<double>(), 499500.0);
}

TEST(Safetensors, SavedTensorsComeBackAsTheyWere) {
  const test::TemporaryFolder folder;
  const std::vector<std::pair<std::string, at::Tensor>> tensors = {
      {"odd", at::arange(3).to(at::kByte)},
      {"float", at::arange(6).to(at::kFloat).view({2, 3})},
      {"transposed", at::arange(6).to(at::kDouble).view({2, 3}).t()},
      {"half", at::arange(6).to(at::kHalf)},
      {"bfloat", at::arange(6).to(at::kBFloat16)},
      {"long", at::arange(6)},
      {"bool", at::arange(6).gt(2)},
      {"scalar", at::scalar_tensor(2.5)},
      {"empty", at::empty({0, 4})},
      {"unicode \"ä\"\n", at::ones({1})}};
  const std::map<std::string, std::string> metadata = {{"format", "pt"}, {"about", "{\"seed\": 1}"}};
  save_safetensors(folder / "x", tensors, metadata);
  const auto file = SafetensorsFile::open(folder / "x");
  EXPECT_EQ(file->metadata(), metadata);
  EXPECT_EQ(file->entries().size(), tensors.size());
  EXPECT_EQ(file->size_in_bytes(), std::filesystem::file_size(folder / "x"));
  for (const auto& [name, tensor] : tensors) {
    const auto found = file->tensor(name);
    EXPECT_EQ(found.scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(at::equal(found, tensor)) << name;
  }
}

TEST(Safetensors, AreCompleteOrAbsentAfterEveryFaultOfTheDisk) {
  const auto save = [](const std::filesystem::path& folder) {
    save_safetensors(folder / "x.safetensors", {{"a", at::arange(5000)}, {"b", at::ones({3})}});
  };
  test::expect_complete_or_absent_after_every_fault(save);
  test::expect_same_after_short_and_interrupted_writes(save);
}

TEST(Safetensors, RefusesHostileHeaders) {
  struct Case {
    const char* what;
    std::string header;
    std::string data;
    std::vector<std::string> parts;
  };
  const auto entry = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"w": {"dtype": )" + dtype + R"(, "shape": )" + shape + R"(, "data_offsets": )" + offsets +
           "}}";
  };
  const auto two = [](const std::string& a, const std::string& b) {
    return R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": )" + a +
           R"(}, "b": {"dtype": "U8", "shape": [4], "data_offsets": )" + b + "}}";
  };
  const std::string four(4, 'x');
  const std::string eight(8, 'x');
  const std::vector<Case> cases = {
      {"empty", "", "", {}},
      {"not JSON", "{w: 1}", "", {"not valid JSON"}},
      {"a pickle", "\x80\x02}q\x01.", "", {"not a safetensors file"}},
      {"a list", "[]", "", {}},
      {"cut JSON", R"({"w": {"dtype": "F32")", "", {"not valid JSON"}},
      {"text after the object", "{} {}", "", {"not valid JSON"}},
      {"invalid UTF-8", "{\"\xff\": 1}", "", {"not valid JSON"}},
      {"nested lists", R"({"w": )" + std::string(100'000, '['), "", {"'w'"}},
      {"nested objects",
       [] {
         std::string text;
         for (int i = 0; i < 100'000; ++i) text += R"({"w": )";
         return text;
       }(),
       "",
       {"'w'"}},
      {"lists in the shape", entry(R"("F32")", "[[1]]", "[0, 4]"), four, {"'w'", "shape"}},
      {"an entry that is a number", R"({"w": 4})", "", {"'w'"}},
      {"an entry that is null", R"({"w": null})", "", {"'w'"}},
      {"one name twice",
       R"({"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}, "w": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]}})",
       eight,
       {"'w'", "twice"}},
      {"one key twice",
       R"({"w": {"dtype": "U8", "dtype": "F32", "shape": [4], "data_offsets": [0, 4]}})",
       four,
       {"'w'", "'dtype'", "twice"}},
      {"metadata twice", R"({"__metadata__": {}, "__metadata__": {}})", "", {"__metadata__", "twice"}},
      {"overlapping", two("[0, 4]", "[2, 6]"), std::string(6, 'x'), {"'b'", "overlapping"}},
      {"the same bytes twice", two("[0, 4]", "[0, 4]"), four, {"overlapping"}},
      {"a hole", two("[0, 4]", "[6, 10]"), std::string(10, 'x'), {"'b'", "hole"}},
      {"a hole at the start", entry(R"("U8")", "[4]", "[4, 8]"), eight, {"'w'", "hole"}},
      {"trailing bytes", entry(R"("U8")", "[4]", "[0, 4]"), eight, {"4 bytes", "no tensor"}},
      {"out of range", entry(R"("U8")", "[9]", "[0, 9]"), eight, {"'w'", "outside"}},
      {"end before begin", entry(R"("U8")", "[4]", "[8, 4]"), eight, {"'w'"}},
      {"too few bytes for the shape", entry(R"("F32")", "[2]", "[0, 4]"), four, {"'w'", "8 bytes"}},
      {"shape overflow", entry(R"("F32")", "[4294967296, 4294967296, 4]", "[0, 4]"), four, {"'w'"}},
      {"shape overflow to 0", entry(R"("U8")", "[4611686018427387904, 8]", "[0, 0]"), "", {"'w'"}},
      {"a negative size", entry(R"("U8")", "[-4]", "[0, 4]"), four, {"'w'"}},
      {"a negative offset", entry(R"("U8")", "[4]", "[-4, 0]"), four, {"'w'"}},
      {"a size beyond 2^63", entry(R"("U8")", "[18446744073709551615]", "[0, 4]"), four, {"'w'"}},
      {"a size beyond 2^64", entry(R"("U8")", "[184467440737095516160]", "[0, 4]"), four, {"'w'"}},
      {"a fraction in the shape", entry(R"("U8")", "[4.0]", "[0, 4]"), four, {"'w'"}},
      {"a string in the shape", entry(R"("U8")", R"(["4"])", "[0, 4]"), four, {"'w'"}},
      {"a shape of 17 sizes",
       entry(R"("U8")", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0, 1]"),
       "x",
       {"'w'"}},
      {"a shape that is a number", entry(R"("U8")", "4", "[0, 4]"), four, {"'w'"}},
      {"an unknown dtype", entry(R"("F128")", "[1]", "[0, 4]"), four, {"'w'", "F128"}},
      {"a dtype that is a number", entry("32", "[1]", "[0, 4]"), four, {"'w'"}},
      {"a dtype that is a list", entry(R"(["F32"])", "[1]", "[0, 4]"), four, {"'w'"}},
      {"one offset", entry(R"("U8")", "[4]", "[4]"), four, {"'w'", "data_offsets"}},
      {"three offsets", entry(R"("U8")", "[4]", "[0, 4, 4]"), four, {"'w'", "data_offsets"}},
      {"half a byte", entry(R"("F4")", "[3]", "[0, 1]"), "x", {"'w'"}},
      {"no dtype", R"({"w": {"shape": [4], "data_offsets": [0, 4]}})", four, {"'w'", "'dtype'", "missing"}},
      {"no shape", R"({"w": {"dtype": "U8", "data_offsets": [0, 4]}})", four, {"'w'", "'shape'", "missing"}},
      {"no offsets", R"({"w": {"dtype": "U8", "shape": [0]}})", "", {"'w'", "'data_offsets'", "missing"}},
      {"one key more",
       R"({"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4], "strides": [1]}})",
       four,
       {"'w'", "'strides'"}},
      {"metadata with a number", R"({"__metadata__": {"epoch": 3}})", "", {"epoch", "__metadata__"}},
      {"metadata with an object", R"({"__metadata__": {"a": {}}})", "", {"__metadata__"}},
      {"metadata that is a string", R"({"__metadata__": "pt"})", "", {"__metadata__"}},
      {"a long name",
       R"({")" + std::string(100'000, 'n') + R"(": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}})",
       "",
       {"100000 bytes"}},
  };
  const test::TemporaryFolder folder;
  const auto path = folder / "hostile.safetensors";
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    test::write_bytes(path, test::safetensors_bytes(c.header, c.data));
    auto parts = c.parts;
    parts.push_back(path.string());
    test::expect_error(ErrorKind::bad_input, parts, [&] { SafetensorsFile::open(path); });
  }
}

TEST(Safetensors, RefusesAHeaderLengthThatTheFileContradicts) {
  const test::TemporaryFolder folder;
  const auto path = folder / "x.safetensors";
  for (const uint64_t length :
       {uint64_t{3}, uint64_t{1000}, uint64_t{1} << 24, uint64_t{1} << 40, ~uint64_t{0}, ~uint64_t{0} - 7}) {
    test::write_bytes(path, test::little_endian(length) + "{}");
    test::expect_error(ErrorKind::bad_input, {path.string(), std::to_string(length)},
                       [&] { SafetensorsFile::open(path); });
  }
}

TEST(Safetensors, RefusesAGitLfsPointerByItsName) {
  const test::TemporaryFolder folder;
  const auto path = folder / "model.safetensors";
  test::write_bytes(path, test::lfs_pointer);
  test::expect_error(ErrorKind::bad_input, {path.string(), "Git LFS pointer", "git lfs pull"},
                     [&] { SafetensorsFile::open(path); });
}

TEST(Safetensors, RefusesWhatIsNoFile) {
  const test::TemporaryFolder folder;
  test::expect_error(ErrorKind::bad_input, {(folder / "absent").string(), "cannot be read"},
                     [&] { SafetensorsFile::open(folder / "absent"); });
  test::expect_error(ErrorKind::bad_input, {folder.path().string(), "not a regular file"},
                     [&] { SafetensorsFile::open(folder.path()); });
}

TEST(Safetensors, RefusesAValidFileCutAtAnyByte) {
  const test::TemporaryFolder folder;
  save_safetensors(folder / "whole", {{"a", at::arange(6).to(at::kFloat)}, {"b", at::ones({2, 2})}},
                   {{"format", "pt"}});
  const auto whole = test::bytes_of(folder / "whole");
  const auto cut = folder / "cut";
  for (std::size_t length = 0; length < whole.size(); ++length) {
    test::write_bytes(cut, whole.substr(0, length));
    test::expect_error(ErrorKind::bad_input, {cut.string()}, [&] { SafetensorsFile::open(cut); });
  }
}

TEST(Safetensors, SpendsLittleMemoryOnALargeHeaderOfGarbage) {
  const auto peak_megabytes = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
  };
  const test::TemporaryFolder folder;
  const auto path = folder / "garbage.safetensors";
  constexpr std::size_t size = 30'000'000;
  std::string many_entries = "{";
  while (many_entries.size() < size)
    many_entries += "\"t" + std::to_string(many_entries.size()) + R"(": {"dtype": "F32"},)";
  std::string many_numbers = R"({"w": {"shape": [)";
  while (many_numbers.size() < size) many_numbers += "1,";
  std::string noise(size, '\0');
  uint32_t state = 1;
  for (auto& byte : noise) byte = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  for (const auto& header : {many_entries, many_numbers, "{" + noise, "{\"" + std::string(size, 'a'),
                             std::string(size, '{'), std::string(size, ' ')}) {
    test::write_bytes(path, test::safetensors_bytes(header, ""));
    const auto before = peak_megabytes();
    test::expect_error(ErrorKind::bad_input, {path.string()}, [&] { SafetensorsFile::open(path); });
    if (test::has_sanitizer) continue;
    EXPECT_LT(peak_megabytes() - before, 10 * static_cast<long>(size) / 1'000'000) << header.substr(0, 20);
  }
}

}  // namespace
}  // namespace t2v
