"""Memory of a graphics card: what is known without one, and nvidia-smi's answer read."""

from __future__ import annotations

import pytest
import torch

from atftctl.trainer.runtime import card

# In the form that nvidia-smi documents (--query-compute-apps=gpu_uuid,pid,used_memory --format=csv,noheader,nounits).
ANSWER = """\
GPU-6f6ff5d1-2b9c-2a4b-0f6e-0c7f0f6f5a11, 4711, 20480
GPU-6f6ff5d1-2b9c-2a4b-0f6e-0c7f0f6f5a11, 815, 512
GPU-00000000-0000-0000-0000-000000000000, 42, 100
GPU-6f6ff5d1-2b9c-2a4b-0f6e-0c7f0f6f5a11, 9, [N/A]
No running processes found
"""


def test_other_processes_on_the_same_card() -> None:
    holders = list(card.parse_holders(ANSWER, "GPU-6f6ff5d1-2b9c-2a4b-0f6e-0c7f0f6f5a11", own_pid=815))
    assert holders == [{"pid": 4711, "mb": 20480}, {"pid": 9, "mb": 0}]


def test_nothing_is_said_of_a_card_on_the_cpu() -> None:
    card.reset_peak(torch.device("cpu"))
    assert card.peak(torch.device("cpu")) == {"device": "cpu"}
    if torch.cuda.is_initialized():
        pytest.skip("this process has used a card")
    assert card.report() == {}
