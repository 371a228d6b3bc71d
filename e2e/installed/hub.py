"""A model hub with one repository, as far as the operator asks: `python -m installed.hub MODEL --port N`."""

import argparse
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["main"]

_COMMIT = "6f6073b423013f6a7d4d9f39144961bfbfbc386b"
_WEIGHTS_BYTES = 16_381_470_720
_SHARD = "model-00001-of-00001.safetensors"
_CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "head_dim": 128,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "max_position_embeddings": 40960,
    "model_type": "qwen3",
    "num_attention_heads": 32,
    "num_hidden_layers": 36,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 151936,
}


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m installed.hub", description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    answers = {path: json.dumps(content).encode() for path, content in _repository(options.model).items()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answers.get(self.path.partition("?")[0])
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Length", str(len(found or b"")))
            self.end_headers()
            self.wfile.write(found or b"")

    ThreadingHTTPServer((options.address, options.port), Handler).serve_forever()


def _repository(model: str) -> dict[str, object]:
    """What is at which path."""
    index = {"metadata": {"total_size": _WEIGHTS_BYTES}, "weight_map": {"lm_head.weight": _SHARD}}
    sizes = {"config.json": 700, "model.safetensors.index.json": 100, _SHARD: _WEIGHTS_BYTES}
    siblings = [{"rfilename": name, "size": size} for name, size in sizes.items()]
    files = f"/{model}/resolve/{_COMMIT}"
    return {
        f"/api/models/{model}/revision/main": {"sha": _COMMIT, "siblings": siblings},
        f"{files}/config.json": _CONFIG,
        f"{files}/model.safetensors.index.json": index,
    }


if __name__ == "__main__":
    main()
