"""Runs the cases: real SOAP clients and services with the router between them.

Prints a line for each case, what went wrong in those that failed, and at last
`N passed, N failed`. `run.sh` installs what is needed and calls this.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import cases
import cases_zeep  # noqa: F401
import cases_others  # noqa: F401
import cases_pools  # noqa: F401
import cases_bridge  # noqa: F401
import cases_xpath  # noqa: F401
import cases_wires  # noqa: F401
import cases_life  # noqa: F401: last, because its last case ends the router.
from world import World

# All of it takes a good minute; a slow machine may take twice as long. Together with
# the last case's own limit this stays below the limit in run.sh, which would print no result.
RUN_SECONDS_MAX = 240
CASE_SECONDS_MAX = 40


class TooLong(Exception):
    pass


def too_long(*_):
    raise TooLong(f"not done within {CASE_SECONDS_MAX} s")


def attempt(work):
    """What went wrong in `work`; nothing if all is well."""
    signal.alarm(CASE_SECONDS_MAX)
    try:
        work()
    except AssertionError as error:
        at = traceback.extract_tb(error.__traceback__)
        place = next((f for f in reversed(at) if "cases_" in f.filename), at[-1])
        return f"{error}\n(at {Path(place.filename).name}:{place.lineno})"
    except Exception:  # noqa: BLE001: whatever it is, the other cases are run.
        return traceback.format_exc()
    finally:
        signal.alarm(0)
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("only", nargs="?", default="", help="part of a case's name")
    args = parser.parse_args()
    signal.signal(signal.SIGALRM, too_long)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    modules = Path(args.work) / "node_modules"
    has_node = (modules / "soap").is_dir() and shutil.which("node")
    folder = tempfile.mkdtemp(prefix="run-", dir=args.work)
    world = World(os.path.abspath(args.binary), folder, str(modules) if has_node else None)
    try:
        passed, failed = run(world, args.only)
    finally:
        world.stop()
    if failed:
        print(f"logs of all processes: {folder}")
    else:
        shutil.rmtree(folder)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


def run(world, only):
    end = time.monotonic() + RUN_SECONDS_MAX
    wanted = [case for case in cases.CASES if only.lower() in case[0].lower()]
    passed = failed = 0

    def start():
        world.start_services()
        world.start_router()

    if problem := attempt(start):
        report("FAILED", "start of the services and the router", problem)
        return 0, len(wanted) or 1
    for name, work, needs_node in wanted:
        if needs_node and not world.node_modules:
            report("skipped", f"{name} (no node-soap here)")
            continue
        start = time.monotonic()
        problem = attempt(lambda: work(world)) if start < end else "no time was left for it"
        name = f"{name} ({time.monotonic() - start:.1f} s)"
        if problem:
            failed += 1
            report("FAILED", name, problem)
            if (status := world.processes["router"].poll()) is not None:
                print(f"    the router is gone, status {status}:\n{world.tail('router')}")
        else:
            passed += 1
            report("ok", name)
    return passed, failed


def report(verdict, name, problem=""):
    print(f"{verdict:8}{name}", flush=True)
    for line in problem.splitlines():
        print(f"    {line}", flush=True)


sys.exit(main())
