"""Files that are read again and again, which must stop neither their reader nor the program."""

from __future__ import annotations

import errno
import os
import stat


def read_regular_file(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """At most one byte more than `max_bytes`. Raises OSError; opening a pipe does not wait for its writer."""
    with open(path, "rb", opener=_open_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", os.fspath(path))
        return file.read(max_bytes + 1)


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
