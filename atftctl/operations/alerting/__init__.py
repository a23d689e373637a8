"""Alerts that come in, and the messages that go out."""
