"""The service `orders`, by spyne: SOAP 1.1 or 1.2, on waitress (HTTP/1.1) or wsgiref (HTTP/1.0).

Says on stdout which port it got, then serves until it is killed.
"""

import argparse
import time
from wsgiref.simple_server import WSGIRequestHandler, make_server

from spyne import Application, ComplexModel, Fault, Integer, ServiceBase, Unicode, rpc
from spyne.protocol.soap import Soap11, Soap12
from spyne.server.wsgi import WsgiApplication

NAMESPACE = "urn:example:orders"
MESSAGE_BYTES_MAX = 32 << 20


class Receipt(ComplexModel):
    __namespace__ = NAMESPACE
    By = Unicode
    Item = Unicode
    Tier = Unicode


def service(name):
    class Orders(ServiceBase):
        @rpc(Unicode, Unicode, _returns=Receipt, _body_style="wrapped")
        def Place(ctx, Item, Tier):
            return Receipt(By=name, Item=Item, Tier=Tier)

        @rpc(_returns=Unicode)
        def Status(ctx):
            return name

        @rpc(Unicode, _returns=Unicode)
        def Echo(ctx, Text):
            return Text

        @rpc(Integer, _returns=Unicode)
        def Wait(ctx, Milliseconds):
            time.sleep(min(int(Milliseconds), 10_000) / 1000)
            return name

        @rpc(Unicode, _returns=Unicode)
        def Cancel(ctx, Item):
            raise Fault("Client.NoSuchOrder", f"{name} knows no order “{Item}”", detail={"Item": Item})

    return Orders


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--soap", choices=["1.1", "1.2"], default="1.1")
    parser.add_argument("--server", choices=["waitress", "wsgiref"], default="waitress")
    parser.add_argument("--port", type=int, default=0)
    args = parser.parse_args()
    soap = {"1.1": Soap11, "1.2": Soap12}[args.soap]
    application = WsgiApplication(
        Application(
            [service(args.name)],
            tns=NAMESPACE,
            name="Orders",
            in_protocol=soap(validator="lxml", huge_tree=True),
            out_protocol=soap(),
        ),
        max_content_length=MESSAGE_BYTES_MAX,
    )
    if args.server == "wsgiref":
        server = make_server("127.0.0.1", args.port, application, handler_class=Quiet)
        print(server.server_port, flush=True)
        server.serve_forever()
    else:
        import waitress

        # waitress believes X-Forwarded-* of the router, so the WSDL shows the router's address.
        server = waitress.create_server(
            application,
            host="127.0.0.1",
            port=args.port,
            threads=8,
            trusted_proxy="127.0.0.1",
            trusted_proxy_headers={"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"},
        )
        print(server.effective_port, flush=True)
        server.run()


main()
