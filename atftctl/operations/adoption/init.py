"""`init`: look through a project that has no runbook, and write its first one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from atftctl.decide.adoption import text
from atftctl.domain.adoption import Found, Measures, Proposal
from atftctl.domain.errors import Refused
from atftctl.domain.plan import Plan
from atftctl.domain.record import record
from atftctl.domain.result import Data, Result
from atftctl.domain.steps import WriteFiles
from atftctl.host import footprint
from atftctl.host.files.durable import create_durably
from atftctl.host.files.folders import make_dirs
from atftctl.observe.runbook import load
from atftctl.operations.adoption import checked_folder, ignored, remarks, survey
from atftctl.operations.adoption.choices import Ask, Wishes, propose
from atftctl.operations.change.preview import text_diff
from atftctl.operations.request import Request, review
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, tr
from atftctl.state.layout import Layout


@record
class InitData(Data):
    """Data of `init`.

    runbook: the file that was written, relative to the project. service: name of the service. command: the words that
    start the trainer. configs: config files. models: checkpoints that snapshots hold. logs: the logs. metrics: paths or
    patterns of the metrics. features: settings that were guessed to be improvements. ignored: lines that were added to
    `.gitignore`. unsure: what was chosen among several, or guessed. missing: what was not found. next: commands.
    """

    runbook: str
    service: str
    command: tuple[str, ...]
    configs: tuple[str, ...]
    models: tuple[str, ...]
    logs: tuple[str, ...]
    metrics: tuple[str, ...]
    features: tuple[str, ...]
    ignored: tuple[str, ...]
    unsure: tuple[str, ...]
    missing: tuple[str, ...]
    next: tuple[str, ...]


def init(start: Path, wishes: Wishes, request: Request, ask: Ask | None) -> Result:
    """Write the first runbook of a project, and the lines of `.gitignore`.

    `ask`: asks the operator where there are several candidates; None: the likeliest is taken. Raises UsageError for a
    wish that can't be followed; Refused where there is a runbook, nothing to save, or no command; OSError.
    """
    root = checked_folder.checked_folder(start)
    if not request.dry_run:
        checked_folder.refuse_read_only(root)
    found = survey.look(root)
    proposal = propose(root, found, wishes, ask)
    layout = checked_folder.layout_of(root, proposal.service)
    proposal, content = _valid(layout, proposal)
    ignoring = ignored.plan(root, git=found.git)
    notes_of_place = (_note_outer(root), ignored.note(ignoring))
    unsure = (*remarks.unsure(found, proposal, wishes), *filter(None, notes_of_place))
    missing = tuple(remarks.missing(found, proposal))
    name = str(layout.runbook.relative_to(root))
    diff = [*text_diff(name, b"", content), *text_diff(ignored.FILE, ignoring.before, ignoring.after)]
    written = (name, *([ignored.FILE] if ignoring.after != ignoring.before else []))
    plan = Plan("init", tr("the first runbook of {service}", service=proposal.service), (WriteFiles(written),))
    notes = tuple(_said(found, proposal, unsure, missing))
    if dry_run := review(replace(plan, notes=notes), request, diff):
        return dry_run
    _write(layout, content, ignoring)
    data = _data(name, proposal, ignoring, unsure, missing)
    return Result("init", Exit.DONE, tr("written: {files}", files=", ".join(written)), (*notes, *_next(data)), data)


def _note_outer(root: Path) -> str:
    """A remark that the folder lies in another project, whose runbook no longer counts in it; "" where it does not."""
    if outer := checked_folder.outer_project(root):
        return tr("this folder lies in the project {outer}: commands in it will mean the new project", outer=outer)
    return ""


def _valid(layout: Layout, proposal: Proposal) -> tuple[Proposal, bytes]:
    """The proposal and the text of its runbook, without what was only guessed where that would not be valid. Raises
    Refused where it is not valid even so: what does not pass `runbook lint` is not written."""
    bare = replace(proposal, features=(), maybe=(), metrics=Measures(), namespaces={})
    for attempt in (proposal, replace(proposal, features=(), maybe=()), bare):
        content = text.runbook(attempt).encode()
        problems = load.parse(layout, content).problems
        if not problems:
            return attempt, content
    raise Refused(
        tr("a runbook of these files would not be valid: {problem}", problem=problems[0].text),
        state=tr("nothing was written"),
        hint=problems[0].hint or tr("choose other files with --config, --model and --log"),
    )


def _write(layout: Layout, content: bytes, ignoring: ignored.Ignoring) -> None:
    """Write `.gitignore`, then the runbook: where a crash comes in between, this command can be repeated. Raises
    Refused where another process was faster, OSError."""
    make_dirs(layout.runbook.parent)
    checked_folder.refuse_runbook(layout.root)
    with footprint.of_file(layout.root / ignored.FILE, tr("changed {file}", file=ignored.FILE)):
        ignored.write(layout.root, ignoring)
    with footprint.of_file(layout.runbook, tr("wrote {file}", file=str(layout.runbook))):
        try:
            create_durably(layout.runbook, content)
        except FileExistsError:
            checked_folder.refuse_runbook(layout.root)
            raise


def _said(found: Found, proposal: Proposal, unsure: tuple[str, ...], missing: tuple[str, ...]) -> list[Message]:
    return [
        *remarks.found(found, proposal),
        *(tr("not sure: {remark}", remark=remark) for remark in unsure),
        *(tr("missing: {remark}", remark=remark) for remark in missing),
    ]


def _next(data: InitData) -> list[Message]:
    return [tr("next: {command}", command=command) for command in data.next]


def _data(
    name: str, proposal: Proposal, ignoring: ignored.Ignoring, unsure: tuple[str, ...], missing: tuple[str, ...]
) -> InitData:
    return InitData(
        runbook=name,
        service=proposal.service,
        command=proposal.command,
        configs=proposal.configs,
        models=proposal.saved.models,
        logs=proposal.logs,
        metrics=proposal.metrics.files,
        features=tuple(guess.name for guess in proposal.features),
        ignored=() if ignoring.problem else ignoring.missing,
        unsure=unsure,
        missing=missing,
        next=("atftctl runbook lint", "atftctl backup", "atftctl trainer start"),
    )
