"""Flags are read from the source inside a wheel: a small pretend wheel of each engine."""

import importlib.util
import json
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "engine_flags.py"

VLLM_FILES = {
    "vllm/config/parallel.py": """
class ParallelConfig:
    tensor_parallel_size: int = 1
    enable_expert_parallel: bool = False
    capture_sizes: list[int] | None = None
""",
    "vllm/engine/arg_utils.py": """
class EngineArgs:
    hf_token: bool | str | None = None

    def add_cli_args(self, group, kwargs):
        group.add_argument("--tensor-parallel-size", "-tp", **kwargs["tensor_parallel_size"])
        group.add_argument("--enable-expert-parallel", "-ep", **kwargs["enable_expert_parallel"])
        group.add_argument("--capture-sizes", **kwargs["capture_sizes"])
        group.add_argument("--hf-token", **kwargs["hf_token"])
        group.add_argument("--headless", action="store_true")
        group.add_argument("model_tag", nargs="?")
""",
    "vllm/entrypoints/common/cli_args.py": """
class FrontendArgs:
    host: str | None = None
    allowed_origins: list[str] = []
    lora_modules: Optional[list[str]] = None
    disable_fastapi_docs: bool = False

    def customize(self, kwargs):
        del kwargs["allowed_origins"]["nargs"]
        kwargs.add_argument("--nargs-of-its-own", nargs="*")
""",
    "vllm/utils/argparse_utils.py": """
class EnableDisableAction:
    _inverse_prefixes = {"--enable-": "--disable-", "--disable-": "--enable-"}
""",
    "vllm/entrypoints/cli/openai.py": 'parser.add_argument("--url")\n',
    "vllm/other.py": 'parser.add_argument("--elsewhere")\n',
    "vllm/config/broken.txt": "no Python",
}

SGLANG_FILES = {
    "sglang/srt/arg_groups/fields/model.py": """
class ModelFields:
    model_path: A[str, Arg(help="weights", aliases=["--model"])]
    trust_remote_code: A[bool, "custom models"] = False
    lora_paths: A[Optional[Union[dict[str, str], List[str]]], Arg(action_kwargs={"nargs": "*"})] = None
    tp_size: A[int, Arg(cli_name="--tp-size", aliases=["--tensor-parallel-size"])] = 1
    old_switch: A[str, Arg(action=DeprecatedStoreTrueAction)] = ""
    both_ways: A[bool, Arg(action=argparse.BooleanOptionalAction)] = True
    json_list: A[List[str], Arg(type_parser=json_list_type)] = None
    inner: A[int, Arg(no_cli=True)] = 0
    plain: int = 0
""",
    "sglang/srt/server_args.py": """
def add(parser):
    parser.add_argument("--config", type=str)
""",
}

WANT: dict[str, dict[str, object]] = {
    "vllm-9.9.9-cp38-abi3-linux.whl": {
        "engine": "vLLM",
        "flags": {
            "tensor-parallel-size": True,
            "tp": True,
            "enable-expert-parallel": False,
            "ep": False,
            "capture-sizes": True,
            "hf-token": True,
            "headless": False,
            "host": True,
            "allowed-origins": True,
            "lora-modules": True,
            "disable-fastapi-docs": False,
            "nargs-of-its-own": True,
        },
        "aliases": {"tp": "tensor-parallel-size", "ep": "enable-expert-parallel"},
        "negations": {
            "no-enable-expert-parallel": "enable-expert-parallel",
            "disable-expert-parallel": "enable-expert-parallel",
            "no-disable-fastapi-docs": "disable-fastapi-docs",
            "enable-fastapi-docs": "disable-fastapi-docs",
        },
        "lists": ["capture-sizes", "lora-modules", "nargs-of-its-own"],
        "optional": ["hf-token", "nargs-of-its-own"],
    },
    "sglang-9.9.9-py3-none-any.whl": {
        "engine": "SGLang",
        "flags": {
            "model-path": True,
            "model": True,
            "trust-remote-code": False,
            "lora-paths": True,
            "tp-size": True,
            "tensor-parallel-size": True,
            "old-switch": False,
            "both-ways": False,
            "json-list": True,
            "config": True,
        },
        "aliases": {"model": "model-path", "tensor-parallel-size": "tp-size"},
        "negations": {"no-both-ways": "both-ways"},
        "lists": ["lora-paths"],
        "optional": ["lora-paths"],
    },
}


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("engine_flags", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def write_wheel(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


@pytest.mark.parametrize("name", WANT)
def test_flags_of_a_wheel(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel = write_wheel(tmp_path / name, VLLM_FILES if name.startswith("vllm") else SGLANG_FILES)
    monkeypatch.setattr(sys, "argv", ["engine_flags.py", str(wheel)])
    assert tool().main() == 0
    release = json.loads(capsys.readouterr().out)
    assert release.pop("version") == "9.9.9"
    assert len(release.pop("wheel_sha256")) == 64
    assert release == WANT[name]


def test_a_parser_without_opposites_has_none(tmp_path: Path) -> None:
    """Only from 0.33 on does vLLM pair `--enable-x` with `--disable-x`."""
    module = tool()
    files = {name: text for name, text in VLLM_FILES.items() if name != "vllm/utils/argparse_utils.py"}
    wheel = write_wheel(tmp_path / "vllm-0.0.1-cp38-abi3-linux.whl", files)
    found = module.document(module.read_flags(wheel, module.LAYOUTS["vllm"]))
    assert sorted(found["negations"]) == ["no-disable-fastapi-docs", "no-enable-expert-parallel"]


def test_another_wheel_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["engine_flags.py", str(tmp_path / "torch-2.0.0-py3-none-any.whl")])
    assert tool().main() == 2
    assert "no wheel of vllm or sglang" in capsys.readouterr().err
