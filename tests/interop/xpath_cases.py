"""Documents and expressions for `xpath_lxml.py`: by rule, and at random.

By rule: every axis with every kind of node test and position from many places, every function and
operator over every type. At random: documents and nested expressions over few names, so that they meet.
"""

NAMESPACES = {"o": "urn:o", "e": "urn:e", "p": "urn:p", "s": "http://schemas.xmlsoap.org/soap/envelope/"}

DOCUMENTS = {
    # Mixed content, several namespaces, one prefix declared anew, xml:lang, empty elements.
    "mixed": '<r xmlns:o="urn:o" xml:lang="en"><a i="1" j="x">one<b>2</b><!--c1--><b>3</b>tail</a>'
    '<o:a i="2" o:i="q"><b xml:lang="en-GB">x y</b><c/></o:a><a>  sp  ace </a><d><d><d>deep</d></d></d>'
    '<e xmlns="urn:e" xmlns:o="urn:p"><f o:z="zz">4.50</f><f>-7</f><f/></e>'
    "<n>1</n><n>2</n><n>3</n><n>abc</n><t>é€😀</t></r>",
    # Comments outside the root, numbers as people write them, sections in sections.
    "prose": '<!-- before --><doc><para id="p1">Hello</para><para id="p2">World<em>!</em></para><chapter><title>One'
    "</title><section><title>S1</title><para>in s1</para></section><section><title>S2</title></section></chapter>"
    "<chapter><title>Two</title></chapter><empty/><num>10</num><num> 20 </num><num>-3.5</num>"
    "<num>+4</num><num>.5</num><num>5.</num></doc><!-- after -->",
    "order": f'<s:Envelope xmlns:s="{NAMESPACES["s"]}" xmlns:o="urn:o"><s:Header><o:h k="1">v</o:h></s:Header><s:Body>'
    '<o:Order no="7"><o:Line sku="a"><o:Price>10</o:Price></o:Line><o:Line sku="b"><o:Price>20</o:Price></o:Line>'
    '<o:Line sku="a"><o:Price>30</o:Price></o:Line></o:Order></s:Body></s:Envelope>',
    # The same name inside itself, CDATA, entities, line ends.
    "nested": "<a><a><a/></a><b/><a><b>x</b><b/></a>text<![CDATA[ & <cd> ]]>more &amp; &lt;\r\nline</a>",
}

AXES = (
    "ancestor ancestor-or-self attribute child descendant descendant-or-self following following-sibling namespace "
    "parent preceding preceding-sibling self"
).split()
FROM = {
    "mixed": "//b /r/a //o:a //e:f //d //@* //text() //comment() / /r //*[@i] //d/d //n".split(),
    "prose": "//para //title //section //chapter //num / //comment() //text() //em //@id /doc".split(),
    "order": "//o:Line //o:Price //@sku /* //s:Body //o:h".split(),
    "nested": "//a //b //text() /a/a /".split(),
}
VALUES = {
    "mixed": "//n //b //none /r/a/@i //f //e:f //t //text() //comment() /r/d".split(),
    "prose": "//num //para //title //none //@id".split(),
    "order": "//o:Price //@sku //o:Line/@none //o:h".split(),
    "nested": "//b //a //text()".split(),
}
OPERATORS = "= != < <= > >=".split()
NUMBERS = (
    "0|-0|1|-1|1.5|-1.5|0.5|-0.5|2.5|-2.5|1 div 0|-1 div 0|0 div 0|1 div -0|123456789|0.1|1.10|1000000|0.000001|123456.789|"
    "-.5|5.|2147483648|9007199254740993|number('')|number('  12  ')|number('1 2')|number('+1')|number('1e3')|"
    "number('-')|number('.')|number('- 1')|number('-.5')|number('1.')|number(true())|number('Infinity')|number('NaN')|"
    "number('0x10')|number('--1')|-(-3)|--3|- - 3|5 mod 2|-5 mod 2|5 mod -2|1.5 mod .5|5 mod 0|5.5 mod 2|1 div 3|"
    "2 * 3 + 4|2 + 3 * 4|(2+3)*4|10 - 2 - 3|8 div 2 div 2|1 - -1|3-1|3 -1"
).split("|")
STRINGS = ["''", "'abc'", "'  a  b '", "'12345'", "'é€😀'", "'a\u00a0b'", '"it\'s"', "'1999/04/01'"]
# Not XPath 1.0.
LENIENT = ["1e3", "4/.", "//a|", "//a[", "1 = = 2", "//", "a b", "@@i", "/..//", "f()", "'a", "child::", "position(1)", "count()", "$x", "..[1]", ".[1]", "//a/@i/@"]
# `{}` is a node-set, a number or a string.
OF_NODES = (
    "sum({}) number({}) string({}) boolean({}) count({}) local-name({}) name({}) namespace-uri({}) string-length({}) not({}) "
    "-{} {}+1 concat({},'-',{}) normalize-space({}) count({}[lang('en')]) count({}[lang('EN-gb')]) count({}[.!='']) "
    "count({}[.>1]) count({}[string-length()>1]) count({}[normalize-space()='x&y']) count({}[name()=name(..)]) "
    "count({}[position()&mod&2=1]) count({}[last()>2]) count(({})[position()<3]) count({}[not(following::*)]) "
    "count({}[count(.|/*)=count(/*)]) count({}/..) count({}/.) count({}/ancestor::*[2]) count({}|//b) "
    "sum({}[number()=number()]) count({}[1][1]) count({}[2][1]) count({}[true()][2]) count({}['a']) count({}[0]) "
    "count({}['']) count({}[1.5]) count({}[count(preceding::*)>3]) count(id({})) count({}[self::b&or&self::n]) "
    "count({}[parent::*/@i]) count(({}/following::*)[last()]|({}/preceding::*)[1]) string({}/following::*[1]) "
    "string({}/preceding::*[1]) name({}/ancestor::*[1]) name(({}/ancestor::*)[1]) string(({})[last()]/preceding-sibling::*[2]) "
    "count({}/descendant-or-self::node()/@*) count({}//text()) count({}/namespace::o) count({}/namespace::xml) "
    "string({}/namespace::o) name({}/namespace::o) namespace-uri({}/namespace::o) count({}/namespace::*/parent::*) "
    "count({}[.=//b]) count({}[/*/@i=1&or&@i]) count({}[../*[2]]) count({}[*[last()]='x']) substring({},2,1) translate({},'ab1','x')"
).split()


