//! Random documents and expressions over a small world of names, so that they meet often.
//!
//! A strategy that is part of several is made once and cloned: made for each, those of a few levels take gigabytes.

use proptest::prelude::*;

const NAMES: [&str; 6] = ["a", "b", "o:a", "o:b", "p:a", "c"];
const VALUES: [&str; 10] = ["x", "1", "2", "10", "abc", " x ", "", "xy", "-1.5", "y z"];

/// Content of an element as text.
fn content(depth: u32) -> BoxedStrategy<String> {
    let text = prop_oneof![
        8 => prop::sample::select(&VALUES[..]).prop_map(str::to_owned),
        1 => Just("&lt;x&#49;".to_owned()),
        1 => Just("<![CDATA[x]]>".to_owned()),
        1 => Just("<!-- x -->".to_owned()),
        1 => Just("1<!--c-->0".to_owned()),
        1 => Just("x\r\ny".to_owned()),
        1 => Just("a>b".to_owned()),
    ];
    if depth == 0 {
        return text.boxed();
    }
    let part = prop_oneof![2 => text, 3 => element(depth - 1)];
    prop::collection::vec(part, 0..5)
        .prop_map(|parts| parts.concat())
        .boxed()
}

fn attributes() -> impl Strategy<Value = String> {
    let one = |name: &'static str| {
        prop::option::weighted(0.3, prop::sample::select(&VALUES[..])).prop_map(move |value| {
            value.map_or(String::new(), |value| format!(" {name}='{value}'"))
        })
    };
    let space = prop_oneof![
        10 => Just(""),
        1 => Just(" xmlns:o='urn:p'"),
        1 => Just(" xmlns='urn:o'"),
        1 => Just(" xmlns=''"),
    ];
    (one("i"), one("j"), one("o:i"), space).prop_map(|(a, b, c, d)| format!("{a}{d}{b}{c}"))
}

fn element(depth: u32) -> BoxedStrategy<String> {
    (
        prop::sample::select(&NAMES[..]),
        attributes(),
        content(depth),
    )
        .prop_map(|(name, attributes, content)| {
            if content.is_empty() {
                format!("<{name}{attributes}/>")
            } else {
                format!("<{name}{attributes}>{content}</{name}>")
            }
        })
        .boxed()
}

/// A document: an envelope, or any root.
pub(crate) fn document() -> impl Strategy<Value = String> {
    let soap = "http://schemas.xmlsoap.org/soap/envelope/";
    let envelope = (attributes(), prop::option::of(content(3)), content(4)).prop_map(move |(i, header, body)| {
        let header = header.map_or(String::new(), |header| format!("<s:Header>{header}</s:Header>"));
        format!("<s:Envelope xmlns:s='{soap}' xmlns:o='urn:o' xmlns:p='urn:p'{}>{header}<s:Body>{body}</s:Body></s:Envelope>", i.replace("xmlns:o='urn:p'", ""))
    });
    let any = (prop::sample::select(&NAMES[..]), content(4)).prop_map(|(name, content)| {
        format!("<{name} xmlns:o='urn:o' xmlns:p='urn:p'>{content}</{name}>")
    });
    prop_oneof![2 => envelope.boxed(), 1 => any.boxed()]
}

fn literal() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(&VALUES[..]).prop_map(|value| format!("'{value}'")),
        2 => prop::sample::select(&["0", "1", "2", "1.5", "10", "-1", "3"][..]).prop_map(str::to_owned),
    ]
}

fn operator() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["=", "=", "=", "!=", "<", "<=", ">", ">="][..])
}

