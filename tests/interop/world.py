"""The real processes of an interop run: services, and the router in front of them.

Everything listens on loopback, on ports that the system chose. A process that is started here
dies with the run, whatever ends it.
"""

import ctypes
import json
import os
import signal
import string
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
START_SECONDS_MAX = 30
PR_SET_PDEATHSIG = 1


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class World:
    def __init__(self, binary, folder, node_modules):
        self.binary = binary
        self.folder = Path(folder)
        # None where node-soap is not installed.
        self.node_modules = node_modules
        self.processes = {}
        self.ports = {}
        self.marks = 0

    def start(self, name, command, **env):
        """Starts a service; `await_port` then learns where it listens."""
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **env},
                preexec_fn=die_with_parent,
            )

    def await_port(self, name):
        """A service says its port in its first line."""
        line = self.processes[name].stdout.readline()
        if not line.strip().isdigit():
            raise RuntimeError(f"{name} did not start: {self.tail(name)}")
        self.ports[name] = int(line)

    def spyne(self, name, **options):
        command = [sys.executable, str(HERE / "spyne_orders.py"), "--name", name]
        for key, value in options.items():
            command += [f"--{key}", str(value)]
        self.start(name, command)

    def start_services(self):
        self.spyne("v1")
        self.spyne("v2")
        self.spyne("v1_12", soap="1.2")
        self.spyne("v2_12", soap="1.2")
        self.spyne("old", server="wsgiref")
        self.spyne("primary")
        self.spyne("spare")
        self.start("lite", ["perl", str(HERE / "soaplite_server.pl")])
        if self.node_modules:
            self.start("node", ["node", str(HERE / "node/server.js")], NODE_PATH=self.node_modules)
        else:
            self.ports["node"] = 1  # Nobody listens there; nobody is sent there.
        for name in self.processes:
            self.await_port(name)

    def start_router(self):
        for part in ("config", "filters"):
            (self.folder / part).mkdir(exist_ok=True)
            for file in (HERE / part).iterdir():
                text = string.Template(file.read_text()).safe_substitute(self.ports)
                (self.folder / part / file.name).write_text(text)
        ready = self.folder / "ready"
        with open(self.folder / "router.log", "wb") as log:
            self.processes["router"] = subprocess.Popen(
                [self.binary, "serve", "-c", self.folder / "config/router.yaml", "--ready-file", ready],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )
        try:
            until(ready.exists, "the router did not start", START_SECONDS_MAX)
        except AssertionError as error:
            raise RuntimeError(f"{error}: {self.tail('router')}") from None
        addresses = dict(line.split() for line in ready.read_text().splitlines())
        self.address = f"http://{addresses['public']}"
        self.admin = f"http://{addresses['admin']}"

    def direct(self, name):
        """The address of a service, past the router."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def kill(self, name):
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def stop(self):
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()

    def exchanges(self):
        """The access log's lines, as far as they are whole."""
        file = self.folder / "config/access.log"
        text = file.read_text() if file.exists() else ""
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def exchanges_of(self, calls, count):
        """Makes calls; gives what they answered and their `count` lines of the access log."""
        start = self.mark()
        answer = calls()
        end = self.mark() - 1
        lines = self.exchanges()[start:end]
        assert len(lines) == count, f"{len(lines)} lines in the access log, {count} calls"
        return answer, lines

    def mark(self):
        """Leaves a line of its own in the access log; gives the number of lines up to it.

        Lines are written later than answers, but in their order: what was answered before the
        mark stands before it.
        """
        self.marks += 1
        path = f"/mark-{self.marks}"
        try:
            urllib.request.urlopen(self.address + path, timeout=5).close()
        except urllib.error.HTTPError as error:
            error.close()  # 404: there is no such service, but every request has a line.

        def found():
            return next((at + 1 for at, line in enumerate(self.exchanges()) if line["path"] == path), None)

        until(found, "a request has no line in the access log", 5)
        return found()

    def metric(self, name):
        with urllib.request.urlopen(self.admin + "/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))

    def tail(self, name):
        log = self.folder / f"{name}.log"
        return log.read_text(errors="replace")[-2000:] if log.exists() else "it said nothing"


def until(true, complaint, seconds):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{complaint} (after {seconds} s)"
        time.sleep(0.02)
