//! Bridging as data: golden cases through the verb, and what must hold for every message.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use soap_router::soap::{
    Addressing, Arriving, Bridge, BridgeError, Outcome, Plan, Target, Version,
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
    let mut bridge = Bridge::request(Arc::new(plan.clone()), Arriving::default())?;
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
    assert!(seen >= 3, "the pairs are gone");
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

#[test]
fn heads_and_faults_have_limits() {
    let plan = Plan {
        soap: Some(Version::Soap12),
        header_max: 2000,
        fault_max: 4000,
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
