import errno
import io
import json
import os
import stat
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgewise.checkpoint import (
    VERSIONS,
    load_state,
    make_folder,
    read_json,
    require_place,
    save_state,
    write_atomic,
    write_json,
)
from edgewise.errors import CheckpointError, ConfigError

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**130), 2**130),
    st.floats(),
    st.text(),
    hnp.arrays(
        st.sampled_from([np.int8, np.float32, np.float64, np.bool_, "U3"]), hnp.array_shapes(min_dims=0, min_side=0)
    ),
)
# Hypothesis tries the constants of the code, and this one marks where an array stands.
names = st.text().filter(lambda name: name != "__array__")
states = st.dictionaries(
    names,
    st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3)),
)


def same(a, b):
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or a != a)


@settings(max_examples=80)
@given(state=states)
def test_what_is_saved_is_loaded(state, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "round.npz"
    save_state(path, "thing", state)
    assert same(load_state(path, "thing"), state)


@pytest.mark.parametrize("state", [{"__array__": 1}, {"a": {3: 1}}])
def test_a_key_that_could_not_be_read_again_is_refused(state, tmp_path):
    with pytest.raises(CheckpointError, match="is not a name"):
        save_state(tmp_path / "s", "thing", state)
    assert not list(tmp_path.iterdir())


def test_numpy_scalars_become_plain_values(tmp_path):
    save_state(tmp_path / "s", "thing", {"a": np.float32(0.5), "b": [np.int64(3)], "c": (1, 2)})
    assert load_state(tmp_path / "s", "thing") == {"a": 0.5, "b": [3], "c": [1, 2]}


def test_paths_that_look_alike_do_not_collide(tmp_path):
    state = {"a": {"b": np.arange(2)}, "a.b": np.arange(3), "__edgewise__": np.arange(4)}
    save_state(tmp_path / "s", "thing", {"x": state})
    assert same(load_state(tmp_path / "s", "thing"), {"x": state})


@pytest.mark.parametrize("bad", [np.array([{}], object), {1, 2}, object(), {3: 4}, {"__array__": "x"}])
def test_what_cannot_be_saved_safely_is_refused_and_writes_nothing(bad, tmp_path):
    with pytest.raises(CheckpointError):
        save_state(tmp_path / "s", "thing", {"a": bad})
    assert os.listdir(tmp_path) == []


def test_any_damage_is_found(tmp_path):
    path = tmp_path / "s"
    save_state(path, "thing", {"a": np.arange(50.0), "b": {"c": 3, "d": np.arange(5)}})
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for cut in rng.integers(0, len(whole), 25):
        path.write_bytes(whole[:cut])
        with pytest.raises(CheckpointError):
            load_state(path, "thing")
    unnoticed = 0
    for place in rng.integers(0, len(whole), 300):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            # Bits of the archive that carry no content (dates, say) may flip; content may not.
            assert same(load_state(path, "thing"), {"a": np.arange(50.0), "b": {"c": 3, "d": np.arange(5)}})
            unnoticed += 1
        except CheckpointError:
            pass
    assert unnoticed < 200


def test_other_files_are_named(tmp_path):
    path = tmp_path / "s"
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_state(path, "thing")
    for content in (b"", b"text", b"PK\x03\x04"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="s "):
            load_state(path, "thing")
    np.save(tmp_path / "a.npy", np.arange(3))
    with pytest.raises(CheckpointError):
        load_state(tmp_path / "a.npy", "thing")
    np.savez(tmp_path / "pickled.npz", x=np.array([{}], object))
    with pytest.raises(CheckpointError):
        load_state(tmp_path / "pickled.npz", "thing")
    save_state(path, "thing", {})
    with pytest.raises(CheckpointError, match="holds a thing, expected a curriculum"):
        load_state(path, "curriculum")


def test_another_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(VERSIONS, "thing", 99)
    save_state(tmp_path / "s", "thing", {})
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="version 99"):
        load_state(tmp_path / "s", "thing")


def test_checkpoints_of_the_first_version_are_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(VERSIONS, "curriculum", 1)
    save_state(tmp_path / "s", "curriculum", {})
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="version 1, this Edgewise reads version 2: finish the run with"):
        load_state(tmp_path / "s", "curriculum")


def test_what_a_file_declares_is_checked_before_memory_is_reserved(tmp_path, monkeypatch):
    path = tmp_path / "s"
    save_state(path, "thing", {"a": np.zeros(2**20)})
    monkeypatch.setattr("edgewise.checkpoint.LARGEST", 2**20)
    monkeypatch.setattr("edgewise.checkpoint.DENSEST", 20)
    with pytest.raises(CheckpointError, match="unpacks to"):
        load_state(path, "thing")
    monkeypatch.undo()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**50,)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", header.getvalue())
    with pytest.raises(CheckpointError, match="declares"):
        load_state(path, "thing")


