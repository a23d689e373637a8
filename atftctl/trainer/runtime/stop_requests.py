"""Requests to a running trainer: to stop (by signal or by a file), or to reload its settings (by a file).

The file is logs/request.json of the run folder. A file is needed because torchrun's launcher dies of SIGHUP and does
not pass SIGTERM on in a way that lets the step be saved. The main process looks for the file at step boundaries only,
and all processes act on it at the same boundary.
"""

from __future__ import annotations

from atftctl.hooks.reporter import Requests


class StopRequests(Requests):
    """Receives the requests, as the hooks of other people's trainers do."""
