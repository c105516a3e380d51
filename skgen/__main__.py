"""``python -m skgen``."""

import sys

from skgen.cli import main

sys.exit(main())
