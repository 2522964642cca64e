"""Peers other than zeep and spyne: SOAP::Lite, node-soap, curl."""

import json
import os
import re
import subprocess

from cases import TEXT, at_once, case, client, fault_of, orders, same
from world import HERE

PROGRAM_SECONDS_MAX = 30
ENVELOPES = {
    "1.1": ("http://schemas.xmlsoap.org/soap/envelope/", "text/xml; charset=utf-8"),
    "1.2": ("http://www.w3.org/2003/05/soap-envelope", "application/soap+xml; charset=utf-8"),
}


def run(*command, data=None, **env):
    done = subprocess.run(
        command, input=data, capture_output=True, timeout=PROGRAM_SECONDS_MAX, env={**os.environ, **env}
    )
    assert done.returncode == 0, f"{command[:2]} exits with {done.returncode}: {done.stderr.decode()[-1000:]}"
    return done.stdout


def lite(world, path, kind):
    return run("perl", str(HERE / "soaplite_client.pl"), world.address + path, kind).decode().strip()


@case("SOAP::Lite calls spyne")
def lite_client(world):
    for kind, wanted in [
        ("place", "v1"),
        ("gold", "v2"),
        ("version", "v2"),
        ("cancel", "fault soap11env:Client.NoSuchOrder v1 knows no order “Schraube ß”"),
    ]:
        same(lite(world, "/orders", kind), wanted, kind)


@case("SOAP::Lite calls spyne, SOAP 1.2")
def lite_client12(world):
    for kind, wanted in [("place12", "v1_12"), ("gold12", "v2_12"), ("version12", "v2_12")]:
        same(lite(world, "/orders12", kind), wanted, kind)


@case("SOAP::Lite calls SOAP::Lite")
def lite_both(world):
    for kind, wanted in [
        ("lite_who", "lite"),
        ("lite_again", "Grüße 東"),
        ("lite_fail", "fault soap:Server.Lite lite was told to fail"),
    ]:
        same(lite(world, "/lite", kind), wanted, kind)


@case("zeep calls SOAP::Lite")
def lite_server(world):
    made = client(HERE / "lite.wsdl")
    service = made.create_service("{urn:example:lite}Lite", world.address + "/lite")
    for number in range(20):
        same(service.Repeat(f"{TEXT} {number}"), f"{TEXT} {number}", "answer")
    fault = fault_of(service.Fail)
    same((fault.code, fault.message), ("soap:Server.Lite", "lite was told to fail"), "fault")


@case("zeep: 4 callers on SOAP::Lite, which serves one connection at a time")
def lite_server_crowded(world):
    made = [client(HERE / "lite.wsdl") for _ in range(4)]
    services = [one.create_service("{urn:example:lite}Lite", world.address + "/lite") for one in made]

    def caller(number):
        for turn in range(10):
            same(services[number].Repeat(f"{number}/{turn}"), f"{number}/{turn}", "answer")

    at_once(4, caller)


def node(world, path, operation, given, *version):
    out = run(
        "node", str(HERE / "node/client.js"), world.address + path, operation, json.dumps(given),
        *version, NODE_PATH=world.node_modules,
    ).decode().strip()
    return out if out.startswith("fault") else json.loads(out)


@case("node-soap calls node-soap", node=True)
def node_both(world):
    same(node(world, "/node", "Note", {"Text": TEXT}), {"By": "node", "Text": TEXT}, "answer")
    same(node(world, "/node", "Note", {"Text": "fail"}), "fault node was told to fail", "fault")


@case("node-soap calls spyne", node=True)
def node_client(world):
    def by(tier, *version):
        return node(world, "/orders", "Place", {"Item": "ß", "Tier": tier}, *version)["PlaceResult"]["By"]

    same((by("silver"), by("gold"), by("silver", "2")), ("v1", "v2", "v2"), "who answered")
    fault = node(world, "/orders", "Cancel", {"Item": "ß"})
    same(fault, "fault v1 knows no order “ß”", "fault")


@case("zeep calls node-soap", node=True)
def node_server(world):
    service = client(f"{world.address}/node?wsdl").create_service("{urn:example:notes}Notes", world.address + "/node")
    for number in range(20):
        answer = service.Note(f"{TEXT} {number}")
        same((answer.By, answer.Text), ("node", f"{TEXT} {number}"), "answer")
    same(fault_of(service.Note, "fail").message, "node was told to fail", "fault")


