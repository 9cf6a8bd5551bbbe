"""State on disk: nested dicts of arrays and plain values in one npz, versioned, checksummed, atomic, without pickle."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.errors import CheckpointError, ConfigError

VERSIONS = {"curriculum": 2}
"""Version by kind of file, 1 where none is named."""
LARGEST, DENSEST = 2**29, 200
"""A file may unpack to `LARGEST` bytes and `DENSEST` times its own size; more is refused before it is read."""
LOGS = (".jsonl", ".parquet", ".npz")
"""Endings of the files that are read from a folder of logs."""
_HEADER = "__edgewise__"
_ARRAY = "__array__"


def write_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Write to a temporary name beside the file, flush to disk, rename: a reader sees the old file or the new one.

    A link stays one and its file is replaced; a device or a pipe is written to.
    """
    if _is_device(path):
        with open(path, "wb") as file:
            file.write(data)
        return
    target = Path(os.path.realpath(path))
    # Not tempfile, whose files only their owner can read: a run is a folder that colleagues read.
    temporary = target.with_name(f".{target.name}.{os.urandom(6).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):  # a file system that has become read-only keeps it
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def leftovers(path: str | os.PathLike[str]) -> list[Path]:
    """Temporary files that writers of `path` left beside it when they were killed."""
    target = Path(os.path.realpath(path))
    return [file for file in target.parent.glob(".*.tmp") if file.name.startswith(f".{target.name}.")]


def _is_device(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a device or a pipe, such as /dev/null: a rename would put a file in its place."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Flush a folder to disk: which files it holds, not what is in them."""
    if os.name != "posix":
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def make_folder(path: str | os.PathLike[str]) -> Path:
    """A folder, made with its parents where it is not there, and flushed into them: a power cut does not lose it."""
    folder = Path(path)
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for place in new:
        sync_folder(place.parent)
    return folder


@contextmanager
def no_empty_folder(path: str | os.PathLike[str]) -> Iterator[None]:
    """A folder made inside goes at the end, with the parents made for it, if nothing is in it."""
    folder = Path(path)
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        yield
    finally:
        with suppress(OSError):  # the first that holds something ends it
            for place in new:
                place.rmdir()


@contextmanager
def writing_to(path: str | os.PathLike[str]) -> Iterator[None]:
    """What is written inside goes to `path`: a full disk, a missing folder or one without write access is a `ConfigError`."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"cannot write {os.fspath(path)}: {error.strerror or error}") from error


def require_place(*files: str | os.PathLike[str] | None, read: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Refuse results for a place that cannot be written before the work, not after it; None is no file.

    Args:
        files: that are going to be written.
        read: files and folders that the results are made from.

    Raises:
        ConfigError: the folder is not there or may not be written, a folder has the file's name, the file is one of `read` or
            has the name of a log in one of these folders, or two of the files are one.
    """
    taken: set[Path] = set()
    sources = [Path(source).resolve() for source in read]
    for path in [Path(file) for file in files if file is not None]:
        place = path.resolve()
        if not place.parent.is_dir():
            raise ConfigError(f"there is no folder {path.parent} for {path.name}; make it first")
        if path.is_dir():
            raise ConfigError(f"{path} is a folder; name a file, such as {path / 'results.json'}")
        if place in sources:
            raise ConfigError(f"{path} is what the results are made from: give them another name")
        if place.suffix in LOGS and any(source in place.parents for source in sources):
            raise ConfigError(
                f"{path} would be among the logs that the results are made from, and be read as one: give them another ending"
            )
        if _is_device(path):
            continue
        if place in taken:
            raise ConfigError(f"{path} is named for two results: give them different names")
        taken.add(place)
        trial = place.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
        with writing_to(path):
            trial.touch(exist_ok=False)
            trial.unlink()


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    write_atomic(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        CheckpointError: the file is missing or damaged, or holds something else.
    """
    try:
        value = json.loads(Path(path).read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is missing or damaged: {error}; restore it or start anew") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} does not hold a JSON object; restore it or start anew")
    return value


def save_state(path: str | os.PathLike[str], kind: str, state: dict[str, Any], *, compress: bool = True) -> None:
    """Save a state dict: nested dicts with str keys whose leaves are arrays (no objects) or JSON values.

    Args:
        path: file to write.
        kind: what the file holds, which `load_state` has to be asked for.
        state: the state dict.
        compress: False takes a fifth of the time and several times the room, for a file that is written again and again.
    """
    _require_file(path)
    arrays: dict[str, np.ndarray] = {}
    values = _split(state, "", arrays)
    try:
        json.dumps(values)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"this state cannot be saved: {error}") from error
    header = {"kind": kind, "version": VERSIONS.get(kind, 1), "checksum": _checksum(arrays, values), "values": values}
    import zipfile  # one of the slower imports, and most programs never save

    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    size = sum(array.nbytes for array in arrays.values()) + text.nbytes
    for method in (*([zipfile.ZIP_DEFLATED] if compress else []), zipfile.ZIP_STORED):
        buffer = io.BytesIO()
        # An npz written by hand: the level that numpy compresses with takes ten times as long on a large pool.
        with zipfile.ZipFile(buffer, "w", method, compresslevel=1) as archive:
            for name, array in {_HEADER: text, **arrays}.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, array, allow_pickle=False)
        # Stored as it is where it would be taken for a bomb.
        if 2 * size < _most(buffer.tell()):
            break
    try:
        write_atomic(path, buffer.getvalue())
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise CheckpointError(
            f"cannot write {path}: {reason}; what was saved there before is unchanged. Make room or give access, and save"
            " again"
        ) from error


def _require_file(path: str | os.PathLike[str]) -> None:
    """Refuse what names no file: a folder, an empty text, another type."""
    if not isinstance(path, (str, os.PathLike)) or not str(path):
        raise CheckpointError(f"a checkpoint is saved to and loaded from the path of a file, got {path!r}")
    if os.path.isdir(path):
        raise CheckpointError(
            f"{path} is a folder; a checkpoint is one file, such as {os.path.join(path, 'curriculum.npz')}"
        )


def load_state(path: str | os.PathLike[str], kind: str) -> dict[str, Any]:
    """Read what `save_state` wrote; anything else, or one flipped bit, raises `CheckpointError` and loads nothing."""
    _require_file(path)
    try:
        arrays = _read_arrays(path)
        if _HEADER not in arrays:
            held = ", ".join(sorted(arrays)[:6])
            raise CheckpointError(
                f"{path} is not of Edgewise: it holds the arrays {held or '(none)'}, expected a {kind}"
            )
        header = json.loads(arrays.pop(_HEADER).tobytes())
        found, version, values, checksum = header["kind"], header["version"], header["values"], header["checksum"]
    except FileNotFoundError as error:
        raise CheckpointError(f"no checkpoint at {path}") from error
    except CheckpointError:
        raise
    except Exception as error:  # BadZipFile, zlib.error, ValueError, ...: whatever a damaged archive provokes
        raise CheckpointError(
            f"{path} is damaged or no Edgewise checkpoint ({error!r}); restore it or start anew"
        ) from error
    if found != kind:
        raise CheckpointError(f"{path} holds a {found}, expected a {kind}")
    if version != (present := VERSIONS.get(kind, 1)):
        raise CheckpointError(
            f"{path} has version {version}, this Edgewise reads version {present}: finish the run with the version of"
            " Edgewise that began it, or start without the checkpoint"
        )
    if checksum != _checksum(arrays, values):
        raise CheckpointError(f"{path} is damaged: its checksum does not match; restore it or start anew")
    return _join(values, arrays)


def _most(packed: int) -> int:
    """Bytes that a file of `packed` bytes may unpack to."""
    return LARGEST + DENSEST * packed


def _read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """All arrays of an npz. What a file declares is checked before memory is reserved for it."""
    import zipfile  # see save_state

    arrays = {}
    with zipfile.ZipFile(path) as archive:
        size, most = sum(member.file_size for member in archive.infolist()), _most(os.path.getsize(path))
        if size > most:
            raise CheckpointError(
                f"{path} unpacks to {size} bytes, more than the {most} of a checkpoint: it is damaged"
            )
        for member in archive.infolist():
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
            declared = int(np.prod(shape, dtype=object)) * dtype.itemsize
            if dtype.hasobject or declared > member.file_size:
                raise CheckpointError(
                    f"{path} is damaged: {member.filename} declares {declared} bytes it does not hold"
                )
            with archive.open(member) as file:
                arrays[member.filename.removesuffix(".npy")] = np.lib.format.read_array(file, allow_pickle=False)
    return arrays


def require_numbers(name: str, values: Any) -> None:
    """Raise `CheckpointError` where a saved array of numbers holds NaN: every prediction from it would be NaN."""
    array = np.asarray(values)
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise CheckpointError(f"the saved {name} holds NaN; take an earlier checkpoint, or start anew")


def generator_state(rng: np.random.Generator) -> dict[str, Any]:
    """The exact state of a generator, as JSON values."""
    return json.loads(json.dumps(rng.bit_generator.state))


def restore_generator(rng: np.random.Generator, state: dict[str, Any]) -> None:
    try:
        rng.bit_generator.state = state
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise CheckpointError(f"the saved random state does not fit: {error}") from error


def _split(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str) or key == _ARRAY:
                raise CheckpointError(f"state '{path}' has the key {key!r}, which is not a name")
        return {key: _split(item, f"{path}.{key}" if path else key, arrays) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_split(item, f"{path}.{index}", arrays) for index, item in enumerate(value)]
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise CheckpointError(f"state '{path}' is an array of objects, which cannot be saved safely")
        path = re.sub(r"[^\w.-]", "_", path, flags=re.ASCII)
        while path in arrays or path == _HEADER:  # keys may contain dots, and more
            path += "_"
        arrays[path] = value
        return {_ARRAY: path}
    if isinstance(value, np.generic):
        return value.item()
    return value


def _join(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, dict):
        if set(value) == {_ARRAY}:
            return arrays[value[_ARRAY]]
        return {key: _join(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [_join(item, arrays) for item in value]
    return value


def _checksum(arrays: dict[str, np.ndarray], values: Any) -> str:
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
