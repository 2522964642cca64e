//! Messages for the benches: envelopes of a given size, no two alike.

use quick_xml::events::Event;

/// A message of about `size` bytes whose values are drawn from `seed`.
pub(crate) fn one(seed: usize, size: usize) -> Vec<u8> {
    let n = |salt: usize, range: usize| {
        (seed.wrapping_mul(2_654_435_761).wrapping_add(salt * 40_503) >> 7) % range
    };
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:o=\"urn:o\" xmlns:wsa=\"http://www.w3.org/2005/08/addressing\">\n  \
         <soap:Header>\n    <wsa:Action>urn:o/Place</wsa:Action>\n    <o:Version>v{}</o:Version>\n    <o:Tenant>t{}</o:Tenant>\n    \
         <o:Tag id=\"i{}\"/>\n    <o:Region>r{}-x</o:Region>\n  </soap:Header>\n  <soap:Body>\n    \
         <o:Order no=\"n{}\" state=\"new\">\n      <o:Id>k{}</o:Id>\n      <o:Tier>gold</o:Tier>\n      <o:Total>{}</o:Total>\n      \
         <o:Customer>\n        <o:Name>Max Muster</o:Name>\n        <o:Country>c{}</o:Country>\n      </o:Customer>\n      <o:Lines>\n",
        n(1, 4000),
        n(2, 4000),
        n(3, 4000),
        n(4, 4000),
        n(5, 4000),
        n(6, 4000),
        n(7, 100_000),
        n(8, 4000)
    );
    let mut line = 0;
    while out.len() + 160 < size || line == 0 {
        out += &format!(
            "        <o:Line number=\"{line}\" sku=\"s{}\">\n          <o:Sku>s{}</o:Sku>\n          <o:Quantity unit=\"pcs\">{}</o:Quantity>\n          <o:Price>{}.50</o:Price>\n        </o:Line>\n",
            n(9 + line, 4000),
            n(10 + line, 4000),
            1 + n(11 + line, 50),
            n(12 + line, 500)
        );
        line += 1;
    }
    out += "      </o:Lines>\n    </o:Order>\n  </soap:Body>\n</soap:Envelope>\n";
    out.into_bytes()
}

/// A message of about `size` bytes with a list of small elements beside what the filters look at.
fn list(seed: usize, size: usize) -> Vec<u8> {
    let n =
        |salt: usize| (seed.wrapping_mul(2_654_435_761).wrapping_add(salt * 40_503) >> 7) % 4000;
    let mut out = format!(
        "<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Header>\
         <o:Version xmlns:o=\"urn:o\">v{}</o:Version></soap:Header><soap:Body>\
         <o:Order xmlns:o=\"urn:o\" no=\"n{}\"><o:Id>k{}</o:Id><o:Tier>gold</o:Tier>",
        n(1),
        n(2),
        n(3)
    );
    let mut item = 4;
    while out.len() + 100 < size {
        out += &format!(
            "<o:Item sku=\"A-{}\"><o:Quantity>{}</o:Quantity></o:Item>\n",
            n(item),
            n(item + 1)
        );
        item += 1;
    }
    out += "</o:Order></soap:Body></soap:Envelope>";
    out.into_bytes()
}

pub(crate) fn distinct(count: usize, size: usize) -> Vec<Vec<u8>> {
    (0..count).map(|seed| one(seed, size)).collect()
}

pub(crate) fn distinct_lists(count: usize, size: usize) -> Vec<Vec<u8>> {
    (0..count).map(|seed| list(seed, size)).collect()
}

/// Elements of one name inside each other.
pub(crate) fn deep(depth: usize) -> Vec<u8> {
    let open = "<o:a xmlns:o='urn:o'><o:b>z</o:b>".repeat(depth);
    (open + &"<o:c>q</o:c></o:a>".repeat(depth)).into_bytes()
}

/// Many siblings that each begin to match.
pub(crate) fn many_equal(count: usize) -> Vec<u8> {
    let one = "<o:a><o:b>x</o:b><o:d>y</o:d></o:a>";
    format!("<r xmlns:o='urn:o'>{}</r>", one.repeat(count)).into_bytes()
}

/// Bare events; with `to_body` up to the start of Body.
pub(crate) fn quick_xml_events(message: &[u8], to_body: bool) -> usize {
    let text = std::str::from_utf8(message).expect("UTF-8");
    let mut reader = quick_xml::Reader::from_str(text);
    let mut events = 0;
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Eof => return events,
            Event::Start(tag) if to_body && tag.local_name().as_ref() == "Body" => return events,
            _ => events += 1,
        }
    }
}