def test_a_state_that_compresses_like_a_bomb_is_saved_so_that_it_can_be_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr("edgewise.checkpoint.LARGEST", 2**12)
    monkeypatch.setattr("edgewise.checkpoint.DENSEST", 20)
    save_state(tmp_path / "s", "thing", {"a": np.zeros(2**17)})
    assert load_state(tmp_path / "s", "thing")["a"].shape == (2**17,)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "f"
    write_atomic(path, b"old")

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_files_can_be_read_by_others(tmp_path):
    old = os.umask(0o022)
    try:
        write_json(tmp_path / "x.json", {"a": 1})
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "x.json").stat().st_mode) == 0o644
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": 1}


@pytest.mark.skipif(os.name != "posix", reason="folders are flushed on POSIX systems")
def test_folders_that_are_made_are_flushed_into_those_above(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr("edgewise.checkpoint.sync_folder", flushed.append)
    assert make_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert sorted(flushed) == [tmp_path, tmp_path / "a"]
    make_folder(tmp_path / "a" / "b")
    assert len(flushed) == 2


def test_the_error_of_a_disk_is_not_hidden_by_a_temporary_file_that_stays(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(tmp_path / "file", b"contents")


@pytest.mark.parametrize("contents", [b"", b"[1]", b"[" * 100_000, b"\xff", b'{"a": '])
def test_a_file_that_holds_no_json_object_is_named(tmp_path, contents):
    (tmp_path / "state.json").write_bytes(contents)
    with pytest.raises(CheckpointError, match=r"state\.json"):
        read_json(tmp_path / "state.json")


def test_a_state_that_is_not_compressed_reads_the_same_and_is_checked_as_well(tmp_path):
    state = {"ids": np.arange(5_000), "nested": {"name": "a", "values": np.linspace(0, 1, 9)}}
    for name, compress in (("packed", True), ("plain", False)):
        save_state(tmp_path / name, "curriculum", state, compress=compress)
        np.testing.assert_equal(load_state(tmp_path / name, "curriculum"), state)
    assert (tmp_path / "plain").stat().st_size > 2 * (tmp_path / "packed").stat().st_size
    damaged = bytearray((tmp_path / "plain").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "plain").write_bytes(bytes(damaged))
    with pytest.raises(CheckpointError, match="damaged"):
        load_state(tmp_path / "plain", "curriculum")


def test_a_place_for_results_is_tried_before_the_work(tmp_path, monkeypatch):
    require_place(None, tmp_path / "results.json")
    (tmp_path / "there.json").write_text("old")
    require_place(tmp_path / "there.json")
    assert (tmp_path / "there.json").read_text() == "old"
    with pytest.raises(ConfigError, match=r"there is no folder .*nowhere for results\.json; make it first"):
        require_place(tmp_path / "nowhere" / "results.json")
    with pytest.raises(ConfigError, match="is a folder; name a file"):
        require_place(tmp_path)
    (tmp_path / "link.json").symlink_to(tmp_path / "there.json")
    with pytest.raises(ConfigError, match=r"link\.json is what the results are made from"):
        require_place(tmp_path / "link.json", read=[tmp_path / "there.json"])
    with pytest.raises(ConfigError, match=r"link\.json is named for two results"):
        require_place(tmp_path / "there.json", tmp_path / "link.json")
    require_place("/dev/null", "/dev/null")
    (tmp_path / "link.json").unlink()

    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.touch", refuse)
        with pytest.raises(ConfigError, match=r"cannot write .*results\.json: Read-only file system"):
            require_place(tmp_path / "results.json")
    assert [path.name for path in tmp_path.iterdir()] == ["there.json"]


def test_a_link_stays_one_and_a_device_is_written_to(tmp_path):
    link, pipe = tmp_path / "link.json", tmp_path / "pipe"
    (tmp_path / "shared").mkdir()
    link.symlink_to(tmp_path / "shared" / "results.json")
    for number in (1, 2):
        require_place(link)
        write_json(link, {"number": number})
        assert link.is_symlink()
        assert read_json(tmp_path / "shared" / "results.json") == {"number": number}
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        require_place(pipe)
        write_json(pipe, {})
        assert os.read(reading, 100) == b"{}\n"
    finally:
        os.close(reading)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["link.json", "pipe", "results.json", "shared"]
