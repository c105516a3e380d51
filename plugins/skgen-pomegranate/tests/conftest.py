"""Before the tests import pomegranate themselves: the plugin does so without giving torch other threads."""

import skgen_pomegranate  # noqa: F401
