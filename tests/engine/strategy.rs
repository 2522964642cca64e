//! What streams, and what is said of the rest.

use soap_router::xpath::{AtomId, Strategy};

use crate::support::set_of;

/// What keeps an expression from streaming.
fn tree_reason(text: &str) -> Option<String> {
    match set_of(&[text]).strategy(AtomId(0)) {
        Some(Strategy::Tree { why }) => Some(why),
        _ => None,
    }
}

/// That the answers are right is for `streaming.rs`.
#[test]
fn what_is_rewritten_streams() {
    for text in [
        "//o:A[o:B]/..",
        "//o:A/../o:B = 'x'",
        "//o:A/parent::o:B",
        "//o:A/@x/..",
        ".//o:A/..",
        "//o:A[.//o:B/..]",
        "././/o:A[../@x]",
        "//o:A[../o:B = 'x'] > 3",
        "//o:A[../../o:B]",
        "//o:A[parent::o:B]",
        "//o:A[not(../@x = 'y')]",
        "//o:A/ancestor::o:B",
        "//o:A[@x]/ancestor::o:B[@y]/o:C = 'z'",
        "//o:A[ancestor::o:B] = 'x'",
        "//*[self::o:A or self::o:B]/o:C",
        "//o:C[not(self::o:A)]",
        "(//o:A)[2]",
        "(//o:A/o:B)[last()]",
        "//o:A[@x][last()]",
        "//o:A[position() != 1 and position() != 3] = 'x'",
        "//o:A[not(position() = 1) or @x]",
        "//o:A[/x/y = 'z'] = 'x'",
        "//o:A[@x and //o:B = 'y'][o:C = 'z']",
        "//o:A <= (//o:B = 'x')",
        "local-name() = ''",
        "//o:A[name(..) = 'o:B']",
    ] {
        assert_eq!(tree_reason(text), None, "{text}");
    }
}

#[test]
fn the_reason_for_a_tree_is_what_is_in_the_way() {
    for (text, why) in [
        (
            "//o:A/following-sibling::o:B",
            "the axis `following-sibling` leads out of the element",
        ),
        (
            "//o:A/preceding::o:B",
            "the axis `preceding` leads out of the element",
        ),
        (
            "/x/y/ancestor::o:B",
            "the axis `ancestor` leads out of the element",
        ),
        (
            "//o:A[last()] = 'x'",
            "`last()` is known only behind the last one",
        ),
        (
            "//o:A[last() - 1]",
            "`last()` is known only behind the last one",
        ),
        ("//o:A[@x][2]", "a position stands behind another predicate"),
        (
            "//o:A[position() mod 2 = 1]",
            "a position is not compared with a number",
        ),
        (
            "//o:A/descendant::o:B[2]",
            "positions along the axis `descendant` count at any depth",
        ),
        (
            "(//o:A)[2] = 'x'",
            "a position counts across the whole message",
        ),
        (
            "//o:A = //o:B",
            "two node-sets are compared, of which any two nodes may fit",
        ),
        (
            "//o:A = concat('x', 'y')",
            "a node-set is compared with a text that is computed",
        ),
        (
            "//o:A = string(/x)",
            "a node-set is compared with a text that is computed",
        ),
        (
            "//o:A > count(//o:B)",
            "a node-set is compared with a number that is computed",
        ),
        (
            "string(//o:A[@x]) = 'y'",
            "the first node of a path with predicates is taken",
        ),
        (
            "contains(//o:A[@x], 'y')",
            "the first node of a path with predicates is taken",
        ),
        ("count(//o:A[1]) = 2", "what is counted has a position"),
        (
            "count(//o:A/@x[. = 'y']) = 2",
            "attributes or texts with predicates are counted",
        ),
        (
            "count(//o:A[@x] | //o:B[@y]) = 2",
            "nodes of several paths with predicates are counted",
        ),
        (
            "sum(//o:A | //o:B) > 3",
            "nodes of several paths are summed up, or attributes of several counted",
        ),
        (
            "//o:A/@x[contains(., 'a') and contains(., 'b')]",
            "an attribute or a text has several predicates",
        ),
        (
            "//o:A/text()[2]",
            "an attribute or a text has a predicate that is no simple comparison",
        ),
        (
            "//@x/ancestor::o:A",
            "steps lead on from an attribute or a text",
        ),
        ("//o:A[lang('de')]", "`lang()` looks at what is around"),
        (
            "//namespace::o",
            "the axis `namespace` leads out of the element",
        ),
        (
            "name(//o:A/@*) = 'x'",
            "the first of several attributes is taken",
        ),
        (
            "//o:A[//o:B or @x]",
            "a predicate asks for something elsewhere in the message",
        ),
        (
            "//o:A[o:C[//o:B]]",
            "a predicate asks for something elsewhere in the message",
        ),
        ("string(/) = 'x'", "the whole document is taken as a value"),
        ("/ = 'x'", "the text of the whole document is compared"),
        (
            "//. = 'x'",
            "the document itself, or a text, may be meant by `descendant-or-self`",
        ),
        (
            "concat(//o:A = 'x', 'y')",
            "a node-set is compared with a computed value",
        ),
        (
            "//o:A[string(. = 'x') = 'true']",
            "a node-set is compared with a computed value",
        ),
        ("count(/) = 1", "the whole document is taken as a value"),
        (
            "//self::text()",
            "`self` stands behind a step that it cannot be joined with",
        ),
    ] {
        assert_eq!(tree_reason(text).as_deref(), Some(why), "{text}");
    }
}
