"""Steps of a plan that change code: commits, the branch, packages."""

from __future__ import annotations

from atftctl.domain.commits import CodeMove, Commit
from atftctl.domain.record import record
from atftctl.domain.text import listed
from atftctl.protocol.messages import joined, tr


@record
class RevertCommits:
    """Revert these commits, newest first, in a work tree beside the project's own."""

    commits: tuple[Commit, ...]
    base: str

    def describe(self) -> str:
        commits = joined("; ", map(_commit_text, self.commits))
        return tr("revert, on top of {base}: {commits}", base=self.base[:12], commits=commits)


def _commit_text(commit: Commit) -> str:
    files = listed(commit.files, 4) if commit.files else tr("no files of this project")
    if commit.merge:
        return tr("{id} {subject} (merge, {files})", id=commit.id[:12], subject=commit.subject, files=files)
    return tr("{id} {subject} ({files})", id=commit.id[:12], subject=commit.subject, files=files)


@record
class MoveBranch:
    """Move the branch to a commit that has the current one among its ancestors."""

    move: CodeMove

    def describe(self) -> str:
        name = self.move.branch.removeprefix("refs/heads/")
        return tr(
            "move the branch {name} from {old} to {new}", name=name, old=self.move.old[:12], new=self.move.new[:12]
        )


@record
class Package:
    """An installed Python package, or one whose files an operation kept."""

    name: str
    version: str
    kept: str = ""  # where its files were kept, relative to the project


@record
class ChangePackages:
    """Uninstall these packages (`away`), or install them again from the files that an operation kept."""

    packages: tuple[Package, ...]
    away: bool

    def describe(self) -> str:
        names = joined(", ", [f"{package.name} {package.version}" for package in self.packages])
        if self.away:
            return tr("uninstall {names} (the files are kept)", names=names)
        return tr("install {names} again", names=names)
