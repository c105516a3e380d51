"""The full tier runs only when asked for: ``pytest -m full``."""

from __future__ import annotations

import os
import signal
import threading

import pytest

os.environ.setdefault("SKGEN_DISABLE_PLUGINS", "1")  # these tests are of what is here; plugins bring their own

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    # what a shell starts in the background ignores Ctrl-C, of which some tests are
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "full" in (config.getoption("markexpr") or ""):
        return
    long = [item for item in items if item.get_closest_marker("full")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("full")]
