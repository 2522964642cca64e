"""The list of cases, and what several of them need."""

import threading
from concurrent.futures import ThreadPoolExecutor

import requests
import zeep
from lxml import etree

ORDERS = "urn:example:orders"
ROUTER_FAULT = "{urn:soap-router:fault}"
TEXT = "Grüße, Ελλάδα, 東京, 𝄞 and 🚚; <tag> & \"quotes\" ]]> end"
CALL_SECONDS_MAX = 20

CASES = []


class Version:
    """A SOAP version: where the service `orders` of that version is, and what it calls things."""

    def __init__(self, name, path, suffix, sender, receiver):
        self.name = name
        self.path = path
        self.suffix = suffix
        self.sender = sender
        self.receiver = receiver

    def service(self, name):
        return name + self.suffix

    def endpoint(self, name):
        return self.service(name).replace("_", "-")


SOAP11 = Version("1.1", "/orders", "", "Client", "Server")
SOAP12 = Version("1.2", "/orders12", "_12", "Sender", "Receiver")


def case(name, *, versions=None, node=False):
    """Adds a function to the list; with `versions`, once for each of them."""

    def add(function):
        if versions is None:
            CASES.append((name, function, node))
        for version in versions or ():
            run = lambda world, version=version: function(world, version)  # noqa: E731
            CASES.append((f"{name}, SOAP {version.name}", run, node))
        return function

    return add


both = (SOAP11, SOAP12)


def client(wsdl):
    """A zeep client with a connection of its own, whatever the environment says of proxies."""
    session = requests.Session()
    session.trust_env = False
    transport = zeep.Transport(session=session, timeout=CALL_SECONDS_MAX, operation_timeout=CALL_SECONDS_MAX)
    return zeep.Client(str(wsdl), transport=transport, settings=zeep.Settings(xml_huge_tree=True))


def orders(world, version=SOAP11, path=None):
    """The service `orders` as zeep sees it, described and called through the router.

    `path` sends the calls to another service of the router than the one that described it.
    """
    made = client(f"{world.address}{version.path}?wsdl")
    if path is None:
        return made.service
    return made.create_service(f"{{{ORDERS}}}Orders", world.address + path)


def version_header(value):
    header = etree.Element(f"{{{ORDERS}}}Version", nsmap={"o": ORDERS})
    header.text = value
    return {"_soapheaders": [header]}


def fault_of(call, *args):
    try:
        answer = call(*args)
    except zeep.exceptions.Fault as fault:
        return fault
    raise AssertionError(f"answered {answer!r} where a fault is due")


def same(found, wanted, what):
    assert found == wanted, f"{what}: {shortened(found)}, not {shortened(wanted)}"


def shortened(value):
    text = repr(value)
    return text if len(text) < 2000 else f"{text[:2000]}... ({len(text)} characters)"


def at_once(count, work):
    """Runs `work(number)` on as many threads at the same time; the first mistake is raised."""
    with ThreadPoolExecutor(count) as pool:
        return [done.result() for done in [pool.submit(work, number) for number in range(count)]]


class Traffic:
    """Callers that call without pause until the block ends; what was answered, and what failed.

    `calls` are functions, one for each caller.
    """

    def __init__(self, calls):
        self.answers = []
        self.failed = []
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(call,), daemon=True) for call in calls]

    def run(self, call):
        while not self.ended.is_set():
            try:
                self.answers.append(call())
            except Exception as error:  # noqa: BLE001: whatever it is, it is a failed call.
                self.failed.append(repr(error))
                return

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.ended.set()
        for thread in self.threads:
            thread.join(CALL_SECONDS_MAX)
        if error[0] is None:
            self.check()

    def check(self):
        assert not self.failed, f"{len(self.failed)} callers failed after {len(self.answers)} calls: {self.failed[0]}"
