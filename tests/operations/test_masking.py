"""Secrets in texts that leave the project: on the page of an incident and in messages."""

from __future__ import annotations

import pytest

from atftctl.operations.report.masking import masked, masked_lines


@pytest.mark.parametrize(
    "text",
    [
        "password=hunter2",
        "login failed: password=hunter2",
        "error: request: token=hunter2",
        "db: {password: hunter2, user: x}",
        "password: {old: hunter2}",
        '{"db": {"api_key": "a \\"quoted\\" hunter2"}}',
        "run --password hunter2 --lr 0.1",
        "run --api-key=hunter2",
        "accessToken: hunter2",
        "MYSQL_PWD=hunter2",
        "smtp_pass: hunter2",
        "passphrase: 'my hunter2'",
        "Authorization: Bearer hunter2hunter2",
        "sent with Bearer hunter2hunter2 again",
        "authorization: Basic hunter2",
        "hub.token: hunter2 → hunter2new",
    ],
)
def test_the_value_of_a_secret_is_masked_wherever_it_stands(text: str) -> None:
    assert "hunter2" not in masked(text), masked(text)
    for line in masked_lines([f"+{text}", f"-  - {text}"]):
        assert "hunter2" not in line, line


@pytest.mark.parametrize(
    "text",
    [
        "the token is bad", "loss: 0.1 → 0.2", "max_tokens: 5", "step 12: author: x", "a: b: c=d", "--lr 0.1",
        "password", "the bearer waits",
    ],
)  # fmt: skip
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert masked(text) is text
