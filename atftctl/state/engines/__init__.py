"""How a trainer is run: one file for each engine, and what atftctl asks of all of them (engine.py)."""
