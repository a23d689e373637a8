"""A small classifier with the Trainer of transformers on synthetic data, which atftctl can roll back. The lines for it
end with `# atftctl`."""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from atftctl.hooks.transformers import RollbackCallback  # atftctl


class Sequences(Dataset):
    """Sequences of 8 tokens: is the first one greater than the last one?"""

    def __init__(self, seed: int, count: int, pause_s: float) -> None:
        self.tokens = torch.randint(0, 20, (count, 8), generator=torch.Generator().manual_seed(seed))
        self.pause_s = pause_s

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        time.sleep(self.pause_s)  # the model is so small that nobody could watch it otherwise
        tokens = self.tokens[index]
        return {"input_ids": tokens, "labels": (tokens[0] > tokens[-1]).long()}


def model(settings: dict) -> nn.Module:
    size = settings["model"]["hidden"]
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=20,
            hidden_size=size,
            intermediate_size=2 * size,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=8,
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--resume", default="last", choices=("last", "best", "scratch"))
    chosen = parser.parse_args()
    torch.manual_seed(1)
    rollback = RollbackCallback(configs=["config.yaml"], stop_on_nan=True)  # atftctl
    settings = rollback.settings  # atftctl
    arguments = TrainingArguments(
        output_dir="checkpoints",
        max_steps=settings["training"]["steps"],
        learning_rate=settings["optimizer"]["lr"],
        max_grad_norm=settings["optimizer"]["clip"],
        optim="sgd",
        per_device_train_batch_size=8,
        logging_steps=1,
        logging_nan_inf_filter=False,  # atftctl
        save_steps=50,
        save_total_limit=3,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
    )
    data = Sequences(1, 1600, settings["training"]["pause_s"])
    trainer = Trainer(model(settings), arguments, train_dataset=data, callbacks=[rollback])  # atftctl
    checkpoint = rollback.resume_from(chosen.resume, arguments.output_dir)  # atftctl
    trainer.train(resume_from_checkpoint=checkpoint)


if __name__ == "__main__":
    main()
