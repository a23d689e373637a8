"""Commits, and the move of a branch from one to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from atftctl.domain.record import record


@record
class Commit:
    """One commit. `files`: paths that it changes in the project, relative to it. `outside`: paths of the repository
    that it changes outside of the project."""

    id: str
    parents: tuple[str, ...]
    subject: str
    files: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()

    @property
    def merge(self) -> bool:
        """True for a merge commit."""
        return len(self.parents) > 1


@record
class CodeMove:
    """A move of a branch from the commit `old` to `new`. `old` is an ancestor of `new`: history is never rewritten."""

    branch: str
    old: str
    new: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> CodeMove:
        """The move that a JSON object describes. Raises KeyError where a field is missing."""
        return cls(str(body["branch"]), str(body["old"]), str(body["new"]))
