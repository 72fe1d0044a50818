#include "weights/gguf_header.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "t2v/error.h"
#include "weights/shape_text.h"

namespace t2v {

namespace {

constexpr std::size_t max_header_bytes = std::size_t{128} << 20;  // real ones are below 16 MiB
constexpr uint64_t max_names = 1 << 16;                           // of keys, and of tensors
constexpr uint64_t max_name_bytes = 1024;
constexpr uint32_t max_rank = 8;
constexpr uint64_t max_alignment = 1 << 16;

[[noreturn]] void refuse_gguf(const std::string& where, const std::string& what) {
  throw Error(ErrorKind::bad_input, where + ": " + what);
}

std::size_t bytes_of(GgufValue::Type type) {
  switch (type) {
    case GgufValue::uint8:
    case GgufValue::int8:
    case GgufValue::boolean:
      return 1;
    case GgufValue::uint16:
    case GgufValue::int16:
      return 2;
    case GgufValue::uint32:
    case GgufValue::int32:
    case GgufValue::float32:
      return 4;
    case GgufValue::uint64:
    case GgufValue::int64:
    case GgufValue::float64:
      return 8;
    case GgufValue::string:  // its length
      return 8;
    case GgufValue::array:
      break;
  }
  return 0;
}

template <class T>
T read_as(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);  // little-endian, as are the machines this builds for
  return value;
}

// The file from its beginning on; what is taken is there.
class Reader {
 public:
  Reader(std::string_view file, const std::string& where)
      : file_(file.substr(0, max_header_bytes)), cut_(file.size() > max_header_bytes), where_(where) {}

  std::string_view take(uint64_t bytes, const std::string& what) {
    if (bytes > file_.size() - at_)
      refuse_gguf(where_, what + " should have " + std::to_string(bytes) + " bytes at byte " +
                              std::to_string(at_) + ", found " + std::to_string(file_.size() - at_) +
                              (cut_ ? ": headers of more than " + std::to_string(max_header_bytes) +
                                          " bytes are not read"
                                    : "; the file is truncated or damaged, fetch it again"));
    const auto taken = file_.substr(at_, bytes);
    at_ += bytes;
    return taken;
  }
  template <class T>
  T number(const std::string& what) {
    return read_as<T>(take(sizeof(T), what).data());
  }
  std::string name(const std::string& what) {
    const auto length = number<uint64_t>(what);
    if (length > max_name_bytes)
      refuse_gguf(where_, what + " claims " + std::to_string(length) + " bytes; names of at most " +
                              std::to_string(max_name_bytes) + " are read");
    return std::string(take(length, what));
  }
  // How many items follow, each of so many bytes or more.
  uint64_t count(const std::string& what, uint64_t most, uint64_t least_bytes) {
    const auto count = number<uint64_t>("the number of " + what);
    if (count > most || count > (file_.size() - at_) / least_bytes)
      refuse_gguf(where_,
                  "claims " + std::to_string(count) + " " + what + ", more than fit into the " +
                      std::to_string(file_.size() - at_) + " bytes that follow" +
                      (count > most ? " or than the " + std::to_string(most) + " that are read" : "") +
                      "; the file is truncated or damaged, fetch it again");
    return count;
  }
  std::size_t at() const { return at_; }
  std::string_view since(std::size_t begin) const { return file_.substr(begin, at_ - begin); }

