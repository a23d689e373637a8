"""What a process imports before the files of its own code may change."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from atftctl.host.self_copy import private_copy
private_copy.load_all()
print(*sorted(sys.modules))
"""


def test_all_is_loaded_but_what_runs_in_a_training() -> None:
    """PyTorch and Lightning take seconds, and may be what is broken."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=120)
    names = set(done.stdout.split())
    assert {"atftctl.cli.commands.rollback", "atftctl.apply.recovery", "atftctl.protocol.generations"} <= names
    assert not {name for name in names if name.startswith(("atftctl.trainer", "atftctl.hooks"))}
    assert not names & {"torch", "lightning", "transformers", "pandas"}
