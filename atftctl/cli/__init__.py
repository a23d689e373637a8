"""Words in, words out. The only room that imports typer or rich."""

import gc

gc.set_threshold(
    50_000, 20, 20
)  # imports make objects that stay: looking for garbage among them takes a tenth of a start
