"""Print how often the verdicts err: `python -m tests.calibration [panel.parquet] [--series N]`.

Without a panel only simulated series are judged. With 400 series, a figure of 5 % has a standard error of 1.1 %.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from pathlib import Path

from atftctl.domain.verdict import Verdict
from tests.calibration import real, step_time
from tests.calibration.rates import Outcome, false_degraded, false_restored, outcomes, share, upper_error
from tests.calibration.simulated import Kind, series

COUNTS = (60, 120, 250, 483)
KINDS = (
    Kind(),
    Kind(0.15),
    Kind(0.3),
    Kind(0.5),
    Kind(heavy=True),
    Kind(horizon=5),
    Kind(0.3, horizon=5),
    Kind(horizon=20),
)
COLUMNS = (
    "false degraded", "upper < truth", "false restored", "restored at 0", "restored at +0.01", "degraded at -0.02",
    "degraded at -0.04",
)  # fmt: skip


def figures(found: list[Outcome]) -> tuple[float, ...]:
    """One row of the table, in the order of `COLUMNS`."""
    return (
        false_degraded(found),
        upper_error(found),
        false_restored(found),
        share(found, 0.0, Verdict.PASS),
        share(found, 0.01, Verdict.PASS),
        share(found, -0.02, Verdict.FAIL),
        share(found, -0.04, Verdict.FAIL),
    )


def row(*cells: object) -> None:
    print("| " + " | ".join(f"{100 * cell:.1f}" if isinstance(cell, float) else str(cell) for cell in cells) + " |")


def header(*names: str) -> None:
    row(*names)
    row(*("---" for _ in names))


def simulated(times: int) -> None:
    print("\n## Simulated series, in percent\n")
    header("dependence", "dates", *COLUMNS)
    for kind in KINDS:
        for count in COUNTS:
            found = outcomes((series(kind, count, seed) for seed in range(times)), kind.horizon)
            row(kind, count, *figures(found))


def real_series(panel: Path) -> Iterator[tuple[str, int, list[float]]]:
    prices = real.market(panel)
    for horizon in real.HORIZONS:
        for name, values in real.differences(prices, horizon).items():
            yield name, horizon, values


def on_prices(panel: Path, times: int) -> None:
    print("\n## Series of real prices, in percent\n")
    header("change of the model", "horizon", "spread", "AR(1)", "dates", *COLUMNS)
    pools: dict[tuple[int, int], list[Outcome]] = {}
    for seed, (name, horizon, values) in enumerate(real_series(panel)):
        spread = statistics.pstdev(values)
        carry = statistics.correlation(values[1:], values[:-1])
        for count in COUNTS:
            found = outcomes(real.resampled(values, count, horizon, seed, times), horizon)
            row(name, horizon, f"{spread:.4f}", f"{carry:.2f}", count, *figures(found))
            pools.setdefault((horizon, count), []).extend(outcomes(real.windows(values, count), horizon))
    print("\nDisjoint windows, all changes together:\n")
    header("horizon", "dates", "windows", *COLUMNS)
    for (horizon, count), found in pools.items():
        row(horizon, count, len(found), *figures(found))


def main() -> None:
    parser = argparse.ArgumentParser(description="How often the verdicts err")
    parser.add_argument("panel", type=Path, nargs="?")
    parser.add_argument("--series", type=int, default=400)
    arguments = parser.parse_args()
    simulated(arguments.series)
    if arguments.panel:
        on_prices(arguments.panel, arguments.series)
    step_time.table(arguments.series)


if __name__ == "__main__":
    main()
