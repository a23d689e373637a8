"""The process that tells people of incidents, `atftctl __notify`. Whoever has changed something starts it, and does not
wait for it; it reads from the records what happened, so that it does not matter who started it, or how often."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from atftctl.decide.alerting import incidents as deciding
from atftctl.decide.alerting.message import Place, Text, compose, without
from atftctl.domain.errors import AtftError
from atftctl.domain.incident_events import Due, Incident, RouteState
from atftctl.domain.printable import printable
from atftctl.domain.record import record
from atftctl.domain.route import Route
from atftctl.host.errors import HostError, LockHeldError
from atftctl.operations.alerting.deliver import Outcome, Outgoing, deliver
from atftctl.operations.alerting.gather import incidents_of, place_of, signature
from atftctl.operations.project import Project, open_to_look
from atftctl.operations.report.masking import masked
from atftctl.operations.report.runbook_texts import RunbookTexts
from atftctl.state import notifications
from atftctl.state.notifications import Told
from atftctl.state.reserve import FULL

LIFE_S = 900.0  # from then on it waits for no update; the next one to be started sends it
LOOK_S = 1.0  # between two looks whether something happened
AT_ONCE = 8  # messages, each with a process
LONGEST = 12_000  # characters of a message
TRIES, PAUSES_S = 3, (2.0, 15.0)  # of one message, and the pauses between them

Translate = Callable[[str, str], str]  # (text, language) to the text in that language


@record
class Job:
    """A message that is to be sent."""

    name: str  # of the route
    route: Route
    incident: Incident
    due: Due


@dataclass
class Notifier:
    """Sends what is due, until nothing is."""

    root: Path
    translate: Translate
    told: list[Told] = field(default_factory=list)
    tried: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)  # tries, and when to try again

    def serve(self) -> None:
        """Be the one process that sends, for this project. Raises AtftError, HostError, OSError.

        On a full disk there may be no lock and no record: then people are told twice rather than never.
        """
        layout = open_to_look(self.root).layout
        with ExitStack() as stack:
            try:
                stack.enter_context(notifications.sending(layout, LIFE_S))
            except LockHeldError:
                return  # another process waits already, and will send what happened until now
            except OSError as error:
                if error.errno not in FULL:
                    raise
            self.told = notifications.read(layout)
            self._serve()

    def _serve(self) -> None:
        end = time.monotonic() + LIFE_S
        while True:
            project, now = open_to_look(self.root), time.time()
            jobs = self._jobs(project, now)
            ready = [job for job in jobs if job.due.at <= now]
            if ready:
                self._send(project, ready[:AT_ONCE])
            elif not jobs or time.monotonic() > end:
                return
            else:
                self._wait(project, min(job.due.at for job in jobs) - now)

    def _jobs(self, project: Project, now: float) -> list[Job]:
        """Every message that is to be sent, now or later: at most one of each incident on each route."""
        jobs = []
        for incident in incidents_of(project, now):
            for name, route in project.runbook.routes.items():
                due = deciding.due(incident, route, self._state(incident, name), now)
                tries, again = self.tried.get((incident.id, name), (0, 0.0))
                if due and tries < TRIES:
                    jobs.append(Job(name, route, incident, replace(due, at=max(due.at, again))))
        return jobs

    def _state(self, incident: Incident, name: str) -> RouteState:
        told = next((each for each in reversed(self.told) if each.knows(incident)), None)
        return told.routes.get(name, RouteState()) if told else RouteState()

    def _send(self, project: Project, jobs: list[Job]) -> None:
        place = place_of(project)
        texts = {id(job): _text(project, job, place) for job in jobs}
        secrets = [os.environ[route.variable] for route in project.runbook.routes.values() if _is_set(route)]
        messages = [self._outgoing(job, texts[id(job)], secrets) for job in jobs]
        for job, outcome in zip(jobs, deliver(project.layout.root, messages), strict=True):
            self._note(job, outcome)
        with suppress(OSError):
            notifications.write(project.layout, self.told)

    def _outgoing(self, job: Job, text: Text, secrets: list[str]) -> Outgoing:
        subject, *lines = (
            printable(masked(self.translate(line, job.route.language))) for line in (text.subject, *text.lines)
        )
        body = without("\n".join(lines), secrets)[:LONGEST]
        return Outgoing(job.route.variable, job.incident.severity, without(subject, secrets), body)

    def _note(self, job: Job, outcome: Outcome) -> None:
        """Keep how it ended."""
        now, before = time.time(), self._state(job.incident, job.name)
        key = job.incident.id, job.name
        if not outcome.problem:
            self.tried.pop(key, None)
            self._keep(job, deciding.after(job.incident, before, now))
            return
        tries = TRIES if outcome.final else self.tried.get(key, (0, 0.0))[0] + 1
        self.tried[key] = tries, now + PAUSES_S[min(tries, len(PAUSES_S)) - 1]
        at = datetime.now().astimezone().isoformat(timespec="seconds")
        self._keep(job, replace(before, problem=outcome.problem, tries=before.tries + 1, failed_at=at))

    def _keep(self, job: Job, state: RouteState) -> None:
        index = next((at for at, each in enumerate(self.told) if each.knows(job.incident)), None)
        routes: Mapping[str, RouteState] = {} if index is None else self.told[index].routes
        told = Told(job.incident.id if index is None else self.told[index].id, {**routes, job.name: state})
        if index is None:
            self.told.append(told)
        else:
            self.told[index] = told

    @staticmethod
    def _wait(project: Project, seconds: float) -> None:
        """Wait until a message is due, or something happens."""
        seen, end = signature(project.layout), time.monotonic() + seconds
        while (left_s := end - time.monotonic()) > 0 and signature(project.layout) == seen:
            time.sleep(min(left_s, LOOK_S))


def _text(project: Project, job: Job, place: Place) -> Text:
    """The message, with the runbook's texts in the language of the route."""
    language = job.route.language
    contacts, runbook = replace(project, language=language).contacts, RunbookTexts(project.runbook, language)
    text = compose(job.incident, job.due, replace(place, contacts=contacts))
    return Text(runbook.put(text.subject), tuple(map(runbook.put, text.lines)))


def _is_set(route: Route) -> bool:
    return bool(route.variable and os.environ.get(route.variable))


def serve(root: Path, translate: Translate) -> int:
    """Tell what there is to tell of the project at `root`; the exit code of the process."""
    try:
        Notifier(root, translate).serve()
    except (AtftError, HostError, OSError):
        return 1  # nobody reads what this process says; `alert list` shows what was not told
    return 0
