"""Files that are there whole or not at all."""

from __future__ import annotations

import glob
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["clear", "written_whole"]


def _lives(process: int) -> bool:
    """Whether there is such a process; where the system does not tell, yes."""
    if os.name != "posix":
        return True  # there a signal of 0 would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def clear(path: Path) -> None:
    """Remove what processes that were killed in the middle of a write left beside ``path``."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*-*.part"):
        if not _lives(int(left.name.split(".")[-2].partition("-")[0])):
            left.unlink(missing_ok=True)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A place beside ``path`` to write to, which is moved there when the block has ended, and removed if it ends in an error.

    The file is readable as any new file is, or as the one that it replaces.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "text"
    >>> with written_whole(path) as part:
    ...     _ = part.write_text("all of it")
    >>> path.read_text()
    'all of it'
    """
    clear(path)
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        os.close(os.open(part, os.O_CREAT | os.O_WRONLY, 0o666))  # a library may write by a file of its own, for its owner alone
        mode = stat.S_IMODE((path if path.exists() else part).stat().st_mode)
        yield part
        os.chmod(part, mode)
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
