//! What happens to requests and answers on their way, as it is written: routes, redirects, rewrites.

use std::path::PathBuf;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::address::RedirectTarget;
use super::admission::Admission;
use super::node::{Kind, Node};
use super::request::{HeaderName, HostPattern, RoutePath};
use super::schema::Book;
use super::shape::{words, written};
use super::values::OneOrMany;
use super::written::{Leaf, Reader, Spanned, Written};
use crate::diag::Diagnostic;

written! {
    /// Requests that are not SOAP, by host and path: handed on to an endpoint, or sent elsewhere.
    pub struct Route as "a route" {
        /// The path: exact (`/docs`), with everything below it (`/docs/*`), by its beginning (`/docs*`), or `{ matches: REGEX }`.
        pub path: Spanned<RoutePath>,
        /// The hosts it answers to, exact or with `*` and `?`; every host if left out.
        pub hosts: Option<OneOrMany<Spanned<HostPattern>>> = None,
        /// The listeners it is reached on; all if left out.
        pub listeners: Option<OneOrMany<Spanned<String>>> = None,
        /// Whether upper and lower case of the path are the same.
        pub ignore_case: bool = false,
        /// Which of several hosts with `*` and `?` counts where more than one fits: 1 before 2, those without a
        /// priority last, the longer first. Equal for all services and routes of one host.
        pub priority: Option<Spanned<u32>> [1..=20_000] = None,
        /// Where requests go.
        pub endpoint: Option<Spanned<String>> = None,
        /// Where callers are sent instead.
        pub redirect: Option<Spanned<Redirect>> = None,
        /// What is changed on the way.
        pub rewrites: Vec<Spanned<Rewrite>> = Vec::new(),
        /// Who may enter, how many at a time, and how fast.
        pub admission: Option<Spanned<Admission>> = None,
    }
}

written! {
    /// Where callers are sent instead.
    pub struct Redirect as "redirect" {
        /// Another URL, or a path of the same host.
        pub to: Option<Spanned<RedirectTarget>> = None,
        /// Another listener of this router, on the same host: HTTP to HTTPS, say.
        pub listener: Option<Spanned<String>> = None,
        /// 307 and 308 keep the method, so that a POST stays one; after the others many callers send a GET.
        pub status: Spanned<RedirectStatus> = Spanned::new(RedirectStatus::Permanent, crate::diag::Span::default()),
        /// Whether the path goes along to a `listener`; it does if left out. It never goes along with `to`.
        pub path: Option<Spanned<bool>> = None,
        /// Whether the query goes along.
        pub query: bool = true,
    }
}

words! {
    /// The status of a redirect.
    pub enum RedirectStatus as "a status that sends callers elsewhere" {
        /// For good; a POST may become a GET.
        MovedPermanently = "301",
        /// For now; a POST may become a GET.
        Found = "302",
        /// To a page about it; a POST becomes a GET.
        SeeOther = "303",
        /// For now.
        Temporary = "307",
        /// For good.
        Permanent = "308",
    }
}

written! {
    /// What is changed on the way, if its conditions hold.
    pub struct Rewrite as "a rewrite" {
        /// All of these must hold.
        pub when: Vec<Condition> = Vec::new(),
        /// Another path.
        pub path: Option<Spanned<String>> = None,
        /// Another query, without `?`; empty for none.
        pub query: Option<Spanned<String>> = None,
        /// Whether the service or route is looked for again, with the new path.
        pub reroute: bool = false,
        /// Fields of the request.
        pub request: HeaderEdits = HeaderEdits::default(),
        /// Fields of the endpoint's answer; never of what the router itself says.
        pub response: HeaderEdits = HeaderEdits::default(),
    }
}

written! {
    /// Something that must hold.
    pub struct Condition as "a condition" {
        /// The variable, without braces.
        pub variable: Spanned<String>,
        /// The regular expression that must be found in its value.
        pub matches: Spanned<String>,
        /// Whether upper and lower case are the same.
        pub ignore_case: bool = false,
        /// Whether it must not be found.
        pub negate: bool = false,
    }
}

