"""How fast the trainer is: a step, its growth with the stocks, the share of the machine's peak, data loading, start.

Ends with one line of JSON; exit 1 where a target is missed. `DATA=panel.parquet` measures the start on real prices.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from atftctl import protocol  # noqa: E402
from atftctl.trainer.config.settings import Synthetic, from_mapping  # noqa: E402
from atftctl.trainer.data.dataset import Day  # noqa: E402
from atftctl.trainer.data.synthetic import make_market  # noqa: E402
from atftctl.trainer.telemetry.recorder import Recorder  # noqa: E402
from atftctl.trainer.training.trainer import Trainer  # noqa: E402
from bench.report import finish  # noqa: E402

THREADS, HIDDEN, STOCKS, NEIGHBOURS = 2, 64, 500, 20
SIZES = (200, 500, 1000, 2000)
WARM_UP, STEPS = 5, 25
TARGETS = {
    "samples_per_s": (">=", 3000.0),
    "fit_r2": (">=", 0.95),
    "exponent": ("<=", 1.15),
    "loading_share": ("<=", 0.10),
    "start_s": ("<=", 8.0),
}
IMPROVED = {
    "output_head_small_init": True, "gat_temperature": 0.8, "freq_dropout_p": 0.1, "use_ema": True, "huber_loss": True,
    "online_normalization": True, "auto_recover_oom": True,
}  # fmt: skip


def make_trainer(home: Path) -> Trainer:
    """All improvements on; only wandb is not: it would measure a dashboard."""
    settings = from_mapping(
        {
            "model": {"hidden_size": HIDDEN, "gat_layers": 2},
            "data": {"synthetic": {"stocks": STOCKS, "days": 200}},
            "training": {"threads": THREADS},
            "improvements": IMPROVED,
            "loss": {"type": "huber"},
            "ema": {"enabled": True},
        }
    )
    return Trainer(settings, "", home, Recorder(home, settings.data.horizons))


def day_of(stocks: int, features: int, horizons: int) -> Day:
    """A day of random numbers: a step costs the same whatever they are."""
    generator = torch.Generator().manual_seed(stocks)
    neighbours = torch.randint(0, stocks, (stocks, NEIGHBOURS), generator=generator)
    return Day(
        "",
        torch.randn(stocks, 20, features, generator=generator),
        neighbours,
        torch.rand(stocks, NEIGHBOURS, 3, generator=generator),
        torch.randn(stocks, horizons, generator=generator),
    )


def step_seconds(trainer: Trainer) -> dict[int, float]:
    """Median seconds of a step by number of stocks, the sizes taken in turns so that noise falls on all alike."""
    days = {size: day_of(size, trainer.dataset.feature_count, 4) for size in SIZES}
    seconds: dict[int, list[float]] = {size: [] for size in SIZES}
    for number in range(WARM_UP + STEPS):
        for size, day in days.items():
            took = trainer.train_step.run(trainer.parts, [(0, day)], number + 1).seconds
            if number >= WARM_UP:
                seconds[size].append(took)
    return {size: statistics.median(took) for size, took in seconds.items()}


def loading_seconds(trainer: Trainer) -> float:
    """Of one day seen for the first time: its graph is made, too."""
    took = []
    for number in trainer.dataset.split.train[:STEPS]:
        begun = time.perf_counter()
        trainer.dataset.day(int(number))
        took.append(time.perf_counter() - begun)
    return statistics.median(took)


def flops_per_step(trainer: Trainer, day: Day) -> float:
    """Of the products in a forward and backward pass; the LSTM's are added by hand (torch does not count oneDNN's):
    four gates, input and state, and twice as much again in the backward pass."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        trainer.train_step.run(trainer.parts, [(0, day)], 1)
    stocks, length, _ = day.x.shape
    return counter.get_total_flops() + 3 * 2 * stocks * length * 4 * 2 * HIDDEN**2


def peak_flops() -> float:
    """What a large float32 product reaches here."""
    size = 2048
    a, b = torch.randn(size, size), torch.randn(size, size)
    best = float("inf")
    for _ in range(8):
        begun = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - begun)
    return 2 * size**3 / best


def write_panel(path: Path) -> None:
    market = make_market(Synthetic(stocks=STOCKS, days=2600))
    days, stocks = market.close.shape
    columns = {name: getattr(market, name).ravel() for name in ("open", "high", "low", "close", "volume")}
    keys = {"date": np.repeat(market.dates, stocks), "ticker": np.tile(market.tickers, days)}
    pd.DataFrame({**keys, **columns}).to_parquet(path)


def start(home: Path, data: str) -> dict[str, float]:
    """Seconds from the command to the first step on a prepared panel, and the parts that the trainer tells apart."""
    panel = Path(data) if data else home / "panel.parquet"
    if not data:
        write_panel(panel)
    root = home / "run"
    root.mkdir()
    (root / "config.yaml").write_text(
        yaml.safe_dump(
            {
                "data": {"path": str(panel.absolute()), "memory_map": True},
                "training": {"max_steps": 1, "threads": THREADS},
            }
        )
    )
    found: dict[str, float] = {}
    for _ in range(2):  # the first one prepares
        for name in (protocol.EVENTS, protocol.LAST, protocol.LOG):
            (root / name).unlink(missing_ok=True)
        begun = time.time()
        subprocess.run(
            [sys.executable, "-m", "atftctl.trainer", "train", "--config", "config.yaml"],
            cwd=root, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL, check=True,
        )  # fmt: skip
        events = [json.loads(line) for line in (root / protocol.EVENTS).read_bytes().splitlines()]
        found = {f"start_{name}_s": one for name, one in events[0]["seconds"].items()}
        found["start_s"] = next(one["t"] for one in events if one["event"] == protocol.FIRST_STEP) - begun
    return found


def main() -> None:
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        trainer = make_trainer(home)
        loading = loading_seconds(trainer)
        seconds = step_seconds(trainer)
        peak = peak_flops()
        flops = flops_per_step(trainer, day_of(STOCKS, trainer.dataset.feature_count, 4))
        sizes, took = np.array(SIZES, float), np.array([seconds[size] for size in SIZES])
        slope, offset = np.polyfit(sizes, took, 1)
        residual = took - (slope * sizes + offset)
        figures = {
            "features": float(trainer.dataset.feature_count),
            "samples_per_s": STOCKS / seconds[STOCKS],
            **{f"step_ms_{size}": one * 1000 for size, one in seconds.items()},
            "ms_per_stock": slope * 1000,
            "ms_fixed": offset * 1000,
            "fit_r2": 1 - float((residual**2).sum() / ((took - took.mean()) ** 2).sum()),
            "exponent": float(np.polyfit(np.log(sizes), np.log(took), 1)[0]),
            "peak_gflops": peak / 1e9,
            "share_of_peak": flops / seconds[STOCKS] / peak,
            "loading_ms": loading * 1000,
            "loading_share": loading / (loading + seconds[STOCKS]),
            **start(home, os.environ.get("DATA", "")),
        }
    finish("trainer", figures, TARGETS)


if __name__ == "__main__":
    main()
