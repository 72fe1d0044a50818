// What an output name asks for. The name decides the container and is never changed.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace t2v {

enum class OutputKind { movie, gif, webp, image, image_sequence, y4m };

// The file name of a numbered image, split around its one %d or %0Nd: "frame-%05d.png" is {"frame-", 5,
// ".png"}.
struct ImagePattern {
  std::filesystem::path folder;
  std::string prefix;
  int digits = 0;  // numbers are padded with zeros to at least so many digits; 0 for %d
  std::string suffix;

  std::filesystem::path name_of(long number) const;
};

// The pattern in the file name of `path`; nothing when it has no %, several, or another conversion than %d
// and %0Nd.
std::optional<ImagePattern> parse_image_pattern(const std::filesystem::path& path);

// The protocol that a name such as "http://host/a.mp4" or "concat:a.mp4|b.mp4" begins with, or nothing. Only
// protocols that exist count: "take:2.mp4" is a file.
std::optional<std::string> protocol_of(const std::string& name);

// In lower case, with its dot.
std::string extension_of(const std::string& path);

// Whether parse_output_name takes it, "-" aside.
bool is_output_name(const std::string& path);

// Throws Error{usage} for a protocol, an unknown extension, or a pattern that is neither %d nor %0Nd. "-" is
// y4m.
OutputKind parse_output_name(const std::string& path);

}  // namespace t2v
