"""How good the forecasts are on real prices, next to ridge and LightGBM on the same days, stocks and features.

    python bench/quality.py train PANEL RUNS [--seeds 1 2 3]     one run folder a seed, two at a time
    python bench/quality.py report PANEL RUNS [--split validation|test]

Every choice is made on the validation year; the test years are for one look at the end. Each seed's model is its
best_model.pth, chosen by RankIC on the validation split. Needs the extra: pip install '.[compare]'.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from atftctl import protocol  # noqa: E402
from atftctl.protocol import merge_settings  # noqa: E402
from atftctl.trainer.config import settings  # noqa: E402
from atftctl.trainer.data.features import RAW, average_ranks  # noqa: E402
from atftctl.trainer.telemetry.recorder import Recorder  # noqa: E402
from atftctl.trainer.training import checkpoint  # noqa: E402
from atftctl.trainer.training.evaluation import spearman  # noqa: E402
from atftctl.trainer.training.train_state import load_state  # noqa: E402
from atftctl.trainer.training.trainer import Trainer  # noqa: E402

LAYERS = (
    "configs/atft/config.yaml",
    "configs/atft/train/production.yaml",
    "bench/quality.yaml",
)
RANKED = slice(len(RAW), 2 * len(RAW))
DRAWS = 2000
LIGHTGBM = {
    "objective": "l2", "learning_rate": 0.02, "num_leaves": 31, "min_data_in_leaf": 2000, "feature_fraction": 0.7,
    "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 10.0, "num_threads": 2, "verbose": -1, "seed": 1,
}  # fmt: skip
ROUNDS = 300
RIDGE = 1e4
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """One day for the linear model and the trees: features of the last day [N, F], targets [N]."""

    date: str
    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.float32]


def config_of(panel: Path, seed: int) -> dict[str, object]:
    layers = [yaml.safe_load((ROOT / name).read_text()) for name in LAYERS]
    mine = {"data": {"path": str(panel.absolute())}, "training": {"seed": seed}}
    return merge_settings([*layers, mine])


def train(panel: Path, runs: Path, seeds: list[int]) -> None:
    (runs / "cache").mkdir(parents=True, exist_ok=True)
    make(panel, runs, seeds[0])  # panel and features are prepared once, for all
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for seed, seconds in zip(seeds, pool.map(lambda seed: train_one(panel, runs, seed), seeds), strict=True):
            print(f"seed {seed}: {seconds / 60:.1f} min")


def train_one(panel: Path, runs: Path, seed: int) -> float:
    root = runs / f"seed-{seed}"
    root.mkdir(exist_ok=True)
    if not (root / "cache").exists():
        (root / "cache").symlink_to(runs / "cache")
    (root / "config.yaml").write_text(yaml.safe_dump(config_of(panel, seed)))
    begun = time.monotonic()
    words = [sys.executable, "-m", "atftctl.trainer", "train", "--config", "config.yaml", "--resume", "scratch"]
    with (root / "out").open("wb") as out:
        subprocess.run(words, cwd=root, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=out, stderr=out, check=True)
    seconds = time.monotonic() - begun
    (root / "seconds").write_text(f"{seconds:.1f}")
    return seconds


def make(panel: Path, runs: Path, seed: int) -> Trainer:
    loaded = settings.from_mapping(config_of(panel, seed))
    torch.set_num_threads(2)
    folder = runs / "report"
    folder.mkdir(exist_ok=True)
    return Trainer(loaded, "", folder, Recorder(folder, loaded.data.horizons), cache=runs / "cache")


def forecasts(trainer: Trainer, days: npt.NDArray[np.int64]) -> list[Array]:
    """Ranked forecasts of the next day's return, by day; scale and shift are gone, so that seeds can be averaged."""
    model = trainer.parts.eval_model.eval()
    with torch.no_grad():
        return [_ranks(model(trainer.dataset.day(int(day)))[:, 0].double().numpy()) for day in days]


def _ranks(values: Array) -> Array:
    return average_ranks(values[None])[0] / max(len(values) - 1, 1)


def rows(trainer: Trainer, days: npt.NDArray[np.int64], *, peers: bool) -> Iterator[Rows]:
    """The ranked features of the last day; with `peers` also how far they are from the neighbours' mean."""
    for number in days:
        day = trainer.dataset.day(int(number))
        x = day.x[:, -1, RANKED]
        if peers:
            x = torch.cat([x, x - x[day.neighbours].mean(dim=1)], dim=1)
        yield Rows(day.date, x.numpy(), day.y[:, 0].numpy())


