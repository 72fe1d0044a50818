#include "support.h"
#include "video/read/file_header.h"
#include "video/write/output_name.h"

namespace t2v::test {
namespace {

TEST(ImageSequence, IsLosslessAndNumberedFromZero) {
  TemporaryFolder folder;
  const std::vector<Frame> frames{noise(63, 35, 1), noise(63, 35, 2), noise(63, 35, 3)};
  write_all(options_for(folder / "f-%03d.png", frames[0]), frames);
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"f-000.png", "f-001.png", "f-002.png"}));
  const auto decoded = read_all(folder / "f-%03d.png");
  ASSERT_EQ(decoded.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(decoded[i].rgb, frames[i].rgb) << i;
}

TEST(ImageSequence, ReaderKnowsCountAndNoRate) {
  TemporaryFolder folder;
  write_all(options_for(folder / "%d.png", noise(8, 8)), std::vector<Frame>(12, noise(8, 8)));
  const auto reader = open_video(folder / "%d.png");
  EXPECT_EQ(reader->info().frames, 12);
  EXPECT_EQ(reader->info().fps.numerator, 0);
  EXPECT_EQ(reader->info().codec, "png");
}

TEST(ImageSequence, ReaderRefusesAGap) {
  TemporaryFolder folder;
  write_all(options_for(folder / "%02d.png", noise(8, 8)), std::vector<Frame>(4, noise(8, 8)));
  std::filesystem::remove(folder / "00.png");  // a sequence may begin anywhere
  EXPECT_EQ(read_all(folder / "%02d.png").size(), 3u);
  std::filesystem::remove(folder / "02.png");
  expect_error(ErrorKind::bad_input, {"image 2 is missing"}, [&] { open_video(folder / "%02d.png"); });
  expect_error(ErrorKind::bad_input, {"no such image"}, [&] { open_video(folder / "x%02d.png"); });
}

TEST(ImageSequence, ReaderRefusesImagesOfUnlikeSize) {
  TemporaryFolder folder;
  write_all(options_for(folder / "0.png", noise(8, 8)), {noise(8, 8)});
  write_all(options_for(folder / "1.png", noise(8, 6)), {noise(8, 6)});
  expect_error(ErrorKind::bad_input, {"8x6"}, [&] { read_all(folder / "%d.png"); });
}

TEST(ImageSequence, ALongerOneBeforeItLeavesANote) {
  TemporaryFolder folder;
  const auto pattern = folder / "f-%03d.png";
  write_all(options_for(pattern, noise(8, 8)), std::vector<Frame>(9, noise(8, 8)));
  EXPECT_EQ(note_on_leftovers(pattern, 9), std::nullopt);
  EXPECT_EQ(note_on_leftovers(folder / "a.png", 1), std::nullopt);
  const auto note = note_on_leftovers(pattern, 5).value();
  EXPECT_EQ(note,
            (folder / "f-005.png").string() + " to " + (folder / "f-008.png").string() +
                " stay from an earlier, longer sequence and will be read as part of this one; remove what is "
                "not wanted");
  EXPECT_EQ(note_on_leftovers(pattern, 8).value().find((folder / "f-008.png stays").string()), 0U);
}

