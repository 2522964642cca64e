"""What happens while zeep calls: services die and return, files change, the router ends."""

import threading
import time

from cases import SOAP11, Traffic, case, orders, same
from world import until

CALLERS = 4


def traffic(world, path):
    """Callers that ask a service for its name."""
    services = [orders(world, path=path) for _ in range(CALLERS)]
    return Traffic([service.Status for service in services])


def answered(running, name, complaint):
    """Waits until every caller has had an answer since now, and the last ones are `name`'s."""
    def seen():
        running.check()
        last = running.answers[-2 * CALLERS:]
        return len(last) == 2 * CALLERS and set(last) == {name}

    until(seen, complaint, 10)


@case("failover: a killed spyne costs no call, and is used again when it is back")
def failover(world):
    with traffic(world, "/safe") as running:
        answered(running, "primary", "the primary does not answer")
        for _ in range(3):
            world.kill("primary")
            answered(running, "spare", "the backup does not answer")
            world.spyne("primary", port=world.ports["primary"])
            world.await_port("primary")
            answered(running, "primary", "the primary is not used again")
    same(set(running.answers), {"primary", "spare"}, "who answered")

    world.mark()  # From here on the log is complete.
    lines = [line for line in world.exchanges() if line.get("service") == "safe"]
    same({line["outcome"] for line in lines}, {"reply"}, "outcomes in the log")
    moved = [line for line in lines if line["endpoint"] == "spare"]
    assert moved, "the log has no line of the backup"
    for line in moved:
        tried = [attempt["endpoint"] for attempt in line["attempts"]]
        same(tried, ["primary", "spare"], "attempts")
        assert line["attempts"][0]["why"], "the first attempt has no reason"


@case("hot reload: while zeep calls, each answer is the old or the new")
def hot_reload(world):
    table = world.folder / "filters/moving.yaml"
    before = table.read_text()
    try:
        with traffic(world, "/moving") as running:
            answered(running, "v1", "the first table is not in force")
            for turn in range(6):
                name = ("v2", "v1")[turn % 2]
                text = before.replace("endpoint: v1", f"endpoint: {name}")
                if turn % 3 == 0:
                    table.write_text(text)
                else:
                    # As editors do it.
                    beside = table.with_suffix(".new")
                    beside.write_text(text)
                    beside.rename(table)
                answered(running, name, f"change {turn} does not come into force")
            same(set(running.answers), {"v1", "v2"}, "who answered")
    finally:
        table.write_text(before)


@case("hot reload: a broken file leaves the old table in force")
def broken_file(world):
    table = world.folder / "filters/moving.yaml"
    before = table.read_text()

    def reload_is(good):
        wanted = float(good)
        until(
            lambda: world.metric("soap_router_config_last_reload_successful") == wanted,
            f"the metric does not become {wanted}",
            10,
        )

    with traffic(world, "/moving") as running:
        answered(running, "v1", "the table is not in force")
        try:
            table.write_text(before.replace("endpoint: v1", "endpoint: nobody"))
            reload_is(good=False)
            answered(running, "v1", "the old table is not in force")
        finally:
            table.write_text(before)
        reload_is(good=True)
        answered(running, "v1", "the table is not in force again")
    same(set(running.answers), {"v1"}, "who answered")


@case("hot reload: nothing is read again while no file of the configuration changes")
def quiet(world):
    reloads = lambda: world.tail("router").count("reloaded")  # noqa: E731
    service = orders(world)
    time.sleep(0.5)  # The change of the case before has been seen.
    before = reloads()
    for _ in range(3):
        service.Status()
        time.sleep(0.4)  # Longer than the router waits for quiet.
    same(reloads(), before, "reloads in the router's log")


# The last case: there is no router after it.
@case("the end: a call under way is answered, then the router exits with 0")
def drain(world):
    service = orders(world, SOAP11, "/slow")
    answers = []
    caller = threading.Thread(target=lambda: answers.append(service.Wait(1500)), daemon=True)
    caller.start()
    time.sleep(0.5)
    router = world.processes["router"]
    router.terminate()
    caller.join(20)
    same(answers, ["v1"], "answer")
    same(router.wait(10), 0, "exit status")
