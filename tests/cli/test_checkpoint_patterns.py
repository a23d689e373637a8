"""Checkpoints that a pattern names, and folders with safetensors: they are listed and graded; none is put in place of a
pattern."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from pathlib import Path

import pytest

from atftctl.observe.checkpoints.content import NO_CHECKSUM, content_of
from tests.support.projects import RUNBOOK, Project


def write_safetensors(path: Path, *, cut: int = 0, offsets: tuple[int, int] = (0, 64)) -> None:
    """A file with one tensor of 64 bytes."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [16], "data_offsets": list(offsets)}}).encode()
    data = struct.pack("<Q", len(header)) + header + bytes(64)
    path.write_bytes(data[: len(data) - cut])


def make_folder(folder: Path, step: int) -> Path:
    """A checkpoint as the Trainer of Hugging Face writes it."""
    folder.mkdir(parents=True)
    write_safetensors(folder / "model.safetensors")
    with zipfile.ZipFile(folder / "optimizer.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"x" * step)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    os.utime(folder, (1_700_000_000 + step,) * 2)
    return folder


@pytest.mark.parametrize(
    ("case", "damage"),
    [
        ("whole", ""),
        ("cut", "holds 59 bytes of tensors"),
        ("gap", "overlap, or leave a gap"),
        ("header", "header is missing"),
        ("json", "can't be read"),
        ("shard", "model-2.safetensors, which its index names, is missing"),
        ("index", "model.safetensors.index.json, which its index names, is missing or can't be read"),
    ],
)
def test_a_folder_is_whole_by_lengths_and_shards(tmp_path: Path, case: str, damage: str) -> None:
    folder = make_folder(tmp_path / "checkpoint-5", 5)
    weights, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if case == "cut":
        write_safetensors(weights, cut=5)
    elif case == "gap":
        write_safetensors(weights, offsets=(8, 64))
    elif case == "header":
        weights.write_bytes(b"\xff" * 20)
    elif case == "json":
        weights.write_bytes(struct.pack("<Q", 8) + b"notjson!" + bytes(4))
    elif case == "shard":
        shards = {"a": "model.safetensors", "b": "model-2.safetensors"}
        index.write_text(json.dumps({"weight_map": shards}))
    elif case == "index":
        index.write_text("{")
    content = content_of(folder)
    assert damage in content.damage and bool(content.damage) == bool(damage)
    assert (content.proven, content.note) == (not damage, content.note)
    if not damage:
        assert content.note == NO_CHECKSUM


def test_patterns_name_the_newest_and_the_earlier_ones(project: Project) -> None:
    for step in (900, 1000, 1100):
        make_folder(project.root / f"out/checkpoint-{step}", step)
    make_folder(project.root / "out/.checkpoint-1200", 1200)
    project.replace(RUNBOOK, "  last: models/last.pth\n", '  last: "out/checkpoint-*"\n')
    listed = project.run("checkpoint", "list", "--json").json["data"]["checkpoints"]
    rungs = [(line["back"], line["step"], line["grade"]) for line in listed if line["path"].startswith("out/")]
    assert rungs == [(0, 1100, "whole"), (1, 1000, "whole"), (2, 900, "whole")]
    assert listed[0]["reason"] == NO_CHECKSUM
    back = project.run("rollback", "--back", "1", "--dry-run")
    assert back.code == 3 and "checkpoints.last is the pattern out/checkpoint-*" in " ".join(back.err.split()), back


def test_a_folder_that_is_named_is_put_back_whole(project: Project) -> None:
    last = make_folder(project.root / "out/last", 7)
    earlier = make_folder(project.root / "out/checkpoint-5", 5)
    (last / "extra.bin").write_bytes(b"of a later version")
    project.replace(RUNBOOK, "  last: models/last.pth\n", "  last: out/last\n")
    project.replace(RUNBOOK, "  history: models/history\n", '  history: "out/checkpoint-*"\n')
    done = project.run("rollback", "--back", "1", "--yes")
    assert done.code == 0, done
    assert content_of(last).sha256 == content_of(earlier).sha256
    undone = project.run("undo", "--yes")
    assert undone.code == 0, undone
    assert (last / "extra.bin").read_bytes() == b"of a later version"
