#!/usr/bin/env python3
"""Holds `soap-router bridge` against libxml2 (through lxml) over a folder of public SOAP messages.

    python3 tests/interop/bridge_lxml.py CORPUS [--binary target/debug/soap-router] [--only TEXT] [--verbose]

CORPUS has `MANIFEST.tsv` with the columns path, bytes, sha256, kind, ..., verdict; without it every `.xml` in it is
taken as it is. Checked are:

1. the W3C pairs: what is bridged from the one version has the canonical XML of the other (names expanded,
   comments outside the Envelope aside), both ways;
2. every message that bridges: well-formed, Body's content the same infoset but for encodingStyle, every
   namespace in scope kept;
3. there and back: the same header and Body infoset but for what the bridge says it lost;
4. the same version: the same bytes;
5. signed messages: refused, or the same bytes;
6. no crash, and an answer in time, for everything else.

Needs lxml. Exit code 0: all held; 1: something did not; 77: lxml is missing.
"""

import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

try:
    from lxml import etree
except ImportError:
    print("lxml is not installed; nothing compared", file=sys.stderr)
    sys.exit(77)

S11 = "http://schemas.xmlsoap.org/soap/envelope/"
S12 = "http://www.w3.org/2003/05/soap-envelope"
ENVELOPES = {"1.1": S11, "1.2": S12}
NEUTRAL = "urn:envelope"
# What a bridge normalises on purpose (docs/bridging.md): compared as if it were not there.
ROLES = {
    "http://schemas.xmlsoap.org/soap/actor/next": "next",
    S12 + "/role/next": "next",
    S12 + "/role/ultimateReceiver": "",
    "": "",
}
# What does not hold on purpose, each with its reason. A row that holds after all is told, so that it leaves the list.
KNOWN = {
    "invalid-faultactor.xml": "a fault with children that no version allows: what cannot be said is lost",
    "invalid-faultcode.xml": "the same",
    "invalid-faultstring.xml": "the same",
    "soap11/processing-instruction.xml": "processing instructions are refused (SOAP 1.1 section 3)",
    "soap12/processing-instruction.xml": "processing instructions are refused (SOAP 1.2 part 1 section 5)",
    "SOAP12ReqT26.xml": "processing instructions are refused (SOAP 1.2 part 1 section 5)",
    "pi-in-body.xml": "processing instructions are refused",
    "axiom/test/resources/xml/soap/soap11/soap11message.xml": "a 1.1 fault with 1.2 codes and qualified children",
    "ReplyMessages/SOAP12ResT63.xml": "a Code without Value: Receiver, as rule F8 says",
    "ReplyMessages/test.xml": "empty Node and Role, children out of order, a code with an undeclared prefix",
    "overlong-attribute-value-300k.xml": "over the limit bridge_head",
    "overlong-namespace-uri-200k.xml": "over the limit bridge_head",
    "overlong-element-name-200k.xml": "over the limit of names",
    "utf32be.xml": "UTF-32 is no charset of SOAP",
    "xml11-declaration.xml": "SOAP is XML 1.0",
}
PARSER = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)


def run(binary, path, *args, stdin=None):
    command = [binary, "bridge", str(path), "--format", "json", *args]
    done = subprocess.run(command, capture_output=True, timeout=60, input=stdin)
    if done.returncode not in (0, 1):
        raise AssertionError(f"exit {done.returncode}: {done.stderr.decode()[:300]}")
    return json.loads(done.stdout)


def neutral(name, version):
    """An expanded name without the envelope's version; without a version only encodingStyle is one."""
    if version is None:
        styles = ["{%s}encodingStyle" % uri for uri in ENVELOPES.values()]
        return "{%s}encodingStyle" % NEUTRAL if name in styles else name
    return name.replace("{" + ENVELOPES[version] + "}", "{" + NEUTRAL + "}")


def infoset(node, version, depth=0, styles=True):
    """A comparable form of an element: expanded names, attributes as a set, text, children, comments."""
    if isinstance(node, etree._Comment):
        return ("comment", node.text)
    if not isinstance(node.tag, str):
        return ("pi", str(node))
    attributes = {}
    for name, value in node.attrib.items():
        name = neutral(name, version)
        if name == "{%s}encodingStyle" % NEUTRAL:
            if not styles:
                continue
            value = value.strip()
        attributes[name] = value
    children = [("text", node.text)] if node.text else []
    for child in node:
        children.append(infoset(child, version, depth + 1, styles))
        if child.tail:
            children.append(("text", child.tail))
    return (neutral(node.tag, version), frozenset(attributes.items()), tuple(children))


def parts(root):
    space = etree.QName(root).namespace
    return root.find("{%s}Header" % space), root.find("{%s}Body" % space), space


