"""Words in, words out. The only room that imports typer or rich."""
