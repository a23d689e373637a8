"""A small regression with Lightning on synthetic data, which atftctl can roll back. The lines for that end with
`# atftctl`."""

from __future__ import annotations

import argparse
import time

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from atftctl.hooks.lightning import RollbackCallback  # atftctl


class Model(pl.LightningModule):
    """Learns the sine of a sum of eight numbers."""

    def __init__(self, settings: dict) -> None:
        super().__init__()
        hidden = settings["model"]["hidden"]
        self.net = nn.Sequential(nn.Linear(8, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.rate, self.pause_s = settings["optimizer"]["lr"], settings["training"]["pause_s"]

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        time.sleep(self.pause_s)  # the model is so small that nobody could watch it otherwise
        return nn.functional.mse_loss(self.net(batch[0]), batch[1])

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        self.log("val_loss", nn.functional.mse_loss(self.net(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.rate, momentum=0.9)


def data(seed: int, count: int) -> DataLoader:
    x = torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))
    return DataLoader(TensorDataset(x, x.sum(1, keepdim=True).sin()), batch_size=16)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--resume", default="last", choices=("last", "best", "scratch"))
    arguments = parser.parse_args()
    pl.seed_everything(1)
    rollback = RollbackCallback(configs=["config.yaml"], every_n_steps=50, stop_on_nan=True)  # atftctl
    settings = rollback.settings  # atftctl
    trainer = pl.Trainer(
        max_steps=settings["training"]["steps"],
        accelerator="cpu",
        devices=1,
        callbacks=[rollback],  # atftctl
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
    )
    checkpoint = rollback.resume_from(arguments.resume)  # atftctl
    trainer.fit(Model(settings), data(1, 3200), data(2, 320), ckpt_path=checkpoint)


if __name__ == "__main__":
    main()
