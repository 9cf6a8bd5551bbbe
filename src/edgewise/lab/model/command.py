"""Commands `edgewise model import`, `list` and `smollm2`."""

from __future__ import annotations

from pathlib import Path

from edgewise.lab.model.checkpoints import SHIPPED
from edgewise.lab.model.pretrained import IMPORTED, import_model, list_models, smollm2


def import_command(source: str, out: Path) -> None:
    """Import a pretrained model: a Hugging Face folder, a GGUF file, or an installed package that holds one.

    Models of the families Llama, Qwen2 and Qwen3 are read. The result is a folder that `edgewise rl` takes as its base and
    that transformers, TRL and vLLM read.

    Args:
        source: folder, file or name of a package.
        out: folder to write, such as models/NAME; `base: NAME` finds it there.
    """
    entry = import_model(source, out)
    print(f"{entry.folder}: {entry.family}, {size(entry.parameters)} parameters, from {entry.origin}")


def list_command(folder: Path = IMPORTED) -> None:
    """List the models that come with the package and those imported into a folder.

    Args:
        folder: where imported models are.
    """
    entries = list_models([SHIPPED, folder])
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        place = "shipped" if entry.folder.parent == SHIPPED else str(entry.folder)
        print(f"{entry.name:{width}}  {entry.family:5}  {size(entry.parameters):>6}  {entry.origin}  ({place})")


def smollm2_command(out: Path = IMPORTED / "smollm2") -> None:
    """Import SmolLM2-135M-Instruct from its installed package; nothing is installed by this command.

    Args:
        out: folder to write.
    """
    import_command(str(smollm2()), out)


def size(parameters: int) -> str:
    """A number of parameters in words: 0.16M, 135M, 1.5B."""
    if parameters >= 10**9:
        return f"{parameters / 1e9:.1f}B"
    millions = parameters / 1e6
    return f"{millions:.0f}M" if millions >= 10 else f"{millions:.2f}M"