written! {
    /// Header fields set, added and removed. Values may hold variables: `{client_ip}`.
    pub struct HeaderEdits as "header edits" {
        /// Takes the place of all fields of the name; an empty value removes them.
        pub set: HeaderValues = HeaderValues::default(),
        /// Stands beside those that are there.
        pub add: HeaderValues = HeaderValues::default(),
        /// Taken out.
        pub remove: Vec<Spanned<HeaderName>> = Vec::new(),
        /// Takes the place of those fields of a name whose value fits: of one `Set-Cookie` among several.
        pub replace: Vec<Replacement> = Vec::new(),
    }
}

written! {
    /// Another value for those fields of a name whose value fits.
    pub struct Replacement as "a replacement" {
        /// The field's name.
        pub name: Spanned<HeaderName>,
        /// The regular expression that must be found in its value.
        pub matches: Spanned<String>,
        /// The new value, empty to remove the field; `{matched_1}` is what the first group found, `{matched_0}` all.
        pub value: Spanned<String>,
        /// Whether upper and lower case are the same.
        pub ignore_case: bool = false,
        /// Whether it must not be found.
        pub negate: bool = false,
    }
}

#[allow(clippy::derivable_impls, reason = "`written!` derives what all have")]
impl Default for HeaderEdits {
    fn default() -> Self {
        Self {
            set: HeaderValues::default(),
            add: HeaderValues::default(),
            remove: Vec::new(),
            replace: Vec::new(),
        }
    }
}

/// Header fields with their values.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HeaderValues(pub Vec<(Spanned<HeaderName>, Spanned<String>)>);

/// Pages for callers that are no SOAP clients, by status.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ErrorPages(pub Vec<(u16, Spanned<PathBuf>)>);

/// Reads a mapping whose keys are values of their own kind.
fn entries<K: Leaf, V: Written>(
    node: &Node,
    reader: &mut Reader<'_>,
    what: &str,
    example: &str,
) -> Option<Vec<(Spanned<K>, V)>> {
    let Kind::Map(entries) = &node.kind else {
        reader.wrong_type(node, what, example);
        return None;
    };
    let mut found = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let key = match K::parse(&key.text) {
            Ok(parsed) => Spanned::new(parsed, key.span),
            Err(label) => {
                let text = format!("`{}` is not {}{}", key.text, K::WHAT, reader.place());
                reader.tell(Diagnostic::error(K::RULE, text, key.span).label(label));
                continue;
            }
        };
        if let Some(value) = V::read(value, reader) {
            found.push((key, value));
        }
    }
    Some(found)
}

impl Written for HeaderValues {
    const NOUN: &'static str = "header fields";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        entries(
            node,
            reader,
            "header fields with their values",
            "{ X-Name: value }",
        )
        .map(Self)
    }

    fn schema(_: &mut Book) -> Value {
        json!({ "type": "object", "additionalProperties": { "type": ["string", "number", "boolean"] } })
    }
}

impl Serialize for HeaderValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(&name.value, value)?;
        }
        map.end()
    }
}

/// A status that an error page can be for.
#[derive(Debug, Clone, Copy)]
struct ErrorStatus(u16);

impl Leaf for ErrorStatus {
    const WHAT: &'static str = "a status from 400 to 599";
    const EXAMPLE: &'static str = "503";
    const RULE: &'static str = "bad-number";

    fn parse(text: &str) -> Result<Self, String> {
        let status = text
            .parse()
            .ok()
            .filter(|status| (400..=599).contains(status));
        status
            .map(Self)
            .ok_or_else(|| "pages are for errors only".to_owned())
    }

    fn leaf_schema() -> Value {
        json!({ "type": "integer", "minimum": 400, "maximum": 599 })
    }
}

impl Written for ErrorPages {
    const NOUN: &'static str = "error pages";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let found = entries(node, reader, "files by status", "{ 404: pages/404.html }")?;
        let plain = |(status, path): (Spanned<ErrorStatus>, _)| (status.value.0, path);
        Some(Self(found.into_iter().map(plain).collect()))
    }

    fn schema(_: &mut Book) -> Value {
        json!({
            "type": "object", "additionalProperties": false,
            "patternProperties": { "^[45][0-9][0-9]$": { "type": "string", "minLength": 1 } },
        })
    }
}

impl Serialize for ErrorPages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0
                .iter()
                .map(|(status, path)| (status.to_string(), path)),
        )
    }
}
