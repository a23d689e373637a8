"""A stand-in for `trainer probe grade` without torch: a checkpoint says in its own words what training from it does.

The word is the content of its member `word`: good, nan, late (diverges after 20 steps), refused. The file `probe` in the
working folder makes the probe itself misbehave: broken (no torch), crash, hang, gone (the checkpoint is removed while
it is graded), once (broken from the second call on), memory (it ran out), swapped (another one takes its place), trainer (all names are removed or replaced meanwhile). Each call is counted in the file `graded`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
import time
import zipfile
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--only-load", action="store_true")
    arguments, _ = parser.parse_known_args()
    with Path("graded").open("a") as file:
        file.write(f"{arguments.file.name}\n")
    mood = Path("probe").read_text() if Path("probe").exists() else ""
    if mood == "once" and len(Path("graded").read_text().splitlines()) > 1:
        mood = "broken"
    if mood == "broken":
        print("ModuleNotFoundError: No module named 'torch'")
        return 1
    if mood == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if mood == "hang":
        time.sleep(600)
    if mood == "memory":
        ended = {"rows": [], "ended": "can't allocate memory", "exit_code": 11}
        seen = hashlib.sha256(arguments.file.read_bytes()).hexdigest()
        arguments.out.write_text(json.dumps({"sha256": seen, **ended}))
        return 0
    if mood == "trainer" and Path("models/history").exists():  # it removes all, and saves another last one, meanwhile
        for rung in Path("models/history").iterdir():
            rung.unlink()
        Path("models/last.pth").unlink()
        Path("models/last.pth").write_bytes(b"a newer one")
    if mood == "gone":
        arguments.file.unlink()
    digest = "0" * 64 if mood == "swapped" else ""
    path = arguments.file
    try:
        inner = path / "weights.pth" if path.is_dir() else path
        word = zipfile.ZipFile(inner).read("word").decode()
    except OSError as error:
        arguments.out.write_text(json.dumps({"error": f"{type(error).__name__}: {error}"}))
        return 0
    digest = digest or hashlib.sha256(inner.read_bytes()).hexdigest()
    arguments.out.write_text(
        json.dumps({"sha256": digest, **answer(word, 0 if arguments.only_load else arguments.steps)})
    )
    return 0


def answer(word: str, steps: int) -> dict:
    if word == "refused":
        return {"refused": "the checkpoint was trained on other features: with volume"}
    if word == "nan":
        return {"refused": "model.head.weight is not finite"}
    rows = []
    for step in range(steps):
        late = word == "late" and step > 20
        rows.append({"step": step, "loss": "1", "loss_rel": "7" if late else "1", "grad_norm": "900" if late else "1"})
    return {"rows": rows} if steps else {}


if __name__ == "__main__":
    sys.exit(main())
