#include "weights/safetensors_header.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "t2v/error.h"

namespace t2v {

namespace {

constexpr std::size_t max_rank = 16;
constexpr std::size_t max_name_bytes = 1024;

[[noreturn]] void refuse(const std::string& where, const std::string& what) {
  throw Error(ErrorKind::bad_input, where + ": " + what);
}

// Reads exactly {name: {dtype, shape: [..], data_offsets: [a, b]}, "__metadata__": {key: string}} from a
// stream of JSON events, and refuses anything else at the first event that does not fit. No document tree is
// built, so a hostile header costs no more memory than its own names.
class HeaderReader {
 public:
  HeaderReader(std::string where, SafetensorsHeader& header) : where_(std::move(where)), header_(header) {}

  bool null() { misplaced("null"); }
  bool boolean(bool) { misplaced("true or false"); }
  bool number_float(double, const std::string& text) { misplaced("the number " + text); }
  bool binary(std::vector<std::uint8_t>&) { misplaced("binary data"); }
  bool number_integer(int64_t value) { misplaced("the number " + std::to_string(value)); }

  bool number_unsigned(uint64_t value) {
    if (state_ != State::in_array) misplaced("the number " + std::to_string(value));
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      refuse(where_, "tensor '" + name_ + "': " + std::to_string(value) + " is too large");
    if (array_.size() >= max_rank)
      refuse(where_, "tensor '" + name_ + "': '" + field_ + "' has more than " + std::to_string(max_rank) +
                         " numbers");
    array_.push_back(value);
    return true;
  }

  bool string(std::string& value) {
    if (state_ == State::in_metadata) {
      header_.metadata[field_] = value;
    } else if (state_ == State::in_entry && field_ == "dtype") {
      entry_.dtype = value;
    } else {
      misplaced("a string");
    }
    return true;
  }

  bool start_object(std::size_t) {
    if (state_ == State::before) {
      state_ = State::top;
    } else if (state_ == State::top) {
      state_ = name_ == "__metadata__" ? State::in_metadata : State::in_entry;
      entry_ = TensorEntry{name_, "", {}, 0, 0};
      fields_seen_.clear();
    } else {
      misplaced("an object");
    }
    return true;
  }

  bool key(std::string& key) {
    if (key.size() > max_name_bytes)
      refuse(where_, "a name of " + std::to_string(key.size()) + " bytes; at most " +
                         std::to_string(max_name_bytes) + " are read");
    if (state_ == State::top) {
      if (header_.entries.contains(key) || (key == "__metadata__" && metadata_seen_))
        refuse(where_, "the name '" + key + "' stands twice in the header");
      metadata_seen_ = metadata_seen_ || key == "__metadata__";
      name_ = key;
      return true;
    }
    if (state_ == State::in_entry) {
      if (key != "dtype" && key != "shape" && key != "data_offsets")
        refuse(where_, "tensor '" + name_ + "': unknown key '" + key + "'");
      if (std::find(fields_seen_.begin(), fields_seen_.end(), key) != fields_seen_.end())
        refuse(where_, "tensor '" + name_ + "': the key '" + key + "' stands twice");
      fields_seen_.push_back(key);
    }
    field_ = key;
    return true;
  }

  bool start_array(std::size_t) {
    if (state_ != State::in_entry || field_ == "dtype") misplaced("a list");
    state_ = State::in_array;
    array_.clear();
    return true;
  }

  bool end_array() {
    state_ = State::in_entry;
    if (field_ == "shape") {
      entry_.shape.assign(array_.begin(), array_.end());
    } else {
      if (array_.size() != 2)
        refuse(where_, "tensor '" + name_ + "': data_offsets should be two numbers, found " +
                           std::to_string(array_.size()));
      entry_.begin = array_[0];
      entry_.end = array_[1];
    }
    return true;
  }

