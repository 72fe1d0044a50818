#include <cstring>
#include <limits>

#include "t2v/error.h"
#include "weights/gguf_header.h"

namespace t2v {

namespace {

[[noreturn]] void refuse(const std::string& where, const std::string& key, const char* expected) {
  throw Error(ErrorKind::bad_input,
              where + ": the key '" + key + "' should hold " + expected + ", found something else");
}

template <class T>
T element(const GgufValue& value, uint64_t index) {
  T x;
  std::memcpy(&x, value.bytes.data() + index * sizeof x, sizeof x);
  return x;
}

}  // namespace

std::string gguf_text(const GgufValue& value, const std::string& key, const std::string& where) {
  if (value.is_array) refuse(where, key, "a text");
  return gguf_texts(value, key, where).front();
}

std::vector<std::string> gguf_texts(const GgufValue& value, const std::string& key,
                                    const std::string& where) {
  if (value.type != GgufValue::string) refuse(where, key, "text");
  std::vector<std::string> texts;
  auto rest = value.bytes;
  for (uint64_t i = 0; i < value.count; ++i) {
    uint64_t length = 0;
    std::memcpy(&length, rest.data(), sizeof length);
    texts.emplace_back(rest.substr(sizeof length, length));
    rest.remove_prefix(sizeof length + length);
  }
  return texts;
}

std::vector<int64_t> gguf_integers(const GgufValue& value, const std::string& key, const std::string& where) {
  std::vector<int64_t> numbers;
  for (uint64_t i = 0; i < value.count; ++i) switch (value.type) {
      case GgufValue::uint8:
        numbers.push_back(element<uint8_t>(value, i));
        break;
      case GgufValue::int8:
        numbers.push_back(element<int8_t>(value, i));
        break;
      case GgufValue::uint16:
        numbers.push_back(element<uint16_t>(value, i));
        break;
      case GgufValue::int16:
        numbers.push_back(element<int16_t>(value, i));
        break;
      case GgufValue::uint32:
        numbers.push_back(element<uint32_t>(value, i));
        break;
      case GgufValue::int32:
        numbers.push_back(element<int32_t>(value, i));
        break;
      case GgufValue::uint64:
        if (element<uint64_t>(value, i) > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
          refuse(where, key, "whole numbers of 63 bits");
        [[fallthrough]];
      case GgufValue::int64:
        numbers.push_back(element<int64_t>(value, i));
        break;
      default:
        refuse(where, key, "whole numbers");
    }
  return numbers;
}

std::vector<double> gguf_numbers(const GgufValue& value, const std::string& key, const std::string& where) {
  std::vector<double> numbers;
  for (uint64_t i = 0; i < value.count; ++i) switch (value.type) {
      case GgufValue::float32:
        numbers.push_back(element<float>(value, i));
        break;
      case GgufValue::float64:
        numbers.push_back(element<double>(value, i));
        break;
      default:
        refuse(where, key, "numbers");
    }
  return numbers;
}

}  // namespace t2v
