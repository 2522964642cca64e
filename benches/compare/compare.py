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

TICK = os.sysconf("SC_CLK_TCK")
PROXY_CORE, LOAD_CORE = "0", "1" if os.cpu_count() > 1 else "0"
CONNECTIONS = 16
ACTION = '"urn:example:orders/Place"'


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def envelope(size):
    item = '<o:Item sku="A-1"><o:Quantity>2</o:Quantity></o:Item>\n'
    head = (
        '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Header>'
        '<o:Version xmlns:o="urn:example:orders">2</o:Version></soap:Header><soap:Body>'
        '<o:Place xmlns:o="urn:example:orders"><o:Tier>gold</o:Tier>'
    )
    tail = "</o:Place></soap:Body></soap:Envelope>"
    items = (size - len(head) - len(tail)) // len(item)
    return head + item * items + tail


class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        self.folder = Path(tempfile.mkdtemp(prefix="compare-"))
        self.processes = []
        self.ports = {name: free_port() for name in ("backend", "haproxy", "router", "logged")}

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
backend orders
  http-reuse always
  server nginx 127.0.0.1:{self.ports['backend']}
""")
        for name, log in (("router", '"off"'), ("logged", "json")):
            path = "" if name == "router" else f', path: "{self.folder}/access.log"'
            self.write(f"{name}.yaml", f"""
version: 1
threads: 1
listeners: {{ front: {{ bind: "127.0.0.1:{self.ports[name]}" }} }}
access_log: {{ format: {log}{path} }}
services:
  header:
    path: /header
    table: [ {{ filter: {{ action: {ACTION} }}, endpoint: nginx }} ]
  body:
    path: /body
    table:
      namespaces: {{ o: "urn:example:orders" }}
      table: [ {{ filter: {{ xpath: "//o:Tier = 'gold'" }}, endpoint: nginx }} ]
endpoints: {{ nginx: {{ url: "http://127.0.0.1:{self.ports['backend']}/" }} }}
""")
        self.spawn(["nginx", "-p", self.folder, "-c", self.folder / "nginx.conf"], LOAD_CORE)
        haproxy = self.spawn(["haproxy", "-db", "-f", self.folder / "haproxy.cfg"], PROXY_CORE)
        self.pids = {"haproxy": haproxy.pid}
        for name in ("router", "logged"):
            command = [self.arguments.binary, "serve", "-c", self.folder / f"{name}.yaml", "--log", "warn"]
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

    def load(self, name, path, size):
        script = self.folder / f"load-{size}.lua"
        script.write_text(
            f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "text/xml; charset=utf-8"\n'
            f"wrk.headers[\"SOAPAction\"] = '{ACTION}'\nwrk.body = [==[{envelope(size)}]==]\n"
        )
        url = f"http://127.0.0.1:{self.ports[name]}{path}"
        user, system = self.cpu(name)
        done = subprocess.run(
            ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{self.arguments.seconds}s",
             "--latency", "-s", script, url],
            capture_output=True, text=True, check=True, timeout=self.arguments.seconds + 30,
        ).stdout
        user2, system2 = self.cpu(name)
        if "Non-2xx" in done or "Socket errors" in done:
            raise RuntimeError(f"{url}: {done}")
        messages = int(re.search(r"(\d+) requests in", done)[1])
        micros = lambda seconds: seconds * 1e6 / messages
        return {
            "user": micros(user2 - user),
            "system": micros(system2 - system),
            "cpu": micros(user2 - user + system2 - system),
            "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", done)[1]),
            "p50": millis(re.search(r"(?m)^\s+50%\s+(\S+)", done)[1]),
            "p99": millis(re.search(r"(?m)^\s+99%\s+(\S+)", done)[1]),
        }

    def stop(self):
        for process in self.processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def millis(text):
    number, unit = re.match(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


ROWS = [
    ("header, 1 KiB", 1024, [("haproxy", "/header"), ("router", "/header")]),
    ("body XPath, 1 KiB", 1024, [("haproxy", "/body"), ("router", "/body")]),
    ("header, 10 KiB", 10240, [("haproxy", "/header"), ("router", "/header")]),
    ("body XPath, 10 KiB", 10240, [("haproxy", "/body"), ("router", "/body")]),
    ("header, access log, 1 KiB", 1024, [("haproxy", "/header"), ("logged", "/header")]),
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    bench = Bench(parser.parse_args())
    # Told to end, it still takes its processes along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    results = {}
    try:
        bench.start()
        idle = {name: bench.resident(name) for name in bench.pids}
        for _ in range(bench.arguments.rounds):
            for row, size, proxies in ROWS:
                for name, path in proxies:
                    results.setdefault(row, {}).setdefault(name, []).append(bench.load(name, path, size))
        loaded = {name: bench.resident(name) for name in bench.pids}
    finally:
        bench.stop()
    report(results, idle, loaded, bench.arguments)


def report(results, idle, loaded, arguments):
    print(f"{'row':28} {'proxy':8} {'CPU us/msg':>16} {'user':>6} {'system':>6} {'msg/s':>8} {'p50 ms':>7} {'p99 ms':>7}  ratio")
    for row, proxies in results.items():
        base = None
        for name, rounds in proxies.items():
            middle = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
            costs = [one["cpu"] for one in rounds]
            base = base or middle["cpu"]
            spread = f"({min(costs):.1f}-{max(costs):.1f})"
            print(f"{row:28} {name:8} {middle['cpu']:5.1f} {spread:>10} {middle['user']:6.1f} {middle['system']:6.1f} "
                  f"{middle['rate']:8.0f} {middle['p50']:7.2f} {middle['p99']:7.2f}  {middle['cpu'] / base:.2f}")
    for name in idle:
        print(f"memory {name}: {idle[name]} KiB idle, {loaded[name]} KiB after the load")
    version = lambda *command: subprocess.run(command, capture_output=True, text=True).stdout.splitlines()[:1]
    Path("benches/results").mkdir(exist_ok=True)
    Path("benches/results/compare.json").write_text(json.dumps({
        "machine": {"cores": os.cpu_count(), "kernel": platform.release(), "cpu": cpu_model()},
        "versions": {"haproxy": version("haproxy", "-v"), "router": version(arguments.binary, "--version")},
        "rounds": arguments.rounds, "seconds": arguments.seconds, "connections": CONNECTIONS,
        "rows": results, "resident_kib": {"idle": idle, "loaded": loaded},
    }, indent=1) + "\n")


def cpu_model():
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else "unknown"


main()
