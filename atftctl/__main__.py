"""`python -m atftctl`, and the `atftctl` command."""

from atftctl.host.self_copy.bytecode import mend

mend()

from atftctl.host.process.inherited_state import settle  # noqa: E402 - imported as mended
from atftctl.host.self_copy.relay import relay  # noqa: E402


def main() -> None:
    """Nothing else of ours is imported until it is known which copy of us is to run."""
    settle()
    relay()
    from atftctl.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