 private:
  std::string_view file_;
  bool cut_;
  const std::string& where_;
  std::size_t at_ = 0;
};

GgufValue::Type read_type(Reader& reader, const std::string& what, const std::string& where) {
  const auto type = reader.number<uint32_t>(what);
  if (type > GgufValue::float64)
    refuse_gguf(where, what + " has type " + std::to_string(type) + "; 0 to 12 are known");
  return static_cast<GgufValue::Type>(type);
}

GgufValue read_value(Reader& reader, const std::string& key, const std::string& where) {
  const auto what = "the key '" + key + "'";
  GgufValue value;
  value.type = read_type(reader, what, where);
  if (value.type == GgufValue::array) {
    value.is_array = true;
    value.type = read_type(reader, what, where);
    if (value.type == GgufValue::array)
      refuse_gguf(where, what + " holds lists of lists, which are not read");
    value.count = reader.count("elements of '" + key + "'", std::numeric_limits<uint64_t>::max(),
                               bytes_of(value.type));
  }
  const auto begin = reader.at();
  if (value.type == GgufValue::string)
    for (uint64_t i = 0; i < value.count; ++i) reader.take(reader.number<uint64_t>(what), what);
  else
    reader.take(value.count * bytes_of(value.type), what);
  value.bytes = reader.since(begin);
  return value;
}

struct NumberType {
  const char* name;
  uint32_t ggml_type;
  int64_t bytes;
};
constexpr NumberType number_types[] = {{"F32", 0, 4}, {"F16", 1, 2}, {"BF16", 30, 2}};

// Others that GGUF files may have, for messages.
constexpr std::pair<uint32_t, const char*> other_types[] = {
    {9, "Q8_1"},   {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"},
    {19, "IQ1_S"}, {21, "IQ3_S"}, {22, "IQ2_S"},   {24, "I8"},     {25, "I16"},
    {26, "I32"},   {27, "I64"},   {28, "F64"},     {29, "IQ1_M"},  {34, "TQ1_0"},
    {35, "TQ2_0"}, {39, "MXFP4"}, {40, "NVFP4"},   {41, "Q1_0"}};

std::string type_name(uint32_t type) {
  for (const auto& [number, name] : other_types)
    if (number == type) return name;
  return std::to_string(type);
}

// The product of the sides, or nothing where it is no int64.
std::optional<int64_t> elements_of(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const auto side : shape)
    if (side < 1 || __builtin_mul_overflow(count, side, &count)) return std::nullopt;
  return count;
}

class HeaderParser {
 public:
  HeaderParser(std::string_view file, const std::string& where)
      : file_(file), where_(where), reader_(file, where) {}

  GgufHeader parse() {
    read_version();
    const auto tensors = reader_.count("tensors", max_names, 8 + 4 + 8 + 4 + 8);
    const auto keys = reader_.count("keys", max_names, 8 + 4 + 1);
    for (uint64_t i = 0; i < keys; ++i) {
      const auto key = reader_.name("the name of key " + std::to_string(i + 1));
      if (!header_.metadata.emplace(key, read_value(reader_, key, where_)).second)
        refuse_gguf(where_, "the key '" + key + "' stands twice");
    }
    refuse_split_files();
    alignment_ = alignment();
    for (uint64_t i = 0; i < tensors; ++i) read_tensor(i);
    header_.data_begin = (reader_.at() + alignment_ - 1) / alignment_ * alignment_;
    check_places();
    return std::move(header_);
  }

 private:
  void read_version() {
    const auto magic = file_.substr(0, 4);
    if (magic != "GGUF") refuse_gguf(where_, "should begin with 'GGUF'; this is no GGUF file");
    reader_.take(4, "the file");
    const auto version = reader_.number<uint32_t>("the version");
    if (version != 2 && version != 3)
      refuse_gguf(where_,
                  "has GGUF version " + std::to_string(version) +
                      ((version & 0xffff) == 0 ? " (big-endian)" : "") +
                      "; 2 and 3 in little-endian order are read. Convert it again with a current tool.");
  }

  void refuse_split_files() const {
    const auto split = header_.metadata.find("split.count");
    if (split == header_.metadata.end()) return;
    const auto files = gguf_integers(split->second, split->first, where_);
    if (files.size() == 1 && files.front() > 1)
      refuse_gguf(where_, "is one of " + std::to_string(files.front()) +
                              " parts; join them first (llama-gguf-split --merge)");
  }

  uint64_t alignment() const {
    const auto found = header_.metadata.find("general.alignment");
    if (found == header_.metadata.end()) return 32;
    const auto values = gguf_integers(found->second, found->first, where_);
    const auto value = values.size() == 1 && values.front() > 0 ? static_cast<uint64_t>(values.front()) : 0;
    if (value == 0 || value > max_alignment || (value & (value - 1)) != 0)
      refuse_gguf(where_, "general.alignment should be a power of two up to " +
                              std::to_string(max_alignment) +
                              (values.size() == 1 ? ", found " + std::to_string(values.front()) : ""));
    return value;
  }

