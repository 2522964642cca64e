//! Sets of filters: a few shapes, values drawn so that a message meets a handful of them.

use soap_router::xpath::{Atom, Environment, Landmarks, Namespaces, ParseLimits, Set, parse};

const SOAP11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const SOAP12: &str = "http://www.w3.org/2003/05/soap-envelope";

pub(crate) fn set(texts: impl Iterator<Item = String>) -> Set {
    let mut namespaces = Namespaces::new();
    namespaces
        .bind_any("soap", &[SOAP11, SOAP12])
        .bind("o", "urn:o");
    let environment = Environment::new(namespaces);
    let both = |local: &str| {
        vec![
            (SOAP11.to_owned(), local.to_owned()),
            (SOAP12.to_owned(), local.to_owned()),
        ]
    };
    let landmarks = Landmarks {
        root: both("Envelope"),
        sections: vec![both("Header"), both("Body")],
        classes: None,
    };
    let parsed =
        texts.map(|text| parse(&text, &environment, &ParseLimits::default()).expect("expression"));
    Set::compile(
        parsed.map(|expr| Atom { expr, level: 0 }).collect(),
        &landmarks,
    )
}

fn shaped(count: usize, shapes: &[&str]) -> Set {
    set(texts(count, shapes).into_iter())
}

fn texts(count: usize, shapes: &[&str]) -> Vec<String> {
    let text = |i: usize| {
        shapes[i % shapes.len()].replace("{}", &(i / shapes.len() * 2 % 4000).to_string())
    };
    (0..count).map(text).collect()
}

/// The texts of [`mixed`], for another engine.
pub(crate) fn mixed_texts(count: usize) -> Vec<String> {
    texts(count, &MIXED)
}

const MIXED: [&str; 5] = [
    "//o:Id = 'k{}'",
    "//o:Line[@sku = 's{}']/o:Price > 400",
    "//o:Customer/o:Country = 'c{}'",
    "//o:Order[o:Tier = 'gold' and @no = 'n{}']",
    "/soap:Envelope/soap:Header/o:Version = 'v{}'",
];

pub(crate) fn one(text: &str) -> Set {
    set(std::iter::once(text.to_owned()))
}

pub(crate) fn never() -> Set {
    one("//o:Nothing")
}

pub(crate) fn header(count: usize) -> Set {
    shaped(
        count,
        &[
            "/soap:Envelope/soap:Header/o:Version = 'v{}'",
            "/soap:Envelope/soap:Header/o:Tenant = 't{}'",
            "/soap:Envelope/soap:Header/o:Tag/@id = 'i{}'",
            "starts-with(/soap:Envelope/soap:Header/o:Region, 'r{}-')",
            "/soap:Envelope/soap:Header[o:Version = 'v{}']/o:Region",
        ],
    )
}

pub(crate) fn child(count: usize) -> Set {
    shaped(
        count,
        &[
            "/soap:Envelope/soap:Body/o:Order/o:Id = 'k{}'",
            "/soap:Envelope/soap:Body/o:Order/@no = 'n{}'",
            "/soap:Envelope/soap:Body/o:Order/o:Customer/o:Country = 'c{}'",
            "/soap:Envelope/soap:Body/o:Order[o:Tier = 'gold' and o:Id = 'k{}']",
            "/soap:Envelope/soap:Header/o:Version = 'v{}'",
        ],
    )
}

pub(crate) fn mixed(count: usize) -> Set {
    shaped(count, &MIXED)
}

/// What nothing in a list of [`super::messages::distinct_lists`] meets.
pub(crate) fn items(count: usize) -> Set {
    shaped(
        count,
        &[
            "//o:Customer = 'C-{}'",
            "/soap:Envelope/soap:Body/o:Order/o:Region = 'R-{}'",
            "//o:Item[@sku = 'S-{}']",
            "/soap:Envelope/soap:Header/o:Version = 'w{}'",
            "//o:Item/o:Quantity = '{}00'",
        ],
    )
}

/// A third of them match.
pub(crate) fn dense(count: usize) -> Set {
    set((0..count).map(|i| match i % 3 {
        0 => format!("/soap:Envelope/soap:Body/o:Order/o:Total > {}", i * 10),
        1 => format!("//o:Id = 'k{i}'"),
        _ => format!("//o:Price < {}", i as f64 / 20.0),
    }))
}
