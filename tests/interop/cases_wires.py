"""TLS, HTTP/2, the PROXY protocol and WebSocket with programs that no one here wrote: openssl, curl,
nghttp, h2load, nghttpd, nginx, HAProxy, python's websockets.

Each case runs a router of its own beside the world's.
"""

import asyncio
import json
import os
import re
import resource
import select
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from cases import case, same
from cases_pools import ENVELOPE, SOAP, Scene, free_port, missing
from world import until

IP_BIND_ADDRESS_NO_PORT = 24  # ip(7); the socket module has no name for it.
PROGRAM_SECONDS_MAX = 30
MATCH_ALL = "[ { filter: { match_all: {} }, endpoint: all } ]"


class Wires(Scene):
    """A scene whose router's listener and services may be written anew, with certificates."""

    def run(self, *command, data=b"", check=True):
        done = subprocess.run(
            [str(part) for part in command], input=data, capture_output=True, timeout=PROGRAM_SECONDS_MAX, cwd=self.folder
        )
        if check:
            assert done.returncode == 0, f"{command[0]}: {done.returncode}: {done.stderr[-500:]!r}"
        return done

    def authority(self, name):
        self.run(
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9",
            "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}",
        )

    def certificate(self, name, authority, *names, days=9, usage="serverAuth"):
        self.run(
            "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}",
        )
        sans = ",".join(("IP:" if each[0].isdigit() else "DNS:") + each for each in names)
        (self.folder / f"{name}.ext").write_text(f"subjectAltName={sans}\nextendedKeyUsage={usage}\n")
        self.run(
            "openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
            "-CAcreateserial", "-days", days, "-extfile", f"{name}.ext", "-out", f"{name}.pem",
        )

    def serve(self, listener, endpoints, table=MATCH_ALL, more=""):
        """A router with this listener and these endpoints; `all` takes what comes."""
        (self.folder / "filters").mkdir(exist_ok=True)
        (self.folder / "router.yaml").write_text(
            f"""
filters_dir: filters
listeners: {{ public: {{ bind: "127.0.0.1:0", {listener} }} }}
admin: {{ bind: "127.0.0.1:0" }}
access_log: {{ path: access.log }}
services: {{ all: {{ path: "/*", default_endpoint: all, table: {table} }} }}
endpoints:
{endpoints}
{more}
"""
        )
        self.launch()
        self.port = int(self.public.rsplit(":", 1)[1])

    def curl(self, url, *options, message=ENVELOPE, check=True):
        """Exit status, the HTTP version that was spoken, status and body."""
        posted = ("--data-binary", "@-", "-H", "Content-Type: text/xml", "-H", 'SOAPAction: ""') if message else ()
        done = self.run(
            "curl", "-sS", "--noproxy", "*", "-m", "20", "-w", "\n%{http_version} %{http_code}", *posted, *options, url,
            data=(message or "").encode(), check=check,
        )
        body, _, told = done.stdout.decode().rpartition("\n")
        return (done.returncode, *told.split(), body)

    def tls_curl(self, host, *options, check=True):
        there = ("--resolve", f"{host}:{self.port}:127.0.0.1", "--cacert", "ca.pem")
        return self.curl(f"https://{host}:{self.port}/x", *there, *options, check=check)

    def s_client(self, *options):
        """What openssl says of a handshake; it sends nothing."""
        done = self.run("openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", *options, check=False)
        return (done.stdout + done.stderr).decode(errors="replace")

    def web(self, name, server, location="", port=None):
        """An nginx with this server block, which answers with its name."""
        port = port or free_port()
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        body = f"<e:Envelope xmlns:e='{SOAP}'><e:Body><by>{name}</by></e:Body></e:Envelope>"
        temp = " ".join(
            f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"""
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{}}
http {{
  access_log off; {temp}
  server {{
    listen 127.0.0.1:{port} {server}
    location / {{ default_type text/xml; {location} return 200 "{body}"; }}
  }}
}}
"""
        )
        self.start(name, ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")])
        await_port(port, name)
        return port

    def h2load(self, *options):
        """How many requests of a load were answered with 2xx, and how many there were."""
        (self.folder / "message").write_text(ENVELOPE)
        done = self.run(
            "h2load", "-d", "message", "-H", "Content-Type: text/xml", "-H", 'SOAPAction: ""', *options
        )
        text = done.stdout.decode()
        total = int(re.search(r"requests: (\d+) total", text)[1])
        good = int(re.search(r"status codes: (\d+) 2xx", text)[1])
        return good, total


def await_port(port, name):
    def listens():
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False

    until(listens, f"{name} does not listen", 10)


@case("TLS: curl and openssl get the certificate, the version and the protocol that they ask for")
def tls_listener(world):
    if missing("nginx", "openssl", "curl"):
        return
    with Wires(world, "tls") as scene:
        scene.authority("ca")
        scene.certificate("first", "ca", "one.example.com")
        scene.certificate("second", "ca", "*.two.example.com", "two.example.com")
        port = scene.web("web", ";")
        tls = "tls: { cert: first.pem, key: first.key, certificates: [{ cert: second.pem, key: second.key }]"
        scene.serve(f"http2: true, {tls} }}", f'  all: {{ url: "http://127.0.0.1:{port}/" }}')
        for host in ("one.example.com", "two.example.com", "deep.two.example.com"):
            for version, option in (("2", "--http2"), ("1.1", "--http1.1")):
                code, spoken, status, body = scene.tls_curl(host, option)
                same((code, spoken, status), (0, version, "200"), f"{host} {option}")
                assert "<by>web</by>" in body, body
        code, *_ = scene.tls_curl("three.example.com", check=False)
        same(code, 60, "curl believes a certificate of another name")
        for name, subject in (("one.example.com", "first"), ("x.two.example.com", "second"), ("else.test", "first")):
            told = scene.s_client("-servername", name)
            assert re.search(rf"subject=.*CN ?= ?{subject}\b", told), f"{name}: {told}"
        for offered, agreed in (("h2,http/1.1", "h2"), ("http/1.1", "http/1.1")):
            told = scene.s_client("-alpn", offered)
            assert f"ALPN protocol: {agreed}" in told, f"{offered}: {told}"
        assert "No ALPN negotiated" in scene.s_client(), "ALPN without being asked"
        told = scene.s_client("-alpn", "spdy/1")
        assert "alert no application protocol" in told, f"a protocol that nobody speaks is agreed on: {told}"
        assert "TLSv1.2" in scene.s_client("-tls1_2"), "TLS 1.2 is not spoken"
        assert "TLSv1.3" in scene.s_client("-tls1_3"), "TLS 1.3 is not spoken"
        assert "Cipher is (NONE)" in scene.s_client("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), "TLS 1.1 is spoken"
        status = scene.curl(f"http://127.0.0.1:{scene.port}/x")[2]
        same(status, "400", "plain HTTP on a TLS port")
        failed = scene.metric('soap_router_tls_handshakes_total{listener="public",result="failed"}')
        assert failed >= 3, f"{failed} failed handshakes are counted"

        scene.kill("router")
        scene.serve(f"{tls}, min_version: 1.3 }}", f'  all: {{ url: "http://127.0.0.1:{port}/" }}')
        assert "Cipher is (NONE)" in scene.s_client("-tls1_2"), "TLS 1.2 is spoken below the minimum"
        same(scene.tls_curl("one.example.com")[:3], (0, "1.1", "200"), "HTTP/2 that nobody asked for, TLS 1.3")


@case("TLS: client certificates are required, requested, believed or not, and shown to the endpoint")
def tls_clients(world):
    if missing("nginx", "openssl", "curl"):
        return
    with Wires(world, "clients") as scene:
        scene.authority("ca")
        scene.authority("other")
        scene.certificate("front", "ca", "localhost")
        scene.certificate("partner", "ca", "partner.example.com", usage="clientAuth")
        scene.certificate("stranger", "other", "partner.example.com", usage="clientAuth")
        port = scene.web("web", ";", 'add_header X-Shown "$http_client_cert";')
        endpoint = f'  all: {{ url: "http://127.0.0.1:{port}/" }}'
        tls = "client_certificate_header: Client-Cert, tls: { cert: front.pem, key: front.key, client_ca: ca.pem"
        show = ("-D", "-", "--cert", "partner.pem", "--key", "partner.key")
        for auth, without in (("require", 56), ("request", 0)):
            scene.serve(f"{tls}, client_auth: {auth} }}", endpoint)
            code, *_ = scene.tls_curl("localhost", check=False)
            assert (code == 0) == (without == 0), f"{auth}: curl without a certificate ends with {code}"
            code, _, status, told = scene.tls_curl("localhost", *show)
            same((code, status), (0, "200"), f"{auth}: with a certificate")
            assert re.search(r"X-Shown: :\S{100,}:", told), told
            code, *_ = scene.tls_curl("localhost", "--cert", "stranger.pem", "--key", "stranger.key", check=False)
            assert code != 0, f"{auth}: a certificate of a stranger is believed"
            scene.kill("router")


@case("TLS: endpoints with good, expired, foreign and misnamed certificates; one that wants ours")
def tls_endpoints(world):
    if missing("nginx", "openssl", "curl"):
        return
    with Wires(world, "sealed") as scene:
        scene.authority("ca")
        scene.authority("other")
        scene.certificate("good", "ca", "127.0.0.1")
        scene.certificate("expired", "ca", "127.0.0.1", days=-1)
        scene.certificate("foreign", "other", "127.0.0.1")
        scene.certificate("misnamed", "ca", "else.example.com")
        scene.certificate("ours", "ca", "router.example.com", usage="clientAuth")

        def sealed(name, certificate, more=""):
            file = scene.folder / certificate
            return scene.web(name, f"ssl; ssl_certificate {file}.pem; ssl_certificate_key {file}.key; {more}")

        ports = {name: sealed(name, name) for name in ("good", "expired", "foreign", "misnamed")}
        asks = sealed("asks", "good", f"ssl_client_certificate {scene.folder}/ca.pem; ssl_verify_client on;")
        endpoints = "".join(
            f'  {name}: {{ url: "https://127.0.0.1:{port}/", tls: {{ ca: ca.pem }} }}\n' for name, port in ports.items()
        )
        endpoints += f'  all: {{ url: "https://127.0.0.1:{asks}/", tls: {{ ca: ca.pem, cert: ours.pem, key: ours.key }} }}\n'
        endpoints += f'  bare: {{ url: "https://127.0.0.1:{asks}/", tls: {{ ca: ca.pem }} }}\n'
        names = [*ports, "bare", "all"]
        table = ", ".join(
            f'{{ filter: {{ http_header: {{ name: X-To, equals: {name} }} }}, endpoint: {name} }}' for name in names
        )
        saved = "{ filter: { http_header: { name: X-To, equals: saved } }, endpoint: expired, backups: [misnamed, good] }"
        scene.serve("keep_alive_timeout: 75s", endpoints, f"[ {table}, {saved} ]")

        def call(name):
            return scene.curl(f"{scene.public}/x", "-H", f"X-To: {name}")[3]

        assert "<by>good</by>" in call("good"), "the good one does not answer"
        assert "<by>asks</by>" in call("all"), "our certificate is not shown"
        assert "<by>good</by>" in call("saved"), "a backup does not save what bad certificates refuse"
        for name in ("expired", "foreign", "misnamed"):
            assert "EndpointsUnavailable" in call(name), f"{name} is believed"
        # nginx answers 400 to who shows none.
        assert "<by>" not in call("bare"), "nginx takes callers without a certificate"
        until(lambda: len(log(scene)) >= 7, "lines of the access log", 5)
        told = {line["endpoint"]: line["attempts"][0] for line in log(scene) if len(line.get("attempts", [])) == 1}
        for name, word in (("expired", "has expired"), ("foreign", "not signed by an authority"), ("misnamed", "made out to another name")):
            attempt = told[name]
            same(attempt["outcome"], "tls", f"outcome of {name}")
            assert word in attempt["why"], f"{name}: {attempt['why']}"


def log(scene):
    """The access log's whole lines."""
    file = scene.folder / "access.log"
    text = file.read_text() if file.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


@case("HTTP/2: nghttp and h2load, with TLS and without")
def http2_listener(world):
    if missing("nginx", "nghttp", "h2load", "openssl"):
        return
    with Wires(world, "h2") as scene:
        scene.authority("ca")
        scene.certificate("front", "ca", "localhost")
        port = scene.web("web", ";")
        endpoint = f'  all: {{ url: "http://127.0.0.1:{port}/" }}'
        (scene.folder / "message").write_text(ENVELOPE)
        tls = ", tls: { cert: front.pem, key: front.key }"
        for scheme, keys in (("http", ""), ("https", tls)):
            scene.serve(f"http2: true{keys}", endpoint)
            url = f"{scheme}://127.0.0.1:{scene.port}/x"
            done = scene.run("nghttp", "-d", "message", "-H", "content-type: text/xml", "-H", 'soapaction: ""', url)
            assert b"<by>web</by>" in done.stdout, done
            good, total = scene.h2load("-n", 3000, "-c", 5, "-m", 20, url)
            same((good, total), (3000, 3000), f"answers over {scheme}")
            scene.kill("router")


@case("HTTP/2: nghttpd and nginx as endpoints; connections that nginx closes now and then lose nothing")
def http2_endpoint(world):
    if missing("nginx", "nghttpd", "h2load", "openssl"):
        return
    with Wires(world, "h2-endpoints") as scene:
        scene.authority("ca")
        scene.certificate("good", "ca", "127.0.0.1")
        files = scene.folder / "files"
        files.mkdir()
        body = f"<e:Envelope xmlns:e='{SOAP}'><e:Body><by>nghttpd</by></e:Body></e:Envelope>"
        (files / "orders.xml").write_text(body)
        (scene.folder / "types").write_text("text/xml xml\n")
        plain, secure = free_port(), free_port()
        common = ["nghttpd", "-d", files, "-m", "8", f"--mime-types-file={scene.folder}/types", "-a", "127.0.0.1"]
        scene.start("plain", [*common, "--no-tls", str(plain)])
        scene.start("secure", [*common, str(secure), scene.folder / "good.key", scene.folder / "good.pem"])
        await_port(plain, "nghttpd")
        await_port(secure, "nghttpd")
        lame = scene.web(
            "nginx", f"ssl http2; ssl_certificate {scene.folder}/good.pem; ssl_certificate_key {scene.folder}/good.key; "
            "keepalive_requests 30;",
        )
        for url, by in (
            (f"http://127.0.0.1:{plain}/orders.xml", "nghttpd"),
            (f"https://127.0.0.1:{secure}/orders.xml", "nghttpd"),
            (f"https://127.0.0.1:{lame}/x", "nginx"),
        ):
            scene.serve("http2: true", f'  all: {{ url: "{url}", http: "2", tls: {{ ca: ca.pem }} }}')
            answered = scene.curl(f"{scene.public}/x")
            assert f"<by>{by}</by>" in answered[3], answered
            good, total = scene.h2load("-n", 3000, "-c", 4, "-m", 16, f"{scene.public}/x")
            same((good, total), (3000, 3000), f"answers of {by} at {url}")
            opened = scene.metric('soap_router_connections_opened_total{side="endpoint"}')
            print(f"  {by}: 3000 answers over {opened:.0f} connections", flush=True)
            if by == "nginx":
                assert opened >= 90, f"{opened} connections: nginx does not close them"
            scene.kill("router")


@case("PROXY protocol: HAProxy in front says who calls, in both versions")
def haproxy(world):
    if missing("nginx", "haproxy", "curl"):
        return
    with Wires(world, "haproxy") as scene:
        port = scene.web("web", ";", 'add_header X-For "$http_x_forwarded_for";')
        scene.serve(
            'proxy_protocol: { from: ["127.0.0.1"] }, trusted_proxies: ["127.0.0.1"]',
            f'  all: {{ url: "http://127.0.0.1:{port}/" }}',
        )
        for round, option in enumerate(("send-proxy", "send-proxy-v2"), 1):
            front = free_port()
            (scene.folder / f"{option}.cfg").write_text(
                f"""
defaults
  mode tcp
  timeout connect 5s
  timeout client 20s
  timeout server 20s
listen front
  bind 127.0.0.1:{front}
  server router 127.0.0.1:{scene.port} {option}
"""
            )
            scene.start(option, ["haproxy", "-db", "-f", scene.folder / f"{option}.cfg"])
            await_port(front, option)
            for caller in ("127.0.0.1", "127.0.0.7"):
                for _ in range(5):
                    told = scene.curl(f"http://127.0.0.1:{front}/x", "-D", "-", "--interface", caller)
                    same(told[2], "200", f"{option}: {told}")
                    assert f"X-For: {caller}\r" in told[3].replace("\n", "\r\n").replace("\r\r", "\r"), f"{option}: {told[3]}"
            told = lambda: sum(line["client"].startswith("127.0.0.7:") for line in log(scene))  # noqa: E731
            until(lambda: told() == 5 * round, f"{option}: a line for each call from 127.0.0.7", 5)
        # Who is no balancer may not say who it is, and one that says nothing is not served.
        code, *_ = scene.curl(f"http://127.0.0.1:{scene.port}/x", "--interface", "127.0.0.9", check=False)
        assert code != 0, "somebody who is no balancer is served"


def crowd(scene, callers, seconds, storm):
    """Outcomes of callers who call for so long while `storm` happens, and the longest call."""
    outcomes, longest, end = Counter(), [0.0], time.monotonic() + seconds

    def call():
        while time.monotonic() < end:
            start = time.monotonic()
            outcomes[scene.call()] += 1
            longest[0] = max(longest[0], time.monotonic() - start)

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    storm()
    for thread in threads:
        thread.join()
    return outcomes, longest[0]


@case("pools: nginx servers that are stopped, go on, are killed and come back under load lose no message")
def storm(world):
    if missing("nginx"):
        return
    with Wires(world, "storm") as scene:
        ports = {name: scene.web(name, ";") for name in ("a", "b", "c")}
        servers = ", ".join(f'"127.0.0.1:{port}"' for port in ports.values())
        scene.router(
            f'{{ url: "http://nginx.test/", servers: [{servers}], response_timeout: 500ms, resend: always, '
            "retry_budget: { percent: 100, per_second: 100 }, "
            "suspend: { after: 2, initial: 1s, factor: 1, maximum: 1s, on: [connect, reset, timeout] } }"
        )

        def storms():
            time.sleep(0.5)
            scene.processes["a"].send_signal(signal.SIGSTOP)
            time.sleep(2)
            scene.processes["a"].send_signal(signal.SIGCONT)
            scene.kill("b")
            time.sleep(1.5)
            scene.web("b", ";", port=ports["b"])
            time.sleep(1.5)

        outcomes, longest = crowd(scene, 4, 6, storms)
        print(f"  {dict(outcomes)}, longest call {longest:.2f} s", flush=True)
        assert set(outcomes) == {"a", "b", "c"}, f"some were lost: {outcomes}"
        assert longest < 5, f"a call took {longest} s"


@case("WebSocket: python's client and server, with TLS and without: texts, sizes, closes, a router that stops")
def websocket(world):
    if missing("openssl"):
        return
    with Wires(world, "websocket") as scene:
        scene.authority("ca")
        scene.certificate("front", "ca", "localhost")
        asyncio.run(asyncio.wait_for(speak(scene), 30))


async def speak(scene):
    closes = []

    async def echo(connection):
        try:
            async for message in connection:
                if message == "bye":
                    await connection.close(4001, "as told")
                    return
                await connection.send(message)
        except websockets.ConnectionClosed:
            pass
        finally:
            closes.append(connection.close_code)

    trust = ssl.create_default_context(cafile=scene.folder / "ca.pem")
    async with serve(echo, "127.0.0.1", 0, max_size=None) as server:
        port = server.sockets[0].getsockname()[1]
        for scheme, tls in (("ws", ""), ("wss", "tls: { cert: front.pem, key: front.key }, ")):
            scene.serve(f"{tls}http2: true", f'  all: {{ url: "http://127.0.0.1:{port}/chat" }}', more="drain: 1s")
            url = f"{scheme}://localhost:{scene.port}/x"
            options = {"ssl": trust} if tls else {}
            for compression in ("deflate", None):
                async with connect(url, compression=compression, max_size=None, proxy=None, **options) as caller:
                    for message in ("Grüße 🚚", b"\x00\xff" * 3, "x" * 1_000_000, os.urandom(3_000_000), ""):
                        await caller.send(message)
                        same(await caller.recv(), message, f"{len(message)} of {type(message)}")
                    for number in range(500):
                        await caller.send(str(number))
                    same([await caller.recv() for _ in range(500)], [str(n) for n in range(500)], "many")
                    await (await caller.ping())
                    await caller.send("bye")
                    try:
                        await caller.recv()
                        raise AssertionError("an echo of a goodbye")
                    except websockets.ConnectionClosed as closed:
                        same((closed.rcvd.code, closed.rcvd.reason), (4001, "as told"), "the server's close")
            # The caller's own close arrives, and so does that of a router that stops.
            async with connect(url, proxy=None, **options) as caller:
                await caller.send("one")
                await caller.recv()
                await caller.close(4002, "enough")
            while 4002 not in closes:
                await asyncio.sleep(0.02)
            async with connect(url, proxy=None, **options) as caller:
                await caller.send("one")
                await caller.recv()
                router = scene.processes.pop("router")
                router.send_signal(signal.SIGTERM)
                try:
                    await caller.recv()
                except websockets.ConnectionClosed as closed:
                    same(closed.rcvd.code, 1001, "the close of a router that stops")
            while 1001 not in closes:
                await asyncio.sleep(0.02)
            while router.poll() is None:
                await asyncio.sleep(0.02)
            same(router.returncode, 0, "how the router ends")
            lines = [line for line in log(scene) if line["status"] == 101]
            assert len(lines) == 4 and all(line["response_bytes"] > 3 for line in lines), lines
            closes.clear()
            (scene.folder / "access.log").unlink()


def spread(number, port):
    """A connection from one of four addresses: with half of one's ports taken, the kernel searches
    a millisecond for each further one, and the first would be closed before the last are there."""
    one = socket.socket()
    one.settimeout(10)
    one.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    one.bind((f"127.0.0.{2 + number % 4}", 0))
    one.connect(("127.0.0.1", port))
    return one


def resident(process):
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


@case("20,000 idle connections: what one costs, that others are served, that they are closed in time")
def idle(world):
    if missing("nginx"):
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(20_000, hard - 300)
    with Wires(world, "idle") as scene:
        port = scene.web("web", ";")
        scene.serve(
            "max_connections: 30000, keep_alive_timeout: 15s",
            f'  all: {{ url: "http://127.0.0.1:{port}/" }}',
            more="limits: { connections: 30000 }",
        )
        router = scene.processes["router"]
        before = resident(router)
        request = (
            f"POST /x HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nSOAPAction: \"\"\r\n"
            f"Content-Length: {len(ENVELOPE)}\r\n\r\n{ENVELOPE}"
        ).encode()
        begun, held = time.monotonic(), []
        try:
            for number in range(count):
                one = spread(number, scene.port)
                if number % 10 == 0:  # Some have been served before they fell silent.
                    one.sendall(request)
                    assert one.recv(10_000).startswith(b"HTTP/1.1 200"), "no answer"
                held.append(one)
            took = time.monotonic() - begun
            open_now = 'soap_router_connections_open{side="caller"}'
            until(lambda: scene.metric(open_now) >= count, "not all are taken in", 10)

            def others_are_served():
                for _ in range(50):
                    same(scene.call(), "web", "who answers beside the idle ones")
                return (resident(router) - before) * 1024 / count

            # What a connection held when it came is given back after a second of silence, and the
            # allocator gives it to the system while others are served.
            until(lambda: others_are_served() < 6144, "a connection costs 6 KiB or more", 8)
            each = (resident(router) - before) * 1024 / count
            print(
                f"  {count} connections in {took:.1f} s; {before} KiB before, {each:.0f} bytes more for each",
                flush=True,
            )
            # Silent for longer than the router keeps ready for them, and then they go on.
            again = held[1::1000]
            for one in again:
                one.sendall(request)
                assert one.recv(10_000).startswith(b"HTTP/1.1 200"), "no answer after a silence"
            poll = select.poll()
            for one in held:
                poll.register(one, select.POLLIN)
            time.sleep(15.5)
            closed = len(poll.poll(0))
            same(closed, count, "connections that were closed in time")
            until(lambda: scene.metric(open_now) <= 2, "some are not let go", 5)
            same(scene.call(), "web", "who answers afterwards")
        finally:
            for one in held:
                one.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
