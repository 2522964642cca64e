"""Sends a program that counts its branches what a router is sent, for benches/guided.sh.

Messages of kinds and sizes of their own, not those of the benches, and the W3C's of `fixtures/bridge`: routed by action, by
a header, by one XPath and by thousands, bridged, in one piece and in chunks, on kept and on new connections.
"""

import argparse
import random
import tempfile
from pathlib import Path

import peers

ROUNDS = 150
FILTERS = 3000
CLAIMS = "urn:example:claims"
ADDRESSING = "http://www.w3.org/2005/08/addressing"
NAMESPACES = f'x: "{CLAIMS}", s: "{peers.SOAP11}", a: "{ADDRESSING}"'
BODY = "/s:Envelope/s:Body/x:Submit/x:Claim/"
SHAPES = {
    "paths": [BODY + "x:Kind = 'K{}'", BODY + "@number = 'N{}'", "/s:Envelope/s:Header/x:Office = 'O{}'",
              BODY + "x:Party[x:Role = 'owner']/x:Code = 'P{}'", "starts-with(" + BODY + "x:Policy, 'A{}-')"],
    "anywhere": ["//x:Kind = 'K{}'", "//x:Damage[@part = 'D{}']/x:Amount > 900", "//x:Party/x:Code = 'P{}'",
                 "contains(//x:Policy, 'A{}-')", "/s:Envelope/s:Header/x:Office = 'O{}'"],
}


def claim(size, namespace, indent):
    """A claim with a list of damages that brings it to this size."""
    number = lambda most: random.randrange(most)
    line = "\n" + " " * 8 if indent else ""
    damages, length = [], 900
    while length < size:
        note = f"<x:Note>seen by {number(50)}, {'nothing more to say' if number(3) else 'photo &amp; report'}</x:Note>" if number(2) else ""
        damages.append(f'{line}<x:Damage part="D{number(FILTERS)}" side="left"><x:Amount currency="EUR">{number(1000)}.00</x:Amount>{note}</x:Damage>')
        length += len(damages[-1])
    party = lambda role: f"{line}<x:Party><x:Role>{role}</x:Role><x:Code>P{number(FILTERS)}</x:Code></x:Party>"
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<env:Envelope xmlns:env="{namespace}" xmlns:wsa="{ADDRESSING}" xmlns:x="{CLAIMS}">{line}<env:Header>{line}<wsa:Action>{CLAIMS}/Submit</wsa:Action>\
{line}<wsa:MessageID>urn:uuid:{number(1 << 60):x}</wsa:MessageID>{line}<x:Office>O{number(FILTERS)}</x:Office></env:Header>{line}<env:Body>\
{line}<x:Submit><x:Claim number="N{number(FILTERS)}">{line}<x:Kind>K{number(FILTERS)}</x:Kind>{line}<x:Policy>A{number(FILTERS)}-{number(99)}</x:Policy>\
{party("owner")}{party("driver")}{line}<x:Damages>{"".join(damages)}</x:Damages></x:Claim></x:Submit></env:Body></env:Envelope>""".encode()


def table(name):
    shapes = SHAPES[name]
    filters = [shapes[n % len(shapes)].replace("{}", str(n // len(shapes) * 2)) for n in range(FILTERS)]
    rows = "".join(f'  - {{ filter: {{ xpath: "{text}" }}, endpoint: plain, priority: 1 }}\n' for text in filters)
    return f"namespaces: {{ {NAMESPACES} }}\ntable:\n{rows}  - {{ filter: {{ match_all: {{}} }}, endpoint: plain }}\n"


def config(port):
    few = {"action": f'action: "{CLAIMS}/Submit"', "header": "xpath: \"//x:Office = 'O1'\"", "body": "xpath: \"//x:Kind = 'K1'\""}
    services = "".join(f"""
  {name}:
    path: /{name}
    table:
      namespaces: {{ {NAMESPACES} }}
      table: [ {{ filter: {{ {text} }}, endpoint: plain, priority: 1 }}, {{ filter: {{ match_all: {{}} }}, endpoint: plain }} ]"""
        for name, text in few.items())
    return f"""
version: 1
threads: 1
listeners: {{ front: {{ bind: "127.0.0.1:0" }} }}
access_log: {{ format: json, path: access.log }}
filters_dir: filters
services:{services}
  paths: {{ path: /paths, table: paths }}
  anywhere: {{ path: /anywhere, table: anywhere }}
  bridged: {{ path: /bridged, table: [ {{ filter: {{ match_all: {{}} }}, endpoint: soap12 }} ] }}
endpoints:
  plain: {{ url: "http://127.0.0.1:{port}/" }}
  soap12: {{ url: "http://127.0.0.1:{port}/soap12", soap: "1.2" }}
"""


def messages(path, size):
    for round in range(ROUNDS):
        body = claim(size, peers.SOAP11, indent=round % 2 == 0)
        yield peers.framed(path, body, chunked=round % 8 == 0, action=f"{CLAIMS}/Submit")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    arguments = parser.parse_args()
    random.seed(1)
    fixtures = [path.read_bytes() for path in sorted(Path("fixtures/bridge").glob("*-soap11.xml"))]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "filters").mkdir()
        for name in SHAPES:
            (folder / "filters" / f"{name}.yaml").write_text(table(name))
        with peers.Router([arguments.binary], folder, config(peers.endpoint()), 120) as router:
            for path in ("/action", "/header", "/body", "/paths", "/anywhere", "/bridged"):
                for size in (1_500, 1_500, 12_000, 200_000):
                    peers.send(router.address, messages(path, size))
                for body in fixtures:
                    peers.send(router.address, [peers.framed(path, body, chunked=False, action="")] * 2)


main()
