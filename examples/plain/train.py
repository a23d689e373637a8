"""A plain training loop in PyTorch on synthetic data, which atftctl can roll back. The lines for it end with
`# atftctl`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from atftctl.hooks.reporter import Reporter  # atftctl

LAST = Path("models/last.pt")


def batch(step: int) -> tuple[Tensor, Tensor]:
    """Sixteen rows of eight numbers, and the sine of their sums; the same for the same step."""
    x = torch.randn(16, 8, generator=torch.Generator().manual_seed(step))
    return x, x.sum(1, keepdim=True).sin()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--resume", default="last", choices=("last", "best", "scratch"))
    resume = parser.parse_args().resume
    torch.manual_seed(1)
    with Reporter(configs=["config.yaml"], stop_on_nan=True) as reporter:  # atftctl
        settings = reporter.settings  # atftctl
        hidden = settings["model"]["hidden"]
        model = nn.Sequential(nn.Linear(8, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=settings["optimizer"]["lr"], momentum=0.9)
        step, known = 0, {}
        if resume != "scratch" and LAST.exists():
            saved = torch.load(LAST, weights_only=True)
            model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
            step, known = saved["step"], {"resumed_generation": saved["generation"]}
            for group in optimizer.param_groups:
                group["lr"] = settings["optimizer"]["lr"]
        reporter.started(step, str(LAST) if known else "scratch", **known)  # atftctl
        while step < settings["training"]["steps"] and not reporter.stop_requested:  # atftctl
            x, y = batch(step)
            loss = nn.functional.mse_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            time.sleep(settings["training"]["pause_s"])  # the model is so small that nobody could watch it otherwise
            reporter.step(step, loss=loss.item())  # atftctl
            if step % 50 == 0 or reporter.stop_requested:  # atftctl
                state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
                state["generation"] = reporter.fence.number  # atftctl
                reporter.save(LAST, lambda path, state=state: torch.save(state, path))  # atftctl
        return 10 if reporter.stop_requested else 0  # atftctl


if __name__ == "__main__":
    sys.exit(main())
