"""Which config files the trainer reads, as far as their names and their content tell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from atftctl.domain.adoption import Config

SUFFIXES = (".yaml", ".yml", ".json")
READ_AT_MOST = 60  # files, the likeliest by name
MOST = 8  # files of one runbook
FOLDERS = {"config", "configs", "conf", "cfg", "cfgs", "params", "settings", "experiments"}
STEM = re.compile(r"config|train|param|setting|hyper|hparam|optim|experiment|default|model|pretrain|finetune")
OTHERS = re.compile(
    r"^(?:package(?:-lock)?|tsconfig.*|jsconfig|composer|docker-compose.*|compose.*|mkdocs|codecov|environment.*|conda.*"
    r"|\..*|dvc|dvc\.lock|openapi.*|swagger.*|chart|values|action|dependabot|tokenizer.*|vocab.*|merges|special_tokens_map"
    r"|added_tokens|generation_config|preprocessor_config|trainer_state|.*\.index|renovate|nx|lerna|pyrightconfig"
    r"|_config|readthedocs|pubspec.*|cloudbuild|app|serverless|hparams|metrics|results?|vercel|turbo|biome|manifest)$"
)
OUTSIDE = {
    "data", "dataset", "datasets", "tests", "test", "fixtures", "docs", "doc", "notebooks", "output", "outputs",
    "results", "runs", "lightning_logs", "logs", "log", "wandb", "mlruns", "tb_logs", "checkpoints", "runbooks",
    "templates", "locale", "assets", "static", "deploy", "k8s", "kubernetes", "helm", "charts", "terraform", "ansible",
    "examples", "backups", "multirun", "third_party", "vendor", "tools", "bench", "benchmarks", "contrib",
}  # fmt: skip
TRAINING = re.compile(
    r"^(?:lr|learning_rate|batch_size|epochs?|max_epochs|num_epochs|max_steps|num_train_epochs|optimi[sz]er|model|trainer"
    r"|training|train|scheduler|dropout|hidden_(?:size|dim)|num_layers|n_layers?|n_heads?|weight_decay|loss|data|dataset"
    r"|per_device_train_batch_size|warmup_\w+|defaults|seed|improvements|features|ema|grad_clip|precision)$"
)


def by_name(paths: Iterable[str]) -> list[str]:
    """The files that may be config files of a trainer, the likeliest first, at most `READ_AT_MOST`."""
    scored = [(score, path) for path in paths if (score := _name_score(path)) > 0]
    return [path for _, path in sorted(scored, key=lambda pair: (-pair[0], pair[1]))[:READ_AT_MOST]]


def _name_score(path: str) -> int:
    *folders, name = path.lower().split("/")
    stem, _, suffix = name.rpartition(".")
    above = list(takewhile(lambda folder: folder not in FOLDERS, folders))  # conf/data/ is a group of configs, not data
    if f".{suffix}" not in SUFFIXES or OTHERS.match(stem) or OUTSIDE & set(above):
        return 0
    score = 3 * bool(STEM.search(stem)) + 3 * bool(FOLDERS & set(folders)) - len(folders) // 2
    return score + (stem in ("config", "train", "default", "training")) + (suffix != "json")


def likely(config: Config) -> int:
    """How likely it is that the trainer reads this file; 0 where nothing speaks for it."""
    keys = {str(key).lower() for key in config.settings}
    nested = {str(key).lower() for value in config.settings.values() if isinstance(value, Mapping) for key in value}
    composes = 6 * isinstance(config.settings.get("defaults"), list)
    known = (
        composes + sum(bool(TRAINING.match(key)) for key in keys) * 2 + sum(bool(TRAINING.match(key)) for key in nested)
    )
    return _name_score(config.path) + min(known, 8 + composes) if known or _name_score(config.path) >= 6 else 0


def choose(
    configs: Sequence[Config], named: Sequence[str], command: Sequence[str]
) -> tuple[list[str], list[str], dict[str, str]]:
    """(the chosen files in the order of merging, the likely ones that were left out, the namespaces by file).

    `named`: files that the operator named: only these. Else those that the command names; else the likeliest, and
    others that share no key with it, since they complete it.
    """
    ranked = sorted((config for config in configs if likely(config)), key=lambda config: (-likely(config), config.path))
    if named:
        return list(named), [config.path for config in ranked if config.path not in named], {}
    mentioned = [config for config in configs if any(_mentions(word, config.path) for word in command)]
    first = mentioned[0] if mentioned else next(iter(ranked), None)
    if first is None:
        return [], [], {}
    groups = list(hydra(first, {config.path for config in configs}))
    chosen = [path for path, _ in groups] if groups else _complete(mentioned or [first], ranked, alone=bool(mentioned))
    namespaces = {path: key for path, key in groups if key}
    return chosen, [config.path for config in ranked if config.path not in chosen], namespaces


def _mentions(word: str, path: str) -> bool:
    """Does a word of the command name this file, also as the value of an option, or as Hydra's `--config-name`?"""
    if word.startswith("--config-name="):
        return path.rpartition("/")[2].rpartition(".")[0] == word.partition("=")[2].removesuffix(".yaml")
    word = word.partition("=")[2] if word.startswith("-") and "=" in word else word
    return word.removeprefix("./") == path


def _complete(chosen: Sequence[Config], ranked: Sequence[Config], *, alone: bool) -> list[str]:
    """The chosen files and those that complete them: in a folder of configs, with no key in common."""
    taken, keys = [config.path for config in chosen], {str(key) for config in chosen for key in config.settings}
    for config in ranked:
        mine = {str(key) for key in config.settings}
        near = FOLDERS & set(config.path.lower().split("/")[:-1])
        if not alone and near and config.path not in taken and not mine & keys and len(taken) < MOST:
            taken.append(config.path)
            keys |= mine
    return taken


def hydra(primary: Config, known: set[str]) -> Iterator[tuple[str, str]]:
    """The files that Hydra composes for this one, with the key of each, in its order: the defaults list, and the file
    itself where `_self_` stands, else last. Nothing where it has no defaults list."""
    defaults = primary.settings.get("defaults")
    if not isinstance(defaults, list):
        return
    folder = primary.path.rpartition("/")[0]
    entries = [*defaults, *([] if "_self_" in defaults else ["_self_"])]
    for entry in entries:
        if entry == "_self_":
            yield primary.path, ""
            continue
        for path, key in _group(entry):
            full = f"{folder}/{path}" if folder else path
            match = next((full + suffix for suffix in SUFFIXES if full + suffix in known), "")
            if match and match != primary.path:
                yield match, key


def _group(entry: Any) -> Iterator[tuple[str, str]]:
    """The paths, without their suffix, and keys of one entry of a defaults list."""
    if isinstance(entry, str):
        yield (
            entry.removeprefix("/").removesuffix(".yaml"),
            entry.removeprefix("/").rpartition("/")[0].replace("/", "."),
        )
    elif isinstance(entry, Mapping):
        for name, option in entry.items():
            words = str(name).split()
            if words[:1] == ["override"] or not isinstance(option, str):
                continue
            group, _, package = words[-1].removeprefix("/").partition("@")
            key = "" if package in ("_global_", "_here_") else package or group.replace("/", ".")
            yield f"{group}/{option.removesuffix('.yaml')}", key
