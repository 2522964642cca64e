//! What `why` says: a sentence that shows the value found, the step that failed, or the namespace meant.

use soap_router::xml::Limits;
use soap_router::xpath::why;

use crate::support::expr;

const MESSAGE: &str = r#"<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:x="urn:b">
<s:Header><o:Version xmlns:o="urn:o">1</o:Version></s:Header>
<s:Body><x:Order id="7"><o:Qty xmlns:o="urn:o">3</o:Qty><o:Qty xmlns:o="urn:o">5</o:Qty></x:Order></s:Body></s:Envelope>"#;

fn check(text: &str, holds: bool, expected: &str) {
    let diagnosis = why(
        &expr(text),
        MESSAGE.as_bytes(),
        &[],
        &Limits::default(),
        None,
    )
    .unwrap();
    assert_eq!(
        (diagnosis.holds, diagnosis.why.as_str()),
        (holds, expected),
        "{text}"
    );
}

#[test]
fn values_found() {
    check(
        "/soap:Envelope/soap:Header/o:Version = '1'",
        true,
        "`/soap:Envelope/soap:Header/o:Version` is '1'",
    );
    check(
        "/soap:Envelope/soap:Header/o:Version = '2'",
        false,
        "`/soap:Envelope/soap:Header/o:Version` is '1', not '2'",
    );
    check("//o:Qty > 4", true, "`//o:Qty` is '3', '5', which is > 4");
    check(
        "//o:Qty > 9",
        false,
        "`//o:Qty` is '3', '5', which is not > 9",
    );
    check(
        "contains(//o:Version, 'x')",
        false,
        "`//o:Version` is '1', which does not contain 'x'",
    );
    check("count(//o:Qty) = 3", false, "`count(//o:Qty)` is 2, not 3");
    check("//o:Qty", true, "`//o:Qty` is there (2 times)");
    check("not(//o:Version = '1')", false, "`//o:Version` is '1'");
}

#[test]
fn steps_that_fail() {
    check(
        "//o:Order",
        false,
        "no `o:Order` in the document; an element `Order` is there in namespace `urn:b`, but the prefix `o` means `urn:o`",
    );
    check(
        "/soap:Envelope/soap:Header/o:Verson",
        false,
        "no `o:Verson` in `/soap:Envelope/soap:Header`; did you mean `Version`?",
    );
    check(
        "//o:Qty[. = 9]",
        false,
        "`o:Qty` is there, but of 2 none passes `[. = 9]`: in the first, `.` is '3', not 9",
    );
    check(
        "//*[@id = 8]/o:Qty",
        false,
        "`*` is there, but of 7 none passes `[@id = 8]`: in the first, no `@id` in it",
    );
    check(
        "/s12:Envelope",
        false,
        "no `s12:Envelope` in the document; an element `Envelope` is there in namespace `http://schemas.xmlsoap.org/soap/envelope/`, but the prefix `s12` means `http://www.w3.org/2003/05/soap-envelope`",
    );
}

/// What users get wrong, and what they are told.
#[test]
fn what_users_get_wrong() {
    for (text, expected) in [
        (
            "/soap:Envelope/soap:Body/p:Ordr",
            "no `p:Ordr` in `/soap:Envelope/soap:Body`; did you mean `Order`?",
        ),
        (
            "/soap:Envelope/soap:Body/p:Invoice/p:No = '1'",
            "no `p:Invoice` in `/soap:Envelope/soap:Body`; there is `Order`",
        ),
        (
            "//*[@ID = 7]",
            "`*` is there, but of 7 none passes `[@ID = 7]`: in the first, no `@ID` in it",
        ),
        (
            "//*[local-name()='Order']/@ID",
            "no `@ID` in `//*[local-name() = 'Order']`; did you mean `id`?",
        ),
        (
            "//*[local-name()='Qty' and namespace-uri()='urn:q']",
            "no `Qty` of namespace `urn:q` in the document; an element `Qty` is there in namespace `urn:o`, but the expression asks for `urn:q`",
        ),
        (
            "//o:Qty[. = 3][. > 3]",
            "`o:Qty[. = 3]` is there, but `.` is '3', which is not > 3",
        ),
        ("//o:Qty[3]", "`o:Qty` is there 2 times, but not as `[3]`"),
        (
            "/soap:Envelope/soap:Body/*[1][self::o:Cancel]",
            "`*[1]` is there, but it is `Order`, not `o:Cancel`",
        ),
        (
            "//o:Version != '1'",
            "`//o:Version` is '1', and `!=` asks for one that differs",
        ),
        (
            "//o:Version = false()",
            "`//o:Version` is there, which is all that is asked beside a truth, and `false()` is false",
        ),
        ("//o:Price * //o:Qty > 10", "no `o:Price` in the document"),
        (
            "number(normalize-space(/*)) > 10",
            "`normalize-space(/*)` is '1 35', which is no number",
        ),
        ("(//o:Qty)[2]/@unit = 'kg'", "no `@unit` in `(//o:Qty)[2]`"),
        (
            "//s:Body[.//o:Version]",
            "`s:Body` is there, but no `o:Version` in it and below",
        ),
        (
            "//o:Qty/..//o:Price",
            "no `o:Price` in `//o:Qty/..` and below",
        ),
        (".//o:Price", "no `o:Price` in the document"),
        (
            "o:Price",
            "no `o:Price` in the document; there is `Envelope`",
        ),
    ] {
        check(text, false, expected);
    }
}