def systematic():
    """Document's name and an expression of any type."""
    for name, starts in FROM.items():
        for start in starts:
            for axis in AXES:
                for test in ("node()", "*", "text()", "comment()"):
                    path = f"{start.rstrip('/')}/{axis}::{test}"
                    yield name, f"count({path})"
                    if axis == "namespace":
                        continue
                    yield name, f"name(({path})[1])"
                    yield name, f"string(({path})[last()])"
                    yield name, f"string({path}[2])"
                    for position in ("1", "last()", "position()=2", "position()!=last()", "position()<3", "last()-1"):
                        yield name, f"count({path}[{position}])"
    for number in NUMBERS:
        for form in ("({})", "floor({})", "ceiling({})", "round({})", "string({})", "boolean({})"):
            yield "mixed", form.format(number)
        for other in ["0", "1", "-0", "0 div 0", "1 div 0", "'1'", "''", "true()", "false()", "'NaN'", "'0'"]:
            for operator in OPERATORS:
                yield "mixed", f"{number} {operator} {other}"
    yield from (("mixed", expression) for expression in [*of_strings(), *LENIENT])
    for name, sets in VALUES.items():
        for nodes in sets:
            for form in OF_NODES:
                yield name, form.replace("{}", nodes).replace("&", " ")
            for other in sets + ["'1'", "1", "true()", "false()", "'x'", "''", "0", "count(//*)", "string(//*)", "number(//n)"]:
                for operator in OPERATORS:
                    yield name, f"{nodes} {operator} {other}"
                    yield name, f"{other} {operator} {nodes}"


def of_strings():
    for text in STRINGS:
        for form in (
            "string-length({}) normalize-space({}) concat({},{},'x') boolean({}) translate({},'abc','AB') translate({},'aab','xyz') "
            "translate({},'€','e') translate({},'','x') substring-before({},'/') substring-after({},'/') substring-before({},'') "
            "substring-after({},'') substring-after({},'b') contains({},'') starts-with({},'') contains('',{}) starts-with({},'a') "
            "contains({},'€') number({}) string({})"
        ).split():
            yield form.replace("{}", text)
        for start in "2 0 1.5 -1 0&div&0 1&div&0 -1&div&0 2.5 -42 100 '2' 1".split():
            yield f"substring({text},{start})".replace("&", " ")
            for length in "3 0 2.6 0&div&0 1&div&0 -1 1.5 -1&div&0".split():
                yield f"substring({text},{start},{length})".replace("&", " ")


