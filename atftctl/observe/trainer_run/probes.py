"""Measure with the trainer's own code, in a separate process and a scratch folder."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atftctl.domain import missing_parts
from atftctl.domain.errors import Inconclusive
from atftctl.domain.record import record
from atftctl.domain.runbook import Runbook
from atftctl.host.errors import HostError, reason
from atftctl.host.files.durable import write_new
from atftctl.host.files.reading import read_bytes
from atftctl.host.files.scratch import scratch_folder
from atftctl.host.process import rights
from atftctl.host.process.command import run
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout

if TYPE_CHECKING:
    from atftctl.host.process.supervised import Supervised


def probe(
    layout: Layout,
    runbook: Runbook,
    kind: str,
    *,
    baseline_configs: Mapping[str, str] | None = None,
    steps: int = 0,
) -> dict[str, Any]:
    """Run `trainer probe KIND`; return what it measured. `steps`: training steps; 0 for the runbook's number. Raises
    Inconclusive where it measured nothing."""
    with scratch(layout) as folder:
        options = ["--steps", str(steps or runbook.checks.probe_steps)]
        for name in runbook.files.configs:
            options += ["--config", name]
        for number, text in enumerate((baseline_configs or {}).values()):
            options += ["--baseline-config", folder.put(f"baseline-{number}.yaml", text.encode())]
        return _ask(layout, runbook, kind, options, folder.out / "measured.json")


def short_run(layout: Layout, runbook: Runbook, configs: Sequence[bytes], steps: int) -> dict[str, Any]:
    """Make some training steps from new weights with these configs, under the trainer's memory limit; return what was
    measured. Raises Inconclusive where nothing was."""
    with scratch(layout) as folder:
        options = ["--steps", str(steps)]
        for number, text in enumerate(configs):
            options += ["--config", folder.put(f"config-{number}.yaml", text)]
        limit_mb = runbook.trainer.memory_limit_mb
        return _ask(layout, runbook, "run", options, folder.out / "measured.json", memory_limit_mb=limit_mb)


def tensors(layout: Layout, runbook: Runbook, old: Path, new: Path) -> dict[str, Any]:
    """Compare two checkpoints tensor by tensor. Raises Inconclusive where they could not be compared."""
    with scratch(layout) as folder:
        options = ["--file", str(old), "--file", str(new)]
        return _ask(layout, runbook, "tensors", options, folder.out / "measured.json")


@record
class Scratch:
    """A folder for one program that runs with the rights of the project's owner (`user`). The program reads the files
    that we put into `folder`, and writes to `out` only."""

    folder: Path
    out: Path
    user: rights.User | None

    def put(self, name: str, data: bytes) -> str:
        """Write a file for the program to read; return its path."""
        path = self.folder / name
        write_new(path, data, 0o600)
        rights.give_to(path, self.user)
        return str(path)


@contextmanager
def scratch(layout: Layout) -> Iterator[Scratch]:
    """Make a scratch folder for the block. Raises Inconclusive where none can be made."""
    with ExitStack() as stack:
        with preparing():
            folder, user = stack.enter_context(scratch_folder()), rights.user_of(layout.root)
            out = folder / "out"
            out.mkdir(0o700)
            rights.give_to(out, user)
            folder.chmod(0o711 if user else 0o700)  # that user may pass through it, and not write to it
        yield Scratch(folder, out, user)


@contextmanager
def preparing() -> Iterator[None]:
    """What a probe needs is written in the block. Raises Inconclusive where that fails: nothing was measured."""
    try:
        yield
    except OSError as error:
        raise Inconclusive(
            tr("nothing could be measured: the folder for temporary files: {reason}", reason=reason(error)),
            hint=tr("free some space there, or name another folder: TMPDIR=/var/tmp atftctl verify"),
        ) from None


def _ask(
    layout: Layout, runbook: Runbook, kind: str, options: Sequence[str], out: Path, *, memory_limit_mb: int = 0
) -> dict[str, Any]:
    if not runbook.trainer.probe:
        raise missing_parts.probe()
    command = [argument.replace("{python}", sys.executable) for argument in runbook.trainer.probe]
    argv = [*command, kind, "--out", str(out), *options]
    done = run(
        argv,
        cwd=layout.root,
        env=environment(layout.root),
        limit_s=runbook.checks.probe_limit_s,
        memory_limit_mb=memory_limit_mb,
    )
    try:
        return dict(json.loads(read_bytes(out)))
    except (OSError, HostError, ValueError, TypeError, RecursionError):
        raise Inconclusive(
            tr("the probe measured nothing ({ended}): {output}", ended=done.ended, output=done.last_line[:300]),
            hint=tr("check that the trainer is installed here: pip install 'atftctl[trainer]'"),
        ) from None


def how_failed(program: Supervised) -> str:
    """Say how a probe ended that did not end well; "" for exit code 0."""
    if program.problem:
        return program.problem
    if program.code is not None and program.code < 0:
        return tr("the probe was killed by signal {number}", number=-program.code)
    return tr("the probe ended with exit code {code}", code=program.code) if program.code else ""


def environment(folder: Path) -> dict[str, str]:
    """Our environment with this folder first in PYTHONPATH, so that a project runs its own trainer."""
    path = [entry for entry in (str(folder), os.environ.get("PYTHONPATH", "")) if entry]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
