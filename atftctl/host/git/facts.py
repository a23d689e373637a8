"""Facts of a git repository, for snapshots and for rollbacks by commits. On a machine without git only these are
missing.

Nothing here runs a program that the repository's config names (filters, hooks, fsmonitor, gpg), depends on a setting of
the user, or writes, the index included (see `command.read`). Paths are taken literally, also one that begins with `:`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from atftctl.host.git.command import GitError, read, read_limited, text, without_filters
from atftctl.protocol.messages import tr

NONE, SYMLINK, MODULE = "000000", "120000", "160000"  # modes, as diff-tree prints them
DIRTY = (
    "diff",
    "--name-only",
    "-z",
    "--no-renames",
    "--no-relative",
    "--no-ext-diff",
    "--no-textconv",
    "--ignore-submodules=dirty",
    "HEAD",
    "--",
)
PATCH = (
    "diff",
    "HEAD",
    "--binary",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "-U3",
    "--submodule=short",
    "--ignore-submodules=dirty",
    "--no-relative",
    "--",
    ".",
)
IN_PROGRESS = (  # files in the repository's folder that show an unfinished operation of git
    "MERGE_HEAD",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "BISECT_LOG",
    "rebase-merge",
    "rebase-apply",
    "sequencer",
)
CHANGES_LIMIT_S = 120.0  # for a comparison of two commits


@dataclass(frozen=True)
class CommitText:
    """One commit object: its parents, the first paragraph of its message in one line, and the rest of the message."""

    id: str
    parents: tuple[str, ...]
    subject: str
    body: str


@dataclass(frozen=True)
class FileChange:
    """A file that differs between two commits. `path`: from the top of the repository. A mode of "000000" means that
    the file is missing on that side."""

    path: str
    old_mode: str
    new_mode: str
    new_blob: str


def head(root: Path) -> tuple[str, bool]:
    """(commit, dirty) of the work tree; ("", False) where there is no git, no repository or no commit yet.

    This runs the git command: importing GitPython takes 110 ms, too long in an emergency.
    """
    try:
        return text(root, "rev-parse", "--verify", "--quiet", "HEAD"), bool(dirty(root))
    except GitError:
        return "", False


def dirty(root: Path) -> list[str]:
    """The tracked files that differ from HEAD, in the whole repository, as paths from its top. Files that git can
    compare only by running a filter are left out; `worktree.dirty` compares them too. Raises GitError."""
    names = _names(read(root, *DIRTY))
    return names if not names or not without_filters(root) else _unfiltered(root, names)


def diff(root: Path, *, limit: int, without: Sequence[str] = (), files: Sequence[str] = ()) -> bytes | None:
    """The changes of the work tree against HEAD, as a patch for `git apply`; None where git fails, or where the patch
    is longer than `limit` bytes. Untracked files are not in it. `without`, `files`: patterns and paths to leave out."""
    patterns = [f":(exclude,glob,icase){pattern}" for pattern in without]
    paths = [f":(exclude,literal){path}" for path in files]
    return read_limited(root, *PATCH, *patterns, *paths, limit=limit)


def log_lines(root: Path, old: str, new: str, most: int = 50) -> list[str] | None:
    """The commits that are in `new` and not in `old`, newest first, a line for each; None where git does not know one
    of the two."""
    try:
        names = text(root, "rev-list", f"-{most}", f"{old}..{new}", "--").split()
        return [f"{commit.id[:9]} {commit.subject}" for commit in commits(root, names)]
    except GitError:
        return None


def commits(root: Path, ids: Iterable[str]) -> list[CommitText]:
    """The commits of these ids. Raises GitError."""
    ids = list(ids)
    if not ids:
        return []
    data = read(root, "cat-file", "--batch", stdin=b"".join(f"{commit}\n".encode() for commit in ids))
    texts, position = [], 0
    for commit in ids:
        end = data.index(b"\n", position)
        fields = data[position:end].split()
        if len(fields) != 3 or fields[1] != b"commit":
            raise GitError(tr("{name} is not a commit", name=commit))
        begin, size = end + 1, int(fields[2])
        texts.append(_parse_commit(commit, data[begin : begin + size]))
        position = begin + size + 1
    return texts


def branch(root: Path) -> str:
    """The full name of the branch that is checked out; "" where HEAD is detached. Raises GitError."""
    try:
        return text(root, "symbolic-ref", "-q", "HEAD")
    except GitError:
        read(root, "rev-parse", "--git-dir")
        return ""


def commit_of(root: Path, name: str) -> str:
    """The id of the commit that a name stands for. Raises GitError where it stands for none."""
    return text(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")


def is_ancestor(root: Path, old: str, new: str) -> bool:
    """Is the commit `old` an ancestor of `new`, or the same?"""
    try:
        read(root, "merge-base", "--is-ancestor", old, new)
    except GitError:
        return False
    return True


def git_folder(root: Path) -> Path:
    """The folder `.git` of the repository. Raises GitError."""
    return Path(text(root, "rev-parse", "--absolute-git-dir"))


def operation_in_progress(root: Path) -> str:
    """The file that shows an unfinished merge, rebase, revert or bisection of git; "" where there is none. Raises
    GitError."""
    folder = git_folder(root)
    return next((name for name in IN_PROGRESS if (folder / name).exists()), "")


def is_shallow(root: Path) -> bool:
    """Is this a shallow clone, without its whole history? Raises GitError."""
    return text(root, "rev-parse", "--is-shallow-repository") == "true"


def prefix(root: Path) -> str:
    """The project's path in the repository, as "folder/"; "" where the project is at its top. Raises GitError."""
    return text(root, "rev-parse", "--show-prefix")


