"""Detectors: pure functions of a state and a row of metrics. Each returns the next state, and a finding or none."""