fn step(depth: u32) -> BoxedStrategy<String> {
    let test = prop::sample::select(
        &[
            "a",
            "b",
            "c",
            "o:a",
            "o:b",
            "p:a",
            "*",
            "o:*",
            "*[local-name()='a']",
            "*[local-name()='b' and namespace-uri()='urn:o']",
        ][..],
    );
    if depth == 0 {
        return test.prop_map(str::to_owned).boxed();
    }
    let inner = boolean(depth - 1, true);
    let predicate = prop_oneof![
        6 => Just(String::new()),
        2 => inner.clone().prop_map(|p| format!("[{p}]")),
        1 => prop::sample::select(&["[1]", "[2]", "[position()<3]", "[position()!=1]", "[last()]", "[position()=last()]"][..]).prop_map(str::to_owned),
        1 => literal().prop_map(|l| format!("[.={l}]")),
        1 => upward(inner).prop_map(|p| format!("[{p}]")),
    ];
    (axis(), test, predicate)
        .prop_map(|(axis, test, predicate)| format!("{axis}{test}{predicate}"))
        .boxed()
}

/// What a predicate may say of other nodes than those below.
fn upward(inner: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let inner = || inner.clone();
    let name = || prop::sample::select(&NAMES[..]);
    prop_oneof![
        2 => (name(), operator(), literal()).prop_map(|(n, op, l)| format!("../{n} {op} {l}")),
        1 => (name(), inner()).prop_map(|(n, b)| format!("../../{n} and {b}")),
        1 => name().prop_map(|n| format!("parent::{n}/@i or ../@j")),
        2 => name().prop_map(|n| format!("ancestor::{n}")),
        1 => (name(), inner()).prop_map(|(n, b)| format!("ancestor::{n}[{b}]")),
        1 => (name(), name()).prop_map(|(a, b)| format!("self::{a} or self::{b}")),
        1 => (name(), inner()).prop_map(|(n, b)| format!("not(self::{n}) and {b}")),
        1 => (name(), literal()).prop_map(|(n, l)| format!("//{n} = {l} and @i")),
        1 => (literal(), inner()).prop_map(|(l, b)| format!("{l} and {b}")),
        1 => inner().prop_map(|b| format!("position() < 3 and {b}")),
        1 => inner().prop_map(|b| format!("not(position() = 2) or {b}")),
        1 => inner().prop_map(|b| format!("({b}) <= boolean(@i)")),
    ]
    .boxed()
}

/// Mostly the child axis; the others go to the tree, or are rewritten.
fn axis() -> impl Strategy<Value = &'static str> {
    let others = [
        "parent::",
        "ancestor::",
        "ancestor-or-self::",
        "following-sibling::",
        "preceding-sibling::",
        "following::",
        "preceding::",
        "descendant::",
        "descendant-or-self::",
        "self::",
        "child ::",
        "../",
    ];
    prop_oneof![30 => Just(""), 2 => prop::sample::select(others.to_vec())]
}

fn last_step(step: BoxedStrategy<String>) -> BoxedStrategy<String> {
    prop_oneof![
        8 => step,
        2 => prop::sample::select(&["@i", "@j", "@o:i", "@*", "text()", "text()[.='x']", "@i[.='1']", "comment()", "node()"][..]).prop_map(str::to_owned),
    ]
    .boxed()
}

/// A path; relative ones stand in predicates.
fn path(depth: u32, relative: bool) -> BoxedStrategy<String> {
    let start = if relative {
        prop_oneof![4 => Just(""), 2 => Just(".//"), 1 => Just("./")].boxed()
    } else {
        prop_oneof![
            3 => Just("//"),
            2 => Just("/s:Envelope/s:Body/"),
            2 => Just("/s:Envelope/s:Header/"),
            1 => Just("/"),
            1 => Just("/*/"),
        ]
        .boxed()
    };
    let step = step(depth);
    let middle = prop::collection::vec(
        (step.clone(), prop::sample::select(&["/", "/", "//"][..])),
        0..3,
    );
    let path = (start, middle, last_step(step)).prop_map(|(start, middle, last)| {
        let middle: String = middle
            .into_iter()
            .map(|(step, slash)| step + slash)
            .collect();
        format!("{start}{middle}{last}")
    });
    if relative {
        prop_oneof![6 => path, 1 => Just(".".to_owned()), 1 => Just("@i".to_owned())].boxed()
    } else {
        path.boxed()
    }
}

