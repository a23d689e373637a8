"""Measurements by the trainer's own code, in a process and a scratch folder of their own."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from atftctl.domain.errors import Inconclusive
from atftctl.domain.runbook import Runbook
from atftctl.host import rights
from atftctl.host.command import run
from atftctl.host.errors import HostError
from atftctl.host.files import read_bytes
from atftctl.host.layout import Layout


def probe(
    layout: Layout,
    runbook: Runbook,
    kind: str,
    *,
    baseline_configs: Mapping[str, str] | None = None,
    steps: int = 0,
) -> dict[str, Any]:
    """What `trainer probe KIND` measured. Raises Inconclusive where it could not be run at all."""
    with scratch(layout) as folder:
        options = ["--steps", str(steps or runbook.checks.probe_steps)]
        for name in runbook.files.configs:
            options += ["--config", name]
        for number, text in enumerate((baseline_configs or {}).values()):
            copy = folder / f"baseline-{number}.yaml"
            copy.write_text(text, encoding="utf-8")
            options += ["--baseline-config", str(copy)]
        return _ask(layout, runbook, kind, options, folder / "measured.json")


def short_run(layout: Layout, runbook: Runbook, configs: Sequence[bytes], steps: int) -> dict[str, Any]:
    """A few training steps from fresh weights with these configs, under the trainer's memory limit. Raises Inconclusive
    where it could not be run at all."""
    with scratch(layout) as folder:
        options = ["--steps", str(steps)]
        for number, text in enumerate(configs):
            copy = folder / f"config-{number}.yaml"
            copy.write_bytes(text)
            options += ["--config", str(copy)]
        limit_mb = runbook.trainer.memory_limit_mb
        return _ask(layout, runbook, "run", options, folder / "measured.json", memory_limit_mb=limit_mb)


def tensors(layout: Layout, runbook: Runbook, old: Path, new: Path) -> dict[str, Any]:
    """Two checkpoints compared by tensor. Raises Inconclusive where it could not be run at all."""
    with scratch(layout) as folder:
        options = ["--file", str(old), "--file", str(new)]
        return _ask(layout, runbook, "tensors", options, folder / "measured.json")


@contextmanager
def scratch(layout: Layout) -> Iterator[Path]:
    """A folder for one measurement, that whoever owns the project may write into."""
    with tempfile.TemporaryDirectory(prefix="atftctl-") as name:
        folder = Path(name).resolve()
        rights.give_folder(folder, rights.user_of(layout.root))
        yield folder


def _ask(
    layout: Layout, runbook: Runbook, kind: str, options: Sequence[str], out: Path, *, memory_limit_mb: int = 0
) -> dict[str, Any]:
    words = [word.replace("{python}", sys.executable) for word in runbook.trainer.probe]
    argv = [*words, kind, "--out", str(out), *options]
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
        last = [line for line in done.output.splitlines() if line.strip()][-1:] or ["it said nothing"]
        raise Inconclusive(
            f"the probe measured nothing (exit {done.code}): {last[0][:300]}",
            then="is the trainer installed here? pip install 'atftctl[trainer]'",
        ) from None


def environment(folder: Path) -> dict[str, str]:
    """Ours, with this folder first on the module path: it runs its own trainer."""
    path: Sequence[str] = [one for one in (str(folder), os.environ.get("PYTHONPATH", "")) if one]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
