"""What a checkpoint holds, as far as it can be seen without loading it: its hash, and the CRCs of its zip files.

The bytes are read once. Nothing is unpickled, no symlink is followed, and a pipe is never waited for.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from atftctl.domain.checkpoint import Content
from atftctl.host.copying import safetensors
from atftctl.host.copying.copier import hash_file
from atftctl.host.copying.zip_crc import ZipWatch, blank_checkpoint
from atftctl.host.errors import HostError, reason
from atftctl.host.files.fingerprint import sha256_bytes
from atftctl.host.files.reading import open_regular
from atftctl.protocol.messages import tr

MOST_FILES = 10_000  # of a folder
NO_CHECKSUM = tr("safetensors: header and length were checked; the format has no checksum of the tensors")


def content_of(path: Path, known: Collection[str] = ()) -> Content:
    """Read a checkpoint, a file or a folder. `known`: hashes with which it may have been saved; a file with another
    hash is damaged. Raises FileNotFoundError where it is gone."""
    if path.is_dir() and not path.is_symlink():
        return _folder(path)
    content = _file(path)
    if not content.sha256 or content.damage or not known:
        return content
    if content.sha256 in known:
        return Content(content.sha256, proven=True, files=content.files)
    damage = tr("its hash is not the one with which it was saved")
    return Content(content.sha256, damage, files=content.files)


def _file(path: Path) -> Content:
    watch = ZipWatch()
    try:
        digest = hash_file(path, watch=watch.start)
    except FileNotFoundError:
        raise
    except (OSError, HostError) as error:
        return Content(damage=reason(error))
    damage = watch.damage or blank_checkpoint(str(path), watch)
    if not damage and path.name.endswith(safetensors.SUFFIX):
        return _safetensors(path, digest)
    return Content(digest, damage, proven=not damage and watch.verdict == "whole", files={"": digest})


def _safetensors(path: Path, digest: str) -> Content:
    """A file of safetensors: its header and its length count as the proof, and it is said that no checksum was."""
    try:
        with open_regular(path) as file:
            damage = safetensors.damage_of(file.fileno())
    except FileNotFoundError:
        raise
    except (OSError, HostError) as error:
        damage = reason(error)
    return Content(digest, damage, proven=not damage, files={"": digest}, note="" if damage else NO_CHECKSUM)


def _folder(path: Path) -> Content:
    """Its hash is that of the list of its files. It is proven where at least one zip or safetensors file is, none is
    damaged, and all that an index names are there."""
    files: dict[str, str] = {}
    proven, damage, note = False, "", ""
    for name in _names(path):
        if len(files) >= MOST_FILES:
            return Content(damage=tr("it holds more than {count} files", count=MOST_FILES), folder=True)
        inner = _file(path / name)
        files[name] = inner.sha256
        proven |= inner.proven
        note = note or inner.note
        damage = damage or (tr("{path}: {reason}", path=name, reason=inner.damage) if inner.damage else "")
    if not files:
        return Content(damage=tr("the folder is empty"), folder=True)
    if missing := safetensors.missing_shards(path, files):
        damage = damage or tr("{path}, which its index names, is missing or can't be read", path=missing[0])
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items()))
    digest = sha256_bytes(text.encode("utf-8", "surrogateescape"))
    return Content(digest, damage, proven=proven and not damage, files=files, folder=True, note=note)


def _names(folder: Path) -> list[str]:
    """The paths of everything in a folder that is no folder, relative to it, sorted."""
    names = []
    for top, folders, files in os.walk(folder):
        links = [name for name in folders if Path(top, name).is_symlink()]
        names += [os.path.relpath(f"{top}/{name}", folder) for name in (*files, *links)]
    return sorted(names)
