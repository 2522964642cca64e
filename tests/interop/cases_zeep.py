"""zeep calls spyne: routing, faults, texts, sizes."""

from lxml import etree

from cases import (
    ORDERS, ROUTER_FAULT, SOAP11, TEXT, at_once, both, case, client, fault_of, orders, same,
    version_header,
)

FIVE_MIB = 5 << 20


@case("zeep: the WSDL comes through the default endpoint", versions=both)
def describes(world, version):
    service = client(f"{world.address}{version.path}?wsdl").wsdl.services["Orders"]
    port = service.ports["Orders"]
    # spyne writes the address it was asked under, which the router tells it.
    same(port.binding_options["address"], world.address + version.path, "address in the WSDL")
    same(sorted(port.binding.all()), ["Cancel", "Echo", "Place", "Status", "Wait"], "operations")


@case("zeep: routed by what stands in the body", versions=both)
def by_body(world, version):
    service = orders(world, version)
    for tier, name in [("silver", "v1"), ("gold", "v2"), ("golden", "v1"), ("", "v1"), ("gold", "v2")]:
        receipt = service.Place("nut", tier)
        same((receipt.By, receipt.Item), (version.service(name), "nut"), f"tier {tier!r}")


@case("zeep: routed by a header", versions=both)
def by_header(world, version):
    service = orders(world, version)
    for value, name in [("1", "v1"), ("2", "v2"), ("22", "v1"), ("2", "v2")]:
        receipt = service.Place("nut", "silver", **version_header(value))
        same(receipt.By, version.service(name), f"version {value}")


@case("zeep: routed by the action", versions=both)
def by_action(world, version):
    service = orders(world, version)
    same(service.Status(), version.service("v2"), "Status")
    same(service.Wait(1), version.service("v1"), "Wait")


@case("zeep: a service's fault is what it is without a router", versions=both)
def faults(world, version):
    def told(address):
        made = client(f"{address}{version.path}?wsdl")
        fault = fault_of(made.service.Cancel, TEXT)
        subcodes = [code.localname for code in fault.subcodes or ()]
        return fault.code, subcodes, fault.message, fault.actor, etree.tostring(fault.detail)

    routed, direct = told(world.address), told(world.direct(version.service("v1")))
    same(routed, direct, "the fault")
    code, subcodes, message, _, _ = routed
    if version is SOAP11:
        same(code.split(":")[1], "Client.NoSuchOrder", "code")
    else:
        same((code.split(":")[1], subcodes), ("Sender", ["NoSuchOrder"]), "code")
    same(message, f"{version.service('v1')} knows no order “{TEXT}”", "reason")


@case("zeep: a fault that the router makes has its reason in the detail", versions=both)
def router_faults(world, version):
    for path, reason, code in [
        ("/picky", "NoMatchingFilter", version.sender),
        ("/dead", "EndpointsUnavailable", version.receiver),
    ]:
        service = orders(world, version, path)
        fault, [line] = world.exchanges_of(lambda: fault_of(service.Status), 1)
        found = fault.detail.find(f"{ROUTER_FAULT}fault")
        assert found is not None, f"no detail of the router's: {etree.tostring(fault.detail)}"
        same(found.findtext(f"{ROUTER_FAULT}reason"), reason, "reason in the detail")
        same(fault.code.split(":")[1], code, f"code of {reason}")
        assert fault.message, "no sentence"
        same(found.findtext(f"{ROUTER_FAULT}exchange"), line["exchange"], "exchange in the log")
        same((line["outcome"], line["reason"]), ("router_fault", reason), "the log")


@case("zeep: texts of all scripts, there and back", versions=both)
def texts(world, version):
    service = orders(world, version)
    same(service.Echo(TEXT), TEXT, "text")
    receipt = service.Place(TEXT, "gold", **version_header("ß"))
    same((receipt.By, receipt.Item), (version.service("v2"), TEXT), "text before what decides")


