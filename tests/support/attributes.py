"""Access control lists and extended attributes of files."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from tests.support.users import ALICE


def acl(*entries: tuple[int, int, int]) -> bytes:
    """Encode an access control list as the kernel does: (tag, permissions, id) each; posix_acl_xattr.h."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


USER_OBJ, USER, GROUP_OBJ, MASK, OTHER, NO_ID = 0x01, 0x02, 0x04, 0x10, 0x20, 0xFFFFFFFF
READ_FOR_ALICE = acl((USER_OBJ, 6, NO_ID), (USER, 4, ALICE), (GROUP_OBJ, 0, NO_ID), (MASK, 4, NO_ID), (OTHER, 0, NO_ID))


def set_attributes(path: Path) -> None:
    """Give the file an access control list and an attribute; skip the test where the file system has none."""
    try:
        os.setxattr(path, "system.posix_acl_access", READ_FOR_ALICE)
        os.setxattr(path, "user.note", b"why")
    except OSError:
        pytest.skip("this file system has no access control lists or attributes")


def attributes(path: Path) -> dict[str, bytes]:
    return {name: os.getxattr(path, name) for name in sorted(os.listxattr(path))}
