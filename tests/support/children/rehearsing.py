"""A probe that answers what the test wrote to `answer.json` beside the project's files; it hangs on request."""

from __future__ import annotations

import sys
import time
from pathlib import Path

arguments = sys.argv[1:]
assert arguments[0] == "rehearse", arguments
Path("asked.txt").write_text("\n".join(arguments))
if Path("hang").exists():
    time.sleep(1000)
Path(arguments[arguments.index("--out") + 1]).write_text(Path("answer.json").read_text())