@case("zeep: 5 MiB there and back", versions=both)
def large(world, version):
    service = orders(world, version)
    text = ("Grüße " * FIVE_MIB)[: FIVE_MIB - 6] + "<&>东京\n"
    assert service.Echo(text) == text, "another text came back"
    # What decides stands behind the large part, then before it.
    receipt = service.Place(text, "gold")
    assert (receipt.By, receipt.Item) == (version.service("v2"), text), f"by {receipt.By}"
    receipt = service.Place(text, "silver", **version_header("2"))
    assert (receipt.By, receipt.Item) == (version.service("v2"), text), f"by {receipt.By}"


@case("zeep: one connection for many calls", versions=both)
def keeps_alive(world, version):
    service = orders(world, version)

    def calls():
        for number in range(100):
            same(service.Echo(str(number)), str(number), "answer")
        fault_of(service.Cancel, "x")
        service.Echo("after a fault")

    _, lines = world.exchanges_of(calls, 102)
    same(len({line["client"] for line in lines}), 1, "connections of the client")


@case("zeep: 8 callers, 50 calls each, nobody gets another's answer", versions=both)
def callers(world, version):
    services = [orders(world, version) for _ in range(8)]

    def caller(number):
        for turn in range(50):
            item, tier = f"{number}/{turn}", ("gold", "silver")[turn % 2]
            receipt = services[number].Place(item, tier)
            name = version.service("v2" if tier == "gold" else "v1")
            same((receipt.By, receipt.Item, receipt.Tier), (name, item, tier), "answer")

    _, lines = world.exchanges_of(lambda: at_once(8, caller), 400)
    gold = [line for line in lines if line["entry"] == "gold"]
    same(len(gold), 200, "calls routed by gold")
    same({line["endpoint"] for line in gold}, {version.endpoint("v2")}, "endpoints of gold")
    same({line["outcome"] for line in lines}, {"reply"}, "outcomes")


@case("zeep: a service that speaks HTTP/1.0 and closes")
def old_server(world):
    service = client(f"{world.address}/old?wsdl").service
    for number in range(20):
        same(service.Echo(str(number)), str(number), "answer")
    same(fault_of(service.Cancel, "x").code.split(":")[1], "Client.NoSuchOrder", "fault")


@case("zeep: a one-way service accepts for two endpoints")
def one_way(world):
    service = orders(world, path="/notices")
    answer, [line] = world.exchanges_of(lambda: service.Echo("for both"), 1)
    same(answer, None, "answer")
    same((line["outcome"], line["status"], line["endpoint"]), ("accepted", 202, ["v1", "v2"]), "the log")


@case("access log: its lines are the calls", versions=both)
def log(world, version):
    service = orders(world, version)

    def calls():
        service.Place("nut", "silver")
        service.Place("nut", "gold")
        service.Place("nut", "gold", **version_header("2"))
        service.Status()
        fault_of(service.Cancel, "x")

    def line(action, entry, endpoint, outcome="reply", status=200):
        return {
            "method": "POST", "path": version.path, "service": version.path[1:],
            "soap": version.name, "action": action, "operation": f"{{{ORDERS}}}{action}",
            "entry": entry, "endpoint": version.endpoint(endpoint), "outcome": outcome,
            "status": status,
        }

    wanted = [
        line("Place", "match-all", "v1"),
        line("Place", "gold", "v2"),
        line("Place", "version-2", "v2"),
        line("Status", "status", "v2"),
        line("Cancel", "match-all", "v1", "endpoint_fault", 500),
    ]
    _, lines = world.exchanges_of(calls, len(wanted))
    same([{key: found.get(key) for key in wanted[0]} for found in lines], wanted, "lines")
    for found in lines:
        assert 0 < found["decided_after_bytes"] <= found["request_bytes"], found
        assert found["response_bytes"] > 0 and found["duration_ms"] > 0, found
        assert "attempts" not in found and "broken" not in found, found