fn text_value(path: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let path = || path.clone();
    prop_oneof![
        path().prop_map(|p| format!("string({p})")),
        path().prop_map(|p| format!("normalize-space({p})")),
        path().prop_map(|p| format!("local-name({p})")),
        path().prop_map(|p| format!("name({p})")),
        path().prop_map(|p| format!("substring({p}, 2)")),
        path().prop_map(|p| format!("substring-before({p}, 'c')")),
        path().prop_map(|p| format!("translate({p}, 'xy', 'yx')")),
        (path(), path()).prop_map(|(p, q)| format!("concat({p}, {q})")),
    ]
    .boxed()
}

fn number_value(path: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let path = || path.clone();
    prop_oneof![
        path().prop_map(|p| format!("count({p})")),
        path().prop_map(|p| format!("string-length({p})")),
        path().prop_map(|p| format!("number({p})")),
        path().prop_map(|p| format!("(number({p}) + 1)")),
        path().prop_map(|p| format!("round({p})")),
        path().prop_map(|p| format!("sum({p})")),
    ]
    .boxed()
}

fn boolean(depth: u32, relative: bool) -> BoxedStrategy<String> {
    let short = path(depth.min(1), relative);
    let path = path(depth, relative);
    let path = || path.clone();
    let leaf = prop_oneof![
        4 => path(),
        6 => (path(), operator(), literal()).prop_map(|(p, op, l)| format!("{p} {op} {l}")),
        1 => (literal(), operator(), path()).prop_map(|(l, op, p)| format!("{l} {op} {p}")),
        2 => (text_value(short.clone()), operator(), literal()).prop_map(|(v, op, l)| format!("{v} {op} {l}")),
        2 => (number_value(short), operator(), literal()).prop_map(|(v, op, l)| format!("{v} {op} {l}")),
        1 => (path(), prop::sample::select(&VALUES[..])).prop_map(|(p, v)| format!("contains({p}, '{v}')")),
        1 => (path(), prop::sample::select(&VALUES[..])).prop_map(|(p, v)| format!("starts-with({p}, '{v}')")),
        1 => (path(), path()).prop_map(|(p, q)| format!("({p} | {q}) = '1'")),
        1 => (path(), path()).prop_map(|(p, q)| format!("{p} = {q}")),
        1 => path().prop_map(|p| format!("not({p})")),
        1 => (path(), literal()).prop_map(|(p, l)| format!("not({p} = {l})")),
        1 => path().prop_map(|p| format!("{p} = true()")),
        1 => path().prop_map(|p| format!("({p})[1] = 'x'")),
        1 => (path(), 1..4).prop_map(|(p, n)| format!("({p})[{n}]")),
        1 => path().prop_map(|p| format!("({p})[last()]")),
        1 => (path(), prop::sample::select(&NAMES[..])).prop_map(|(p, n)| format!("{p}/../{n}")),
        1 => (path(), prop::sample::select(&NAMES[..])).prop_map(|(p, n)| format!("{p}/parent::{n}")),
        1 => (path(), operator()).prop_map(|(p, op)| format!("{p} {op} (@i = '1')")),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let inner = boolean(depth - 1, relative);
    let inner = || inner.clone();
    prop_oneof![
        5 => leaf,
        1 => (inner(), inner()).prop_map(|(a, b)| format!("({a}) and ({b})")),
        1 => (inner(), inner()).prop_map(|(a, b)| format!("({a}) or ({b})")),
        1 => inner().prop_map(|a| format!("not({a})")),
    ]
    .boxed()
}

/// A boolean expression over the document.
pub(crate) fn expression() -> impl Strategy<Value = String> {
    boolean(2, false)
}
