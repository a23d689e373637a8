"""Import modules although a full disk has cut their compiled files.

Python may not notice that only a part of such a file was written (python/cpython, issue 126606), and fails with
EOFError at each later import: a disk that was full once would stop every rescue. This imports the
standard library only, and is small: the kernel writes files of less than a page whole or not at all.
"""

import os
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from importlib.util import cache_from_source
from types import CodeType

CUT = (EOFError, ValueError, TypeError)  # of marshal


def mend() -> None:
    """From now on, leave no compiled file that was cut, and pass over one that is there."""
    write, read = SourceFileLoader.set_data, SourceFileLoader.get_code

    def set_data(self: SourceFileLoader, path: str, data: bytes, *, _mode: int = 0o666) -> None:
        write(self, path, data, _mode=_mode)
        with suppress(OSError):
            if os.stat(path).st_size != len(data):
                os.unlink(path)

    def get_code(self: SourceFileLoader, fullname: str) -> CodeType | None:
        try:
            return read(self, fullname)
        except CUT:
            path = self.get_filename(fullname)
            with suppress(OSError, NotImplementedError):
                os.unlink(cache_from_source(path))
            return self.source_to_code(self.get_data(path), path)

    for name, method in (("set_data", set_data), ("get_code", get_code)):
        setattr(SourceFileLoader, name, method)
