"""The one step of the build that pyproject.toml can't say: each .po of atftctl/locale becomes a .mo beside it."""

from __future__ import annotations

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

LOCALE = Path(__file__).parent / "atftctl" / "locale"


def compile_messages() -> None:
    """Write the .mo of every .po, in the source tree: an editable install reads the messages from there."""
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    for source in sorted(LOCALE.glob("*/LC_MESSAGES/*.po")):
        with source.open("rb") as file:
            catalog = read_po(file, locale=source.parts[-3])
        with source.with_suffix(".mo").open("wb") as file:
            write_mo(file, catalog)


class BuildWithMessages(build_py):
    """`build_py`, with the messages compiled before the package's data files are collected."""

    def run(self) -> None:
        """Compile the messages and build."""
        compile_messages()
        self.__dict__.pop("data_files", None)  # setuptools may have collected them before the .mo files were there
        super().run()


if __name__ == "__main__":
    setup(cmdclass={"build_py": BuildWithMessages})
