"""Git, read: facts beside a snapshot, and what a rollback of code decides from. A machine without git loses these, and
nothing else.

Reading runs no program that a repository's config names (filters, hooks, fsmonitor, gpg), whoever wrote that config,
and depends on no setting of the user: plumbing, with a fixed configuration. It writes nothing, the index included.
Paths are literal: a file whose name begins with `:` is a file.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from atftctl.host.git.command import LIMIT_S, GitError, read, read_environment, read_options, text, without_filters
from atftctl.host.process import rights

NONE, SYMLINK, MODULE = "000000", "120000", "160000"  # modes, as diff-tree has them


@dataclass(frozen=True)
class CommitText:
    """One commit object: its parents, the first paragraph of its message in a line, and the rest."""

    id: str
    parents: tuple[str, ...]
    subject: str
    body: str


@dataclass(frozen=True)
class FileChange:
    """A file that differs between two commits, by its path from the repository's top; "000000" for none."""

    path: str
    old_mode: str
    new_mode: str
    new_blob: str


def head(root: Path) -> tuple[str, bool]:
    """(commit, dirty) of the work tree; ("", False) where there is no git, no repository or no commit yet.

    Calls of the git command: importing GitPython costs 110 ms that an emergency does not have.
    """
    try:
        return text(root, "rev-parse", "--verify", "--quiet", "HEAD"), bool(dirty(root))
    except GitError:
        return "", False


DIRTY = (
    "diff", "--name-only", "-z", "--no-renames", "--no-relative", "--no-ext-diff", "--no-textconv",
    "--ignore-submodules=dirty", "HEAD", "--",
)  # fmt: skip


def dirty(root: Path) -> list[str]:
    """Tracked files that differ from HEAD, in the whole repository, by their path from its top. Files that a filter
    would have to be run for are not compared: `worktree.dirty` runs it. Raises GitError."""
    found = [name for name in os.fsdecode(read(root, *DIRTY)).split("\0") if name]
    return found if not found or not without_filters(root) else _unfiltered(root, found)


def _unfiltered(root: Path, names: list[str]) -> list[str]:
    top = Path(text(root, "rev-parse", "--show-toplevel"))
    said = b"".join(os.fsencode(name) + b"\0" for name in names)
    fields = os.fsdecode(read(top, "check-attr", "-z", "--stdin", "filter", said=said)).split("\0")
    known = {key.split(".", 1)[1].rpartition(".")[0] for key, _ in without_filters(root)}
    return [path for path, _, value in zip(fields[::3], fields[1::3], fields[2::3], strict=False) if value not in known]


def diff(root: Path, *, limit: int, without: Sequence[str] = (), files: Sequence[str] = ()) -> bytes | None:
    """What the work tree changes on HEAD, as a patch that `git apply` takes; None where git can't tell, or where it is
    longer than `limit` bytes. Untracked files are not in it. `without`: patterns, `files`: paths that are left out."""
    excluded = [*(f":(exclude,glob,icase){one}" for one in without), *(f":(exclude,literal){one}" for one in files)]
    argv = [
        "git", *read_options(root), "diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv", "--no-color",
        "--src-prefix=a/", "--dst-prefix=b/", "-U3", "--submodule=short", "--ignore-submodules=dirty",
        "--no-relative", "--", ".", *excluded,
    ]  # fmt: skip
    try:
        child = subprocess.Popen(
            argv,
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=read_environment(root, literal=False),
            **rights.options(rights.user_of(root)),
        )
    except (OSError, subprocess.SubprocessError, GitError):
        return None
    late = threading.Timer(LIMIT_S, child.kill)
    late.start()
    try:
        with child:
            assert child.stdout is not None
            patch = child.stdout.read(limit + 1)
            if len(patch) > limit:
                child.kill()
    finally:
        late.cancel()
    return patch if child.returncode == 0 else None


def log_lines(root: Path, old: str, new: str, most: int = 50) -> list[str] | None:
    """Commits that are in `new` and not in `old`, newest first, a line each; None where git knows one of them not."""
    try:
        names = text(root, "rev-list", f"-{most}", f"{old}..{new}", "--").split()
        return [f"{one.id[:9]} {one.subject}" for one in commits(root, names)]
    except GitError:
        return None


def commits(root: Path, names: Iterable[str]) -> list[CommitText]:
    """The commits of these ids. Raises GitError."""
    names = list(names)
    if not names:
        return []
    data = read(root, "cat-file", "--batch", said=b"".join(f"{name}\n".encode() for name in names))
    found, at = [], 0
    for name in names:
        end = data.index(b"\n", at)
        fields = data[at:end].split()
        if len(fields) != 3 or fields[1] != b"commit":
            raise GitError(f"{name} is no commit")
        begin, size = end + 1, int(fields[2])
        found.append(_commit(name, data[begin : begin + size]))
        at = begin + size + 1
    return found


