"""`python -m atftctl`, and the `atftctl` command."""

from atftctl.host.process.inherited_state import settle
from atftctl.host.self_copy.relay import relay


def main() -> None:
    """Nothing else of ours is imported until it is known which copy of us is to run."""
    settle()
    relay()
    from atftctl.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