def curl(url, *options, data=None):
    """Status, head and body of an answer."""
    given = ("--data-binary", "@-") if data is not None else ()
    out = run("curl", "-sS", "-i", "--noproxy", "*", "-m", "20", *options, *given, url, data=data)
    # The `100 Continue` before an answer has a head of its own.
    while out.startswith(b"HTTP/1.1 100"):
        out = out.split(b"\r\n\r\n", 1)[1]
    head, body = out.split(b"\r\n\r\n", 1)
    return int(head.split()[1]), head.decode("latin-1").lower(), body


def order(operation, inner, version="1.1", encoding="utf-8"):
    """An envelope as someone without a SOAP library writes it."""
    namespace, _ = ENVELOPES[version]
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?>\n<E:Envelope xmlns:E="{namespace}">\n  <E:Body>'
        f'<{operation} xmlns="urn:example:orders">{inner}</{operation}></E:Body>\n</E:Envelope>\n'
    )
    return text.encode(encoding)


def post(url, message, *options, version="1.1", content_type=None):
    content_type = content_type or ENVELOPES[version][1]
    return curl(url, "-H", f"Content-Type: {content_type}", "-H", 'SOAPAction: "Place"', *options, data=message)


def who(body):
    found = re.search(rb"<(?:\w+:)?By>(.*?)<", body)
    return found and found[1].decode()


@case("curl: an answer is byte for byte what it is without a router")
def unchanged(world):
    # No unknown operation in SOAP 1.2: spyne has no fault for it, only a page.
    for version, path, name, operations in [
        ("1.1", "/orders", "v1", ["Place", "Cancel", "NoSuchOperation"]),
        ("1.2", "/orders12", "v1_12", ["Place", "Cancel"]),
    ]:
        for operation in operations:
            message = order(operation, "<Item>Grüße</Item>", version)
            routed = post(world.address + path, message, version=version)
            direct = post(world.direct(name) + path, message, version=version)
            same((routed[0], routed[2]), (direct[0], direct[2]), f"{operation}, SOAP {version}")


@case("curl: lengths known and unknown, HTTP/1.0, 100-continue")
def framings(world):
    url = world.address + "/orders"
    small, large = (order("Place", f"<Item>{'x' * size}</Item><Tier>gold</Tier>") for size in (9, 5 << 20))
    for message in (small, large):
        for options in (
            (),
            ("-H", "Transfer-Encoding: chunked"),
            ("-H", "Expect: 100-continue"),
            ("--http1.0",),
        ):
            status, _, body = post(url, message, *options)
            same((status, who(body)), (200, "v2"), f"{len(message)} bytes, {options}")


@case("curl: a byte order mark, no declared charset, a declaration in capitals")
def encodings(world):
    url = world.address + "/orders"
    for encoding in ("utf-8", "utf-8-sig", "UTF-8"):
        message = order("Place", "<Item>Grüße</Item><Tier>gold</Tier>", encoding=encoding)
        if encoding == "utf-8-sig":
            message = message.replace(b"utf-8-sig", b"utf-8")
        for content_type in ("text/xml", 'text/xml; charset="UTF-8"'):
            status, _, body = post(url, message, content_type=content_type)
            same((status, who(body)), (200, "v2"), f"{encoding}, {content_type}")
            assert "Grüße".encode() in body, f"{encoding}: {body!r}"


@case("curl: what is no SOAP")
def not_soap(world):
    status, head, body = curl(world.address + "/orders?wsdl")
    assert status == 200 and b"definitions" in body, f"{status}: {body[:200]}"
    status, head, _ = curl(world.address + "/slow?wsdl")
    assert status == 405 and "allow: post" in head, f"GET without a default endpoint: {head}"
    status, _, _ = curl(world.address + "/nowhere?wsdl")
    same(status, 404, "GET of no service")
    status, head, body = post(world.address + "/orders", b"<not-an-envelope/>")
    assert status == 500 and b"VersionMismatch" in body, f"{status}: {body}"
    status, head, body = post(world.address + "/orders", b"<Envelope")
    assert status == 500 and b"MalformedMessage" in body, f"{status}: {body}"
    # The router goes on.
    same(orders(world).Echo("still there"), "still there", "answer")