  void read_tensor(uint64_t index) {
    const auto name = reader_.name("the name of tensor " + std::to_string(index + 1));
    const auto what = "tensor '" + name + "'";
    const auto rank = reader_.number<uint32_t>(what);
    if (rank > max_rank)
      refuse_gguf(where_, what + " claims " + std::to_string(rank) + " dimensions; at most " +
                              std::to_string(max_rank) + " are read");
    GgufTensor tensor;
    for (uint32_t i = 0; i < rank; ++i) tensor.shape.push_back(reader_.number<int64_t>(what));
    std::reverse(tensor.shape.begin(), tensor.shape.end());
    const auto type = reader_.number<uint32_t>(what);
    const auto begin = reader_.number<uint64_t>(what);
    const auto count = elements_of(tensor.shape);
    if (!count) refuse_gguf(where_, what + " has the shape " + shape_text(tensor.shape) + ", which is none");
    const auto bytes = static_cast<uint64_t>(size_of(tensor, type, *count, what));
    if (begin % alignment_ != 0)
      refuse_gguf(where_, what + " begins at byte " + std::to_string(begin) +
                              " of the data, which is no multiple of " + std::to_string(alignment_));
    if (__builtin_add_overflow(begin, bytes, &tensor.end))
      refuse_gguf(where_,
                  what + " begins at byte " + std::to_string(begin) + " of the data, beyond any file");
    tensor.begin = begin;
    take_original_shape(tensor, name, *count);
    if (!header_.tensors.emplace(name, std::move(tensor)).second)
      refuse_gguf(where_, "the name '" + name + "' stands twice");
  }

  int64_t size_of(GgufTensor& tensor, uint32_t type, int64_t count, const std::string& what) const {
    int64_t elements = 1, bytes = 0;
    for (const auto& known : number_types)
      if (known.ggml_type == type) tensor.type = known.name, bytes = known.bytes;
    for (const auto& format : block_formats())
      if (format.ggml_type == type)
        tensor.type = format.name, tensor.format = &format, elements = format.elements, bytes = format.bytes;
    if (bytes == 0)
      refuse_gguf(where_,
                  what + " is stored as " + type_name(type) +
                      ", which is not read; fetch a file in one of F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, "
                      "Q5_1, Q2_K to Q6_K, IQ4_NL and IQ4_XS");
    if (const int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back(); row % elements != 0)
      refuse_gguf(where_, what + " is stored as " + tensor.type + " in rows of " + std::to_string(row) +
                              ", which should be a multiple of " + std::to_string(elements));
    if (__builtin_mul_overflow(count / elements, bytes, &bytes))
      refuse_gguf(where_, what + " has the shape " + shape_text(tensor.shape) + ", beyond any file");
    return bytes;
  }

  // Tensors of more than four dimensions are stored flat; ComfyUI-GGUF's converter says what they were.
  void take_original_shape(GgufTensor& tensor, const std::string& name, int64_t count) const {
    const auto found = header_.metadata.find("comfy.gguf.orig_shape." + name);
    if (found == header_.metadata.end()) return;
    const auto shape = gguf_integers(found->second, found->first, where_);
    if (shape.size() > max_rank || elements_of(shape) != count)
      refuse_gguf(where_, "'" + found->first + "' should be a shape of the " + std::to_string(count) +
                              " numbers in " + shape_text(tensor.shape) +
                              (shape.size() > max_rank ? "" : ", found " + shape_text(shape)));
    tensor.shape = shape;
  }

  void check_places() const {
    const auto data = file_.size() - std::min(file_.size(), header_.data_begin);
    std::vector<std::pair<const std::string*, const GgufTensor*>> by_place;
    for (const auto& [name, tensor] : header_.tensors) {
      if (tensor.end > data)
        refuse_gguf(where_, "tensor '" + name + "' should end at byte " + std::to_string(tensor.end) +
                                " of the data, which has " + std::to_string(data) +
                                "; the file is truncated, fetch it again");
      by_place.emplace_back(&name, &tensor);
    }
    std::sort(by_place.begin(), by_place.end(),
              [](const auto& a, const auto& b) { return a.second->begin < b.second->begin; });
    for (std::size_t i = 1; i < by_place.size(); ++i)
      if (by_place[i].second->begin < by_place[i - 1].second->end)
        refuse_gguf(where_,
                    "tensors '" + *by_place[i - 1].first + "' and '" + *by_place[i].first + "' overlap");
  }

  std::string_view file_;
  const std::string& where_;
  Reader reader_;
  GgufHeader header_;
  uint64_t alignment_ = 32;
};

}  // namespace

GgufHeader parse_gguf_header(std::string_view file, const std::string& where) {
  return HeaderParser(file, where).parse();
}

}  // namespace t2v
