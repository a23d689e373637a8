"""Parts of the page of an incident: settings, checks, the way back, what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from atftctl.decide.alerting.events import seconds
from atftctl.decide.plans.setting_changes import flat, same
from atftctl.domain.alert import ReceivedAlert
from atftctl.domain.checks import CHECKS, title_of
from atftctl.domain.errors import Refused
from atftctl.domain.incident import Failed, Placed, Recorded, recorded, seconds_of
from atftctl.domain.snapshot import Passed, Passes
from atftctl.domain.text import value_text
from atftctl.domain.verdict import Verdict
from atftctl.host.errors import HostError
from atftctl.host.yaml_text.read import read
from atftctl.observe.incident import ID, Contents, Kept
from atftctl.operations.project import Project
from atftctl.operations.report.incident_data import CheckData, FileData, SettingData, UndoData
from atftctl.operations.report.masking import masked, masked_value
from atftctl.protocol import STARTED
from atftctl.protocol.keys import key_text
from atftctl.protocol.messages import joined, tr, trn
from atftctl.state import alerts, history
from atftctl.state.layout import Layout

LOOK_S = 3600.0  # before an operation whose run is not known
LATER_S = 6 * 3600.0  # after the newest operation: from then on an alert belongs to another incident
CONFIGS = (".yaml", ".yml", ".json")
LONGEST = 300  # characters of a value
PUT_BACK = "put back"  # the outcome of an operation that changed nothing in the end
Entry = Mapping[str, Any]


def files_of(entry: Entry) -> tuple[FileData, ...]:
    """The files that the operation changed."""
    return tuple(FileData(str(file["path"]), file["old"], file["new"]) for file in entry.get("files") or ())


def settings_of(contents: Contents, entry: Entry) -> tuple[tuple[SettingData, ...], tuple[str, ...]]:
    """(every setting that the operation changed, what is not known of them). From the files themselves where both
    contents are still there; else from the changes in the record."""
    settings, unknown = list[SettingData](), list[str]()
    for file in files_of(entry):
        if not file.path.endswith(CONFIGS):
            continue
        old, new = (_flat(contents, file.path, digest) for digest in (file.before, file.after))
        if old is None or new is None:
            unknown.append(file.path)
        else:
            settings += _changed(file.path, old, new)
    if not unknown:
        return tuple(settings), ()
    missing = tr(
        "settings of {paths}: the file of before or after is gone, or can't be read; shown is what the record has",
        paths=joined(", ", unknown),
    )
    known = {setting.key for setting in settings}
    return (*settings, *(each for each in _of_record(entry) if each.key not in known)), (missing,)


def _flat(contents: Contents, path: str, digest: str | None) -> dict[tuple[str, ...], Any] | None:
    if digest is None:
        return {}
    data = contents.find(path, digest)
    try:
        return None if data is None else flat(read(data).value)
    except HostError:
        return None


def _changed(
    path: str, old: Mapping[tuple[str, ...], Any], new: Mapping[tuple[str, ...], Any]
) -> Iterator[SettingData]:
    for key in dict.fromkeys((*old, *new)):
        if key in old and key in new and same(old[key], new[key]):
            continue
        name = key_text(key)
        before, after = (_value(name, values[key]) if key in values else None for values in (old, new))
        yield SettingData(path, name, before, after)


def _of_record(entry: Entry) -> Iterator[SettingData]:
    """The changes as the record has them: `KEY: OLD → NEW`."""
    for change in entry.get("changes") or ():
        key, colon, values = str(change).partition(": ")
        old, arrow, new = values.partition(" → ")
        if colon and arrow:
            yield SettingData("", key, _value(key, old), _value(key, new))


def _value(key: str, value: Any) -> str:
    return masked_value(key, value_text(value)[:LONGEST])


def passed_of(entry: Entry, passes: Passes) -> list[Passed]:
    """The checklists that exactly the files of this operation passed after it."""
    return [passed for digests, passed in passes if _is_of(entry, digests, passed.at)]


def failed_of(entry: Entry, failures: Sequence[Failed]) -> list[Failed]:
    """The checklists that failed with exactly the files of this operation after it."""
    return [failure for failure in failures if _is_of(entry, failure.digests, failure.at)]


def _is_of(entry: Entry, digests: Mapping[str, str], at: str) -> bool:
    """Was a checklist of that time, of files with these digests, made of what this operation wrote?"""
    new = {str(file["path"]): file["new"] for file in entry.get("files") or () if file["new"]}
    both = new.keys() & digests.keys()
    same_files = bool(both) and all(new[path] == digests[path] for path in both)
    return same_files and _is_after(at, str(entry.get("started", "")))


def _is_after(written: str, started: str) -> bool:
    try:
        return datetime.fromisoformat(written) >= datetime.fromisoformat(started)
    except (ValueError, TypeError):
        return False


def checks_of(operation: Recorded, passed: Sequence[Passed], failed: Sequence[Failed]) -> tuple[CheckData, ...]:
    """The checks with what they were decided from: the rehearsal, the first step, the gate, the checklist."""
    return (*_rehearsal(operation), *_first_step(operation), *_gate(operation), *_checklist(passed, failed))


def _rehearsal(operation: Recorded) -> Iterator[CheckData]:
    about = operation.about.get("rehearsal")
    if isinstance(about, Mapping):
        yield CheckData(tr("rehearsal"), _verdict(about.get("verdict")), masked(str(about.get("text", ""))))


def _first_step(operation: Recorded) -> Iterator[CheckData]:
    event = operation.first_step
    if operation.verdict and "gate" not in operation.about:
        yield CheckData(tr("first step"), Verdict.FAIL.value, masked(operation.verdict))
    elif event:
        text = tr(
            "step {step} of run {run} with config {digest}",
            step=event.get("step"),
            run=event.get("run_id"),
            digest=str(event.get("digest"))[:12],
        )
        good = operation.exit_code == 0
        yield CheckData(tr("first step"), (Verdict.PASS if good else Verdict.INCONCLUSIVE).value, text)
    elif operation.generation:
        yield CheckData(tr("first step"), Verdict.INCONCLUSIVE.value, tr("no first step was recorded"))


def _gate(operation: Recorded) -> Iterator[CheckData]:
    """What the gate of a phase saw: the record has one verdict for all lines."""
    lines = operation.about.get("gate")
    for line in lines if isinstance(lines, list) else ():
        yield CheckData(tr("gate of the phase"), _verdict(operation.verdict), masked(str(line)))


def _checklist(passed: Sequence[Passed], failed: Sequence[Failed]) -> Iterator[CheckData]:
    """The newest checklist that passed or failed; one that was inconclusive is not recorded."""
    newest = failed[-1] if failed else None
    if newest and not (passed and _is_after(passed[-1].at, newest.at)):
        for name in _in_order(newest.checks):
            verdict, text = newest.checks[name]
            yield CheckData(title_of(name), _verdict(verdict), masked(text), newest.at)
        return
    for checklist in passed[-1:]:
        for name in _in_order(checklist.checks):
            yield CheckData(title_of(name), Verdict.PASS.value, masked(checklist.checks[name]), checklist.at)


def _in_order(names: Iterable[str]) -> list[str]:
    """In the order of the checklist, in which `verify` shows them; others last."""
    return sorted(names, key=lambda name: [*CHECKS, name].index(name))


def _verdict(value: object) -> str:
    known = {verdict.value for verdict in Verdict}
    return str(value) if value in known else Verdict.INCONCLUSIVE.value


def undo_of(entry: Entry, later: Sequence[Entry]) -> UndoData:
    """How to undo the operation. later: the lines of the history after its own."""
    name = str(entry["operation"])
    undone = next((line for line in later if _undoes(line, name)), None)
    if undone:
        return UndoData("", tr("it was undone by {operation}", operation=undone["operation"]))
    if entry.get("outcome") == PUT_BACK:
        return UndoData("", tr("everything was put back: there is nothing to undo"))
    if not (entry.get("files") or entry.get("packages")) or not ID.fullmatch(name):
        return UndoData("", tr("it changed no file: there is nothing to undo"))
    paths = {file["path"] for file in entry.get("files") or ()}
    since = [line for line in later if paths & {file["path"] for file in line.get("files") or ()}]
    note = ""
    if since:
        names = joined(", ", [str(line["operation"]) for line in since[-3:]])
        note = tr("the same files were changed again since then: {operations}", operations=names)
    return UndoData(f"atftctl undo {name}", note)


def alerts_of(
    layout: Layout, before: Sequence[Mapping[str, Any]], operation: Recorded, later: Sequence[Entry]
) -> list[ReceivedAlert]:
    """The alerts of the run before the operation, and those after it, until the next change. None where the record of
    the alerts can't be read: `alert list` says so."""
    try:
        known = alerts.read(layout)
    except Refused:
        return []
    own = operation.started or 0.0
    begin = min([seconds_of(event["t"]) or own for event in before if event["event"] == STARTED][-1:] or [own - LOOK_S])
    changes = [recorded(line).started for line in later if line.get("files") or line.get("generation")]
    end = min([at for at in changes if at is not None] or [own + LATER_S])
    return [alert for alert in known if begin <= (seconds(alert.at) or 0.0) < end]


