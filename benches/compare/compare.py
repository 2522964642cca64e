"""The measuring half of benches/compare.sh, which says what is measured and how."""

import argparse
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import latency
from peers import SOAP12, envelope
from tables import table

TICK = os.sysconf("SC_CLK_TCK")
PROXY_CORE, LOAD_CORE = "0", "1" if os.cpu_count() > 1 else "0"
CONNECTIONS = 16
MANY = 1000
# Latency at half load: pairs of rounds, and how long one is.
PAIRS, PAIR_SECONDS = 16, 0.4
ACTION = '"urn:example:orders/Place"'


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        self.folder = Path(tempfile.mkdtemp(prefix="compare-"))
        self.processes = []
        self.failed = False
        names = ["backend", "haproxy", "search", "router", "many"] + ["plain"] * bool(arguments.plain)
        self.ports = {name: free_port() for name in names}

    def spawn(self, command, core):
        process = subprocess.Popen(
            ["taskset", "-c", core, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=open(self.folder / "errors.log", "ab"),
            preexec_fn=os.setsid,
        )
        self.processes.append(process)
        return process

    def start(self):
        self.write("answer.xml", envelope(1024))
        self.write("nginx.conf", f"""
            worker_processes 1; daemon off; pid {self.folder}/nginx.pid; error_log stderr crit;
            events {{ worker_connections 4096; }}
            http {{
              access_log off; keepalive_requests 100000000; client_max_body_size 0;
              client_body_temp_path {self.folder}/body;
              server {{
                listen 127.0.0.1:{self.ports['backend']} backlog=1024;
                location / {{ default_type text/xml; return 200 '{envelope(1024)}'; }}
                location /soap12 {{ default_type application/soap+xml; return 200 '{envelope(1024, SOAP12)}'; }}
              }}
            }}""")
        self.write("haproxy.cfg", f"""
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
frontend front
  bind 127.0.0.1:{self.ports['haproxy']}
  acl place req.hdr(SOAPAction) -m str {ACTION.replace('"', chr(92) + '"')}
  use_backend orders if place
frontend search
  bind 127.0.0.1:{self.ports['search']}
  option http-buffer-request
  acl gold req.body -m sub <o:Tier>gold</o:Tier>
  use_backend orders if gold
backend orders
  http-reuse always
  server nginx 127.0.0.1:{self.ports['backend']}
""")
        (self.folder / "filters").mkdir()
        for name, count in (("filters", 1000), ("filters", 10000), ("paths", 10000)):
            self.write(f"filters/{name}-{count}.yaml", table(name, count))
        # The router with twenty-one thousand filters is another process, so that each one's memory can be told.
        few = f"""
  header:
    path: /header
    table: [ {{ filter: {{ action: {ACTION} }}, endpoint: nginx }} ]
  body:
    path: /body
    table:
      namespaces: {{ o: "urn:example:orders" }}
      table: [ {{ filter: {{ xpath: "//o:Tier = 'gold'" }}, endpoint: nginx }} ]
  bridged:
    path: /bridged
    table: [ {{ filter: {{ action: {ACTION} }}, endpoint: soap12 }} ]"""
        many = """
  thousand: { path: /filters-1000, table: filters-1000 }
  ten-thousand: { path: /filters-10000, table: filters-10000 }
  paths: { path: /paths-10000, table: paths-10000 }"""
        routers = [(name, services) for name, services in (("router", few), ("plain", few), ("many", many)) if name in self.ports]
        for name, services in routers:
            self.write(f"{name}.yaml", f"""
version: 1
threads: 1
listeners: {{ front: {{ bind: "127.0.0.1:{self.ports[name]}", max_connections: 4096 }} }}
access_log: {{ format: "off" }}
filters_dir: filters
services:{services}
endpoints:
  nginx: {{ url: "http://127.0.0.1:{self.ports['backend']}/" }}
  soap12: {{ url: "http://127.0.0.1:{self.ports['backend']}/soap12", soap: "1.2" }}
""")
        self.spawn(["nginx", "-p", self.folder, "-c", self.folder / "nginx.conf"], LOAD_CORE)
        haproxy = self.spawn(["haproxy", "-db", "-f", self.folder / "haproxy.cfg"], PROXY_CORE)
        self.pids = {"haproxy": haproxy.pid}
        for name, _ in routers:
            binary = self.arguments.plain if name == "plain" else self.arguments.binary
            command = [binary, "serve", "-c", self.folder / f"{name}.yaml", "--log", "warn"]
            self.pids[name] = self.spawn(command, PROXY_CORE).pid
        for port in self.ports.values():
            self.wait(port)

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def wait(self, port):
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if time.monotonic() > end:
                    raise RuntimeError((self.folder / "errors.log").read_text()[-2000:])
                time.sleep(0.05)

    def cpu(self, name):
        fields = Path(f"/proc/{self.pids[name]}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) / TICK, int(fields[12]) / TICK

    def resident(self, name):
        status = Path(f"/proc/{self.pids[name]}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

    def load(self, name, path, size, connections=CONNECTIONS, close=False, seconds=None):
        """Everything that goes: CPU a message, throughput, latency under saturation, memory."""
        seconds = seconds or self.arguments.seconds
        script = self.folder / f"load-{size}-{close}.lua"
        script.write_text(
            f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "text/xml; charset=utf-8"\n'
            f"wrk.headers[\"SOAPAction\"] = '{ACTION}'\nwrk.body = [==[{envelope(size)}]==]\n"
            + ('wrk.headers["Connection"] = "close"\n' if close else "")
            + 'done = function(_, latency) io.write(string.format("at %d %d %d\\n", '
            "latency:percentile(50), latency:percentile(99), latency:percentile(99.9))) end\n"
        )
        url = f"http://127.0.0.1:{self.ports[name]}{path}"
        owner = "haproxy" if name == "search" else name
        user, system = self.cpu(owner)
        wrk = subprocess.Popen(
            ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script, url],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        self.processes.append(wrk)
        time.sleep(seconds / 2)
        resident = self.resident(owner)
        done, _ = wrk.communicate(timeout=seconds + 30)
        self.processes.remove(wrk)
        user2, system2 = self.cpu(owner)
        if "Non-2xx" in done or ("Socket errors" in done and not close):
            # One of HAProxy's is told and left; one of ours is what this is to find.
            print(f"{name}, {path}, {size} bytes: {done}", file=sys.stderr)
            self.failed |= owner not in ("haproxy", "search")
        messages = int(re.search(r"(\d+) requests in", done)[1])
        micros = lambda seconds: seconds * 1e6 / messages
        return {
            "user": micros(user2 - user),
            "system": micros(system2 - system),
            "cpu": micros(user2 - user + system2 - system),
            "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", done)[1]),
            **dict(zip(("p50", "p99", "p999"), (int(micros) / 1000 for micros in re.search(r"(?m)^at (\d+) (\d+) (\d+)$", done).groups()))),
            "resident": resident,
        }

    def latency(self, size, sides, rate):
        """Latencies of all sides at this rate."""
        body = f"message-{size}.xml"
        self.write(body, envelope(size))
        asked = {name: (f"127.0.0.1:{self.ports[name]}", path, ACTION, self.folder / body) for name, path in sides}
        pairs = PAIRS if self.arguments.rounds > 1 else 2
        taken, failed = latency.measure(self.arguments.load, LOAD_CORE, asked, rate, pairs, PAIR_SECONDS)
        self.failed |= any(name not in ("haproxy", "search") for name in failed)
        return latency.summary(taken, sides[0][0], rate)

    def calls(self, name, path, size):
        """System calls a message, over a short run under strace."""
        counts = self.folder / "calls.txt"
        strace = subprocess.Popen(["strace", "-c", "-f", "-o", counts, "-p", str(self.pids[name])], stderr=subprocess.DEVNULL)
        time.sleep(0.3)
        messages = self.load(name, path, size, seconds=1)["rate"]
        strace.send_signal(signal.SIGINT)
        strace.wait()
        found = re.findall(r"(?m)^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", counts.read_text())
        calls = {call: int(count) / messages for count, call in found if call != "total"}
        return {call: round(count, 2) for call, count in calls.items() if count >= 0.01}

    def stop(self):
        for process in self.processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


KIB, MIB = 1024, 1024 * 1024
HEADER = ("haproxy", "/header")
# Row, size, keywords for the load, HAProxy's side and the router's. The first is what the ratio is of.
ROWS = [
    ("header, 1 KiB", KIB, {}, [HEADER, ("router", "/header")]),
    ("one body XPath, 1 KiB", KIB, {}, [HEADER, ("search", "/body"), ("router", "/body"), ("plain", "/body")]),
    ("1,000 XPaths with `//`, 1 KiB", KIB, {}, [HEADER, ("many", "/filters-1000")]),
    ("10,000 XPaths by child paths, 1 KiB", KIB, {}, [HEADER, ("many", "/paths-10000")]),
    ("10,000 XPaths with `//`, 1 KiB", KIB, {}, [HEADER, ("many", "/filters-10000")]),
    ("bridged 1.1 to 1.2 and back, 1 KiB", KIB, {}, [HEADER, ("router", "/bridged")]),
    ("header, 10 KiB", 10 * KIB, {}, [HEADER, ("router", "/header")]),
    ("one body XPath, 10 KiB", 10 * KIB, {}, [HEADER, ("search", "/body"), ("router", "/body"), ("plain", "/body")]),
    ("10,000 XPaths by child paths, 10 KiB", 10 * KIB, {}, [HEADER, ("many", "/paths-10000")]),
    ("10,000 XPaths with `//`, 10 KiB", 10 * KIB, {}, [HEADER, ("many", "/filters-10000")]),
    ("bridged 1.1 to 1.2 and back, 10 KiB", 10 * KIB, {}, [HEADER, ("router", "/bridged")]),
    ("header, 1 MiB", MIB, {}, [HEADER, ("router", "/header")]),
    ("one body XPath, 1 MiB", MIB, {}, [HEADER, ("router", "/body")]),
    ("10,000 XPaths by child paths, 1 MiB", MIB, {}, [HEADER, ("many", "/paths-10000")]),
    ("10,000 XPaths with `//`, 1 MiB", MIB, {}, [HEADER, ("many", "/filters-10000")]),
    ("bridged 1.1 to 1.2 and back, 1 MiB", MIB, {}, [HEADER, ("router", "/bridged")]),
    ("new connections, 1 KiB", KIB, {"close": True}, [HEADER, ("router", "/body")]),
    ("1,000 connections, 1 KiB", KIB, {"connections": MANY}, [HEADER, ("router", "/body")]),
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--plain", help="another build of it, for the rows with one XPath")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--load", required=True, help="benches/load.rs, compiled")
    parser.add_argument("--rows", default="", help="only rows whose name has this in it")
    bench = Bench(parser.parse_args())
    # Told to end, it still takes its processes along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rows = [(row, size, how, [side for side in sides if side[0] in bench.ports])
            for row, size, how, sides in ROWS if bench.arguments.rows in row]
    results = {row: {} for row, *_ in rows}
    try:
        bench.start()
        idle = {name: bench.resident(name) for name in bench.pids}
        for _ in range(bench.arguments.rounds):
            for row, size, how, sides in rows:
                for name, path in sides:
                    results[row].setdefault(name, []).append(bench.load(name, path, size, **how))
        latencies = {}
        for row, size, how, sides in rows:
            if not how and size < MIB:
                base = statistics.median(one["rate"] for one in results[row][sides[0][0]])
                latencies[row] = bench.latency(size, [side for side in sides if side[0] != "plain"], base / 2)
        calls = {} if bench.arguments.rows else {
            "haproxy": bench.calls("haproxy", "/header", KIB), "router": bench.calls("router", "/body", KIB)}
    finally:
        bench.stop()
    middle = {
        row: {name: {key: statistics.median(one[key] for one in rounds) for key in rounds[0]} for name, rounds in sides.items()}
        for row, sides in results.items()
    }
    report(results, middle, latencies, calls, idle)
    if not bench.arguments.rows:
        write(results, middle, latencies, calls, idle, bench.arguments)
    if bench.failed:
        sys.exit("the router answered some calls with something else than 200; see above")


