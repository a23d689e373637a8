"""One file for each improvement, imported only when it is on; the baseline trains without this folder."""
