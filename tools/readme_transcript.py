"""Run the rollback that the READMEs show, and put what it prints into them: `make transcript`.

The project is a scratch copy of this one. Its trainer is the stand-in of the tests, which speaks the trainer's protocol
without PyTorch and reports an out of memory. What stands between the two markers of a README is replaced.
"""

from __future__ import annotations

import re
import sys
import tempfile
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.projects import make_project  # noqa: E402 - the checkout's own tests

COMMAND = "rollback --symptom oom"
COLUMNS = 96
BLOCK = re.compile(r"(<!-- transcript: make transcript -->\n)(.*?)(<!-- end of transcript -->)", re.DOTALL)


def transcript() -> str:
    """Return the command and everything that it prints."""
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder, "project"), Path(folder, "violations"))
        project.behave("oom")
        project.run("trainer", "start", fresh=True)
        project.behave("")
        done = project.run(*COMMAND.split(), "--yes", env={"COLUMNS": str(COLUMNS)}, fresh=True)
        project.run("trainer", "stop", fresh=True)
    if done.code:
        sys.exit(f"{COMMAND} failed: {done}")
    return f"$ atftctl {COMMAND}\n" + "\n".join(map(wrap, done.out.splitlines())) + "\n"


def wrap(line: str) -> str:
    """Break a line that is too wide for a README; the next lines are indented."""
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return (
        textwrap.fill(line, COLUMNS, subsequent_indent=indent, break_on_hyphens=False) if len(line) > COLUMNS else line
    )


def main() -> None:
    """Replace the transcript of both READMEs."""
    text = transcript()
    for name in ("README.md", "README.ja.md"):
        page = (ROOT / name).read_text()
        fresh, count = BLOCK.subn(lambda found: f"{found[1]}```console\n{text}```\n{found[3]}", page)
        if count != 1:
            sys.exit(f"{name}: no place for the transcript")
        (ROOT / name).write_text(fresh)


if __name__ == "__main__":
    main()
