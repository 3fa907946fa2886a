#include "massact/model/examples.h"

namespace massact {
namespace {

struct Text {
  const char* model;
  const char* config;
};

// Sizes and switches as published; what a family never reads is left out.
constexpr Text kTexts[] = {
    {"bloom-7b1",
     R"({"model_type": "bloom", "n_layer": 30, "hidden_size": 4096, "num_attention_heads": 32,
        "vocab_size": 250880, "seq_length": 2048, "layer_norm_epsilon": 1e-05,
        "apply_residual_connection_post_layernorm": false})"},
    {"c4ai-command-r-v01",
     R"({"model_type": "cohere", "hidden_size": 8192, "num_hidden_layers": 40, "num_attention_heads": 64,
        "num_key_value_heads": 64, "intermediate_size": 22528, "vocab_size": 256000,
        "max_position_embeddings": 8192, "hidden_act": "silu", "layer_norm_eps": 1e-05,
        "logit_scale": 0.0625, "rope_theta": 8000000.0, "attention_bias": false,
        "use_qk_norm": false})"},
    {"falcon-7b",
     R"({"model_type": "falcon", "hidden_size": 4544, "num_hidden_layers": 32,
        "num_attention_heads": 71, "vocab_size": 65024, "layer_norm_epsilon": 1e-05, "alibi":
        false, "bias": false, "multi_query": true, "new_decoder_architecture": false,
        "parallel_attn": true})"},
    {"falcon-40b",
     R"({"model_type": "falcon", "hidden_size": 8192, "num_hidden_layers": 60,
        "num_attention_heads": 128, "num_kv_heads": 8, "vocab_size": 65024,
        "layer_norm_epsilon": 1e-05, "alibi": false, "bias": false, "multi_query": true,
        "new_decoder_architecture": true, "parallel_attn": true})"},
    {"falcon-rw-1b",
     R"({"model_type": "falcon", "hidden_size": 2048, "num_hidden_layers": 24,
        "num_attention_heads": 32, "vocab_size": 50304, "layer_norm_epsilon": 1e-05, "alibi":
        true, "bias": true, "multi_query": false, "new_decoder_architecture": false,
        "parallel_attn": false})"},
    {"gemma-7b",
     R"({"model_type": "gemma", "hidden_size": 3072, "num_hidden_layers": 28,
        "num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 256,
        "intermediate_size": 24576, "vocab_size": 256000, "max_position_embeddings": 8192,
        "hidden_act": "gelu", "rms_norm_eps": 1e-06, "rope_theta": 10000.0})"},
    {"gemma-2-2b",
     R"({"model_type": "gemma2", "hidden_size": 2304, "num_hidden_layers": 26,
        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
        "intermediate_size": 9216, "vocab_size": 256000, "max_position_embeddings": 8192,
        "hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-06, "rope_theta": 10000.0,
        "query_pre_attn_scalar": 256, "sliding_window": 4096, "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0})"},
    {"gemma-3-1b",
     R"({"model_type": "gemma3_text", "hidden_size": 1152, "num_hidden_layers": 26,
        "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256,
        "intermediate_size": 6912, "vocab_size": 262144, "max_position_embeddings": 32768,
        "hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-06, "rope_theta":
        1000000.0, "rope_local_base_freq": 10000.0, "query_pre_attn_scalar": 256,
        "sliding_window": 512, "sliding_window_pattern": 6})"},
    {"gpt2",
     R"({"model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12, "n_positions": 1024,
        "vocab_size": 50257, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-05})"},
    {"gpt-j-6b",
     R"({"model_type": "gptj", "n_layer": 28, "n_embd": 4096, "n_head": 16, "n_positions": 2048,
        "vocab_size": 50400, "rotary_dim": 64, "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-05, "tie_word_embeddings": false})"},
    {"pythia-6.9b",
     R"({"model_type": "gpt_neox", "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "intermediate_size": 16384, "vocab_size": 50432,
        "max_position_embeddings": 2048, "hidden_act": "gelu", "layer_norm_eps": 1e-05,
        "rotary_pct": 0.25, "rotary_emb_base": 10000, "use_parallel_residual": true})"},
    {"Llama-2-7b",
     R"({"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 32, "intermediate_size": 11008,
        "vocab_size": 32000, "max_position_embeddings": 4096, "hidden_act": "silu",
        "rms_norm_eps": 1e-05, "rope_scaling": null})"},
    {"Llama-3.1-8B",
     R"({"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
        "vocab_size": 128256, "max_position_embeddings": 131072, "hidden_act": "silu",
        "rms_norm_eps": 1e-05, "rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3",
        "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192}})"},
    {"Mistral-7B-v0.1",
     R"({"model_type": "mistral", "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
        "vocab_size": 32000, "max_position_embeddings": 32768, "hidden_act": "silu",
        "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "sliding_window": 4096})"},
    {"Qwen2.5-7B",
     R"({"model_type": "qwen2", "hidden_size": 3584, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "intermediate_size": 18944,
        "vocab_size": 152064, "max_position_embeddings": 131072, "hidden_act": "silu",
        "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 131072,
        "use_sliding_window": false, "max_window_layers": 28})"},
    {"Qwen3-8B",
     R"({"model_type": "qwen3", "hidden_size": 4096, "num_hidden_layers": 36,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
        "intermediate_size": 12288, "vocab_size": 151936, "max_position_embeddings": 40960,
        "hidden_act": "silu", "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "attention_bias":
        false, "use_sliding_window": false, "max_window_layers": 36})"},
    {"mpt-7b-storywriter",
     R"({"model_type": "mpt", "d_model": 4096, "n_layers": 32, "n_heads": 32, "expansion_ratio":
        4, "max_seq_len": 65536, "vocab_size": 50432, "no_bias": true, "learned_pos_emb": true,
        "attn_config": {"alibi": true, "alibi_bias_max": 16, "clip_qkv": 6.0}})"},
    {"OLMo-7B-0424",
     R"({"model_type": "olmo", "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 32, "intermediate_size": 11008,
        "vocab_size": 50304, "max_position_embeddings": 4096, "hidden_act": "silu", "clip_qkv":
        8.0})"},
    {"OLMo-2-1124-7B",
     R"({"model_type": "olmo2", "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 32, "intermediate_size": 11008,
        "vocab_size": 100352, "max_position_embeddings": 4096, "hidden_act": "silu",
        "rms_norm_eps": 1e-06, "rope_theta": 500000.0})"},
    {"opt-6.7b",
     R"({"model_type": "opt", "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "ffn_dim": 16384, "vocab_size": 50272, "word_embed_proj_dim":
        4096, "max_position_embeddings": 2048, "activation_function": "relu",
        "do_layer_norm_before": true})"},
    {"opt-350m",
     R"({"model_type": "opt", "hidden_size": 1024, "num_hidden_layers": 24,
        "num_attention_heads": 16, "ffn_dim": 4096, "vocab_size": 50272, "word_embed_proj_dim":
        512, "max_position_embeddings": 2048, "activation_function": "relu",
        "do_layer_norm_before": false})"},
    {"phi-2",
     R"({"model_type": "phi", "hidden_size": 2560, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 32, "intermediate_size": 10240,
        "vocab_size": 51200, "max_position_embeddings": 2048, "hidden_act": "gelu_new",
        "layer_norm_eps": 1e-05, "partial_rotary_factor": 0.4, "qk_layernorm": false,
        "rope_theta": 10000.0})"},
    {"Phi-3-mini-4k",
     R"({"model_type": "phi3", "hidden_size": 3072, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 32, "intermediate_size": 8192,
        "vocab_size": 32064, "max_position_embeddings": 4096,
        "original_max_position_embeddings": 4096, "hidden_act": "silu", "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0, "sliding_window": 2047})"},
    {"stablelm-2-1_6b",
     R"({"model_type": "stablelm", "hidden_size": 2048, "num_hidden_layers": 24,
        "num_attention_heads": 32, "num_key_value_heads": 32, "intermediate_size": 5632,
        "vocab_size": 100352, "max_position_embeddings": 4096, "hidden_act": "silu",
        "layer_norm_eps": 1e-05, "partial_rotary_factor": 0.25, "rope_theta": 10000,
        "use_qkv_bias": true, "qk_layernorm": false, "use_parallel_residual": false})"},
    {"stablelm-2-12b",
     R"({"model_type": "stablelm", "hidden_size": 5120, "num_hidden_layers": 40,
        "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 13824,
        "vocab_size": 100352, "max_position_embeddings": 4096, "hidden_act": "silu",
        "layer_norm_eps": 1e-05, "partial_rotary_factor": 0.25, "rope_theta": 10000,
        "use_qkv_bias": false, "qk_layernorm": true, "use_parallel_residual": true})"},
    {"starcoder2-7b",
     R"({"model_type": "starcoder2", "hidden_size": 4608, "num_hidden_layers": 32,
        "num_attention_heads": 36, "num_key_value_heads": 4, "intermediate_size": 18432,
        "vocab_size": 49152, "max_position_embeddings": 16384, "hidden_act":
        "gelu_pytorch_tanh", "norm_epsilon": 1e-05, "rope_theta": 1000000, "sliding_window":
        4096, "use_bias": true})"},
};

}  // namespace

const std::vector<ExampleConfig>& example_configs() {
  static const std::vector<ExampleConfig> all = [] {
    std::vector<ExampleConfig> examples;
    for (const auto& [model, config] : kTexts) {
      examples.push_back({model, JsonObject(parse_json(config, model), model)});
    }
    return examples;
  }();
  return all;
}

}  // namespace massact
