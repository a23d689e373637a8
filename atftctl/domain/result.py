"""What an operation returns. The renderer shows it to people or as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, fields
from typing import Any, Protocol

from atftctl.domain.plan import Plan
from atftctl.domain.record import record
from atftctl.protocol import Exit


@record
class Part:
    """One part of an operation and the seconds that it took."""

    name: str
    seconds: float


class Data(Mapping[str, Any]):
    """What one command found or did: the base of a frozen dataclass that stands beside the verb that returns it.

    Its fields are the keys of `data` in the JSON output; docs/reference/json.md is generated from them. It can be read
    as a mapping, too: that is how JSON is written.
    """

    def __getitem__(self, key: str) -> Any:
        try:
            return getattr(self, key)
        except AttributeError:
            raise KeyError(key) from None

    def __iter__(self) -> Iterator[str]:
        return (field.name for field in fields(self))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return sum(1 for _ in self)


@record
class NoData(Data):
    """Nothing beside the headline and the lines."""


@record
class DryRunData(Data):
    """What a dry run shows beside the plan.

    dry_run: always true. diff: unified diff of the files. details: what the command adds, such as `kept` of `backup
    prune`; in JSON beside the other fields.
    """

    dry_run: bool = True
    diff: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Any:
        return self.details[key] if key in self.details else super().__getitem__(key)

    def __iter__(self) -> Iterator[str]:
        return iter(("dry_run", "diff", *self.details))


@record
class ChangeData(Data):
    """An operation that changed files, the trainer, or both.

    operation: its id, for `undo` and `show`. snapshot: what was there before, if files changed. changes: settings that
    changed, as `key: old → new`. first_step: the event of the trainer's first step. undone_by: the undo that followed,
    where the trainer was not healthy. probe: what a probe measured after the change. pushed: whether the revert was
    pushed. confirm_until: the time at which the change is undone unless it is confirmed (ISO 8601), or null.
    rehearsal: what `--rehearse` measured before the change, or null. proof: what proves that the trainer is healthy, or
    null: its `kind` (from the strongest: first-step and reload, which the trainer reported with the digest of its
    settings; metrics; output, command; alive), `trains` (null where that can't be told), `settings_checked` (the
    trainer's settings were compared with those of the files) and what was `seen`.
    """

    operation: str
    snapshot: str | None = None
    changes: tuple[str, ...] = ()
    first_step: Mapping[str, Any] | None = None
    undone_by: str | None = None
    probe: Mapping[str, Any] | None = None
    pushed: bool = False
    confirm_until: str | None = None
    rehearsal: Mapping[str, Any] | None = None
    proof: Mapping[str, Any] | None = None


@record
class Result:
    """The result of one operation. `headline`: one line. `lines`: further lines below it. `data`: for JSON output."""

    command: str
    exit_code: Exit
    headline: str
    lines: tuple[str, ...] = ()
    data: Data = field(default_factory=NoData)
    plan: Plan | None = None
    parts: tuple[Part, ...] = ()
    contacts: tuple[str, ...] = ()

    @property
    def change(self) -> ChangeData:
        """What an operation changed. Raises TypeError for the result of anything else."""
        if not isinstance(self.data, ChangeData):
            raise TypeError(f"{self.command} did not return what it changed")
        return self.data


class Reporter(Protocol):
    """Shows the progress of an operation while it runs. Only `cli` has one that prints."""

    def part(self, name: str) -> None:
        """The part of this name begins."""

    def note(self, text: str) -> None:
        """Show a message."""

    def expect(self, total: int) -> None:
        """This part will copy or hash `total` bytes."""

    def progress(self, done: int) -> None:
        """`done` more bytes have been copied or hashed."""

    def reached(self, text: str) -> None:
        """How far this part is, such as "120 of 200 steps"."""


class Silent:
    """A reporter that prints nothing."""

    def part(self, name: str) -> None:
        del name

    def note(self, text: str) -> None:
        del text

    def expect(self, total: int) -> None:
        del total

    def progress(self, done: int) -> None:
        del done

    def reached(self, text: str) -> None:
        del text
