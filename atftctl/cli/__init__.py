"""The command line: arguments in, text or JSON out. The only layer that imports typer."""

import gc

gc.set_threshold(
    50_000, 20, 20
)  # imports make objects that stay: looking for garbage among them takes a tenth of a start