def version_of(root):
    space = etree.QName(root).namespace
    return next((version for version, uri in ENVELOPES.items() if uri == space), None)


def scopes(body):
    """The namespaces in scope at every element below Body, in document order."""
    return [dict(node.nsmap) for node in body.iterdescendants() if isinstance(node.tag, str)]


def blocks(header, version):
    """Header blocks with their SOAP attributes in one form, so that there and back can be compared."""
    found = []
    for block in header if header is not None else []:
        if not isinstance(block.tag, str):
            continue
        form = infoset(block, version, styles=False)
        attributes = dict(form[1])
        role = attributes.pop("{%s}actor" % NEUTRAL, None) or attributes.pop("{%s}role" % NEUTRAL, None) or ""
        must = attributes.pop("{%s}mustUnderstand" % NEUTRAL, "0") in ("1", "true")
        attributes.pop("{%s}relay" % NEUTRAL, None)
        found.append((form[0], frozenset(attributes.items()), form[2], ROLES.get(role, role), must))
    return found


class Check:
    def __init__(self, binary, corpus, verbose):
        self.binary, self.corpus, self.verbose = binary, corpus, verbose
        self.counts, self.failures = collections.Counter(), []

    def fail(self, path, what):
        self.failures.append(f"{path}: {what}")

    def pair(self, path):
        for one, other in (("1.1", "1.2"), ("1.2", "1.1")):
            source = path if one == "1.1" else path.replace("-soap11", "-soap12")
            twin = source.replace(*(("-soap11", "-soap12") if one == "1.1" else ("-soap12", "-soap11")))
            told = run(self.binary, self.corpus / source, "--to", other)
            if "fault" in told and isinstance(told.get("fault"), dict):
                self.fail(source, told["fault"])
                continue
            ours = etree.fromstring(told["message"].encode(), PARSER)
            theirs = etree.parse(str(self.corpus / twin), PARSER).getroot()
            if infoset(ours, other) != infoset(theirs, other):
                self.fail(source, f"not the infoset of {twin}")
            # The prefix is ours; with the old one in its place the canonical XML is the same text.
            if canonical(ours, other) != canonical(theirs, other):
                self.fail(source, f"not the canonical XML of {twin}")
            self.counts["pairs"] += 1

    def message(self, path, kind, check):
        file = self.corpus / path
        raw = file.read_bytes()
        tree = None
        try:
            root = etree.fromstring(raw, PARSER)
            if root.getroottree().docinfo.doctype == "":
                tree = root
        except (etree.XMLSyntaxError, ValueError):
            pass
        version = version_of(tree) if tree is not None else None
        for target in ("1.1", "1.2"):
            told = run(self.binary, file, "--to", target, "--transparent-headers")
            if isinstance(told.get("fault"), dict):
                if version and version != target and "ok" in check and "signed" not in kind and told["fault"]["reason"] != "CannotBridge":
                    self.fail(path, f"to {target}: refused: {told['fault']}")
                self.counts[f"refused {told['fault']['reason']}"] += 1
                if self.verbose:
                    print(path, target, told["fault"])
                continue
            if not told["changed"]:
                self.counts["unchanged"] += 1
                self.same(path, file, target, raw)
                continue
            if "signed" in kind:
                self.fail(path, "signed, and bridged")
            if version is None:
                self.fail(path, f"bridged to {target}, and lxml says it is no envelope")
                continue
            self.bridged(path, tree, version, target, told)

    def same(self, path, file, target, raw):
        command = [self.binary, "bridge", str(file), "--to", target, "--transparent-headers"]
        out = subprocess.run(command, capture_output=True, timeout=60).stdout
        if out != raw:
            self.fail(path, f"the same version, and other bytes ({target})")

    def bridged(self, path, before, version, target, told):
        self.counts["bridged"] += 1
        try:
            after = etree.fromstring(told["message"].encode(), PARSER)
        except etree.XMLSyntaxError as error:
            return self.fail(path, f"to {target}: not well-formed: {error}")
        if version_of(after) != target:
            return self.fail(path, f"to {target}: the envelope is {after.tag}")
        (_, body, _), (_, new, space) = parts(before), parts(after)
        fault = len(body) and body[0].tag == "{%s}Fault" % etree.QName(before).namespace
        if not fault:
            content = lambda node: infoset(node, None, styles=False)[2]
            if content(body) != content(new):
                self.fail(path, f"to {target}: Body's content differs")
            for old, now in zip(scopes(body), scopes(new)):
                if any(now.get(prefix) != uri for prefix, uri in old.items()):
                    self.fail(path, f"to {target}: a namespace is gone")
                    break
        elif new[0].tag != "{%s}Fault" % space:
            self.fail(path, f"to {target}: the fault is none any more")
        back = run(self.binary, "-", "--to", version, "--transparent-headers", stdin=told["message"].encode())
        if isinstance(back.get("fault"), dict):
            return self.fail(path, f"to {target} and back: {back['fault']}")
        again = etree.fromstring(back["message"].encode(), PARSER)
        lost = set(told["losses"]) | set(back["losses"])
        (old_header, old_body, _), (now_header, now_body, _) = parts(before), parts(again)
        # An attribute of the other version has no effect until it comes where it has one (E20).
        foreign = old_header is not None and any(
            name.startswith("{%s}" % ENVELOPES[target]) for block in old_header if isinstance(block.tag, str) for name in block.attrib)
        # The detail of a fault about headers is moved, and comes back as our block (F30).
        moved = old_header is not None and any("FaultDetail" in str(block.tag) for block in old_header)
        if blocks(old_header, version) != blocks(now_header, version) and not foreign and not moved and not lost & {
            "none-role", "upgrade", "not-understood", "unqualified-headers"}:
            self.fail(path, f"to {target} and back: the header differs ({lost})")
        old, now = (infoset(b, version, styles=False) for b in (old_body, now_body))
        if fault:
            old, now = squeeze(old), squeeze(now)
        if old[2] != now[2] and not lost:
            self.fail(path, f"to {target} and back: Body differs")
            if self.verbose:
                print(old[2], now[2], sep="\n")
        self.counts["there and back"] += 1


