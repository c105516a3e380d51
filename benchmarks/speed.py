"""Every speed comparison in turn: `python benchmarks/speed.py [name ...]`, names as in speed_<name>.py."""

import subprocess
import sys
from pathlib import Path

here = Path(__file__).parent
found = {path.stem.removeprefix("speed_"): path for path in sorted(here.glob("speed_*.py"))}
wanted = sys.argv[1:] or list(found)
if unknown := [name for name in wanted if name not in found]:
    sys.exit(f"no speed comparison named {unknown[0]!r}: choose from {', '.join(found)}")
# one process each, so that no library's start or threads weigh on another's table
sys.exit(max(subprocess.run([sys.executable, str(found[name])], check=False).returncode for name in wanted))