class Chance:
    """Random documents and expressions over few names."""

    NAMES = ["a", "b", "c", "o:a", "o:b"]
    TEXTS = ["x", "1", "2", "10", "abc", " x ", "", "xy", "-1.5"]

    def __init__(self, rng):
        self.rng = rng
        self.pick = rng.choice

    def document(self):
        """An envelope; one in three has no header."""
        blocks = "".join(self.element(2) for _ in range(self.rng.randrange(4)))
        header = f"<s:Header>{blocks}</s:Header>" if self.rng.random() < 0.66 else ""
        body = self.content(self.rng.randrange(2, 5))
        return f"<s:Envelope xmlns:s='{NAMESPACES['s']}' xmlns:o='urn:o'>{header}<s:Body>{body}</s:Body></s:Envelope>"

    def content(self, depth):
        parts = []
        for _ in range(self.rng.randrange(5)):
            is_text = depth == 0 or self.rng.random() < 0.35
            text = self.pick(self.TEXTS + ["<!--c-->", "<![CDATA[x]]>", "1<!--c-->0", "&#120;", "&lt;\r\n"])
            parts.append(text if is_text else self.element(depth - 1))
        return "".join(parts)

    def element(self, depth):
        name = self.pick(self.NAMES)
        attributes = "".join(f" {a}='{self.pick(self.TEXTS)}'" for a in ("i", "j", "o:i") if self.rng.random() < 0.3)
        space = self.pick([""] * 8 + [" xmlns:o='urn:p'", " xmlns='urn:o'", " xmlns=''"])
        return f"<{name}{attributes}{space}>{self.content(depth)}</{name}>"

    def step(self, depth):
        axis = self.pick([""] * 14 + [axis + "::" for axis in AXES] + ["@", "@", "..", "."])
        if axis in ("..", "."):
            return axis
        tests = ["i", "j", "o:i", "*", "node()"] if axis in ("@", "attribute::") else self.NAMES + ["*", "node()", "text()", "comment()", "o:*"]
        out = axis + self.pick(tests)
        while depth and self.rng.random() < 0.35:
            depth -= 1
            out += f"[{self.predicate(depth)}]"
        return out

    def predicate(self, depth):
        path = lambda: self.path(0, True)
        return self.pick([
            lambda: str(self.rng.randrange(1, 4)),
            lambda: "last()",
            lambda: f"position() {self.pick(OPERATORS)} {self.rng.randrange(1, 4)}",
            lambda: "position() mod 2 = 1",
            lambda: "last() - 1",
            lambda: self.boolean(depth, True),
            lambda: self.boolean(depth, True),
            path,
            lambda: f"count({path()}) > 1",
            lambda: f"not({path()})",
            lambda: f"{path()} = {self.pick(['1', '2', chr(39) + 'x' + chr(39), path()])}",
            lambda: f"local-name() = '{self.pick('ab')}'",
            lambda: f"../{self.pick(self.NAMES)} {self.pick(OPERATORS)} {self.value(path)}",
            lambda: f"../../{self.pick(self.NAMES)} or ../@i",
            lambda: f"ancestor::{self.pick(self.NAMES)}",
            lambda: f"self::{self.pick(self.NAMES)} or {self.boolean(depth, True)}",
            lambda: f"position() < 3 and {self.boolean(depth, True)}",
            lambda: f"/s:Envelope//{self.pick(self.NAMES)} and {self.boolean(depth, True)}",
        ])()

    def path(self, depth, relative=False):
        start = self.pick(["", "", ".//", "../", "./", "/s:Envelope//"] if relative else ["//", "//", "/", "/s:Envelope/s:Body/", "/s:Envelope/s:Header/", "/*/*/", "/*//"])
        path = start + self.pick(["/", "/", "/", "//"]).join(self.step(depth) for _ in range(self.rng.randrange(1, 4)))
        if self.rng.random() < 0.12:
            path = f"({path}){self.pick(['[1]', '[2]', '[last()]', '[position()<3]', '/..', '//*', '/@i'])}"
        if self.rng.random() < 0.08:
            path = f"{path} | {self.path(0, relative)}"
        return path

    def value(self, path):
        return self.pick([
            lambda: f"'{self.pick(self.TEXTS)}'",
            lambda: self.pick(["0", "1", "2", "1.5", "10", "true()", "false()"]),
            lambda: self.pick(["count({})", "string({})", "sum({})", "number({})", "{}"]).format(path()),
        ])()

    def boolean(self, depth=2, relative=False):
        path = lambda: self.path(depth, relative)
        op = self.pick(OPERATORS)
        if depth and self.rng.random() < 0.15:
            sides = [self.boolean(depth - 1, relative) for _ in "ab"]
            return f"({sides[0]}) {self.pick(['and', 'or', '=', '!='])} ({sides[1]})"
        form = self.pick(
            "P|P|P O V|P O V|P O V|V O P|count(P) O N|contains(P,V)|starts-with(P,V)|string-length(P) O N|substring(P,N) O V|"
            "normalize-space(P) = V|name(P) = V|local-name(P) = local-name(P)|not(P)|not(P = V)|P + 1 O V|boolean(P) O V|"
            "concat(P,V) = V|floor(P) O V|translate(P,'x1','y') = V|substring-before(P,V) = V|-P O V|sum(P) O V|P O P".split("|"))
        out = []
        for part in form:
            out.append({"P": path, "V": lambda: self.value(path), "O": lambda: op, "N": lambda: str(self.rng.randrange(5))}.get(part, lambda: part)())
        return "".join(out)