def squeeze(form):
    """A fault's form with its codes' prefixes and the white space around texts aside."""
    if form[0] == "text":
        return ("text", re.sub(r"^\s*[\w.-]+:", "", form[1]).strip())
    if form[0] in ("comment", "pi"):
        return form
    # A text without xml:lang gets one (F16).
    attributes = frozenset(item for item in form[1] if not item[0].endswith("}lang"))
    children = tuple(c for c in map(squeeze, form[2]) if c != ("text", "") and c[0] != "comment")
    # The parts of a fault have an order in SOAP 1.2, and no namespace in 1.1 (BP R1001).
    if form[0] == "{%s}Fault" % NEUTRAL:
        children = tuple(sorted((c[0].replace("{%s}fault" % NEUTRAL, "fault").replace("{%s}detail" % NEUTRAL, "detail"), *c[1:]) for c in children if len(c) > 2))
    return (form[0], attributes, children)


def canonical(root, version):
    """Exclusive canonical XML with one prefix for the envelope's namespace."""
    text = etree.tostring(root)
    root = etree.fromstring(text, PARSER)
    for node in root.iter():
        if isinstance(node.tag, str) and etree.QName(node).namespace in ENVELOPES.values():
            node.tag = "{urn:e}" + etree.QName(node).localname
    wrapper = etree.Element("{urn:e}w", nsmap={"e": "urn:e"})
    wrapper.append(root)
    etree.cleanup_namespaces(wrapper, top_nsmap={"e": "urn:e"})
    return etree.tostring(wrapper, method="c14n", exclusive=True, with_comments=False)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("--binary", default="target/debug/soap-router")
    parser.add_argument("--only", default="")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    manifest = args.corpus / "MANIFEST.tsv"
    if manifest.exists():
        rows = [line.split("\t") for line in manifest.read_text(encoding="utf-8").splitlines()[1:]]
    else:
        found = sorted(path.relative_to(args.corpus).as_posix() for path in args.corpus.rglob("*.xml"))
        rows = [[path, "", "", "", "", ""] for path in found]
    rows = [row for row in rows if args.only in row[0] and not row[0].endswith((".http", ".md"))]
    check = Check(args.binary, args.corpus, args.verbose)

    def one(row):
        path, kind, structure = row[0], row[3], row[5]
        try:
            if "mime" not in kind:
                check.message(path, kind, structure)
            if path.endswith("-soap11.xml") and (args.corpus / path.replace("-soap11", "-soap12")).exists():
                check.pair(path)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            check.fail(path, f"{type(error).__name__}: {error}")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, rows))
    for name, count in sorted(check.counts.items()):
        print(f"{count:6} {name}")
    known = {failure: name for failure in check.failures for name in KNOWN if name in failure.split(":")[0]}
    surprises = [failure for failure in check.failures if failure not in known]
    healed = [name for name in KNOWN if name not in known.values() and any(name in row[0] for row in rows)]
    for failure in surprises:
        print("FAILED", failure)
    for name in healed:
        print("FAILED", name, "is on the list of what does not hold, and holds")
    print(f"{len(rows)} messages, {len(known)} known not to hold, {len(surprises) + len(healed)} failures")
    sys.exit(1 if surprises or healed else 0)


if __name__ == "__main__":
    main()
