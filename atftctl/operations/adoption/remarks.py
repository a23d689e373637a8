"""What `init` says about its proposal: what it found, what it is not sure of, what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from atftctl.decide.adoption import config_files
from atftctl.decide.adoption.commands import command_line
from atftctl.decide.adoption.measures import numbers_out
from atftctl.domain.adoption import Candidate, Found, Proposal
from atftctl.domain.text import listed
from atftctl.operations.adoption.choices import Wishes
from atftctl.protocol import OUTPUT
from atftctl.protocol.messages import Message, joined, tr, trn

SHOWN = 4


def found(seen: Found, proposal: Proposal) -> Iterator[Message]:
    """What the runbook holds, a line each."""
    yield tr("command: {command}", command=command_line(proposal.command))
    if proposal.configs:
        yield tr("config files: {paths}", paths=_named(proposal.configs))
    if proposal.also:
        yield tr("saved and restored whole, since only YAML and JSON are read: {paths}", paths=_named(proposal.also))
    if saved := tuple(dict.fromkeys((*proposal.saved.models, *filter(None, [proposal.saved.last])))):
        yield tr("checkpoints: {paths}", paths=_named(saved))
    if logs := [path for path in proposal.logs if path != OUTPUT]:
        yield tr("logs: {paths}", paths=_named(logs))
    if proposal.metrics.files:
        loss = proposal.metrics.loss or tr("not known")
        yield tr("metrics: {paths} (loss: {loss})", paths=_named(proposal.metrics.files), loss=loss)
    if proposal.features:
        yield tr("features: {names}", names=_named([guess.name for guess in proposal.features]))
    yield trn("looked at {count} file", "looked at {count} files", seen.files)


def unsure(seen: Found, proposal: Proposal, wishes: Wishes) -> tuple[str, ...]:
    """What was chosen among several, or guessed."""
    return tuple(_unsure(seen, proposal, wishes))


def _unsure(seen: Found, proposal: Proposal, wishes: Wishes) -> Iterator[str]:
    if not (wishes.command or wishes.words):
        yield from _commands(seen, proposal)
    yield from _files(seen, proposal, wishes)
    if proposal.features:
        yield tr("the features are guessed by their names; remove those that are no improvements")
    if proposal.maybe:
        names = _named([guess.key for guess in proposal.maybe])
        yield tr("numbers that may be features: {names}; they are comments in the runbook", names=names)
    if seen.uncounted:
        yield tr("not looked at whole, since there is too much: {paths}", paths=_named(seen.uncounted))
    if seen.strange:
        yield trn(
            "{count} name that can't be printed was passed over",
            "{count} names that can't be printed were passed over",
            seen.strange,
        )


def _files(seen: Found, proposal: Proposal, wishes: Wishes) -> Iterator[str]:
    """Files that were not chosen."""
    saved = proposal.saved
    _, left, _ = config_files.choose(seen.configs, wishes.configs, proposal.command)
    if left and not wishes.configs:
        yield tr("further config files: {paths}; if the trainer reads them: --config FILE", paths=_named(left))
    if saved.others:
        yield tr("further checkpoints: {paths}; to choose: --model FILE", paths=_named(saved.others))
    if saved.numbered:
        yield tr(
            "{path} has a number in its name: the runbook names {pattern}, and each snapshot holds all that match",
            path=saved.last,
            pattern=numbers_out(saved.last),
        )
    files = sorted({file.path for file in seen.metrics} - set(proposal.metrics.files))
    if len(files) > 1 and not wishes.metrics:
        yield tr("further files of metrics: {paths}; to choose: --metrics FILE", paths=_named(files))


def _commands(seen: Found, proposal: Proposal) -> Iterator[str]:
    chosen = next((candidate for candidate in seen.commands if candidate.words == proposal.command), None)
    if chosen:
        yield tr("the command is that of {source}", source=chosen.source)
    others = [candidate for candidate in seen.commands if candidate is not chosen]
    if others:
        texts = joined("; ", [_shown(candidate) for candidate in others[:SHOWN]])
        yield tr("other commands: {commands}; to choose: atftctl init -- COMMAND", commands=texts)


def _shown(candidate: Candidate) -> Message:
    command = command_line(candidate.words) if candidate.words else candidate.line[:80]
    return tr("{command} ({source})", command=command, source=candidate.source)


def missing(seen: Found, proposal: Proposal) -> Iterator[str]:
    """What was not found."""
    if not proposal.configs and not proposal.also:
        yield tr("no config file: name them under files.configs")
    if not proposal.saved.last:
        yield tr("no checkpoint: name those that the trainer writes under files.models and checkpoints.last")
    if not proposal.metrics.files and not proposal.speaks:  # the hooks write logs/metrics.csv
        yield tr("no metrics: without them diagnose and watch can't see the loss")
    if not proposal.features:
        yield tr("no features: rollback --immediate has no setting to turn off")
    if not seen.git:
        yield tr("no git repository: rollback --git does not work, and snapshots do not record the code")


def _named(paths: Iterable[str]) -> str:
    return listed(tuple(paths), SHOWN)
