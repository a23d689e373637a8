"""`python -m atftctl`: the same as the `atftctl` command."""

from atftctl.cli.main import main

if __name__ == "__main__":
    main()
