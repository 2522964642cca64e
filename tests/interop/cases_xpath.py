"""XPath: what libxml2 says of the same expressions on the same messages."""

import subprocess
import sys
from pathlib import Path

from cases import case, same


@case("expressions by rule and at random, alone and as one table, held against libxml2")
def against_libxml2(world):
    command = [sys.executable, Path(__file__).parent / "xpath_lxml.py", "--binary", world.binary]
    done = subprocess.run(command, capture_output=True, text=True, timeout=38)
    same(done.returncode, 0, done.stdout[-3000:] + done.stderr[-2000:])
