"""Commits, and the move of a branch from one to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from atftctl.domain.record import record


@record
class Commit:
    """`files`: what it changes, relative to the project; `outside`: what it changes beside the project."""

    id: str
    parents: tuple[str, ...]
    subject: str
    files: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()

    @property
    def merge(self) -> bool:
        return len(self.parents) > 1


@record
class CodeMove:
    """The branch goes from `old` to `new`, which has `old` among its ancestors: history is never rewritten."""

    branch: str
    old: str
    new: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> CodeMove:
        """Raises KeyError for what is none."""
        return cls(str(body["branch"]), str(body["old"]), str(body["new"]))
