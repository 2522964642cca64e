//! Every limit, and hostile input within bounded time.

use soap_router::xml::{ErrorKind, Limits, Nobody};
use soap_router::xpath::{AtomId, ParseLimits, Progress, Run, parse};

use crate::support::{ask, ask_all, environment, set_of};

/// The limit that refuses a document, whether it is read or passed over.
fn refused(message: &str, limits: &Limits) -> Vec<&'static str> {
    let mut names = Vec::new();
    for expression in ["//o:Nothing", "/soap:Envelope/soap:Header"] {
        let set = set_of(&[expression]);
        let mut run = Run::new();
        run.begin(&set, &[], limits, None).unwrap();
        let mut rest = message.as_bytes();
        let error = loop {
            match run.feed(&set, rest, &mut Nobody) {
                Ok(Progress::Paused(taken)) => rest = &rest[taken..],
                Ok(Progress::More) => break run.finish(&set, &mut Nobody).err(),
                Err(error) => break Some(error),
            }
        };
        if let Some(ErrorKind::Limit { name, .. }) = error.map(|error| error.kind) {
            names.push(name);
        }
    }
    names
}

#[test]
fn documents() {
    let limits = Limits::default();
    let deep = "<a>".repeat(300) + &"</a>".repeat(300);
    assert_eq!(refused(&deep, &limits), ["depth_max", "depth_max"]);
    let many: String = (0..300).map(|n| format!(" a{n}=''")).collect();
    assert_eq!(
        refused(&format!("<a{many}/>"), &limits),
        ["attributes_max", "attributes_max"]
    );
    let spaces: String = (0..70).map(|n| format!(" xmlns:p{n}='u'")).collect();
    assert_eq!(
        refused(&format!("<a{spaces}/>"), &limits),
        ["namespaces_max", "namespaces_max"]
    );
    let long = "x".repeat(70_000);
    assert_eq!(
        refused(&format!("<a b='{long}'/>"), &limits),
        ["attribute_bytes_max", "attribute_bytes_max"]
    );
    assert_eq!(
        refused(&format!("<{}/>", "n".repeat(2000)), &limits),
        ["name_bytes_max", "name_bytes_max"]
    );
    let small = Limits {
        tag_bytes_max: 100,
        ..limits
    };
    assert_eq!(
        refused(&format!("<a{}/>", " ".repeat(200)), &small),
        ["tag_bytes_max", "tag_bytes_max"]
    );
}

#[test]
fn expressions() {
    let limits = ParseLimits::default();
    let environment = environment();
    let message = |text: &str| parse(text, &environment, &limits).unwrap_err().message;
    assert!(message(&("(".repeat(100) + "1" + &")".repeat(100))).contains("nested deeper than 64"));
    assert!(message(&"a".repeat(70_000)).contains("longer than"));
    assert!(message(&"a/".repeat(2000)).contains("more than 1024 steps"));
    assert!(message(&format!("1{}", "+1".repeat(1000))).contains("operators follow"));
    // Chains that stay flat may be long.
    assert!(ask(&format!("{}//x", "//y or ".repeat(400)), "<x/>"));
    assert!(ask(&format!("{}1 = 1", "-".repeat(1001)), "<x/>") || ask("1", "<x/>"));
}

#[test]
fn wrong_expressions() {
    let environment = environment();
    for (text, column, part) in [
        ("//a[", 5, "the end"),
        ("child::1", 8, "node test"),
        ("a|", 3, "value is expected"),
        ("4/.", 1, "needs a node-set"),
        ("q:a", 1, "prefix `q`"),
        ("foo()", 1, "function `foo`"),
        ("count()", 1, "0 arguments"),
        ("count('a')", 1, "needs a node-set"),
        ("$x", 1, "no variables"),
        ("'abc", 1, "not closed"),
        (".[1]", 2, "takes no predicate"),
        ("a b", 3, "does not continue"),
        ("childd::a", 1, "not an axis"),
        ("", 1, "empty"),
        ("1e3", 2, "does not continue"),
        ("self::-name", 7, "node test"),
        ("a | 1", 5, "joins node-sets"),
        ("!a", 1, "means nothing"),
    ] {
        let error = parse(text, &environment, &ParseLimits::default()).unwrap_err();
        assert!(error.message.contains(part), "{text}: {error}");
        assert_eq!(error.column, column, "{text}: {error}");
    }
    let error = parse("contians(a, 'b')", &environment, &ParseLimits::default()).unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("did you mean `contains`?"));
}

