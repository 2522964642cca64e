"""The counting half of benches/instructions.sh, which says what is counted and how."""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

RECORD = Path("benches/results/instructions.json")
MORE_MAX = 1.05
MESSAGES = 400
SETTLE = 0.2
SOAP11, SOAP12 = "http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2003/05/soap-envelope"
ROWS = [
    ("header, 1 KiB", "/header", 1024, False),
    ("one body XPath, 1 KiB", "/body", 1024, False),
    ("one body XPath, 10 KiB", "/body", 10240, False),
    ("one body XPath, 10 KiB in chunks", "/body", 10240, True),
    ("bridged 1.1 to 1.2 and back, 1 KiB", "/bridged", 1024, False),
]


def envelope(size, namespace=SOAP11):
    item = '<o:Item sku="A-1"><o:Quantity>2</o:Quantity></o:Item>\n'
    head = (
        f'<soap:Envelope xmlns:soap="{namespace}"><soap:Header><o:Version xmlns:o="urn:example:orders">2</o:Version>'
        '</soap:Header><soap:Body><o:Place xmlns:o="urn:example:orders"><o:Tier>gold</o:Tier>'
    )
    tail = "</o:Place></soap:Body></soap:Envelope>"
    return (head + item * ((size - len(head) - len(tail)) // len(item)) + tail).encode()


class Peer:
    """One end that speaks as much HTTP as is needed."""

    def __init__(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection, self.bytes = connection, b""

    def until(self, end):
        while (at := self.bytes.find(end)) < 0:
            got = self.connection.recv(65536)
            if not got:
                raise EOFError
            self.bytes += got
        piece, self.bytes = self.bytes[: at + len(end)], self.bytes[at + len(end) :]
        return piece

    def message(self):
        head = self.until(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if not length:
            self.until(b"\r\n0\r\n\r\n")
            return head
        while len(self.bytes) < int(length[1]):
            self.bytes += self.connection.recv(65536)
        self.bytes = self.bytes[int(length[1]) :]
        return head


def endpoint(listening):
    def serve(peer):
        try:
            while True:
                soap12 = b"/soap12" in peer.message().split(b"\r\n")[0]
                body = envelope(1024, SOAP12 if soap12 else SOAP11)
                kind = "application/soap+xml" if soap12 else "text/xml"
                head = f"HTTP/1.1 200 OK\r\nServer: x\r\nDate: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
                peer.connection.sendall(head.encode() + body)
        except (EOFError, OSError):
            pass

    while True:
        connection, _ = listening.accept()
        threading.Thread(target=serve, args=(Peer(connection),), daemon=True).start()


def request(path, size, chunked):
    body = envelope(size)
    head = f'POST {path} HTTP/1.1\r\nHost: router\r\nContent-Type: text/xml; charset=utf-8\r\nSOAPAction: "urn:example:orders/Place"\r\n'
    if not chunked:
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"0\r\n\r\n"


def send(address, message, count):
    peer = Peer(socket.create_connection(address, 20))
    for _ in range(count):
        peer.connection.sendall(message)
        head = peer.message()
        if b" 200 " not in head[:20]:
            raise RuntimeError(head.decode())


def control(router, *command):
    subprocess.run(["callgrind_control", *command, str(router.pid)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def count(router, address, folder, dump, row):
    _, path, size, chunked = row
    message = request(path, size, chunked)
    send(address, message, 50)
    control(router, "-i", "on")
    # Commands are taken at the program's next chance, and nobody says when that was.
    time.sleep(SETTLE)
    send(address, message, MESSAGES)
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
        listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=endpoint, args=(listening,), daemon=True).start()
        port = listening.getsockname()[1]
        (folder / "filters").mkdir()
        (folder / "router.yaml").write_text(f"""
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
  bridged: {{ path: /bridged, table: [ {{ filter: {{ match_all: {{}} }}, endpoint: soap12 }} ] }}
endpoints:
  plain: {{ url: "http://127.0.0.1:{port}/" }}
  soap12: {{ url: "http://127.0.0.1:{port}/soap12", soap: "1.2" }}
""")
        ready = folder / "ready"
        # Collected is what a caller's connection does, all the way to the endpoint and back; how often
        # a worker finds nothing to do is chance.
        router = subprocess.Popen(
            ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--toggle-collect=soap_router::front::connection::serve_all*", f"--callgrind-out-file={folder}/out",
             binary, "serve", "--config", folder / "router.yaml", "--log", "warn", "--ready-file", ready],
            stderr=subprocess.DEVNULL,
        )
        try:
            end = time.monotonic() + 60
            while not (ready.exists() and (found := re.search(r"127\.0\.0\.1:(\d+)", ready.read_text()))):
                if router.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("the router does not start under valgrind")
                time.sleep(0.1)
            address = ("127.0.0.1", int(found[1]))
            # The better of two: what the allocator does now and then belongs to no message.
            pairs = {row[0]: [count(router, address, folder, 2 * at + n, row) for n in (1, 2)] for at, row in enumerate(ROWS)}
            return {row: min(counted) for row, counted in pairs.items()}
        finally:
            router.send_signal(signal.SIGKILL)
            router.wait()


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
