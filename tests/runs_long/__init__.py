"""Long counts on the real trainer: how often the detectors are wrong on healthy runs (`make runs-long`), and what they
say of faults that are put into the metrics of these runs (`make faults-long`)."""
