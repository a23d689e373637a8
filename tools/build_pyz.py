"""Build the one-file rescue copy: `make pyz` writes dist/atftctl-VERSION-pyXY.pyz. Needs shiv.

The file holds the ops side and its packages for the minor version of Python that runs this script (psutil is
compiled). shiv makes it; tools/rescue_main.py takes the place of shiv's own start.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPLACED = ("__main__.py", "environment.json")
UNUSED = ("_bootstrap/", "site-packages/atftctl/trainer/", "site-packages/bin/")  # shiv's start, and no ops side


def version() -> str:
    """Return the version of the package in this checkout."""
    namespace: dict[str, str] = {}
    exec((ROOT / "atftctl" / "__init__.py").read_text(), namespace)  # noqa: S102 - our own file of one line
    return namespace["__version__"]


def target_path() -> Path:
    """Return where the rescue copy for this interpreter belongs."""
    return ROOT / "dist" / f"atftctl-{version()}-py{sys.version_info.major}{sys.version_info.minor}.pyz"


def build(target: Path) -> None:
    """Write the archive, executable, whole or not at all."""
    shutil.rmtree(ROOT / "build" / "lib", ignore_errors=True)  # setuptools would pack modules that are gone by now
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "shiv.pyz")
        subprocess.run(
            [
                *(sys.executable, "-m", "shiv", "--reproducible", "-o", str(made), "-e", "atftctl.__main__:main"),
                *("-p", f"/usr/bin/env python{minor}", "--quiet", "--disable-pip-version-check"),
                *("--constraint", str(ROOT / "constraints.txt"), str(ROOT)),
            ],
            check=True,
        )
        exchange_start(made, Path(folder, "rescue.pyz"), f"#!/usr/bin/env python{minor}\n".encode())
        target.parent.mkdir(exist_ok=True)
        temporary = target.with_suffix(".new")
        temporary.write_bytes(Path(folder, "rescue.pyz").read_bytes())
    temporary.chmod(0o755)
    temporary.rename(target)


def exchange_start(source: Path, target: Path, first_line: bytes) -> None:
    """Copy the archive with our own start in place of shiv's."""
    with zipfile.ZipFile(source) as old, target.open("wb") as file:
        file.write(first_line)
        about = {**json.loads(old.read("environment.json")), "python": list(sys.version_info[:2])}
        with zipfile.ZipFile(file, "w", compression=zipfile.ZIP_DEFLATED) as new:
            for entry in old.infolist():
                if entry.filename not in REPLACED and not entry.filename.startswith(UNUSED):
                    new.writestr(entry, old.read(entry))
            new.writestr(zipfile.ZipInfo("environment.json"), json.dumps(about))
            new.writestr(zipfile.ZipInfo("__main__.py"), (ROOT / "tools" / "rescue_main.py").read_bytes())


def main() -> None:
    """Build it and print where it is."""
    target = target_path()
    build(target)
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size / 1e6:.1f} MB, needs Python {minor} and nothing else")


if __name__ == "__main__":
    main()
