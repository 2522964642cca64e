//! Bridging as data: golden cases through the verb, and what must hold for every message.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use soap_router::soap::{
    Addressing, Arriving, Bridge, BridgeError, Context, Outcome, Plan, Target, Version, Within,
};
use soap_router::xml::{Event, Limits, Reader};

use crate::support::messages::{SOAP11, SOAP12};
use crate::support::{root, soap_router};

/// What no two runs have in common.
fn without_ids(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("urn:uuid:") {
        let end = at + "urn:uuid:".len();
        out.push_str(&rest[..end]);
        out.push_str("...");
        rest = rest[end..].trim_start_matches(|c: char| c.is_ascii_hexdigit() || c == '-');
    }
    out + rest
}

fn golden() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(root().join("tests/golden/bridge"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    assert!(folders.len() > 50, "the cases are gone");
    folders
}

/// `args` are the verb's, `in.xml` the message, `out` what the verb printed: its exit code, what
/// it told, and the message.
#[test]
fn golden_cases() {
    let mut wrong = Vec::new();
    for folder in golden() {
        let args = fs::read_to_string(folder.join("args")).unwrap();
        let message = folder.join("in.xml");
        let mut all = vec!["bridge", message.to_str().unwrap()];
        all.extend(args.split_whitespace());
        let ran = soap_router(&folder, &all);
        let got = without_ids(&format!("exit {}\n{}\n{}", ran.code, ran.err, ran.out));
        let file = folder.join("out");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&file, &got).unwrap();
        }
        if fs::read_to_string(&file).unwrap_or_default() != got {
            wrong.push(format!("{}:\n{got}", folder.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Fixtures and golden inputs.
fn messages() -> Vec<(PathBuf, Vec<u8>)> {
    let mut found: Vec<PathBuf> = golden()
        .into_iter()
        .map(|folder| folder.join("in.xml"))
        .collect();
    for folder in ["soap11", "soap12", "addressing", "bridge"] {
        let entries = fs::read_dir(root().join("fixtures").join(folder)).unwrap();
        found.extend(entries.map(|entry| entry.unwrap().path()));
    }
    found.retain(|path| path.extension().is_some_and(|end| end == "xml"));
    found
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

fn plans() -> Vec<Plan> {
    let soap = [None, Some(Version::Soap11), Some(Version::Soap12)];
    let addressing = [
        Target::Keep,
        Target::None,
        Target::To(Addressing::August2004),
        Target::To(Addressing::V10),
    ];
    let both = soap
        .into_iter()
        .flat_map(|soap| addressing.map(|addressing| (soap, addressing)));
    both.map(|(soap, addressing)| Plan {
        soap,
        addressing,
        transparent_headers: true,
        default_action: Some("urn:default:action".into()),
        ..Plan::default()
    })
    .collect()
}

type Bridged = Result<(String, Outcome), BridgeError>;

fn bridge(plan: &Plan, message: &[u8], cut: usize) -> Bridged {
    let bridge = Bridge::request(Arc::new(plan.clone()), Arriving::default())?;
    through(bridge, message, cut)
}

fn through(mut bridge: Bridge, message: &[u8], cut: usize) -> Bridged {
    let mut out = Vec::new();
    for chunk in message.chunks(cut.max(1)) {
        bridge.feed(chunk, &mut out)?;
    }
    bridge.finish(&mut out)?;
    let outcome = bridge.outcome().cloned().expect("decided");
    Ok((String::from_utf8(out).expect("UTF-8"), outcome))
}

#[test]
fn every_cut_gives_the_same() {
    for (path, message) in messages() {
        for plan in plans() {
            let whole = bridge(&plan, &message, message.len());
            for cut in [1, 2, 3, 5, 7, 13, 64, 300] {
                let told = bridge(&plan, &message, cut);
                assert_eq!(told, whole, "{} cut at {cut}", path.display());
            }
        }
    }
}

/// Events of a document, `Err` when it is none.
fn events(text: &str) -> Result<Vec<Event>, String> {
    let mut reader = Reader::new(text, &Limits::default());
    let mut all = Vec::new();
    while let Some(event) = reader.next_event().map_err(|error| error.to_string())? {
        all.push(event);
    }
    Ok(all)
}

/// The events with the envelope's namespace called by one name, and without prefixes.
fn neutral(text: &str) -> Vec<String> {
    let expanded = |name: &(String, String, String)| {
        let space = if name.2 == SOAP11 || name.2 == SOAP12 {
            "envelope"
        } else {
            &name.2
        };
        format!("{{{space}}}{}", name.1)
    };
    let shown = |event: &Event| match event {
        Event::Start { name, attributes } => {
            let mut all: Vec<String> = attributes
                .iter()
                .map(|(name, value)| format!("{}={value}", expanded(name)))
                .collect();
            all.sort();
            format!("<{} {}>", expanded(name), all.join(" "))
        }
        Event::Text(text) => text.clone(),
        Event::Comment(_) => String::new(),
        Event::End => "</>".to_owned(),
    };
    let all = events(text).unwrap().iter().map(shown).collect::<Vec<_>>();
    all.into_iter().filter(|event| !event.is_empty()).collect()
}

#[test]
fn what_comes_out_is_well_formed_and_says_what_it_is() {
    for (path, message) in messages() {
        for plan in plans() {
            let Ok((out, outcome)) = bridge(&plan, &message, 4096) else {
                continue;
            };
            if !outcome.changed {
                assert_eq!(out.as_bytes(), message, "{}", path.display());
                continue;
            }
            let told =
                events(&out).unwrap_or_else(|error| panic!("{}: {error}\n{out}", path.display()));
            let root = told
                .iter()
                .find(|event| matches!(event, Event::Start { .. }));
            let Some(Event::Start { name, .. }) = root else {
                panic!("{out}")
            };
            assert_eq!(name.2, outcome.to.soap.namespace(), "{out}");
            // Bridged again to the same, nothing is left to do.
            let (again, second) = bridge(&plan, out.as_bytes(), 4096).unwrap();
            assert!(!second.changed && again == out, "{}: {out}", path.display());
        }
    }
}

/// The W3C's examples come in both versions and differ in the envelope only.
#[test]
fn pairs_of_the_w3c() {
    let folder = root().join("fixtures/bridge");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Some(stem) = path
            .to_str()
            .and_then(|text| text.strip_suffix("-soap11.xml"))
        else {
            continue;
        };
        seen += 1;
        let twin = PathBuf::from(format!("{stem}-soap12.xml"));
        let text = |path: &Path| fs::read_to_string(path).unwrap();
        for (source, other, to) in [
            (&path, &twin, Version::Soap12),
            (&twin, &path, Version::Soap11),
        ] {
            let plan = Plan {
                soap: Some(to),
                ..Plan::default()
            };
            let (out, _) = bridge(&plan, text(source).as_bytes(), 100).unwrap();
            assert_eq!(neutral(&out), neutral(&text(other)), "{}", source.display());
        }
    }
    assert_eq!(seen, 139, "pairs are gone");
}

#[test]
fn there_and_back_is_the_same_where_nothing_was_lost() {
    let mut seen = 0;
    for (path, message) in messages() {
        let Ok(text) = String::from_utf8(message.clone()) else {
            continue;
        };
        let to = |soap| Plan {
            soap: Some(soap),
            transparent_headers: true,
            ..Plan::default()
        };
        for (there, back) in [
            (Version::Soap12, Version::Soap11),
            (Version::Soap11, Version::Soap12),
        ] {
            let Ok((out, first)) = bridge(&to(there), &message, 4096) else {
                continue;
            };
            if !first.changed {
                continue;
            }
            let Ok((again, second)) = bridge(&to(back), out.as_bytes(), 4096) else {
                panic!("{}: {out}", path.display())
            };
            let lost = !first.losses.is_empty() || !second.losses.is_empty();
            let changed = first.changed && first.from.soap == back;
            // Faults and mandatory marks are written anew, in the form of their version.
            if lost
                || !changed
                || first.fault.is_some()
                || text.contains("mustUnderstand")
                || text.contains("encodingStyle")
                || text.contains("actor")
            {
                continue;
            }
            seen += 1;
            assert_eq!(neutral(&again), neutral(&text), "{}", path.display());
        }
    }
    assert!(seen > 15, "{seen}");
}

#[test]
fn a_byte_that_is_cut_or_changed_never_makes_a_shorter_message() {
    let message = fs::read(root().join("fixtures/soap11/place-gold.xml")).unwrap();
    let plan = Plan {
        soap: Some(Version::Soap12),
        ..Plan::default()
    };
    let (whole, _) = bridge(&plan, &message, 4096).unwrap();
    let end = message.iter().rposition(|byte| *byte == b'>').unwrap();
    for length in 0..=end {
        assert!(
            bridge(&plan, &message[..length], 7).is_err(),
            "cut at {length}"
        );
    }
    for at in 0..message.len() {
        for byte in [b'<', b'>', b'/', b'&', b'"', 0, 0xFF] {
            let mut other = message.clone();
            other[at] = byte;
            if let Ok((out, outcome)) = bridge(&plan, &other, 64) {
                let length = other.len().abs_diff(message.len());
                let same = !outcome.changed || out.len() + 2 + length >= whole.len();
                assert!(same && events(&out).is_ok(), "{byte} at {at}: {out}");
            }
        }
    }
}

#[test]
fn other_encodings_leave_as_utf_8() {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-16\"?><e:Envelope xmlns:e=\"{SOAP11}\"><e:Body><a>ä€😀</a></e:Body></e:Envelope>"
    );
    let wide: Vec<u8> = std::iter::once(0xFEFF)
        .chain(text.encode_utf16())
        .flat_map(u16::to_be_bytes)
        .collect();
    let latin: Vec<u8> = text
        .replace("UTF-16", "ISO-8859-1")
        .replace("€😀", "")
        .chars()
        .map(|c| u8::try_from(c).unwrap())
        .collect();
    let marked = [
        b"\xEF\xBB\xBF".as_slice(),
        text.replace("UTF-16", "utf-8").as_bytes(),
    ]
    .concat();
    let plan = Plan {
        soap: Some(Version::Soap12),
        ..Plan::default()
    };
    for (message, name, content) in [
        (&wide, "UTF-8", "ä€😀"),
        (&latin, "UTF-8", "ä"),
        (&marked, "utf-8", "ä€😀"),
    ] {
        for cut in [1, 2, 3, 1000] {
            let (out, _) = bridge(&plan, message, cut).unwrap();
            let start = format!("<?xml version=\"1.0\" encoding=\"{name}\"?><s:Envelope");
            assert!(out.starts_with(&start), "{out}");
            assert!(out.contains(&format!("<a>{content}</a>")), "{out}");
        }
        // Where nothing changes, not even the encoding does.
        let same = Plan {
            soap: Some(Version::Soap11),
            ..Plan::default()
        };
        let mut bridge = Bridge::request(Arc::new(same), Arriving::default()).unwrap();
        let mut out = Vec::new();
        for chunk in message.chunks(3) {
            bridge.feed(chunk, &mut out).unwrap();
        }
        bridge.finish(&mut out).unwrap();
        assert_eq!(&out, message);
    }
}

/// A wrong byte behind the head of a message that does not change is its receiver's to find,
/// however the message came; in one that changes it is found.
#[test]
fn what_follows_the_head_is_judged_the_same_at_every_cut() {
    let start = format!("<e:Envelope xmlns:e=\"{SOAP11}\"><e:Body><a>");
    let (odd, end) = ([0xDC00_u16], "</a></e:Body></e:Envelope>");
    let units = || start.encode_utf16().chain(odd).chain(end.encode_utf16());
    let wide: Vec<u8> = units().flat_map(u16::to_le_bytes).collect();
    let ascii = format!("<?xml version='1.0' encoding='US-ASCII'?>{start}\u{e4}{end}");
    let filled = format!(
        "<?xml version='1.0'{}encoding='ISO-8859-1'?>",
        " ".repeat(1100)
    );
    let long = [filled.as_bytes(), start.as_bytes(), b"\xE4", end.as_bytes()].concat();
    let same = Plan {
        soap: Some(Version::Soap11),
        ..Plan::default()
    };
    let other = Plan {
        soap: Some(Version::Soap12),
        ..Plan::default()
    };
    for (message, passes) in [(&wide, true), (&ascii.into_bytes(), true), (&long, false)] {
        for cut in [1, 2, 3, 17, 64, 1023, 1024, 1025, message.len()] {
            let mut bridge = Bridge::request(Arc::new(same.clone()), Arriving::default()).unwrap();
            let mut out = Vec::new();
            let mut chunks = message.chunks(cut);
            let fed = chunks.try_for_each(|chunk| bridge.feed(chunk, &mut out));
            let told = fed.and_then(|()| bridge.finish(&mut out));
            assert_eq!(told.is_ok(), passes, "cut at {cut}: {told:?}");
            assert!(!passes || &out == message, "cut at {cut}");
            assert!(self::bridge(&other, message, cut).is_err(), "cut at {cut}");
        }
    }
}

#[test]
fn heads_and_faults_have_limits() {
    let plan = Plan {
        soap: Some(Version::Soap12),
        header_max: 2000,
        within: Within {
            fault_max: 4000,
            ..Within::default()
        },
        ..Plan::default()
    };
    let filling = "x".repeat(3000);
    let head = format!(
        "<e:Envelope xmlns:e=\"{SOAP11}\"><e:Header><a xmlns=\"urn:a\">{filling}</a></e:Header><e:Body/></e:Envelope>"
    );
    assert!(matches!(
        bridge(&plan, head.as_bytes(), 64),
        Err(BridgeError::Limit {
            name: "bridge_head",
            ..
        })
    ));
    let fault = |text: &str| {
        format!(
            "<e:Envelope xmlns:e=\"{SOAP11}\"><e:Body><e:Fault><faultcode>e:Client</faultcode><faultstring>{text}</faultstring></e:Fault></e:Body></e:Envelope>"
        )
    };
    assert!(bridge(&plan, fault(&filling).as_bytes(), 64).is_ok());
    let long = filling.repeat(2);
    assert!(matches!(
        bridge(&plan, fault(&long).as_bytes(), 64),
        Err(BridgeError::Limit {
            name: "fault_bytes",
            ..
        })
    ));
    // A body that is no fault has none.
    let body = fault(&long).replace("e:Fault", "e:Other");
    assert!(bridge(&plan, body.as_bytes(), 64).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Payloads of any text and nesting leave as they came.
    #[test]
    fn payloads_are_copied(
        text in "[ -~\u{e4}\u{20ac}\n\t]{0,40}",
        depth in 0_usize..20,
        cut in 1_usize..80,
        prefix in "(s|soap|env|s1|x)",
    ) {
        let text = text.replace(['<', '&', ']'], "");
        let open: String = (0..depth).map(|n| format!("<{prefix}:e{n} a='>' xmlns:{prefix}='urn:{n}'>")).collect();
        let close: String = (0..depth).rev().map(|n| format!("</{prefix}:e{n}>")).collect();
        let inside = format!("<r>{open}{text}<![CDATA[{text}]]><!-- c -->{close}</r>\n");
        let message = format!("<e:Envelope xmlns:e='{SOAP11}'><e:Body>{inside}</e:Body></e:Envelope>");
        let plan = Plan { soap: Some(Version::Soap12), ..Plan::default() };
        let (out, _) = bridge(&plan, message.as_bytes(), cut).unwrap();
        prop_assert!(out.contains(&inside), "{}", out);
        prop_assert!(events(&out).is_ok());
    }
}

/// Pieces of a body, of which some mean something to a bridge and some are wrong; `{}` is a value.
const PIECES: [&str; 18] = [
    "<o:Item sku='{}'><o:Quantity>{}</o:Quantity></o:Item>\n",
    "<o:Item sku='{}'><o:Quantity>{}</o:Quantity></o:Item>\n",
    "<o:Item sku='{}'><o:Quantity>{}</o:Quantity></o:Item>\n",
    "<o:Item sku='{}' e:encodingStyle='{}'><o:Quantity>{}</o:Quantity></o:Item>\n",
    "<o:Item><o:Quantity e:encodingStyle='{} {}'>{}</o:Quantity></o:Item>",
    "<o:Name>{}</o:Name><o:Note a='{}'/>",
    "<o:Note e:encodingStyle='{}'/>",
    "<e:Body><o:Item sku='{}'><o:Quantity>{}</o:Quantity></o:Item></e:Body>",
    "<e:Fault/>",
    "<s:x xmlns:s='urn:s'><o:Item sku='{}'><o:Quantity e:encodingStyle='{}'>{}</o:Quantity></o:Item></s:x>",
    "<s:x xmlns:s='urn:s'><o:Item sku='{}'><o:Quantity>{}</o:Quantity></o:Item></s:x>",
    "<d:Transform Algorithm='http://www.w3.org/TR/2001/REC-xml-c14n-20010315'/>",
    "<d:Transform Algorithm='{}'/>",
    "<!--{}-->{}<![CDATA[{}]]>",
    "<o:Item sku='{}'><o:Quantity>{}</o:Item>",
    "</o:Place><o:Place><o:Item sku='{}'><o:Quantity>{}</o:Quantity></o:Item>",
    "</o:Place><o:Place e:encodingStyle='{}'><o:Item sku='{}'><o:Quantity>{}</o:Quantity></o:Item>",
    "</o:Place></e:Body><o:Place><o:Item sku='{}'><o:Quantity>{}</o:Quantity></o:Item>",
];

/// Headers that are the same in many messages.
const HEADERS: [&str; 4] = [
    "",
    "<e:Header><o:Version>2</o:Version></e:Header>",
    "<e:Header><a:Action xmlns:a='http://www.w3.org/2005/08/addressing'>urn:a</a:Action></e:Header>",
    "<e:Header><a:Action xmlns:a='http://www.w3.org/2005/08/addressing'>urn:a</a:Action>\
     <a:MessageID xmlns:a='http://www.w3.org/2005/08/addressing'>urn:id</a:MessageID></e:Header>",
];

/// A message of these pieces, each with its value; the root may say how all of it is encoded.
fn built(
    version: bool,
    (styled, quotes): (bool, bool),
    header: usize,
    pieces: &[(usize, String)],
) -> String {
    let mut body: String = pieces
        .iter()
        .map(|(number, value)| PIECES[*number].replace("{}", value))
        .collect();
    body.push_str("</o:Place>");
    if !body.contains("</e:Body><o:Place>") {
        body.push_str("</e:Body>");
    }
    let version = if version { SOAP11 } else { SOAP12 };
    let style = if styled {
        " e:encodingStyle='urn:s'"
    } else {
        ""
    };
    let header = HEADERS[header];
    let text = format!(
        "<e:Envelope xmlns:e='{version}' xmlns:o='urn:o' xmlns:d='http://www.w3.org/2000/09/xmldsig#'{style}>\
         {header}<e:Body><o:Place>{body}</e:Envelope>\n"
    );
    // The content of Body is a message itself, or a fault.
    match quotes {
        true => text.replace("o:Place", if styled { "e:Fault" } else { "e:Envelope" }),
        false => text,
    }
}

/// A message and what is known beside it: versions, style, header, pieces; then action, languages, whether
/// anybody waits, and the charset.
fn any_message() -> impl Strategy<Value = (String, Arriving)> {
    let values = "[a-c \u{e4}]{0,3}|[a-z]{0,70}|&amp;|[&<;]";
    let envelope = (any::<bool>(), any::<(bool, bool)>(), 0..HEADERS.len());
    let pieces = prop::collection::vec((0..PIECES.len(), values), 0..9);
    let beside = (
        prop::option::of("urn:[ab]"),
        prop::option::of("de|en"),
        any::<bool>(),
        any::<u128>(),
        prop::option::of("utf-8|iso-8859-1"),
    );
    (envelope, pieces, beside).prop_map(|((version, kind, header), pieces, beside)| {
        let (action, languages, one_way, unique, charset) = beside;
        let arriving = Arriving {
            action,
            languages,
            one_way,
            unique,
            charset,
            ..Arriving::default()
        };
        (built(version, kind, header, &pieces), arriving)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// What a bridge remembers of the messages before changes nothing in what it makes of the next.
    #[test]
    fn what_came_before_changes_nothing(
        messages in prop::collection::vec((any_message(), any_message()), 1..12),
        plan in 0_usize..12,
        transparent_headers: bool,
        drop_trailers: bool,
        cut in prop_oneof![Just(1_usize << 20), 1_usize..300],
    ) {
        let plan = Arc::new(Plan { transparent_headers, drop_trailers, ..plans()[plan].clone() });
        for ((message, arriving), (answer, _)) in messages {
            let request = |plan: &Arc<Plan>| {
                let bridge = Bridge::request(Arc::clone(plan), arriving.clone())?;
                through(bridge, message.as_bytes(), cut)
            };
            let told = request(&plan);
            let alone = unremembering(|| request(&Arc::new((*plan).clone())));
            prop_assert!(are_same(&told, &alone), "{message} {arriving:?}: {told:?} {alone:?}");
            let Ok((_, outcome)) = told else { continue };
            let reply = |plan: &Arc<Plan>, context: Arc<Context>| {
                let bridge = Bridge::reply(Arc::clone(plan), context, None)?;
                through(bridge, answer.as_bytes(), cut)
            };
            let told = reply(&plan, Arc::clone(&outcome.context));
            let copy = Arc::new((*outcome.context).clone());
            let alone = unremembering(|| reply(&Arc::new((*plan).clone()), copy));
            prop_assert!(are_same(&told, &alone), "{answer} in answer to {message}: {told:?} {alone:?}");
        }
    }
}

/// Which of two mistakes is told may depend on where the message is cut, as behind a head that is known.
fn are_same(told: &Bridged, other: &Bridged) -> bool {
    told == other || told.is_err() && other.is_err()
}

/// On a thread of its own, which has nothing to remember.
fn unremembering<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}

/// Pieces that share what came are the bytes that copies would have been, wherever the chunks end.
#[test]
fn shared_pieces_are_the_same_bytes() {
    let items = "<o:Item Id=\"1\"><o:Name>Article</o:Name></o:Item>\n".repeat(1000);
    let styled = "<o:Data e:encodingStyle=\"urn:one\"/>";
    let long = "QUJD".repeat(20_000);
    let body = format!(
        "<o:Place xmlns:o=\"urn:o\">{items}{styled}{items}<o:Data>{long}</o:Data></o:Place>"
    );
    let message: Bytes = format!(
        "<e:Envelope xmlns:e=\"{SOAP11}\"><e:Body>{body}</e:Body></e:Envelope><!-- end -->"
    )
    .into();
    for soap in [Version::Soap11, Version::Soap12] {
        let plan = Plan {
            soap: Some(soap),
            ..Plan::default()
        };
        let (copied, _) = bridge(&plan, &message, message.len()).unwrap();
        for cut in [1000, 16_383, 16_384, 20_000, 65_536, message.len()] {
            let plan = Arc::new(plan.clone());
            let mut bridge = Bridge::request(plan, Arriving::default()).unwrap();
            let (mut pieces, mut last) = (Vec::new(), Vec::new());
            let mut rest = message.clone();
            while !rest.is_empty() {
                let chunk = rest.split_to(rest.len().min(cut));
                bridge.share(&chunk, &mut pieces).unwrap();
            }
            bridge.finish(&mut last).unwrap();
            let shared = [pieces.concat(), last].concat();
            assert_eq!(
                String::from_utf8(shared).unwrap(),
                copied,
                "{soap:?} cut at {cut}"
            );
        }
    }
}

/// All of an exchange, for every pair of dialects: the request there, an answer or a fault back.
#[test]
fn six_dialects_by_six_there_and_back() {
    let soap = [Version::Soap11, Version::Soap12];
    let addressing = [None, Some(Addressing::August2004), Some(Addressing::V10)];
    let dialects: Vec<_> = soap
        .into_iter()
        .flat_map(|soap| addressing.map(|addressing| (soap, addressing)))
        .collect();
    for caller in &dialects {
        for endpoint in &dialects {
            for fault in [false, true] {
                exchange(*caller, *endpoint, fault);
            }
        }
    }
}

type Dialect = (Version, Option<Addressing>);

fn exchange(caller: Dialect, endpoint: Dialect, fault: bool) {
    let plan = Plan {
        soap: Some(endpoint.0),
        addressing: endpoint.1.map_or(Target::None, Target::To),
        url: "http://there/".into(),
        ..Plan::default()
    };
    let plan = Arc::new(plan);
    let request = envelope(
        caller,
        "urn:op",
        "<MessageID>urn:asked</MessageID><ReplyTo><Address>ANON</Address></ReplyTo>",
        "<op/>",
    );
    let arriving = Arriving {
        action: Some("urn:op".into()),
        unique: 7,
        ..Arriving::default()
    };
    let mut there = Bridge::request(Arc::clone(&plan), arriving).unwrap();
    let mut sent = Vec::new();
    there.feed(request.as_bytes(), &mut sent).unwrap();
    there.finish(&mut sent).unwrap();
    let sent = String::from_utf8(sent).unwrap();
    let outcome = there.outcome().unwrap().clone();
    let what = format!("{caller:?} to {endpoint:?}\n{request}\n{sent}");
    assert_eq!(outcome.changed, caller != endpoint, "{what}");
    assert_eq!(outcome.action(), Some("urn:op"), "{what}");
    assert_dialect(&sent, endpoint, &what);
    assert!(sent.contains("<op/>"), "{what}");
    let asked = between(&sent, "MessageID");
    assert_eq!(asked.is_some(), endpoint.1.is_some(), "{what}");
    if caller.1.is_some() && endpoint.1.is_some() {
        assert_eq!(asked.as_deref(), Some("urn:asked"), "{what}");
    }
    // The endpoint answers in its own dialect, and relates to what it was asked.
    let relates = format!("<RelatesTo>{}</RelatesTo>", asked.unwrap_or_default());
    let (action, body) = match (fault, endpoint.0) {
        (false, _) => ("urn:opResponse", "<done/>"),
        (true, Version::Soap11) => (
            "FAULT",
            "<e:Fault><faultcode>e:Client</faultcode><faultstring>no</faultstring></e:Fault>",
        ),
        (true, Version::Soap12) => (
            "FAULT",
            "<e:Fault><e:Code><e:Value>e:Sender</e:Value></e:Code><e:Reason><e:Text xml:lang=\"en\">no</e:Text></e:Reason></e:Fault>",
        ),
    };
    let answer = envelope(endpoint, action, &relates, body);
    let mut back = Bridge::reply(Arc::clone(&plan), outcome.context, None).unwrap();
    let mut got = Vec::new();
    back.feed(answer.as_bytes(), &mut got).unwrap();
    back.finish(&mut got).unwrap();
    let got = String::from_utf8(got).unwrap();
    let outcome = back.outcome().unwrap();
    let what = format!("{caller:?} from {endpoint:?}\n{answer}\n{got}");
    assert_dialect(&got, caller, &what);
    if let Some(version) = caller.1 {
        assert_eq!(
            between(&got, "RelatesTo").as_deref(),
            Some("urn:asked"),
            "{what}"
        );
        let action = if fault {
            fault_action(version)
        } else {
            "urn:opResponse"
        };
        assert_eq!(between(&got, "Action").as_deref(), Some(action), "{what}");
    }
    assert_eq!(outcome.fault.is_some(), fault, "{what}");
    let status = outcome.status(if fault { 500 } else { 200 }, 400);
    let expected = match (fault, caller.0) {
        (false, _) => 200,
        (true, Version::Soap11) => 500,
        (true, Version::Soap12) => 400,
    };
    assert_eq!(status, expected, "{what}");
    if fault {
        let code = if caller.0 == Version::Soap11 {
            ":Client</faultcode>"
        } else {
            ":Sender</"
        };
        assert!(got.contains(code), "{what}");
    } else {
        assert!(got.contains("<done/>"), "{what}");
    }
}

fn fault_action(version: Addressing) -> &'static str {
    match version {
        Addressing::August2004 => "http://schemas.xmlsoap.org/ws/2004/08/addressing/fault",
        Addressing::V10 => "http://www.w3.org/2005/08/addressing/soap/fault",
    }
}

/// A message in this dialect; headers are written without a namespace, and get that of addressing.
fn envelope(dialect: Dialect, action: &str, headers: &str, body: &str) -> String {
    let mut header = String::new();
    if let Some(version) = dialect.1 {
        let namespace = version.namespace();
        let anonymous = match version {
            Addressing::August2004 => format!("{namespace}/role/anonymous"),
            Addressing::V10 => format!("{namespace}/anonymous"),
        };
        let action = if action == "FAULT" {
            fault_action(version)
        } else {
            action
        };
        let all = format!("<Action>{action}</Action><To>{anonymous}</To>{headers}")
            .replace("ANON", &anonymous);
        let all = all
            .replace("</", "\u{1}")
            .replace('<', "<w:")
            .replace('\u{1}', "</w:");
        let first = format!(" xmlns:w=\"{namespace}\">");
        for block in ["Action", "To", "MessageID", "ReplyTo", "RelatesTo"] {
            let (open, close) = (format!("<w:{block}>"), format!("</w:{block}>"));
            if let (Some(start), Some(end)) = (all.find(&open), all.find(&close)) {
                let inside = &all[start + open.len()..end];
                header.push_str(&format!("<w:{block}{first}{inside}{close}"));
            }
        }
        header = format!("<e:Header>{header}</e:Header>");
    }
    format!(
        "<e:Envelope xmlns:e=\"{}\">{header}<e:Body>{body}</e:Body></e:Envelope>",
        dialect.0.namespace()
    )
}

/// The text of the first element of this local name.
fn between(text: &str, name: &str) -> Option<String> {
    let mut inside = None;
    for event in events(text).unwrap() {
        match event {
            Event::Start { name: found, .. } => inside = (found.1 == name).then_some(()),
            Event::Text(text) if inside.is_some() => return Some(text),
            _ => {}
        }
    }
    None
}

fn assert_dialect(text: &str, dialect: Dialect, what: &str) {
    let spaces: Vec<String> = events(text)
        .unwrap()
        .into_iter()
        .filter_map(|event| match event {
            Event::Start { name, .. } => Some(name.2),
            _ => None,
        })
        .collect();
    assert_eq!(spaces[0], dialect.0.namespace(), "{what}");
    let used = |namespace: &str| spaces.iter().any(|space| space == namespace);
    for version in [Addressing::August2004, Addressing::V10] {
        assert_eq!(
            used(version.namespace()),
            dialect.1 == Some(version),
            "{what}"
        );
    }
}