def rivals(trainer: Trainer, days: npt.NDArray[np.int64], *, peers: bool) -> dict[str, list[Array]]:
    """Ridge and LightGBM, trained on the training days and stocks of the trainer."""
    import lightgbm

    pairs = [(one.x[known], one.y[known]) for one in rows(trainer, trainer.dataset.split.train, peers=peers)
             for known in [np.isfinite(one.y)]]  # fmt: skip
    x, y = np.concatenate([one for one, _ in pairs]), np.concatenate([one for _, one in pairs])
    gram = x.T.astype(float) @ x + RIDGE * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, x.T.astype(float) @ y)
    trees = lightgbm.train(LIGHTGBM, lightgbm.Dataset(x, y), ROUNDS)
    suffix = " + peers" if peers else ""
    wanted = list(rows(trainer, days, peers=peers))
    return {
        f"ridge{suffix}": [one.x @ weights for one in wanted],
        f"LightGBM{suffix}": [np.asarray(trees.predict(one.x)) for one in wanted],
    }


def rankic(trainer: Trainer, days: npt.NDArray[np.int64], predictions: list[Array]) -> dict[str, float]:
    found = {}
    for number, prediction in zip(days, predictions, strict=True):
        day = trainer.dataset.day(int(number))
        value = spearman(prediction, day.y[:, 0].numpy())
        if math.isfinite(value):
            found[day.date] = value
    return found


def interval(difference: Array) -> tuple[float, float, float]:
    """Mean, and its 95 % interval by the stationary bootstrap with the block length that the data ask for."""
    from arch.bootstrap import StationaryBootstrap, optimal_block_length

    block = max(1.0, float(optimal_block_length(difference)["stationary"].iloc[0]))
    draws = StationaryBootstrap(block, difference, seed=0).apply(np.mean, DRAWS).ravel()
    return float(difference.mean()), float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975))


def describe(name: str, values: dict[str, float], average: dict[str, float]) -> dict[str, object]:
    """RankIC, standard error, ICIR, by year; the seeds' average minus this one, paired by date."""
    all_ = np.array(list(values.values()))
    years = sorted({date[:4] for date in values})
    by_year = {year: float(np.mean([value for date, value in values.items() if date[:4] == year])) for year in years}
    line: dict[str, object] = {
        "rankic": float(all_.mean()), "se": float(all_.std() / len(all_) ** 0.5),
        "icir": float(all_.mean() / all_.std()), "by_year": by_year, "dates": len(all_),
    }  # fmt: skip
    words = f"{name:24} {all_.mean():8.4f} ± {line['se']:.4f}  ICIR {line['icir']:.3f}  "
    words += "  ".join(f"{year} {value:.4f}" for year, value in by_year.items())
    if values is not average:
        mean, low, high = interval(np.array([average[date] - values[date] for date in values]))
        line["average_minus_this"] = {"mean": mean, "low": low, "high": high}
        words += f"   average of seeds is {mean:+.4f} [{low:+.4f}, {high:+.4f}] better"
    print(words)
    return line


def report(panel: Path, runs: Path, split: str) -> None:
    seeds = sorted(int(one.name.removeprefix("seed-")) for one in runs.glob("seed-*"))
    by_seed: dict[str, list[Array]] = {}
    trainer = make(panel, runs, seeds[0])
    days = getattr(trainer.dataset.split, split)
    for seed in seeds:
        trainer.progress = load_state(
            checkpoint.load(runs / f"seed-{seed}" / protocol.BEST), trainer.parts, trainer.recorder
        )
        by_seed[f"seed {seed}"] = forecasts(trainer, days)
    averaged = [np.mean(one, axis=0) for one in zip(*by_seed.values(), strict=True)]
    everything = {"average of seeds": averaged, **by_seed}
    for peers in (False, True):
        everything |= rivals(trainer, days, peers=peers)
    values = {name: rankic(trainer, days, one) for name, one in everything.items()}
    print(f"{split}: {len(days)} days, RankIC@1d")
    lines = {name: describe(name, one, values["average of seeds"]) for name, one in values.items()}
    seed_mean = float(np.mean([np.mean(list(values[f"seed {seed}"].values())) for seed in seeds]))
    print(f"mean over {len(seeds)} seeds {seed_mean:.4f}")
    figures = {"split": split, "mean_over_seeds": seed_mean, "models": lines}
    (runs / f"report-{split}.json").write_text(json.dumps(figures, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description="Quality of the forecasts on real prices")
    parser.add_argument("verb", choices=("train", "report"))
    parser.add_argument("panel", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    arguments = parser.parse_args()
    if arguments.verb == "train":
        train(arguments.panel, arguments.runs, arguments.seeds)
    else:
        report(arguments.panel, arguments.runs, arguments.split)


if __name__ == "__main__":
    main()
