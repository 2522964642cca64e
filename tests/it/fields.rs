//! Fields as they are kept on the HTTP/1 road, beside `http`'s map of them and a plain list.

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use soap_router::fields::{
    ACCEPT, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, FORWARDED_FOR, Fields, HOST, Known,
    Names, SET_COOKIE, SOAP_ACTION, Several, TRANSFER_ENCODING,
};

/// What can be done to fields.
#[derive(Debug, Clone)]
enum Step {
    Insert(&'static str, String),
    Append(&'static str, String),
    Remove(&'static str),
    RemoveAny(Vec<&'static str>),
    RemoveWhere(&'static str),
    Extend(Vec<Written>),
    /// Through hyper's door and back.
    Convert,
    Clone,
}

/// As their senders may spell them; known, known by nobody, and nearly the same.
const NAMES: [&str; 14] = [
    "Host",
    "content-type",
    "Content-Length",
    "SOAPAction",
    "cookie",
    "Set-Cookie",
    "X-FORWARDED-FOR",
    "Transfer-Encoding",
    "Connection",
    "Accept",
    "Accepv",
    "X-Own",
    "x-own-and-longer-than-any-known",
    "_odd_",
];

const KNOWN: [Known; 10] = [
    HOST,
    CONTENT_TYPE,
    CONTENT_LENGTH,
    SOAP_ACTION,
    COOKIE,
    SET_COOKIE,
    FORWARDED_FOR,
    TRANSFER_ENCODING,
    CONNECTION,
    ACCEPT,
];

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(NAMES.to_vec())
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,3}",
        "[ -~\t]{0,40}",
        Just("a\r\nX-Own: b".to_owned())
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (name(), value()).prop_map(|(name, value)| Step::Insert(name, value)),
        4 => (name(), value()).prop_map(|(name, value)| Step::Append(name, value)),
        3 => name().prop_map(Step::Remove),
        1 => prop::collection::vec(name(), 0..4).prop_map(Step::RemoveAny),
        1 => name().prop_map(Step::RemoveWhere),
        1 => prop::collection::vec(written(), 0..4).prop_map(Step::Extend),
        1 => Just(Step::Convert),
        1 => Just(Step::Clone),
    ]
}

/// A field as it may come.
type Written = (&'static str, String);

fn written() -> impl Strategy<Value = Written> {
    (name(), "([!-~]([ -~]{0,20}[!-~])?)?")
}

fn read(written: &[Written], keeps_spelling: bool) -> Fields {
    let fields = written.iter();
    let mut fields = Fields::read(fields.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    if !keeps_spelling {
        fields.spell();
    }
    fields
}

/// The plainest thing that could be right.
#[derive(Debug, Default)]
struct List(Vec<(String, String)>);

impl List {
    fn apply(&mut self, step: &Step) {
        let valid = |value: &str| HeaderValue::from_str(value).is_ok();
        match step {
            Step::Insert(name, value) if valid(value) => {
                let at = self
                    .0
                    .iter()
                    .position(|(own, _)| own.eq_ignore_ascii_case(name));
                match at {
                    None => self.0.push(((*name).to_owned(), value.clone())),
                    Some(at) => {
                        self.0[at].1.clone_from(value);
                        let mut index = 0;
                        self.0.retain(|(own, _)| {
                            index += 1;
                            index <= at + 1 || !own.eq_ignore_ascii_case(name)
                        });
                    }
                }
            }
            Step::Append(name, value) if valid(value) => {
                self.0.push(((*name).to_owned(), value.clone()));
            }
            Step::Remove(name) | Step::RemoveWhere(name) => {
                self.0.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
            }
            Step::RemoveAny(names) => {
                let known = |own: &str| Known::of(own.as_bytes()).is_some();
                self.0.retain(|(own, _)| {
                    !known(own) || !names.iter().any(|name| own.eq_ignore_ascii_case(name))
                });
            }
            Step::Extend(others) => {
                let owned = |(name, value): &Written| ((*name).to_owned(), value.clone());
                self.0.extend(others.iter().map(owned));
            }
            Step::Insert(..) | Step::Append(..) | Step::Convert | Step::Clone => {}
        }
    }
}

fn apply(step: &Step, fields: &mut Fields, map: &mut HeaderMap) {
    let http = |name: &str| HeaderName::from_bytes(name.as_bytes()).unwrap();
    let known = |name: &str| Known::of(name.as_bytes());
    match step {
        Step::Insert(name, value) => {
            let ours = match known(name) {
                Some(known) => fields.insert(known, value.as_str()),
                None => fields.insert(&http(name), value.as_bytes()),
            };
            let theirs = HeaderValue::from_str(value).map(|value| map.insert(http(name), value));
            assert_eq!(ours, theirs.is_ok());
        }
        Step::Append(name, value) => {
            let theirs = HeaderValue::from_str(value).map(|value| map.append(http(name), value));
            assert_eq!(fields.append(&http(name), value.as_str()), theirs.is_ok());
        }
        Step::Remove(name) => {
            assert_eq!(fields.remove(&http(name)), map.remove(http(name)).is_some());
        }
        Step::RemoveAny(names) => {
            let all: Vec<Known> = names.iter().copied().filter_map(known).collect();
            let found = all.iter().any(|known| map.contains_key(known.as_str()));
            assert_eq!(fields.contains_any(Names::of(&all)), found);
            fields.remove_any(Names::of(&all));
            for known in all {
                map.remove(known.as_str());
            }
        }
        Step::RemoveWhere(name) => {
            fields.remove_where(|own| own.eq_ignore_ascii_case(name.as_bytes()));
            map.remove(http(name));
        }
        Step::Extend(others) => {
            fields.extend(&read(others, true));
            for (name, value) in others {
                map.append(http(name), HeaderValue::from_str(value).unwrap());
            }
        }
        Step::Convert => {
            let through = Fields::from_map(&fields.to_map());
            assert_eq!(through.to_map(), *map);
        }
        Step::Clone => *fields = fields.clone(),
    }
}

/// Whoever asks for whatever is told the same.
fn compare(fields: &Fields, map: &HeaderMap, list: &List) {
    assert_eq!(fields.len(), map.len());
    assert_eq!(fields.is_empty(), map.is_empty());
    for name in NAMES {
        let name = &HeaderName::from_bytes(name.as_bytes()).unwrap();
        let theirs: Vec<&[u8]> = map
            .get_all(name)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        assert_eq!(fields.get_all(name).collect::<Vec<_>>(), theirs, "{name}");
        assert_eq!(fields.get(name), theirs.first().copied());
        assert_eq!(fields.contains(name), map.contains_key(name));
        let text = map.get(name).and_then(|value| value.to_str().ok());
        assert_eq!(fields.text(name), text);
    }
    for known in KNOWN {
        assert_eq!(fields.contains(known), map.contains_key(known.as_str()));
        let theirs = map.get(known.as_str()).map(HeaderValue::as_bytes);
        assert_eq!(fields.get(known), theirs);
        let several = map.get_all(known.as_str()).iter().count() > 1;
        assert_eq!(
            fields.only(known),
            if several { Err(Several) } else { Ok(theirs) }
        );
        assert_eq!(
            fields.get_all(known).count(),
            map.get_all(known.as_str()).iter().count()
        );
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let ours: Vec<(String, String)> = fields
        .iter()
        .map(|(name, value)| (text(name).to_lowercase(), text(value)))
        .collect();
    let theirs = list.0.iter();
    let theirs: Vec<_> = theirs
        .map(|(name, value)| (name.to_lowercase(), value.clone()))
        .collect();
    assert_eq!(ours, theirs, "their order");
    let but = Names::of(&[TRANSFER_ENCODING, CONNECTION]);
    let mut out = Vec::new();
    fields.write(but, &mut out);
    let expected: Vec<String> = fields
        .iter()
        .filter(|(name, _)| !Known::of(name).is_some_and(|known| but.has(known)))
        .map(|(name, value)| format!("{}: {}\r\n", text(name), text(value)))
        .collect();
    assert_eq!(text(&out), expected.concat());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn fields_are_what_the_map_would_be(
        head in prop::collection::vec(written(), 0..12),
        keeps_spelling: bool,
        steps in prop::collection::vec(step(), 0..20),
    ) {
        let mut fields = read(&head, keeps_spelling);
        let mut map = HeaderMap::new();
        let mut list = List::default();
        for (name, value) in &head {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name.clone(), HeaderValue::from_str(value).unwrap());
            list.0.push((name.to_string(), value.clone()));
        }
        compare(&fields, &map, &list);
        for step in &steps {
            apply(step, &mut fields, &mut map);
            list.apply(step);
            compare(&fields, &map, &list);
        }
    }
}

/// A caller that writes `SOAPAction` to the letter goes by the letter.
#[test]
fn names_are_written_as_they_came_or_the_usual_way() {
    let shown = |action| {
        let head = [
            ("Host", "a".to_owned()),
            ("content-type", "text/xml".to_owned()),
            (action, String::new()),
            ("X-FORWARDED-FOR", "b".to_owned()),
            ("x-own-and-longer-than-any-known", "c".to_owned()),
        ];
        let mut fields = read(&head, false);
        assert!(fields.insert(CONTENT_TYPE, "text/plain"));
        assert!(fields.append(SET_COOKIE, "d"));
        let mut out = Vec::new();
        fields.write(Names::of(&[]), &mut out);
        String::from_utf8(out).unwrap()
    };
    let kept = "Host: a\r\ncontent-type: text/plain\r\nSOAPAction: \r\nX-FORWARDED-FOR: b\r\n\
                x-own-and-longer-than-any-known: c\r\nSet-Cookie: d\r\n";
    assert_eq!(shown("SOAPAction"), kept);
    let usual = "Host: a\r\nContent-Type: text/plain\r\nSOAPAction: \r\nX-Forwarded-For: b\r\n\
                 X-Own-And-Longer-Than-Any-Known: c\r\nSet-Cookie: d\r\n";
    assert_eq!(shown("Soapaction"), usual);
}
