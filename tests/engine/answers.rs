//! Expressions and what they mean, one line each.

use crate::support::ask;

const MESSAGE: &str = r#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:o="urn:o">
  <s:Header><o:Version>2</o:Version><o:Tag id="x" n="5">gold</o:Tag></s:Header>
  <s:Body><o:Order id="7"><o:Qty>3</o:Qty><o:Qty>120</o:Qty><Name> Max  Muster </Name><!-- c --></o:Order></s:Body>
</s:Envelope>"#;

#[test]
fn table() {
    for (expr, expected) in [
        ("/soap:Envelope/soap:Header/o:Version = '2'", true),
        ("/s12:Envelope/s12:Header/o:Version = 2", true),
        ("/s11:Envelope", false),
        ("soap:Envelope", true),
        ("//o:Qty > 100", true),
        ("//o:Qty < 3", false),
        ("//o:Qty != 3", true),
        ("//o:Missing != ''", false),
        ("not(//o:Missing)", true),
        ("count(//o:Qty) = 2", true),
        ("sum(//o:Qty) = 123", true),
        ("//o:Order[@id='7']/o:Qty = '120'", true),
        ("//o:Order[@id='8']/o:Qty = '120'", false),
        ("//o:Order[o:Qty > 100 and Name]", true),
        ("contains(//Name, 'Muster')", true),
        ("normalize-space(//Name) = 'Max Muster'", true),
        (
            "//*[local-name()='Order' and namespace-uri()='urn:o']",
            true,
        ),
        ("//o:Qty[2] = '120'", true),
        ("//o:Qty[last()] = '120'", true),
        ("//o:Qty[position() < 2] = '120'", false),
        ("//Name/../@id = 7", true),
        ("string-length(normalize-space(//Name)) = 10", true),
        ("starts-with(//o:Tag, 'go')", true),
        ("//o:Tag/@n = '5' or //nothing", true),
        ("//comment()", true),
        ("//o:Tag[text()='gold']", true),
        ("name(/*) = 's:Envelope'", true),
        ("child :: soap:Envelope", true),
        ("boolean(//comment ())", true),
        ("//o:Qty = //o:Version + 1", true),
        ("-(-1)", true),
        ("0", false),
        ("''", false),
        ("id('7')", false),
        ("//o:Qty/following-sibling::Name", true),
        ("//Name/preceding-sibling::o:Qty[1] = 120", true),
    ] {
        assert_eq!(ask(expr, MESSAGE), expected, "{expr}");
    }
}
