"""Fixtures for tests of commands on code."""

from __future__ import annotations

import pytest

from tests.support.projects import Project
from tests.support.repositories import SMOKE, create_repository


@pytest.fixture
def repository(project: Project) -> Project:
    """A project under git whose smoke check refuses code that says "broken"."""
    return create_repository(project, smoke=SMOKE, code="one\ntwo\nthree\nfour\nfive\n")
