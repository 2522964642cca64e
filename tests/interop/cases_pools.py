"""Endpoints that live: names with short TTLs (dnsmasq), servers that come and go (nginx, spyne).

Each case runs a router of its own beside the world's, so that its endpoints are its own.
"""

import json
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request

from cases import case, same
from world import die_with_parent, until

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
ENVELOPE = f"<e:Envelope xmlns:e='{SOAP}'><e:Body><Status xmlns='urn:example:orders'/></e:Body></e:Envelope>"


def free_port(address="127.0.0.1", kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind((address, 0))
        return found.getsockname()[1]


class Scene:
    """A folder with processes that end with the case."""

    def __init__(self, world, name):
        self.binary = world.binary
        self.folder = world.folder / name
        self.folder.mkdir(exist_ok=True)
        self.processes = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.kill()
            process.wait()

    def start(self, name, command):
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent
            )

    def kill(self, name):
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def router(self, endpoint, more=""):
        """A router with one endpoint, written as YAML behind `endpoints: { all: `."""
        (self.folder / "filters").mkdir(exist_ok=True)
        (self.folder / "router.yaml").write_text(
            f"""
filters_dir: filters
listeners: {{ public: {{ bind: "127.0.0.1:0" }} }}
admin: {{ bind: "127.0.0.1:0" }}
access_log: {{ format: off }}
services: {{ all: {{ path: "/*", table: [ {{ filter: {{ match_all: {{}} }}, endpoint: all }} ] }} }}
endpoints: {{ all: {endpoint} }}
{more}
"""
        )
        self.launch()

    def launch(self):
        """Starts the router on the configuration that was written."""
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        self.start("router", [self.binary, "serve", "-c", self.folder / "router.yaml", "--ready-file", ready])
        until(ready.exists, "the router did not start", 30)
        addresses = dict(line.split() for line in ready.read_text().splitlines())
        self.public, self.admin = (f"http://{addresses[name]}" for name in ("public", "admin"))

    def call(self):
        """Who answers a message: the text of the answer's `by`, or the reason of the router's fault."""
        request = urllib.request.Request(
            self.public + "/x", ENVELOPE.encode(), {"Content-Type": "text/xml", "SOAPAction": '""'}
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.read().decode().split("<by>")[1].split("</by>")[0]
        except urllib.error.HTTPError as error:
            with error:
                return error.headers["X-Soap-Router-Fault"]

    def endpoint(self):
        with urllib.request.urlopen(self.admin + "/api/v1/endpoints/all", timeout=5) as answer:
            return json.load(answer)

    def metric(self, sample):
        with urllib.request.urlopen(self.admin + "/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(sample))

    def nginx(self, name, address, port):
        """An nginx that answers every message with its name, and is healthy with 403."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        body = f"<e:Envelope xmlns:e='{SOAP}'><e:Body><by>{name}</by></e:Body></e:Envelope>"
        (folder / "nginx.conf").write_text(
            f"""
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen {address}:{port};
    location = /health {{ return 403; }}
    location / {{ default_type text/xml; return 200 "{body}"; }}
  }}
}}
"""
        )
        self.start(name, ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")])

        def listens():
            try:
                socket.create_connection((address, port), 1).close()
                return True
            except OSError:
                return False

        until(listens, f"{name} does not listen", 10)

    def dnsmasq(self, port, hosts):
        self.hosts = self.folder / "hosts"
        self.hosts.write_text(hosts)
        self.start(
            "dnsmasq",
            ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", f"--port={port}", "--listen-address=127.0.0.1",
             "--bind-interfaces", "--no-resolv", "--no-hosts", f"--addn-hosts={self.hosts}", "--local-ttl=1",
             "--user=root", "--group=root", f"--pid-file={self.folder}/dnsmasq.pid"],
        )

    def rename(self, hosts):
        self.hosts.write_text(hosts)
        self.processes["dnsmasq"].send_signal(signal.SIGHUP)


def name_port():
    """A port that a name server can have: it wants it for UDP and for TCP."""
    while True:
        port = free_port(kind=socket.SOCK_DGRAM)
        with socket.socket() as stream:
            try:
                stream.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def missing(*programs):
    """Says which program a case does without, if it must."""
    absent = [program for program in programs if not shutil.which(program)]
    if absent:
        print(f"  (left out: no {', '.join(absent)})", flush=True)
    return bool(absent)


@case("names: a changed address takes over within its TTL; a dead or empty name server changes nothing")
def names(world):
    if missing("dnsmasq", "nginx"):
        return
    with Scene(world, "names") as scene:
        port, dns = free_port("127.0.0.2"), name_port()
        scene.nginx("two", "127.0.0.2", port)
        scene.nginx("three", "127.0.0.3", port)
        scene.dnsmasq(dns, "127.0.0.2 soap.test\n")
        scene.router(
            f'{{ url: "http://soap.test:{port}/" }}',
            f'dns: {{ servers: ["127.0.0.1:{dns}"], timeout: 200ms }}',
        )
        same(scene.call(), "two", "who answers")
        same([server["address"] for server in scene.endpoint()["servers"]], [f"127.0.0.2:{port}"], "addresses")

        scene.rename("127.0.0.3 soap.test\n")
        until(lambda: scene.call() == "three", "the new address does not take over", 15)

        scene.rename("127.0.0.2 soap.test\n127.0.0.3 soap.test\n")
        until(lambda: {scene.call() for _ in range(6)} == {"two", "three"}, "two addresses are not both used", 15)

        scene.rename("127.0.0.3 soap.test\n")
        until(lambda: {scene.call() for _ in range(6)} == {"three"}, "the old address is still used", 15)

        scene.kill("dnsmasq")
        failed = 'soap_router_dns_lookups_total{result="failed"}'
        until(lambda: scene.metric(failed) >= 2, "nobody asks the dead name server", 20)
        same({scene.call() for _ in range(6)}, {"three"}, "who answers without a name server")

        scene.dnsmasq(dns, "")  # Now the name does not exist.
        before = scene.metric(failed)
        until(lambda: scene.metric(failed) > before, "nobody asks for the name that is gone", 40)
        same({scene.call() for _ in range(6)}, {"three"}, "who answers for a name that is gone")


@case("names: a name that nobody knew at the start is found later")
def late_name(world):
    if missing("dnsmasq", "nginx"):
        return
    with Scene(world, "late") as scene:
        port, dns = free_port(), name_port()
        scene.nginx("late", "127.0.0.1", port)
        scene.dnsmasq(dns, "")
        scene.router(
            f'{{ url: "http://soap.test:{port}/" }}',
            f'dns: {{ servers: ["127.0.0.1:{dns}"], timeout: 200ms }}',
        )
        same(scene.call(), "EndpointsUnavailable", "who answers for a name that nobody knows")
        assert "soap.test" in scene.endpoint()["problem"], scene.endpoint()
        scene.rename("127.0.0.1 soap.test\n")
        until(lambda: scene.call() == "late", "the name is not found", 40)


@case("pools: nginx servers share, one that dies is found by its probe and comes back")
def pool(world):
    if missing("nginx"):
        return
    with Scene(world, "pool") as scene:
        ports = {name: free_port() for name in ("a", "b")}
        for name, port in ports.items():
            scene.nginx(name, "127.0.0.1", port)
        servers = ", ".join(f'"127.0.0.1:{port}"' for port in ports.values())
        scene.router(
            f'{{ url: "http://nginx.test/", servers: [{servers}], '
            "probe: { path: /health, interval: 200ms, timeout: 2s, unhealthy: 2, expect: { status: 403 } } }"
        )

        def states():
            return [server["state"] for server in scene.endpoint()["servers"]]

        same(states(), ["up", "up"], "states at the start")
        same(sorted(scene.call() for _ in range(4)), ["a", "a", "b", "b"], "who answers")
        scene.kill("a")
        same({scene.call() for _ in range(8)}, {"b"}, "who answers while the probe has not yet told")
        until(lambda: states() == ["unhealthy", "up"], "the probe does not find it", 15)
        scene.nginx("a", "127.0.0.1", ports["a"])
        until(lambda: states() == ["up", "up"], "it does not come back", 15)
        same(sorted(scene.call() for _ in range(4)), ["a", "a", "b", "b"], "who answers again")
