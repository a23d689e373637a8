"""One file a command or group of commands: `atftctl --help` lists them."""
