// Encoders of T5 in GGUF files, as llama.cpp's converter writes them: names, and the tokenizer inside.
// Source: llama.cpp convert_hf_to_gguf.py, T5Model and T5EncoderModel; gguf-py tensor_mapping.py.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "text/tokenizer.h"

namespace t2v {

// "encoder.block.0.layer.0.SelfAttention.q.weight" → "enc.blk.0.attn_q.weight"
std::string gguf_t5_name(const std::string& name);

// The tokenizer of a GGUF file; none where the file is of another kind or has none. Throws Error{bad_input}
// for one that is damaged or no T5's.
std::unique_ptr<Tokenizer> load_gguf_tokenizer(const std::filesystem::path& file);

}  // namespace t2v
