"""The files of atftctl below `.atftctl/`: the format, reading and writing of each are in one module."""
