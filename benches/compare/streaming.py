"""Messages far larger than memory, through the router and through HAProxy, in one run.

  benches/streaming.sh [GIBIBYTES] [ROW]       default: 4, every row

Rows: a request of that size with Content-Length and chunked, routed on the header; routed on the
first bytes of its body; multipart with an attachment of that size (both framed both ways); an
answer of that size; and 1,000 uploads of 10 MiB at a time. For each: throughput, and the proxy's
largest resident memory from start to end. Bytes are made on the fly. Loopback only, free ports;
ends by itself.
"""

import argparse
import json
import os
import platform
import re
import selectors
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

MIB = 1 << 20
BLOCK = b"<o:Item>0123456789abcdef</o:Item>" * (MIB // 33)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Sink(threading.Thread):
    """Takes requests of any size and answers them; `/answer` answers with very much."""

    def __init__(self, answer_bytes):
        super().__init__(daemon=True)
        self.answer_bytes = answer_bytes
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port = self.listener.getsockname()[1]
        self.taken = 0

    def run(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        buffer = bytearray(MIB)
        data = b""
        try:
            while b"\r\n\r\n" not in data:
                data += connection.recv(65536)
            head, rest = data.split(b"\r\n\r\n", 1)
            length = re.search(rb"(?i)content-length: (\d+)", head)
            if length:
                left = int(length[1]) - len(rest)
                while left > 0:
                    got = connection.recv_into(buffer)
                    if not got:
                        return
                    left -= got
                self.taken += int(length[1])
            else:
                tail = rest[-5:]
                total = len(rest)
                while not tail.endswith(b"0\r\n\r\n"):
                    got = connection.recv_into(buffer)
                    if not got:
                        return
                    total += got
                    tail = (tail + bytes(buffer[max(0, got - 5):got]))[-5:]
                self.taken += total
            self.answer(connection, b"/answer" in head.split(b"\r\n", 1)[0])
        except OSError:
            pass
        finally:
            connection.close()

    def answer(self, connection, large):
        start = b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
        end = b"</e:Body></e:Envelope>"
        blocks = self.answer_bytes // len(BLOCK) if large else 0
        length = len(start) + len(end) + blocks * len(BLOCK)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + start)
        for _ in range(blocks):
            connection.sendall(BLOCK)
        connection.sendall(end)


class Peak(threading.Thread):
    """Watches a process's resident memory."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.going = pid, 0, True

    def run(self):
        while self.going:
            try:
                status = Path(f"/proc/{self.pid}/status").read_text()
            except OSError:
                return
            self.peak = max(self.peak, int(re.search(r"VmRSS:\s+(\d+)", status)[1]))
            time.sleep(0.02)


START = (
    b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Header/><e:Body>'
    b'<o:Load xmlns:o="urn:example:orders"><o:Tier>gold</o:Tier>'
)
END = b"</o:Load></e:Body></e:Envelope>"


def request(port, path, size, chunked=False, kind="text/xml", start=START, end=END):
    """Sends one message of about `size` bytes and reads the whole answer. Gives its bytes."""
    blocks = size // len(BLOCK)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: {kind}\r\nSOAPAction: \"urn:load\"\r\n"
        if chunked:
            piece = lambda data: b"%x\r\n%s\r\n" % (len(data), data)
            connection.sendall((head + "Transfer-Encoding: chunked\r\n\r\n").encode() + piece(start))
            block = piece(BLOCK)
            for _ in range(blocks):
                connection.sendall(block)
            connection.sendall(piece(end) + b"0\r\n\r\n")
        else:
            length = len(start) + blocks * len(BLOCK) + len(end)
            connection.sendall((head + f"Content-Length: {length}\r\n\r\n").encode() + start)
            for _ in range(blocks):
                connection.sendall(BLOCK)
            connection.sendall(end)
        buffer = bytearray(MIB)
        got = connection.recv_into(buffer)
        if b" 200 " not in bytes(buffer[:64]):
            raise RuntimeError(f"{path}: {bytes(buffer[:got])[:400]!r}")
        head_end = bytes(buffer[:got]).index(b"\r\n\r\n") + 4
        length = int(re.search(rb"(?i)content-length: (\d+)", bytes(buffer[:head_end]))[1])
        total = got - head_end
        while total < length:
            got = connection.recv_into(buffer)
            if not got:
                raise RuntimeError(f"{path}: the answer broke off after {total} of {length} bytes")
            total += got
        return blocks * len(BLOCK) + total


def multipart(size):
    start = (
        b"--b\r\nContent-Type: application/xop+xml; type=\"text/xml\"\r\nContent-ID: <root>\r\n\r\n" + START + END
        + b"\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\n"
    )
    return dict(
        kind='multipart/related; boundary=b; type="application/xop+xml"; start="<root>"; start-info="text/xml"',
        start=start, end=b"\r\n--b--\r\n",
    )


def many(port, path, count, size):
    """`count` uploads at a time, driven by one loop; each block is sent to all in turn."""
    selector = selectors.DefaultSelector()
    blocks = size // len(BLOCK)
    length = len(START) + blocks * len(BLOCK) + len(END)
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port))
        head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + START)
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_WRITE, [0, 0])
    whole = blocks * len(BLOCK)
    view = memoryview(BLOCK + BLOCK)
    open_now = count
    answered = 0
    while open_now:
        for key, events in selector.select(30):
            state = key.data
            if events & selectors.EVENT_WRITE:
                left = whole - state[0]
                try:
                    if left > 0:
                        at = state[0] % len(BLOCK)
                        state[0] += key.fileobj.send(view[at:at + min(left, 65536)])
                    else:
                        key.fileobj.send(END)
                        selector.modify(key.fileobj, selectors.EVENT_READ, state)
                except BlockingIOError:
                    pass
            else:
                data = key.fileobj.recv(65536)
                answered += data.startswith(b"HTTP/1.1 200")
                if not data:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
                    open_now -= 1
    if answered != count:
        raise RuntimeError(f"{answered} of {count} uploads were answered")
    return count * whole


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--gib", type=float, default=4)
    parser.add_argument("--rows", default="", help="only rows with this in their name")
    parser.add_argument("--out", type=Path, help="a JSON file that the rows are added to")
    arguments = parser.parse_args()
    size = int(arguments.gib * (1 << 30))
    folder = Path(tempfile.mkdtemp(prefix="streaming-"))
    sink = Sink(size)
    sink.start()
    ports = {"haproxy": free_port(), "router": free_port()}
    (folder / "haproxy.cfg").write_text(f"""
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
frontend front
  bind 127.0.0.1:{ports['haproxy']}
  default_backend sink
backend sink
  server sink 127.0.0.1:{sink.port}
""")
    (folder / "router.yaml").write_text(f"""
version: 1
threads: 1
listeners: {{ front: {{ bind: "127.0.0.1:{ports['router']}" }} }}
access_log: {{ format: "off" }}
services:
  header: {{ path: /header, table: [ {{ filter: {{ match_all: {{}} }}, endpoint: sink }} ] }}
  answer: {{ path: /answer, table: [ {{ filter: {{ match_all: {{}} }}, endpoint: answer }} ] }}
  body:
    path: /body
    table:
      namespaces: {{ o: "urn:example:orders" }}
      table: [ {{ filter: {{ xpath: "//o:Tier = 'gold'" }}, endpoint: sink }} ]
endpoints:
  sink: {{ url: "http://127.0.0.1:{sink.port}/" }}
  answer: {{ url: "http://127.0.0.1:{sink.port}/answer" }}
""")
    commands = {
        "haproxy": ["haproxy", "-db", "-f", folder / "haproxy.cfg"],
        "router": [arguments.binary, "serve", "-c", folder / "router.yaml", "--log", "warn"],
    }
    rows = [
        ("header, Content-Length", lambda port: request(port, "/header", size)),
        ("header, chunked", lambda port: request(port, "/header", size, chunked=True)),
        ("body, first bytes", lambda port: request(port, "/body", size)),
        ("body, first bytes, chunked", lambda port: request(port, "/body", size, chunked=True)),
        ("multipart attachment", lambda port: request(port, "/body", size, **multipart(size))),
        ("multipart, chunked", lambda port: request(port, "/body", size, chunked=True, **multipart(size))),
        ("answer", lambda port: request(port, "/answer", 0)),
        ("1,000 uploads of 10 MiB", lambda port: many(port, "/header", 1000, 10 * MIB)),
    ]
    print(f"{'row':26} {'proxy':8} {'MB/s':>7} {'peak KiB':>9}  ratio")
    processes = {}
    try:
        for row, run in rows:
            if arguments.rows not in row:
                continue
            base, measured = None, {}
            for name, command in commands.items():
                processes[name] = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
                wait(ports[name])
                peak = Peak(processes[name].pid)
                peak.start()
                start = time.monotonic()
                moved = run(ports[name])
                rate = moved / (time.monotonic() - start) / 1e6
                peak.going = False
                base = base or rate
                print(f"{row:26} {name:8} {rate:7.0f} {peak.peak:9}  {rate / base:.2f}", flush=True)
                measured[name] = {"MB/s": round(rate), "peak_KiB": peak.peak}
                processes.pop(name).kill()
            if arguments.out:
                keep(arguments.out, row, arguments.gib, measured)
    finally:
        for process in processes.values():
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def keep(path, row, gib, measured):
    """Adds a row to the results; one of the same name is replaced."""
    results = json.loads(path.read_text()) if path.exists() else {}
    version = subprocess.run(["haproxy", "-v"], capture_output=True, text=True).stdout.splitlines()[0]
    results["machine"] = {"cores": os.cpu_count(), "system": platform.platform(), "haproxy": version}
    results.setdefault("rows", {})[row] = {"GiB": gib, **measured}
    path.write_text(json.dumps(results, indent=2) + "\n")


def wait(port):
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


main()
