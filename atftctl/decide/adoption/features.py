"""Which settings of the config files look like improvements that can be turned off."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from atftctl.domain.adoption import Config, Guess
from atftctl.protocol.keys import key_text

MOST = 12
SWITCH = re.compile(
    r"(?:^|[._])(?:use|enable|with|apply)_|(?:^|[._])enabled?$|_enabled$"
    r"|(?:^|[._])(?:ema|swa|amp|fp16|bf16|mixup|cutmix|augment\w*|gradient_checkpointing|grad_checkpointing"
    r"|compile|torch_compile|label_smoothing|flash_attention|mixed_precision|huber|curriculum)$",
    re.IGNORECASE,
)
NUMBER = re.compile(
    r"(?:^|[._])(?:\w*dropout\w*|drop_path\w*|label_smoothing|mixup_alpha|cutmix_alpha|ema_decay|stochastic_depth)$",
    re.IGNORECASE,
)
NOT = re.compile(
    r"cuda|gpu|device|wandb|tensorboard|mlflow|comet|log|save|eval|valid|test|debug|verbose|progress|seed|determin"
    r"|resume|pretrained|download|cache|shuffle|pin_memory|distributed|ddp|fsdp|slurm|push_to_hub|bias|fast_tokenizer",
    re.IGNORECASE,
)


def guesses(configs: Iterable[Config]) -> list[Guess]:
    """The settings that look like improvements, switches first, at most `MOST`; each name once."""
    unique: dict[str, Guess] = {}
    for config in configs:
        for path, value in _leaves(config.settings, ()):
            key = key_text(path)
            if guess := _guess(config.path, key, ".".join(path), value):
                unique.setdefault(guess.name, guess)
    return sorted(unique.values(), key=lambda guess: not guess.sure)[:MOST]


def _guess(file: str, key: str, text: str, value: Any) -> Guess | None:
    if NOT.search(text) or not text.isascii():
        return None
    if isinstance(value, bool):
        return Guess(file, key, baseline=False, improved=True, sure=True) if SWITCH.search(text) else None
    if isinstance(value, float) and 0 < value < 1 and NUMBER.search(text):
        return Guess(file, key, baseline=0.0, improved=value, sure=False)
    return None


def _leaves(settings: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            if len(path) < 6:
                yield from _leaves(value, (*path, str(name)))
        elif not isinstance(value, list):
            yield (*path, str(name)), value
