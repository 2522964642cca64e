"""The counting half of benches/instructions.sh, which says what is counted and how."""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import peers
from tables import table

RECORD = Path("benches/results/instructions.json")
MORE_MAX = 1.05
MESSAGES = 400
SETTLE = 0.2
ROWS = [
    ("header, 1 KiB", "/header", 1024, False),
    ("one body XPath, 1 KiB", "/body", 1024, False),
    ("one body XPath, 10 KiB", "/body", 10240, False),
    ("one body XPath, 10 KiB in chunks", "/body", 10240, True),
    ("10,000 XPaths by child paths, 10 KiB", "/paths", 10240, False),
    ("bridged 1.1 to 1.2 and back, 1 KiB", "/bridged", 1024, False),
    ("bridged 1.1 to 1.2 and back, 10 KiB", "/bridged", 10240, False),
]


def control(router, *command):
    subprocess.run(["callgrind_control", *command, str(router.process.pid)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def count(router, folder, dump, row):
    _, path, size, chunked = row
    message = peers.framed(path, peers.envelope(size).encode(), chunked)
    peers.send(router.address, [message] * 50)
    control(router, "-i", "on")
    # Commands are taken at the program's next chance, and nobody says when that was.
    time.sleep(SETTLE)
    peers.send(router.address, [message] * MESSAGES)
    time.sleep(SETTLE)
    control(router, "-i", "off")
    time.sleep(SETTLE)
    control(router, "-d")
    found = folder / f"out.{dump}"
    end = time.monotonic() + 20
    while not (found.exists() and (total := re.search(r"(?m)^totals: (\d+)$", found.read_text()))):
        if time.monotonic() > end:
            raise RuntimeError("callgrind wrote nothing")
        time.sleep(0.1)
    if int(total[1]) == 0:
        raise RuntimeError("nothing was counted: `--toggle-collect` names a function that is not there")
    return round(int(total[1]) / MESSAGES)


def count_all(binary):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        port = peers.endpoint()
        (folder / "filters").mkdir()
        (folder / "filters/paths.yaml").write_text(table("paths", 10_000).replace("nginx", "plain"))
        config = f"""
version: 1
threads: 1
listeners: {{ front: {{ bind: "127.0.0.1:0" }} }}
access_log: {{ format: "off" }}
filters_dir: filters
services:
  header: {{ path: /header, table: [ {{ filter: {{ action: "urn:example:orders/Place" }}, endpoint: plain }} ] }}
  body:
    path: /body
    table:
      namespaces: {{ o: "urn:example:orders" }}
      table: [ {{ filter: {{ xpath: "//o:Tier = 'gold'" }}, endpoint: plain }} ]
  paths: {{ path: /paths, table: paths }}
  bridged: {{ path: /bridged, table: [ {{ filter: {{ match_all: {{}} }}, endpoint: soap12 }} ] }}
endpoints:
  plain: {{ url: "http://127.0.0.1:{port}/" }}
  soap12: {{ url: "http://127.0.0.1:{port}/soap12", soap: "1.2" }}
"""
        # Collected is what a caller's connection does, all the way to the endpoint and back; how often
        # a worker finds nothing to do is chance.
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--toggle-collect=soap_router::front::connection::serve_all*",
                   f"--callgrind-out-file={folder}/out", binary]
        with peers.Router(command, folder, config, 60) as router:
            # The better of two: what the allocator does now and then belongs to no message.
            pairs = {row[0]: [count(router, folder, 2 * at + n, row) for n in (1, 2)] for at, row in enumerate(ROWS)}
            return {row: min(counted) for row, counted in pairs.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--update", action="store_true")
    arguments = parser.parse_args()
    counted = count_all(arguments.binary)
    known = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    slower = []
    for row, instructions in counted.items():
        before = known.get(row)
        ratio = f"{instructions / before:.3f}" if before else "new"
        print(f"{row:36} {instructions:9,} instructions a message  {ratio}")
        if not arguments.update and (not before or instructions > before * MORE_MAX):
            slower.append(row)
    if arguments.update:
        RECORD.parent.mkdir(exist_ok=True)
        RECORD.write_text(json.dumps(counted, indent=1) + "\n")
    if slower:
        sys.exit(f"more than on record by over 5 %: {'; '.join(slower)}\nhint: if it is worth it, benches/instructions.sh --update")


main()
