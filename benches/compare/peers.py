"""Callers and an endpoint that speak as much HTTP as is needed, and the router between them."""

import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

SOAP11, SOAP12 = "http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2003/05/soap-envelope"


def envelope(size, namespace=SOAP11):
    """An order of about this size."""
    item = '<o:Item sku="A-1"><o:Quantity>2</o:Quantity></o:Item>\n'
    # Long messages are made of long lines, as attachments in base64 are.
    if size > 100_000:
        item = f'<o:Data>{"QUJD" * 2000}</o:Data>\n'
    head = (
        f'<soap:Envelope xmlns:soap="{namespace}"><soap:Header>'
        '<o:Version xmlns:o="urn:example:orders">2</o:Version></soap:Header><soap:Body>'
        '<o:Place xmlns:o="urn:example:orders"><o:Tier>gold</o:Tier>'
    )
    tail = "</o:Place></soap:Body></soap:Envelope>"
    items = (size - len(head) - len(tail)) // len(item)
    return head + item * items + tail


class Peer:
    """One end that speaks as much HTTP as is needed."""

    def __init__(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection, self.bytes = connection, b""

    def more(self):
        got = self.connection.recv(65536)
        if not got:
            raise EOFError
        self.bytes += got

    def until(self, end):
        while (at := self.bytes.find(end)) < 0:
            self.more()
        piece, self.bytes = self.bytes[: at + len(end)], self.bytes[at + len(end) :]
        return piece

    def message(self):
        head = self.until(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if not length:
            self.until(b"\r\n0\r\n\r\n")
            return head
        while len(self.bytes) < int(length[1]):
            self.more()
        self.bytes = self.bytes[int(length[1]) :]
        return head


def endpoint():
    """Answers on loopback until the program ends; the answer is its port."""

    def serve(peer):
        try:
            while True:
                soap12 = b"/soap12" in peer.message().split(b"\r\n")[0]
                body = envelope(1024, SOAP12 if soap12 else SOAP11).encode()
                kind = "application/soap+xml" if soap12 else "text/xml"
                head = f"HTTP/1.1 200 OK\r\nServer: x\r\nDate: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
                peer.connection.sendall(head.encode() + body)
        except (EOFError, OSError):
            pass

    def accept():
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=serve, args=(Peer(connection),), daemon=True).start()

    listening = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, daemon=True).start()
    return listening.getsockname()[1]


def framed(path, body, chunked, kind="text/xml; charset=utf-8", action="urn:example:orders/Place"):
    """A request with this body, in one piece or in chunks of a thousand bytes."""
    head = f'POST {path} HTTP/1.1\r\nHost: router\r\nContent-Type: {kind}\r\nSOAPAction: "{action}"\r\n'
    if not chunked:
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"0\r\n\r\n"


def send(address, messages):
    """Sends them on one connection, each after the answer to the one before."""
    peer = Peer(socket.create_connection(address, 20))
    for message in messages:
        peer.connection.sendall(message)
        head = peer.message()
        if b" 200 " not in head[:20]:
            raise RuntimeError(head.decode())


class Router:
    """The program, serving a configuration from a folder of its own, told to end when left."""

    def __init__(self, command, folder, config, seconds):
        (folder / "filters").mkdir(exist_ok=True)
        (folder / "router.yaml").write_text(config)
        self.ready, self.seconds = folder / "ready", seconds
        self.process = subprocess.Popen(
            [*command, "serve", "--config", folder / "router.yaml", "--log", "warn", "--ready-file", self.ready],
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self):
        end = time.monotonic() + self.seconds
        while not (self.ready.exists() and (found := re.search(r"127\.0\.0\.1:(\d+)", self.ready.read_text()))):
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise RuntimeError("the router does not start")
            time.sleep(0.1)
        self.address = ("127.0.0.1", int(found[1]))
        return self

    def __exit__(self, *_):
        """The program ends by itself, so that it can write what it has counted."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(self.seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
