"""`watch --metrics-file`: the state of the service as Prometheus text, written while the watcher looks."""

from __future__ import annotations

import time
from pathlib import Path

from atftctl.domain.errors import AtftError
from atftctl.host.errors import HostError, reason
from atftctl.operations.project import Project
from atftctl.operations.report import metrics_file
from atftctl.operations.report.status import status
from atftctl.protocol.messages import Message, tr

WRITE_S = 5.0  # between two writes where nothing changes: `status` costs more than a look, and Prometheus asks seldom


class MetricsWriter:
    """Writes the file that `status --metrics-file` writes. What can't be written is said once, and tried again."""

    def __init__(self, project: Project, path: Path) -> None:
        self._project, self._path = project, path
        self._written = -WRITE_S
        self._failed = False

    def write(self, *, now: bool = False) -> Message | None:
        """Write the file where it is time; what to say about it. now: it is time, since something has changed."""
        if not now and time.monotonic() - self._written < WRITE_S:
            return None
        self._written, problem = time.monotonic(), ""
        try:
            metrics_file.write(self._path, status(self._project), self._project.layout.root)
        except AtftError as error:
            problem = error.message
        except (OSError, HostError) as error:
            problem = reason(error)
        if bool(problem) == self._failed:
            return None
        self._failed = bool(problem)
        if not problem:
            return tr("{path} can be written again", path=self._path)
        return tr("the metrics file is not up to date: {reason}; the watcher goes on watching", reason=problem)
