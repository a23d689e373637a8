"""The runbook that a change brings with it: a snapshot or a commit may hold another one."""

from __future__ import annotations

from dataclasses import replace

from atftctl.host.files.reading import read_bytes
from atftctl.observe.runbook import load as observed_runbook
from atftctl.observe.runbook.binder import refuse
from atftctl.operations.change.preview import Rendered
from atftctl.operations.project import Project


def with_new_runbook(project: Project, rendered: Rendered) -> Project:
    """Return the project with the runbook of the change, where it has one: the trainer is started by that. Raises
    Refused where it is wrong."""
    content = rendered.contents.get(str(project.layout.runbook.relative_to(project.layout.root)))
    if content is None:
        return project
    data = content if isinstance(content, bytes) else read_bytes(content)
    book = observed_runbook.parse(project.layout, data)
    refuse(list(book.problems))
    return replace(project, runbook=book.runbook)
