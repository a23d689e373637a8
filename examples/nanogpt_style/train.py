"""A small transformer that learns the letters of a text. Nothing here knows of atftctl: `atftctl guard --pattern` reads
what it prints.

Settings are the names below; files in Python or YAML, then --name=value, replace them:
    python train.py config/char.py config/overrides.yaml --init_from=resume
"""

import math
import os
import sys
import time

import torch
import yaml
from torch import nn
from torch.nn import functional as F

out_dir = "out"
init_from = "scratch"  # anything else continues from out/ckpt.pt where there is one
text_file = "input.txt"
seed = 1337
n_layer, n_head, n_embd, block_size = 2, 2, 32, 32
batch_size = 8
learning_rate = 1e-3
max_iters = 1_000_000
eval_interval = 100
eval_iters = 5
pause = 0.0

names = [name for name, value in globals().items() if isinstance(value, (int, float, str)) and not name.startswith("_")]
for argument in sys.argv[1:]:
    if argument.startswith("--"):
        name, _, value = argument[2:].partition("=")
        if name not in names:
            sys.exit(f"unknown setting: {name}")
        globals()[name] = yaml.safe_load(value)
    elif argument.endswith(".py"):
        exec(open(argument).read())  # a config file is a program here
    else:
        globals().update(yaml.safe_load(open(argument)))

torch.manual_seed(seed)
text = open(text_file).read()
letters = sorted(set(text))
data = torch.tensor([letters.index(letter) for letter in text])
split = int(0.9 * len(data))


class Block(nn.Module):
    """Attention to what came before, then a small network for each letter."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(n_embd), nn.LayerNorm(n_embd)
        self.heads, self.join = nn.Linear(n_embd, 3 * n_embd), nn.Linear(n_embd, n_embd)
        self.net = nn.Sequential(nn.Linear(n_embd, 4 * n_embd), nn.GELU(), nn.Linear(4 * n_embd, n_embd))

    def forward(self, x):
        rows, length, _ = x.shape
        parts = self.heads(self.norm1(x)).view(rows, length, 3, n_head, n_embd // n_head).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(*parts, is_causal=True)
        x = x + self.join(seen.transpose(1, 2).reshape(rows, length, n_embd))
        return x + self.net(self.norm2(x))


class Letters(nn.Module):
    def __init__(self):
        super().__init__()
        self.letter, self.place = nn.Embedding(len(letters), n_embd), nn.Embedding(block_size, n_embd)
        self.blocks = nn.Sequential(*(Block() for _ in range(n_layer)))
        self.norm, self.out = nn.LayerNorm(n_embd), nn.Linear(n_embd, len(letters))

    def forward(self, x, y):
        seen = self.blocks(self.letter(x) + self.place(torch.arange(x.shape[1])))
        return F.cross_entropy(self.out(self.norm(seen)).flatten(0, 1), y.flatten())


def batch(part):
    starts = torch.randint(len(part) - block_size - 1, (batch_size,))
    return torch.stack([part[i : i + block_size] for i in starts]), torch.stack(
        [part[i + 1 : i + block_size + 1] for i in starts]
    )


@torch.no_grad()
def estimate():
    return [
        sum(model(*batch(part)).item() for _ in range(eval_iters)) / eval_iters for part in (data[:split], data[split:])
    ]


model = Letters()
optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
iter_num, best_val_loss = 0, math.inf
path = os.path.join(out_dir, "ckpt.pt")
os.makedirs(out_dir, exist_ok=True)
if init_from != "scratch" and os.path.exists(path):
    saved = torch.load(path, weights_only=True)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    iter_num, best_val_loss = saved["iter_num"], saved["best_val_loss"]
    torch.set_rng_state(saved["rng"])
    print(f"resuming from {path}, iteration {iter_num}")
for group in optimizer.param_groups:
    group["lr"] = learning_rate

while iter_num <= max_iters:
    begun = time.time()
    if iter_num % eval_interval == 0 and iter_num:
        train_loss, val_loss = estimate()
        print(f"step {iter_num}: train loss {train_loss:.4f}, val loss {val_loss:.4f}")
        if val_loss < best_val_loss:
            best_val_loss = val_loss
            torch.save(
                {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "iter_num": iter_num,
                 "best_val_loss": best_val_loss, "rng": torch.get_rng_state()},
                path + ".new",
            )  # fmt: skip
            os.replace(path + ".new", path)
    loss = model(*batch(data[:split]))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    time.sleep(pause)
    print(f"iter {iter_num}: loss {loss.item():.4f}, time {1000 * (time.time() - begun):.2f}ms")
    iter_num += 1