LABELS = {"haproxy": "HAProxy, header", "search": "HAProxy, `req.body`", "router": "router", "many": "router", "plain": "router, plain build"}


def report(results, middle, latencies, calls, idle):
    print("| row | side | CPU µs a message (spread) | user | system | ratio | messages/s | resident MiB |")
    print("|---|---|---|---|---|---|---|---|")
    for row, sides in middle.items():
        base = next(iter(sides.values()))["cpu"]
        for name, one in sides.items():
            costs = [each["cpu"] for each in results[row][name]]
            print(f"| {row} | {LABELS[name]} | {one['cpu']:.1f} ({min(costs):.1f}-{max(costs):.1f}) | {one['user']:.1f} | {one['system']:.1f} "
                  f"| {one['cpu'] / base:.2f} | {one['rate']:,.0f} | {one['resident'] / 1024:.1f} |")
    print("\nAt half of what HAProxy reaches by header, at a constant rate:\n")
    print(latency.table(latencies, LABELS.get))
    for name in idle:
        print(f"\n{name}: {idle[name] / 1024:.1f} MiB idle; system calls a message: {calls.get(name, 'not counted')}")


def write(results, middle, latencies, calls, idle, arguments):
    version = lambda *command: subprocess.run(command, capture_output=True, text=True).stdout.splitlines()[:1]
    folder = Path("benches/results")
    folder.mkdir(exist_ok=True)
    (folder / "compare.json").write_text(json.dumps({
        "machine": {"cores": os.cpu_count(), "kernel": platform.release(), "cpu": cpu_model()},
        "versions": {"haproxy": version("haproxy", "-v"), "router": version(arguments.binary, "--version")},
        "build": "profile-guided" if arguments.plain else "as given", "rounds": arguments.rounds, "seconds": arguments.seconds, "connections": CONNECTIONS,
        "rows": results, "latency_at_half": latencies, "calls": calls, "resident_kib_idle": idle,
    }, indent=1) + "\n")
    (folder / "compare.svg").write_text(plot(middle))


