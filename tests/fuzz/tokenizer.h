// One file of a tokenizer folder, and texts through the tokenizer that it makes.
#pragma once

#include "input.h"
#include "text/tokenizer.h"

namespace t2v::fuzz {

inline void try_tokenizer(const char* file, const uint8_t* data, std::size_t size) {
  static const test::TemporaryFolder folder;
  write_input(folder / file, data, size);
  accepts([&] {
    const auto tokenizer = load_t5_tokenizer(folder.path());
    for (const char* text :
         {"", "a red circle", "\xef\xac\x81 \xe2\x96\x81\xc3\xa9 <pad></s><extra_id_0>", "ab  b\ta\nabc"}) {
      const auto tokens = tokenizer->encode(text, 8);
      if (tokens.ids.size() > 8) throw std::logic_error("more tokens than asked for");
      for (const auto id : tokens.ids)
        if (id < 0 || id >= tokenizer->vocabulary_size())
          throw std::logic_error("a token outside the vocabulary");
    }
  });
}

}  // namespace t2v::fuzz
