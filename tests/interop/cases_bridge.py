"""Clients of one SOAP version, services of the other, and the router that bridges between them."""

import subprocess
import sys
import urllib.request
from pathlib import Path

from cases import SOAP11, SOAP12, TEXT, both, case, fault_of, orders, same, version_header
from cases_others import node

# By the caller's version: the path whose endpoints speak the other one, and the names of its services.
OTHER = {"1.1": ("/up", SOAP12), "1.2": ("/down", SOAP11)}


def bridged(world, version):
    path, other = OTHER[version.name]
    return orders(world, version, path), other


@case("zeep to a spyne of the other version: answers and headers", versions=both)
def answers(world, version):
    service, other = bridged(world, version)
    for tier, name in [("silver", "v1"), ("gold", "v2")]:
        receipt = service.Place(TEXT, tier)
        same((receipt.By, receipt.Item, receipt.Tier), (other.service(name), TEXT, tier), "receipt")
    receipt = service.Place("nut", "silver", **version_header("2"))
    same(receipt.By, other.service("v2"), "routed by a header, and bridged")
    same(service.Echo(TEXT), TEXT, "text")
    same(service.Status(), other.service("v2"), "an answer without a request's content")


@case("zeep to a spyne of the other version: faults", versions=both)
def faults(world, version):
    service, other = bridged(world, version)
    fault = fault_of(service.Cancel, "ß")
    same(fault.message, f"{other.service('v1')} knows no order “ß”", "reason")
    code = fault.code.split(":")[-1]
    if version is SOAP11:
        # The subcode that spyne makes of `Client.NoSuchOrder` is what 1.1 shows.
        same(code, "NoSuchOrder", "code")
    else:
        same((code, [sub.localname for sub in fault.subcodes]), ("Sender", ["Client.NoSuchOrder"]), "code")
    assert fault.detail is not None and "ß" in "".join(fault.detail.itertext()), "detail"
    service.Echo("after a fault")


@case("zeep to a spyne of the other version: 5 MiB", versions=both)
def large(world, version):
    service, _ = bridged(world, version)
    text = ("Grüße " * (5 << 20))[: (5 << 20) - 6] + "<&>\n"
    assert service.Echo(text) == text, "another text came back"


@case("node-soap (1.1) to a spyne of 1.2", node=True)
def node_up(world):
    def place(tier, *version):
        return node(world, "/up", "Place", {"Item": "ß", "Tier": tier}, *version)["PlaceResult"]["By"]

    same(place("silver"), "v1_12", "by")
    same(place("silver", "2"), "v2_12", "by, routed by a header")
    assert "v1_12 knows no order" in node(world, "/up", "Cancel", {"Item": "ß"}), "fault"


@case("every bridged message was counted")
def counted(world):
    text = urllib.request.urlopen(f"{world.admin}/metrics", timeout=10).read().decode()
    lines = [line for line in text.splitlines() if line.startswith("soap_router_bridged_messages_total")]
    for wanted in ['direction="request",from="SOAP 1.1",to="SOAP 1.2"', 'direction="reply",from="SOAP 1.1",to="SOAP 1.2"']:
        assert any(wanted in line for line in lines), f"{wanted}: {lines}"


@case("every message of the fixtures bridged, and there and back, held against libxml2")
def infosets(world):
    here = Path(__file__).parent
    command = [sys.executable, here / "bridge_lxml.py", here.parents[1] / "fixtures", "--binary", world.binary]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    same(done.returncode, 0, done.stdout[-2000:] + done.stderr[-2000:])