def related(entry: Entry, later: Sequence[Entry]) -> list[Entry]:
    """Later lines of the history that undo or confirm this operation."""
    name = str(entry["operation"])
    return [line for line in later if _undoes(line, name) or _about(line).get("confirms") == name]


def _undoes(line: Entry, name: str) -> bool:
    return _about(line).get("undo_of") == name and line.get("outcome") != PUT_BACK


def _about(line: Entry) -> Mapping[str, Any]:
    about = line.get("about")
    return about if isinstance(about, Mapping) else {}


def history_from(
    project: Project, words: Sequence[str], default: Sequence[str]
) -> tuple[list[Entry], list[list[Entry]]]:
    """(the lines of the operations that are named, for each the lines after it). No name: the newest operation of one
    of the commands `default`. Raises Refused where there is none, UsageError for a name that is none."""
    lines = history.read(project.layout)
    changes = [line for line in lines if line["command"] in default]
    if not (lines if any(words) else changes):
        raise Refused(
            tr("there is no operation yet that a page could tell of"),
            hint=tr("for the state of the service: {command}", command="atftctl status"),
        )
    if words := [word for word in words if word]:
        chosen = [history.find_any(lines, word) for word in words]
    else:
        chosen = [history.find_any(changes, "")]
    order = sorted({id(line): line for line in chosen}.values(), key=lines.index)
    return list(order), [list(lines[lines.index(line) + 1 :]) for line in order]


def missing_of(kept: Kept, entry: Entry, operation: Recorded, rows: Placed, passed: Sequence[Passed]) -> Iterator[str]:
    """What the page can't say, and why."""
    if not kept.names:
        yield tr("the evidence: {folder} is missing", folder=kept.folder)
    elif kept.unread:
        yield tr("parts of the evidence are missing or can't be read: {names}", names=joined(", ", kept.unread))
    if kept.names and kept.process is None:
        yield tr("the state of the trainer before the change")
    if not operation.parts:
        yield tr("the times of the parts of the operation: the record has none")
    yield from _missing_rows(rows)
    if entry.get("files") and not passed:
        yield tr("a passing verify of the files that this operation wrote; next: {command}", command="atftctl verify")


def _missing_rows(rows: Placed) -> Iterator[str]:
    if rows.problem:
        yield tr("the curves: {reason}", reason=rows.problem)
    if rows.torn:
        yield trn(
            "{count} line of the metrics was left out: it is no row",
            "{count} lines of the metrics were left out: they are no rows",
            rows.torn,
        )
    if rows.cut:
        yield tr("the curves show a part of the rows: there are more before or after")
