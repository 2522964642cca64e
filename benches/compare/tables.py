"""Tables of many filters of which each message matches the first."""

# Filters of which none matches, with a number for `{}`; the first of each list does.
BODY = "/s:Envelope/s:Body/o:Place/"
SHAPES = {
    # Each element of the body is asked for by some filter.
    "filters": [
        "//o:Tier = 'gold'",
        "//o:Customer = 'C-{}'", f"{BODY}o:Region = 'R-{{}}'", "//o:Item[@sku = 'S-{}']",
        "/s:Envelope/s:Header/o:Version = 'v{}'", "//o:Item/o:Quantity = '{}00'",
    ],
    # What stands once in a message, by where it stands.
    "paths": [
        f"{BODY}o:Tier = 'gold'",
        f"{BODY}o:Customer = 'C-{{}}'", f"{BODY}o:Region = 'R-{{}}'", f"{BODY}o:Tier = 'tier-{{}}'",
        "/s:Envelope/s:Header/o:Version = 'v{}'", f"{BODY}o:Delivery[@kind = 'K-{{}}']/o:Day = '{{}}'",
    ],
}


def table(name, count):
    """The filter that matches, and others that each message has to be held against to its end."""
    first, *shapes = SHAPES[name]
    filters = [first] + [shapes[n % len(shapes)].replace("{}", str(n)) for n in range(1, count)]
    rows = "".join(f'  - {{ filter: {{ xpath: "{text}" }}, endpoint: nginx }}\n' for text in filters)
    names = 's: "http://schemas.xmlsoap.org/soap/envelope/", o: "urn:example:orders"'
    return f"namespaces: {{ {names} }}\ntable:\n{rows}"
