#!/usr/bin/env python3
"""One pass over 1,000 expressions against libxml2: parse, then the compiled expressions one by one.

    python3 benches/libxml2.py [ENGINE_BENCH_BINARY]

Without an argument it builds and runs `cargo bench --bench engine`. Needs lxml. The matches of both must
agree, message by message. lxml adds about a microsecond of its own to each expression.
"""

import pathlib
import subprocess
import sys
import tempfile
import time

from lxml import etree

NAMESPACES = {"soap": "http://schemas.xmlsoap.org/soap/envelope/", "o": "urn:o"}


def ours(folder):
    command = sys.argv[1:2] or ["cargo", "bench", "--quiet", "--bench", "engine", "--"]
    out = subprocess.run([*command, "export", folder], check=True, capture_output=True, text=True).stdout
    return {name: float(nanoseconds) for name, nanoseconds in (line.split() for line in out.splitlines())}


def main():
    with tempfile.TemporaryDirectory() as folder:
        times = ours(folder)
        path = pathlib.Path(folder)
        texts = (path / "expressions").read_text().splitlines()
        compiled = [etree.XPath(f"boolean({text})", namespaces=NAMESPACES) for text in texts]
        print(f"{len(texts)} expressions, libxml2 {'.'.join(map(str, etree.LIBXML_VERSION))}")
        for size, nanoseconds in times.items():
            expected = [int(count) for count in (path / f"{size}.ours").read_text().split()]
            messages = [(path / f"{size}-{number}.xml").read_bytes() for number in range(len(expected))]
            best, found = float("inf"), []
            for _ in range(3):
                start, found = time.perf_counter(), []
                for message in messages:
                    tree = etree.fromstring(message)
                    found.append(sum(1 for xpath in compiled if xpath(tree)))
                best = min(best, (time.perf_counter() - start) / len(messages) * 1e9)
            same = "same matches" if found == expected else "MATCHES DIFFER"
            print(f"{size}: ours {nanoseconds / 1e3:.2f} us, libxml2 {best / 1e3:.0f} us, {best / nanoseconds:.0f}x, {same}")
            if found != expected:
                sys.exit(1)


if __name__ == "__main__":
    main()
