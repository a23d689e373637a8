"""How often the verdicts err: on simulated series and on those of real prices. `make calibration` prints the tables."""
