#include "text/tokenizer_model.h"

#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <optional>
#include <string_view>
#include <unordered_set>

#include "base/lfs_pointer.h"
#include "t2v/error.h"
#include "text/unicode_text.h"

namespace t2v {
namespace {

constexpr std::uintmax_t largest_file = std::uintmax_t{256} << 20;
constexpr uint64_t unigram = 1;  // TrainerSpec.ModelType

[[noreturn]] void refuse_model(const std::filesystem::path& path, const std::string& found) {
  throw Error(ErrorKind::bad_input, path.string() + ": expected a SentencePiece Unigram model, found " +
                                        found + ". Fetch the model's tokenizer folder again.");
}

std::string read_file(const std::filesystem::path& path) {
  std::error_code failed;
  const auto size = std::filesystem::file_size(path, failed);
  if (failed) refuse_model(path, "no readable file (" + failed.message() + ")");
  if (size > largest_file) refuse_model(path, std::to_string(size) + " bytes, more than any tokenizer has");
  std::ifstream file(path, std::ios::binary);
  if (!file) refuse_model(path, std::string("no readable file (") + std::strerror(errno) + ")");
  std::string bytes(static_cast<std::size_t>(size), '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(size));
  if (!file) refuse_model(path, "a file that cannot be read to its end");
  refuse_lfs_pointer(bytes, path.string());
  return bytes;
}

// One field of a protocol buffer message. Source: Protocol Buffers documentation, "Encoding".
struct Field {
  uint64_t number = 0;
  uint64_t value = 0;      // of a number
  std::string_view bytes;  // of a string or a message
  bool is_bytes = false;
};

class FieldReader {
 public:
  FieldReader(std::string_view message, const std::filesystem::path& path) : rest_(message), path_(path) {}

  // The next field, or nothing at the end of the message.
  std::optional<Field> next() {
    if (rest_.empty()) return std::nullopt;
    const auto tag = varint();
    Field field;
    field.number = tag >> 3;
    switch (tag & 7) {
      case 0:
        field.value = varint();
        break;
      case 1:
        field.value = little_endian(8);
        break;
      case 2:
        field.bytes = take(varint());
        field.is_bytes = true;
        break;
      case 5:
        field.value = little_endian(4);
        break;
      default:
        refuse_model(path_, "a damaged file (wire type " + std::to_string(tag & 7) + ", " +
                                std::to_string(rest_.size()) + " bytes before the end of its part)");
    }
    return field;
  }

 private:
  std::string_view take(uint64_t count) {
    if (count > rest_.size()) {
      refuse_model(path_, "a damaged or truncated file (" + std::to_string(count) + " bytes announced, " +
                              std::to_string(rest_.size()) + " there)");
    }
    const auto taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }

  uint64_t little_endian(uint64_t count) {
    uint64_t value = 0;
    for (unsigned shift = 0; const char c : take(count)) {
      value |= uint64_t{static_cast<unsigned char>(c)} << shift;
      shift += 8;
    }
    return value;
  }

  uint64_t varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1).front());
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    refuse_model(path_, "a damaged file (a number of more than ten bytes)");
  }

  std::string_view rest_;
  const std::filesystem::path& path_;
};

SentencePiece read_piece(std::string_view message, const std::filesystem::path& path) {
  SentencePiece piece;
  FieldReader reader(message, path);
  while (const auto field = reader.next()) {
    if (field->number == 1 && field->is_bytes) piece.text = field->bytes;
    if (field->number == 2 && !field->is_bytes)
      piece.score = std::bit_cast<float>(static_cast<uint32_t>(field->value));
    if (field->number == 3 && !field->is_bytes) {
      if (field->value < SentencePiece::normal || field->value > SentencePiece::byte)
        refuse_model(path, "a piece of type " + std::to_string(field->value));
      piece.type = static_cast<SentencePiece::Type>(field->value);
    }
  }
  return piece;
}

void check_model_type(std::string_view trainer_spec, const std::filesystem::path& path) {
  FieldReader reader(trainer_spec, path);
  while (const auto field = reader.next()) {
    if (field->number == 3 && !field->is_bytes && field->value != unigram)
      refuse_model(path, "model type " + std::to_string(field->value) + " (Unigram is 1)");
  }
}

std::string_view read_character_map(std::string_view normalizer_spec, const std::filesystem::path& path) {
  FieldReader reader(normalizer_spec, path);
  std::string_view map;
  while (const auto field = reader.next()) {
    if (field->number == 2 && field->is_bytes) map = field->bytes;
  }
  return map;
}

}  // namespace

SentencePieceModel read_sentencepiece_model(const std::filesystem::path& path) {
  return parse_sentencepiece_model(read_file(path), path);
}

SentencePieceModel parse_sentencepiece_model(std::string_view bytes, const std::filesystem::path& path) {
  SentencePieceModel model;
  FieldReader reader(bytes, path);
  while (const auto field = reader.next()) {
    if (!field->is_bytes) continue;
    if (field->number == 1) model.pieces.push_back(read_piece(field->bytes, path));
    if (field->number == 2) check_model_type(field->bytes, path);
    if (field->number == 3) model.character_map = read_character_map(field->bytes, path);
  }
  check_pieces(model.pieces, path);
  return model;
}

void check_pieces(const std::vector<SentencePiece>& pieces, const std::filesystem::path& path) {
  if (pieces.empty()) refuse_model(path, "no pieces");
  std::unordered_set<std::string_view> seen;
  for (const auto& piece : pieces) {
    if (piece.text.empty()) refuse_model(path, "an empty piece");
    if (!decode_utf8(piece.text)) refuse_model(path, "a piece that is not UTF-8");
    if (!std::isfinite(piece.score))
      refuse_model(path, "a score that is not finite, of piece \"" + piece.text + "\"");
    if (!seen.insert(piece.text).second) refuse_model(path, "the piece \"" + piece.text + "\" twice");
  }
}

}  // namespace t2v
