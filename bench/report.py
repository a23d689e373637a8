"""How a bench ends: its figures against their targets, then one line of JSON; exit 1 where one is missed."""

from __future__ import annotations

import json
import operator
import sys
from collections.abc import Mapping
from typing import NoReturn

Targets = Mapping[str, tuple[str, float]]  # figure → ("<=" or ">=", bound)
COMPARE = {"<=": operator.le, ">=": operator.ge}


def finish(bench: str, figures: Mapping[str, float], targets: Targets) -> NoReturn:
    missed = [name for name, (word, bound) in targets.items() if not COMPARE[word](figures[name], bound)]
    for name, value in figures.items():
        target = f"   target {targets[name][0]} {targets[name][1]:g}" if name in targets else ""
        print(f"{name:32} {value:10.3f}{target}{'   MISSED' if name in missed else ''}")
    bounds = {name: f"{word} {bound:g}" for name, (word, bound) in targets.items()}
    rounded = {name: round(float(value), 4) for name, value in figures.items()}
    print(json.dumps({"bench": bench, "figures": rounded, "targets": bounds, "missed": missed}))
    sys.exit(1 if missed else 0)
