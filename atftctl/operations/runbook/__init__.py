"""Commands of `atftctl runbook`: show, lint, render."""
