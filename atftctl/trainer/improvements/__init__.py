"""One improvement a file, imported only when it is on; the baseline trains with this folder gone."""