  bool end_object() {
    if (state_ == State::in_entry) {
      for (const char* field : {"dtype", "shape", "data_offsets"})
        if (std::find(fields_seen_.begin(), fields_seen_.end(), field) == fields_seen_.end())
          refuse(where_, "tensor '" + name_ + "': the key '" + field + "' is missing");
      header_.entries.emplace(name_, std::move(entry_));
    }
    state_ = state_ == State::top ? State::after : State::top;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) {
    const std::string what = error.what();
    const auto reason = what.find("syntax error");
    refuse(where_, "the header is not valid JSON at byte " + std::to_string(position) +
                       (reason == std::string::npos ? "" : ": " + what.substr(reason, 160)));
  }

 private:
  enum class State { before, top, in_entry, in_array, in_metadata, after };

  [[noreturn]] void misplaced(const std::string& what) const {
    refuse(where_, "the header has " + what + " where " +
                       (state_ == State::before ? std::string("the header object")
                        : state_ == State::top  ? "the entry of tensor '" + name_ + "'"
                                                : "'" + field_ + "' of '" + name_ + "'") +
                       " was expected");
  }

  std::string where_;
  SafetensorsHeader& header_;
  State state_ = State::before;
  bool metadata_seen_ = false;
  std::string name_, field_;
  TensorEntry entry_;
  std::vector<std::string> fields_seen_;
  std::vector<uint64_t> array_;
};

void check_size(const TensorEntry& entry, std::size_t data_bytes, const std::string& where) {
  const std::string tensor = "tensor '" + entry.name + "'";
  const int bits = safetensors_dtype_bits(entry.dtype);
  if (bits == 0) refuse(where, tensor + ": unknown dtype '" + entry.dtype.substr(0, 40) + "'");
  uint64_t total_bits = static_cast<uint64_t>(bits);
  for (const int64_t size : entry.shape)
    if (__builtin_mul_overflow(total_bits, static_cast<uint64_t>(size), &total_bits))
      refuse(where, tensor + ": its shape multiplies to more than 2^64 bits");
  if (entry.begin > entry.end || entry.end > data_bytes)
    refuse(where, tensor + ": data_offsets [" + std::to_string(entry.begin) + ", " +
                      std::to_string(entry.end) + "] lie outside the file's " + std::to_string(data_bytes) +
                      " bytes of data; the file is truncated or damaged, fetch it again");
  if (total_bits % 8 != 0 || total_bits / 8 != entry.end - entry.begin)
    refuse(where, tensor + ": dtype and shape need " + std::to_string(total_bits / 8) +
                      " bytes, its data_offsets hold " + std::to_string(entry.end - entry.begin));
}

}  // namespace

int safetensors_dtype_bits(std::string_view dtype) {
  static const std::map<std::string_view, int> bits = {
      {"BOOL", 8}, {"U8", 8},   {"I8", 8},    {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"I16", 16},
      {"U16", 16}, {"F16", 16}, {"BF16", 16}, {"I32", 32},    {"U32", 32},    {"F32", 32},    {"I64", 64},
      {"U64", 64}, {"F64", 64}, {"C64", 64},  {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}};
  const auto found = bits.find(dtype);
  return found == bits.end() ? 0 : found->second;
}

SafetensorsHeader parse_safetensors_header(std::string_view json, std::size_t data_bytes,
                                           const std::string& where) {
  SafetensorsHeader header;
  HeaderReader reader(where, header);
  if (json.empty() || json.front() != '{')
    refuse(where, "the header does not begin with '{'; this is not a safetensors file");
  nlohmann::json::sax_parse(json.begin(), json.end(), &reader);

  std::vector<const TensorEntry*> by_offset;
  for (const auto& [name, entry] : header.entries) {
    check_size(entry, data_bytes, where);
    by_offset.push_back(&entry);
  }
  std::sort(by_offset.begin(), by_offset.end(), [](const auto* a, const auto* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  std::size_t covered = 0;
  for (const auto* entry : by_offset) {
    if (entry->begin != covered)
      refuse(where, "tensor '" + entry->name + "' begins at byte " + std::to_string(entry->begin) +
                        " of the data, " +
                        (entry->begin < covered ? "overlapping the tensor before it"
                                                : "leaving a hole after the tensor before it"));
    covered = entry->end;
  }
  if (covered != data_bytes)
    refuse(where, std::to_string(data_bytes - covered) + " bytes of data belong to no tensor");
  return header;
}

}  // namespace t2v