def plot(middle):
    """Bars: CPU a message, user time in full colour and the kernel's behind it."""
    rows = {row: sides for row, sides in middle.items() if "MiB" not in row}
    most = max(one["cpu"] for sides in rows.values() for one in sides.values())
    colours = {"haproxy": "#6b7280", "search": "#a16207", "router": "#2563eb", "many": "#2563eb", "plain": "#7c3aed"}
    names = {"haproxy": "HAProxy, header", "search": "HAProxy, req.body", "router": "soap-router", "plain": "plain build"}
    parts, y, scale = [], 40, 400 / most
    for row, sides in rows.items():
        parts.append(f'<text x="270" y="{y + 8 * len(sides) + 3}" text-anchor="end">{row.replace("`", "")}</text>')
        for name, one in sides.items():
            width, user = one["cpu"] * scale, one["user"] * scale
            parts.append(f'<rect x="280" y="{y}" width="{width:.1f}" height="13" fill="{colours[name]}" fill-opacity="0.35"/>'
                         f'<rect x="280" y="{y}" width="{user:.1f}" height="13" fill="{colours[name]}"/>'
                         f'<text x="{284 + width:.1f}" y="{y + 11}">{one["cpu"]:.1f}</text>')
            y += 16
        y += 10
    legend = "".join(f'<rect x="{280 + 140 * n}" y="12" width="12" height="12" fill="{colours[name]}"/>'
                     f'<text x="{296 + 140 * n}" y="22">{names[name]}</text>' for n, name in enumerate(names))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="740" height="{y + 24}" font-family="sans-serif" font-size="12">'
            f'<rect width="740" height="{y + 24}" fill="white"/>{legend}{"".join(parts)}'
            f'<text x="280" y="{y + 12}">CPU time of the proxy a message, in microseconds; dark: user, light: kernel</text></svg>\n')


def cpu_model():
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else "unknown"


main()