/// Values longer than what is kept send the expression to the tree, and the answer is right.
#[test]
fn long_values_spill() {
    let text = "ab".repeat(60_000);
    let message = format!("<a><b>{text}</b><c>{text}x</c></a>");
    for (expression, expected) in [
        ("contains(/a/c, 'x')", true),
        ("contains(/a/b, 'x')", false),
        ("not(contains(/a/b, 'x'))", true),
        ("not(contains(/a/c, 'x'))", false),
        ("string-length(/a/b) = 120000", true),
        ("/a/b = 'ab'", false),
        ("starts-with(/a/b, 'aba')", true),
        ("/a/b != 'ab'", true),
    ] {
        assert_eq!(ask(expression, &message), expected, "{expression}");
    }
}

/// Found by fuzzing: shapes whose compilation would double with every link or level.
#[test]
fn no_expression_explodes() {
    let chain = vec!["//a | //b = 5"; 40].join(" = ");
    assert!(ask(&format!("({chain}) or true()"), "<a/>"));
    let nested = (0..30).fold("c".to_owned(), |inner, _| format!("(a | b)[{inner}]"));
    assert!(!ask(&nested, "<a/>"));
    let parents = format!("//a{}", "/b/..".repeat(200));
    assert!(!ask(&parents, "<a/>"));
}

/// Many names, many scopes and many states must not make memory or time grow beyond the message.
#[test]
fn hostile_variety() {
    let mut message = String::from("<r>");
    for n in 0..20_000 {
        message += &format!("<n{n} xmlns='urn:{n}' a{n}='x'/>");
    }
    message += "<x/></r>";
    assert!(ask("//x", &message));
    let nested: Vec<String> = (0..60).map(|n| format!("//a{n}//b")).collect();
    let texts: Vec<&str> = nested.iter().map(String::as_str).collect();
    let set = set_of(&texts);
    let mut run = Run::new();
    let mut message = String::from("<r>");
    for round in 0..3000_u32 {
        // Every subset of open elements is another state.
        let chosen: Vec<u32> = (0..12).filter(|bit| round >> bit & 1 == 1).collect();
        message.extend(chosen.iter().map(|n| format!("<a{n}>")));
        message.extend(chosen.iter().rev().map(|n| format!("</a{n}>")));
    }
    message += "<a7><b/></a7></r>";
    run.begin(&set, &[], &Limits::default(), None).unwrap();
    run.feed(&set, message.as_bytes(), &mut Nobody).unwrap();
    run.finish(&set, &mut Nobody).unwrap();
    let found: Vec<AtomId> = run.matched().to_vec();
    assert_eq!(found, [AtomId(7)]);
}

fn too_costly(expression: &str, message: &str) -> String {
    ask_all(&[expression], message.as_bytes(), usize::MAX).unwrap_err()
}

/// What a tree costs is limited, whatever an expression reads of its nodes.
#[test]
fn trees_are_bounded() {
    let text = "x".repeat(1 << 20);
    let message = format!("<r xml:lang='en'>{text}{}</r>", "<a/>".repeat(20_000));
    for expression in [
        "//a[contains(/, 'y')]/following::b",
        "//a[string-length(/) < 5]/preceding::b",
        "//a[sum(/r) = 5]/preceding::b",
    ] {
        let told = too_costly(expression, &message);
        assert!(told.contains("visits more than 20000000 nodes"), "{told}");
    }
    assert!(ask("count(//a[lang('en')]/parent::r) = 1", &message));
}

/// Namespace nodes are made for expressions that ask for them only, and not without end.
#[test]
fn namespace_nodes_are_bounded() {
    let declared: String = (0..60).map(|n| format!(" xmlns:p{n}='u{n}'")).collect();
    let message = format!("<r{declared}>{}<b/></r>", "<a/>".repeat(40_000));
    assert!(ask("//b/preceding::a", &message));
    let told = too_costly("//b/namespace::p1", &message);
    assert!(told.contains("`tree_nodes_max` of 2000000"), "{told}");
    assert!(ask("/r/namespace::p1 = 'u1'", "<r xmlns:p1='u1'/>"));
}

/// Letters of `translate()` that come from the message cost no product of the two.
#[test]
fn translate_is_bounded() {
    let letters: String = ('\u{4E00}'..'\u{9000}').collect();
    let message = format!("<r><a>{letters}</a><b>{letters}</b></r>");
    assert!(ask("translate(/r/a, /r/b, '') = ''", &message));
    assert!(!ask("translate(/r/a, /r/b, 'x') = ''", &message));
    let few = "<r><a>abcabc</a><b>ab</b></r>";
    assert!(ask("translate(/r/a, /r/b, 'x') = 'xcxc'", few));
}