def _commit(name: str, data: bytes) -> CommitText:
    head, _, message = data.partition(b"\n\n")
    lines = head.split(b"\n")
    parents = tuple(line[7:].decode() for line in lines if line.startswith(b"parent "))
    encoding = next((line[9:].decode("ascii", "replace") for line in lines if line.startswith(b"encoding ")), "utf-8")
    try:
        words = message.decode(encoding, "replace")
    except LookupError:
        words = message.decode("utf-8", "replace")
    first, _, body = words.strip("\n").partition("\n\n")
    return CommitText(name, parents, " ".join(first.split("\n")), body)


def branch(root: Path) -> str:
    """The branch that is checked out; "" where HEAD is detached. Raises GitError."""
    try:
        return text(root, "symbolic-ref", "-q", "HEAD")
    except GitError:
        read(root, "rev-parse", "--git-dir")
        return ""


def commit_of(root: Path, word: str) -> str:
    """Raises GitError for what is no commit."""
    return text(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{word}^{{commit}}")


def is_ancestor(root: Path, old: str, new: str) -> bool:
    try:
        read(root, "merge-base", "--is-ancestor", old, new)
    except GitError:
        return False
    return True


def git_folder(root: Path) -> Path:
    """Where the repository itself lies. Raises GitError."""
    return Path(text(root, "rev-parse", "--absolute-git-dir"))


def operation_in_progress(root: Path) -> str:
    """What else git is in the middle of: a merge, a rebase …; "" for nothing."""
    folder = git_folder(root)
    names = (
        "MERGE_HEAD",
        "CHERRY_PICK_HEAD",
        "REVERT_HEAD",
        "BISECT_LOG",
        "rebase-merge",
        "rebase-apply",
        "sequencer",
    )
    return next((name for name in names if (folder / name).exists()), "")


def is_shallow(root: Path) -> bool:
    return text(root, "rev-parse", "--is-shallow-repository") == "true"


def prefix(root: Path) -> str:
    """Where the project lies in the repository: "" at its top, else "folder/"."""
    return text(root, "rev-parse", "--show-prefix")


def changes(root: Path, old: str, new: str) -> list[FileChange]:
    """Every file that differs between two commits. Raises GitError."""
    words = ("diff-tree", "-r", "-z", "--no-renames", "--no-relative", "--full-index", old, new)
    raw = os.fsdecode(read(root, *words, limit_s=120.0)).split("\0")
    found = []
    for head, path in zip(raw[::2], raw[1::2], strict=False):
        old_mode, new_mode, _, new_blob = head.lstrip(":").split()[:4]
        found.append(FileChange(path, old_mode, new_mode, new_blob))
    return found


def files_of(root: Path, commit: str) -> list[str]:
    """What a commit changes against its first parent, from the repository's top. Raises GitError."""
    words = ("diff-tree", "-r", "-z", "--no-renames", "--no-relative", "--no-commit-id", "--root", "--name-only")
    parents = text(root, "rev-list", "--parents", "-n", "1", commit).split()[1:2]
    return [name for name in os.fsdecode(read(root, *words, *parents, commit)).split("\0") if name]


def tree_files(root: Path, commit: str) -> list[str]:
    """Every file of a commit, from the repository's top. Raises GitError."""
    words = ("ls-tree", "-r", "-z", "--full-tree", "--name-only", commit)
    return [name for name in os.fsdecode(read(root, *words)).split("\0") if name]


def file_at(root: Path, commit: str, path: str) -> tuple[bytes, int] | None:
    """(bytes, mode) of a file in a commit, as the repository has it, no filter applied; None where it has none, or
    something else by that name. `path` from the project's folder. Raises GitError."""
    full = f"{prefix(root)}{path}"
    entry = os.fsdecode(read(root, "ls-tree", "-z", "--full-tree", commit, "--", full)).split("\0")[0]
    fields, _, name = entry.partition("\t")
    mode, kind, blob = (*fields.split(), "", "", "")[:3]
    if kind != "blob" or mode == SYMLINK or name != full:
        return None
    return read(root, "cat-file", "blob", blob), int(mode, 8) & 0o777


def files_with_hidden_changes(root: Path) -> set[str]:
    """Files whose changes git was told not to see (skip-worktree, assume-unchanged), from the project's folder. Raises
    GitError."""
    found = os.fsdecode(read(root, "ls-files", "-v", "-z")).split("\0")
    return {line[2:] for line in found if line and (line[0] == "S" or line[0].islower())}


def tracked_files(root: Path) -> list[str]:
    """Files that git tracks below `root`, and those that it would not ignore; empty without a repository."""
    try:
        found = os.fsdecode(read(root, "ls-files", "-z", "-co", "--exclude-standard"))
    except GitError:
        return []
    return [name for name in found.split("\0") if name]
