"""A panel larger than memory: 4,000 stocks x 3,000 days are read, prepared and trained on within 2 GiB of anonymous
memory (RssAnon; file pages are not counted, the kernel takes them back when it needs them).

Needs about 4 GB of disk in TMPDIR and some minutes. Ends with one line of JSON; exit 1 where a target is missed.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from atftctl import protocol  # noqa: E402
from bench.report import finish  # noqa: E402

STOCKS, DAYS, STEPS, HIDDEN = 4000, 3000, 20, 64
LIMIT_MB = 2048.0


def write_panel(path: Path) -> None:
    """A day's rows at a time: random walks, seeded."""
    rng = np.random.default_rng(0)
    tickers = pa.array([f"S{one:05d}" for one in range(STOCKS)]).dictionary_encode()
    dates = np.busday_offset("2010-01-04", np.arange(DAYS), roll="forward")
    close = rng.uniform(200, 5000, STOCKS)
    writer = None
    for date in dates:
        opening = close * np.exp(rng.normal(0, 0.004, STOCKS))
        close = opening * np.exp(rng.normal(0, 0.015, STOCKS))
        prices = {
            "open": opening,
            "high": np.maximum(opening, close) * 1.004,
            "low": np.minimum(opening, close) * 0.996,
            "close": close,
            "volume": rng.lognormal(11, 1, STOCKS),
        }
        columns = {"date": pa.array(np.full(STOCKS, date)), "ticker": tickers}
        columns |= {name: pa.array(value.astype(np.float32)) for name, value in prices.items()}
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def anonymous_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:")), 0.0)


def train(root: Path, panel: Path) -> dict[str, float]:
    """Peak of the anonymous memory over the whole life of a trainer, and its seconds."""
    config = {
        "model": {"hidden_size": HIDDEN},
        "data": {"path": str(panel), "memory_map": True},
        "training": {"max_steps": STEPS, "threads": 2, "evaluate_every": 10**6},
    }
    (root / "config.yaml").write_text(yaml.safe_dump(config))
    begun, peak = time.monotonic(), 0.0
    child = subprocess.Popen(
        [sys.executable, "-m", "atftctl.trainer", "train", "--config", "config.yaml"],
        cwd=root, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    while child.poll() is None:
        peak = max(peak, anonymous_mb(child.pid))
        time.sleep(0.02)
    if child.returncode:
        raise SystemExit(f"the trainer ended with {child.returncode}")
    events = [json.loads(line) for line in (root / protocol.EVENTS).read_bytes().splitlines()]
    with (root / protocol.METRICS).open() as file:
        last = list(csv.DictReader(file))[-1]
    return {
        "peak_anonymous_mb": peak,
        "prepare_s": events[0]["seconds"]["panel"],
        "step_s": float(last["step_s"]),
        "total_s": time.monotonic() - begun,
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        panel = root / "panel.parquet"
        write_panel(panel)
        figures = {"panel_mb": panel.stat().st_size / (1 << 20), **train(root, panel)}
        figures["features_mb"] = sum(one.stat().st_size for one in (root / "cache").glob("features*")) / (1 << 20)
    finish("streaming", figures, {"peak_anonymous_mb": ("<=", LIMIT_MB)})


if __name__ == "__main__":
    main()