def changes(root: Path, old: str, new: str) -> list[FileChange]:
    """Every file that differs between two commits. Raises GitError."""
    arguments = ("diff-tree", "-r", "-z", "--no-renames", "--no-relative", "--full-index", old, new)
    fields = os.fsdecode(read(root, *arguments, limit_s=CHANGES_LIMIT_S)).split("\0")
    differing = []
    for modes, path in zip(fields[::2], fields[1::2], strict=False):
        old_mode, new_mode, _, new_blob = modes.lstrip(":").split()[:4]
        differing.append(FileChange(path, old_mode, new_mode, new_blob))
    return differing


def files_of(root: Path, commit: str) -> list[str]:
    """The files that a commit changes against its first parent, as paths from the repository's top. Raises GitError."""
    arguments = ("diff-tree", "-r", "-z", "--no-renames", "--no-relative", "--no-commit-id", "--root", "--name-only")
    parents = text(root, "rev-list", "--parents", "-n", "1", commit).split()[1:2]
    return _names(read(root, *arguments, *parents, commit))


def tree_files(root: Path, commit: str) -> list[str]:
    """Every file of a commit, as paths from the repository's top. Raises GitError."""
    return _names(read(root, "ls-tree", "-r", "-z", "--full-tree", "--name-only", commit))


def file_at(root: Path, commit: str, path: str) -> tuple[bytes, int] | None:
    """(bytes, mode) of a file in a commit, with no filter applied; None where the commit has no regular file of this
    path. `path`: relative to the project. Raises GitError."""
    full = f"{prefix(root)}{path}"
    entry = os.fsdecode(read(root, "ls-tree", "-z", "--full-tree", commit, "--", full)).split("\0")[0]
    fields, _, name = entry.partition("\t")
    mode, kind, blob = (*fields.split(), "", "", "")[:3]
    if kind != "blob" or mode == SYMLINK or name != full:
        return None
    return read(root, "cat-file", "blob", blob), int(mode, 8) & 0o777


def files_with_hidden_changes(root: Path) -> set[str]:
    """The files whose changes git was told to ignore (skip-worktree, assume-unchanged), relative to the project. Raises
    GitError."""
    lines = _names(read(root, "ls-files", "-v", "-z"))
    return {line[2:] for line in lines if line[0] == "S" or line[0].islower()}


def tracked_files(root: Path) -> list[str]:
    """The files below `root` that git tracks or does not ignore; empty without a repository."""
    try:
        return _names(read(root, "ls-files", "-z", "-co", "--exclude-standard"))
    except GitError:
        return []


def _names(output: bytes) -> list[str]:
    """The names in the output of a git command with the option -z."""
    return [name for name in os.fsdecode(output).split("\0") if name]


def _unfiltered(root: Path, names: list[str]) -> list[str]:
    """Those of these files that no filter of the repository applies to."""
    top = Path(text(root, "rev-parse", "--show-toplevel"))
    stdin = b"".join(os.fsencode(name) + b"\0" for name in names)
    fields = os.fsdecode(read(top, "check-attr", "-z", "--stdin", "filter", stdin=stdin)).split("\0")
    known = {key.split(".", 1)[1].rpartition(".")[0] for key, _ in without_filters(root)}
    return [path for path, _, value in zip(fields[::3], fields[1::3], fields[2::3], strict=False) if value not in known]


def _parse_commit(name: str, data: bytes) -> CommitText:
    header, _, message = data.partition(b"\n\n")
    lines = header.split(b"\n")
    parents = tuple(line[7:].decode() for line in lines if line.startswith(b"parent "))
    encoding = next((line[9:].decode("ascii", "replace") for line in lines if line.startswith(b"encoding ")), "utf-8")
    try:
        decoded = message.decode(encoding, "replace")
    except LookupError:
        decoded = message.decode("utf-8", "replace")
    first, _, body = decoded.strip("\n").partition("\n\n")
    return CommitText(name, parents, " ".join(first.split("\n")), body)