TEST(ImageSequence, AbortedRunLeavesNothing) {
  TemporaryFolder folder;
  {
    const auto sink = open_encoder(options_for(folder / "%d.png", noise(8, 8)));
    sink->write(noise(8, 8));
    sink->write(noise(8, 8));
    EXPECT_EQ(names_in(folder.path()).size(), 2u);
  }
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(Image, OneFrameGivesOneImage) {
  TemporaryFolder folder;
  write_all(options_for(folder / "a.png", noise(5, 3)), {noise(5, 3)});
  const auto decoded = read_all(folder / "a.png");
  ASSERT_EQ(decoded.size(), 1u);
  EXPECT_EQ(decoded[0].rgb, noise(5, 3).rgb);
}

TEST(Image, SecondFrameIsRefusedAndNothingStays) {
  TemporaryFolder folder;
  {
    const auto sink = open_encoder(options_for(folder / "a.png", noise(8, 8)));
    sink->write(noise(8, 8));
    expect_error(ErrorKind::usage, {"holds one image"}, [&] { sink->write(noise(8, 8)); });
  }
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(Image, KeepsMetadataAndBytes) {
  TemporaryFolder folder;
  auto options = options_for(folder / "a.png", noise(16, 16));
  options.metadata = {{"title", "a red circle"}, {"prompt", "Grün"}};
  write_all(options, {noise(16, 16)});
  EXPECT_EQ(open_video(options.path)->info().metadata.at("title"), "a red circle");
  const auto bytes = bytes_of(options.path);
  EXPECT_NE(bytes.find(std::string("iTXtprompt\0\0\0\0\0Grün", 20)), std::string::npos);
  write_all(options, {noise(16, 16)});
  EXPECT_EQ(bytes_of(options.path), bytes);
}

TEST(Image, GivesBackTextsInAnyLanguage) {
  TemporaryFolder folder;
  auto options = options_for(folder / "a.png", noise(16, 16));
  options.metadata = {{"title", "a circle"}, {"prompt", "Grün, 緑"}};
  write_all(options, {noise(16, 16)});
  const auto metadata = open_video(options.path)->info().metadata;
  EXPECT_EQ(metadata.at("title"), "a circle");
  EXPECT_EQ(metadata.at("prompt"), "Grün, 緑");
}

TEST(PngTexts, AreReadFromWholeChunksBeforeThePixels) {
  const std::string start("\x89PNG\r\n\x1a\n");
  const auto chunk = [](const std::string& type, const std::string& data) {
    return std::string(3, '\0') + static_cast<char>(data.size()) + type + data + "CRC.";
  };
  const auto text = [&](const std::string& key, const std::string& value) {
    return chunk("iTXt", key + std::string(5, '\0') + value);
  };
  const auto of = [&](const std::string& chunks) { return png_utf8_texts(start + chunks); };
  using Texts = std::map<std::string, std::string>;
  EXPECT_EQ(of(text("a", "ä") + chunk("tEXt", "x") + text("b", "")), (Texts{{"a", "ä"}, {"b", ""}}));
  EXPECT_EQ(of(text("a", "1") + chunk("IDAT", "") + text("b", "2")), (Texts{{"a", "1"}}));
  EXPECT_EQ(of(chunk("iTXt", "a" + std::string("\0\0\0en\0b\0ä", 10))), (Texts{{"a", "ä"}}));
  EXPECT_TRUE(of(chunk("iTXt", std::string("a\0\1\0\0\0packed", 12))).empty());
  for (const std::string data : {"", "a", "ab"}) EXPECT_TRUE(of(chunk("iTXt", data)).empty()) << data;
  EXPECT_TRUE(of(chunk("iTXt", std::string("a\0\0\0", 4))).empty());
  const auto whole = start + text("key", "value");
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_TRUE(png_utf8_texts(whole.substr(0, length)).empty()) << length;
  EXPECT_TRUE(of("\xff\xff\xff\xffiTXt" + std::string(100, 'a')).empty());
}

TEST(Y4m, GivesBackColoursAtAnySizeAndRate) {
  TemporaryFolder folder;
  const auto frame = patches(133, 67);
  write_all(options_for(folder / "clip.y4m", frame, {30000, 1001}), {frame, frame, frame});
  const auto reader = open_video(folder / "clip.y4m");
  EXPECT_EQ(reader->info().fps.numerator, 30000);
  EXPECT_EQ(reader->info().fps.denominator, 1001);
  EXPECT_EQ(reader->info().colour_range, "tv");
  int count = 0;
  while (const auto decoded = reader->read()) {
    EXPECT_LE(largest_difference(frame, *decoded), 3);
    ++count;
  }
  EXPECT_EQ(count, 3);
}

TEST(Y4m, HoldsBt709LimitedRange) {
  TemporaryFolder folder;
  const auto frame = patches(8, 2);  // two columns of each colour in a row
  write_all(options_for(folder / "clip.y4m", frame), {frame});
  const auto bytes = bytes_of(folder / "clip.y4m");
  const auto start = bytes.find("FRAME\n") + 6;
  ASSERT_EQ(bytes.size(), start + 3 * 16);
  EXPECT_EQ(bytes.substr(0, bytes.find('\n')),
            "YUV4MPEG2 W8 H2 F24:1 Ip A1:1 C444 XCOLORRANGE=LIMITED XCOLORMATRIX=BT709");
  const auto sample = [&](int plane, int x) {
    return static_cast<int>(static_cast<uint8_t>(bytes[start + plane * 16 + x]));
  };
  // ITU-R BT.709-6, item 3.3 to 3.5, in 8 bits: red, green, blue, white.
  const int expected[4][3] = {{63, 102, 240}, {173, 42, 26}, {32, 240, 118}, {235, 128, 128}};
  for (int colour = 0; colour < 4; ++colour)
    for (int plane = 0; plane < 3; ++plane)
      EXPECT_NEAR(sample(plane, colour * 2), expected[colour][plane], 1) << colour << " " << plane;
}

TEST(Y4m, AbortedClipLeavesNothing) {
  TemporaryFolder folder;
  open_encoder(options_for(folder / "clip.y4m", noise(8, 8)))->write(noise(8, 8));
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(OutputName, PatternsAreOneDecimalConversion) {
  EXPECT_EQ(parse_image_pattern("a/f-%03d.png")->name_of(7), "a/f-007.png");
  EXPECT_EQ(parse_image_pattern("%d.png")->name_of(12345), "12345.png");
  EXPECT_EQ(parse_image_pattern("%02d.png")->name_of(123), "123.png");
  for (const auto* name :
       {"a.png", "%s.png", "%5d.png", "%d-%d.png", "%n%d.png", "%012d.png", "%", "%0", "a%d/b.png"})
    EXPECT_FALSE(parse_image_pattern(name)) << name;
  for (const auto* name : {"%s.png", "%5d.png", "%d-%d.png"})
    expect_error(ErrorKind::usage, {"%05d"}, [&] { parse_output_name(name); });
}

TEST(OutputName, KindFollowsTheExtension) {
  EXPECT_EQ(parse_output_name("a.mp4"), OutputKind::movie);
  EXPECT_EQ(parse_output_name("a.b/c.MOV"), OutputKind::movie);
  EXPECT_EQ(parse_output_name("a.mkv"), OutputKind::movie);
  EXPECT_EQ(parse_output_name("a.webm"), OutputKind::movie);
  EXPECT_EQ(parse_output_name("a.avi"), OutputKind::movie);
  EXPECT_EQ(parse_output_name("a.GIF"), OutputKind::gif);
  EXPECT_EQ(parse_output_name("a%d.webp"), OutputKind::webp);
  EXPECT_EQ(parse_output_name("a.png"), OutputKind::image);
  EXPECT_EQ(parse_output_name("a%d.png"), OutputKind::image_sequence);
  EXPECT_EQ(parse_output_name("a.y4m"), OutputKind::y4m);
  EXPECT_EQ(parse_output_name("-"), OutputKind::y4m);
}

TEST(OutputName, UnknownExtensionListsTheKnownOnes) {
  for (const auto* name : {"a.flv", "a.webm.part", "a", "a.mp4.txt", "", "folder.mp4/", ".mp4", "mp4"})
    expect_error(ErrorKind::usage, {"known are .mp4 .mov .mkv"}, [&] { check_output(name); });
}

TEST(OutputName, ProtocolsAreRefused) {
  TemporaryFolder folder;
  for (const auto* name : {"http:a.mp4", "https://h/a.mp4", "HTTP://h/a.mp4", "concat:a.mp4", "pipe:1.mp4",
                           "file:a.mp4", "data:a.mp4", "tcp://1:2/a.mp4", "crypto+x://a.mp4", "rtmp:a.mp4",
                           "subfile:a.mp4", "tee:a.mp4", "md5:a.mp4"})
    expect_error(ErrorKind::usage, {"plain files"}, [&] { check_output(name); });
  EXPECT_NO_THROW(check_output((folder / "http:a.mp4").string()));
}

TEST(OutputName, FolderMustExistAndBeWritable) {
  TemporaryFolder folder;
  expect_error(ErrorKind::output, {"not a folder"},
               [&] { check_output((folder / "absent" / "a.mp4").string()); });
  write_bytes(folder / "file", "x");
  for (const auto* name : {"a.mp4", "a.png", "%d.png", "a.y4m"}) {
    const auto path = (folder / "file" / name).string();
    expect_error(ErrorKind::output, {"file"}, [&] { check_output(path); });
    expect_error(ErrorKind::output, {"file"}, [&] { open_encoder(options_for(path, noise(8, 8))); });
  }
  std::filesystem::create_directory(folder / "b.mp4");
  expect_error(ErrorKind::output, {"is a folder"}, [&] { check_output((folder / "b.mp4").string()); });
  EXPECT_NO_THROW(check_output((folder / "a.mp4").string()));
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"b.mp4", "file"}));
}

}  // namespace
}  // namespace t2v::test
