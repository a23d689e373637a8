"""The format of each of our own files below `.atftctl/`: read in one module each."""
