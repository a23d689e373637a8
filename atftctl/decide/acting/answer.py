"""What a rollback would do, as a digest: the same answer to the same fault is never given twice."""

from __future__ import annotations

import hashlib
import json

from atftctl.domain.plan import Plan


def answer_of(plan: Plan) -> str:
    """A digest of what a plan changes, and of the checkpoint that it resumes from."""
    targets = [
        [
            target.path,
            sorted([list(map(str, change.key)), repr(change.new)] for change in target.changes),
            target.snapshot,
            target.commit,
            target.copy,
            target.new,
        ]
        for target in plan.targets
    ]
    text = json.dumps([sorted(targets, key=str), plan.resume], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
