//! Streaming against the plain tree evaluator, on random documents and expressions; every cut the same.
//!
//! `ENGINE_CASES` asks for more cases than the default.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use soap_router::xml::{Limits, Nobody};
use soap_router::xpath::{AtomId, Pause, Progress, Run, Set, Strategy as How, why};

use crate::generate::{document, expression};
use crate::support::{ask_all, expr, set_of};

fn cases(default: u32) -> u32 {
    std::env::var("ENGINE_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(default)
}

#[test]
fn streaming_is_the_tree() {
    let mut runner = TestRunner::new(Config {
        cases: cases(300),
        failure_persistence: None,
        ..Config::default()
    });
    let inputs = (
        prop::collection::vec(expression(), 1..20),
        document(),
        1..40_usize,
    );
    let counts = std::cell::Cell::new((0_u64, 0_u64));
    let run = runner.run(&inputs, |(expressions, document, size)| {
        let texts: Vec<&str> = expressions.iter().map(String::as_str).collect();
        let set = set_of(&texts);
        let expected: Vec<bool> = texts
            .iter()
            .map(|text| {
                why(
                    &expr(text),
                    document.as_bytes(),
                    &[],
                    &Limits::default(),
                    None,
                )
                .unwrap()
                .holds
            })
            .collect();
        for size in [usize::MAX, size] {
            let found = ask_all(&texts, document.as_bytes(), size).unwrap();
            for (index, text) in texts.iter().enumerate() {
                let how = set.strategy(AtomId(index as u32));
                let (streamed, trees) = counts.get();
                let streams = matches!(how, Some(How::Streaming { .. }));
                counts.set((streamed + u64::from(streams), trees + u64::from(!streams)));
                prop_assert_eq!(
                    found[index],
                    expected[index],
                    "{} ({:?}) pieces of {}",
                    text,
                    how,
                    size
                );
            }
        }
        Ok(())
    });
    let (streamed, trees) = counts.get();
    println!("answers compared: {streamed} streamed, {trees} on trees");
    if let Err(error) = run {
        panic!("{error}");
    }
}

/// What a run remembers of the messages before changes no answer.
#[test]
fn messages_before_leave_no_trace() {
    let mut runner = TestRunner::new(Config {
        cases: cases(150),
        failure_persistence: None,
        ..Config::default()
    });
    let spaced = document().prop_map(|document| document + &" ".repeat(80));
    let inputs = (
        prop::collection::vec(expression(), 1..20),
        prop::collection::vec(spaced, 1..4),
        prop::collection::vec(0_usize..4, 3..9),
    );
    let found = runner.run(&inputs, |(expressions, documents, order)| {
        let texts: Vec<&str> = expressions.iter().map(String::as_str).collect();
        let set = set_of(&texts);
        let mut run = Run::new();
        for number in order {
            let document = documents[number % documents.len()].as_bytes();
            run.begin(&set, &[], &Limits::default(), None).unwrap();
            let mut rest = document;
            while let Progress::Paused(taken) = run.feed(&set, rest, &mut Nobody).unwrap() {
                rest = &rest[taken..];
                if rest.is_empty() {
                    break;
                }
            }
            run.finish(&set, &mut Nobody).unwrap();
            if run.needs_tree() {
                run.evaluate_trees(&set, document).unwrap();
            }
            let fresh = ask_all(&texts, document, usize::MAX).unwrap();
            for (number, text) in (0..).zip(&texts) {
                let answer = run.state(AtomId(number)).unwrap();
                prop_assert_eq!(answer, fresh[number as usize], "{}", text);
            }
        }
        Ok(())
    });
    if let Err(error) = found {
        panic!("{error}");
    }
}

/// One place of a message that is written otherwise.
#[derive(Debug, Clone, Copy)]
enum Edit {
    Value(&'static str),
    Byte(u8),
    Delete(usize),
    Double(usize),
}

fn edit() -> impl Strategy<Value = (usize, Edit)> {
    let edit = prop_oneof![
        6 => prop::sample::select(&["x", "1", "2.5", "abc", "", "y z", "ä", "xyxyxyxyxyxyxyxyxyxyxyxy"][..])
            .prop_map(Edit::Value),
        2 => prop::sample::select(&b"<>&'\"/= ]x\n\r\t\x01\xC3-"[..]).prop_map(Edit::Byte),
        1 => (1_usize..20).prop_map(Edit::Delete),
        2 => (1_usize..200).prop_map(Edit::Double),
    ];
    (any::<usize>(), edit)
}

/// A message with edits: values between two tags or quotes, or bytes anywhere.
fn edited(message: &str, edits: &[(usize, Edit)]) -> Vec<u8> {
    let mut bytes = message.as_bytes().to_vec();
    for (place, edit) in edits {
        let at = place % (bytes.len() + 1);
        match *edit {
            Edit::Value(value) => {
                let Some(open) = bytes[at..].iter().position(|b| matches!(b, b'>' | b'\'')) else {
                    continue;
                };
                let start = at + open + 1;
                let ends = |b: &u8| matches!(b, b'<' | b'\'');
                let end = bytes[start..].iter().position(ends).map(|end| start + end);
                bytes.splice(start..end.unwrap_or(start), value.bytes());
            }
            Edit::Byte(byte) => {
                if let Some(old) = bytes.get_mut(at) {
                    *old = byte;
                }
            }
            Edit::Delete(count) => {
                bytes.drain(at..(at + count).min(bytes.len()));
            }
            Edit::Double(count) => {
                let piece = bytes[at..(at + count).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

/// All that a run says of a message: where it pauses, what matched until then, and how it ends.
fn transcript(run: &mut Run, set: &Set, message: &[u8], size: usize) -> Vec<String> {
    transcript_within(run, set, message, size, &Limits::default())
}

fn transcript_within(
    run: &mut Run,
    set: &Set,
    message: &[u8],
    size: usize,
    limits: &Limits,
) -> Vec<String> {
    let mut lines = Vec::new();
    let matched = |run: &Run| {
        let mut matched: Vec<u32> = run.matched().iter().map(|atom| atom.0).collect();
        matched.sort_unstable();
        format!("{matched:?} decided at {}", run.decided_at())
    };
    run.set_pause(Pause::AtEachDecision);
    run.begin(set, &[], limits, None).unwrap();
    let mut at = 0;
    for chunk in message.chunks(size) {
        let mut rest = chunk;
        loop {
            match run.feed(set, rest, &mut Nobody) {
                Err(error) => {
                    lines.push(error.to_string());
                    return lines;
                }
                Ok(Progress::More) => break,
                Ok(Progress::Paused(taken)) => {
                    at += taken;
                    rest = &rest[taken..];
                    lines.push(format!("paused at {at}: {}", matched(run)));
                }
            }
        }
        at += rest.len();
    }
    lines.push(match run.finish(set, &mut Nobody) {
        Err(error) => error.to_string(),
        Ok(()) => format!("ends at {}: {}", run.offset(), matched(run)),
    });
    lines
}

/// Markup that stood in the messages before is compared, not read: that changes nothing of what is said of
/// a message, be it right or wrong, nor where.
#[test]
fn a_message_like_those_before_is_read_like_the_first() {
    let mut runner = TestRunner::new(Config {
        cases: cases(60),
        failure_persistence: None,
        ..Config::default()
    });
    let inputs = (
        prop::collection::vec(expression(), 1..12),
        document(),
        prop::collection::vec(prop::collection::vec(edit(), 0..3), 2..8),
        prop::sample::select(&[usize::MAX, usize::MAX, 1000, 150, 64, 7, 1][..]),
        any::<bool>(),
    );
    let found = runner.run(&inputs, |(expressions, document, versions, size, all)| {
        let texts: Vec<&str> = expressions.iter().map(String::as_str).collect();
        let set = set_of(&texts);
        let mut run = Run::new();
        run.set_check_all(all);
        for edits in versions {
            let message = edited(&document, &edits);
            let mut fresh = Run::new();
            fresh.set_check_all(all);
            let expected = transcript(&mut fresh, &set, &message, size);
            let found = transcript(&mut run, &set, &message, size);
            prop_assert_eq!(found, expected, "{}", String::from_utf8_lossy(&message));
        }
        Ok(())
    });
    if let Err(error) = found {
        panic!("{error}");
    }
}

/// What a comment decides is told at the next tag, also where that could be taken by trace.
#[test]
fn a_comment_decides_at_the_next_tag_in_every_message() {
    let set = set_of(&["//comment() = true()"]);
    let message = "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body>\
                   <a>10<!-- x --><!-- x --><![CDATA[x]]></a><b>abc<b/>10</b>abc</s:Body></s:Envelope>";
    let mut run = Run::new();
    for _ in 0..4 {
        let found = transcript(&mut run, &set, message.as_bytes(), usize::MAX);
        let expected = transcript(&mut Run::new(), &set, message.as_bytes(), usize::MAX);
        assert_eq!(found, expected);
    }
}

/// An order as a service gets many; `n` tells one from the other.
fn order(n: usize) -> String {
    let lines: String = (0..3)
        .map(|line| {
            format!(
                "\n   <o:Line number='{line}' sku='s{n}'><o:Sku>s{line}</o:Sku> <o:Note/><o:Empty no='{n}'/>\
                 <o:Quantity unit=\"pcs\">{n}</o:Quantity><o:ALongerNameThanMost>{n}</o:ALongerNameThanMost>\
                 <o:Price>{}.5</o:Price>\n</o:Line>",
                n * 100 + line
            )
        })
        .collect();
    let gifts: String = (0..3)
        .map(|gift| {
            format!(
                "<o:Gift no='g{n}' by=\"\"><o:For><o:Whom>w{gift}</o:Whom>\n</o:For><o:Wrap a='{n}'/></o:Gift>"
            )
        })
        .collect();
    format!(
        "<?xml version='1.0'?><s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/' xmlns:o='urn:o'>\n\
         <s:Header><o:Version>v{n}</o:Version><o:Tag id='i{n}'/></s:Header>\n<s:Body><o:Order no='n{n}'>\
         <o:Id>k{n}</o:Id><o:Tier>gold</o:Tier>{gifts}<o:Customer><o:Name>x{n}</o:Name></o:Customer>\
         <o:Lines>{lines}</o:Lines></o:Order></s:Body></s:Envelope>"
    )
}

/// Elements whose ends tell something end beside and inside such whose ends do not, in messages of which the
/// later ones are taken by trace.
#[test]
fn what_an_end_decides_is_decided_in_every_message() {
    let quiet = [
        "//o:Line[@sku='s2']/o:Price > 201",
        "//o:Order[o:Id='k2' and @no='n2']",
        "//o:Order[@no='n2']/o:Lines/o:Line[@sku='s2']/o:Price > 202",
        "//o:Gift[@no='g2']/o:For/o:Whom='w1'",
        "//o:Gift[@no='g2']/o:For/o:Whom='w7'",
    ];
    let loud = [
        "//o:Line[@sku='s2' and not(o:Gone)]",
        "//o:Line[@sku='s2' and not(o:Note)]",
        "//o:Order[@no='n2' and not(o:Tier='tin')]/o:Lines/o:Line[@sku='s2']/o:Price > 202",
        "//o:Gift[@no='g2'][not(o:For/o:Whom='w1')]",
        "//o:Gift[@no='g2'][count(o:Wrap)=1]/o:For",
    ];
    let holding = |texts: &[&str], n: usize| {
        let wrong = |text: &&&str| text.contains("w7") || text.contains("(o:Note)");
        let right = texts.iter().filter(|text| n == 2 && !wrong(text));
        right.count()
    };
    for texts in [&quiet[..], &loud[..], &[quiet, loud].concat()] {
        let set = set_of(texts);
        for size in [usize::MAX, 64, 1] {
            let mut run = Run::new();
            for n in [2, 1, 2, 3, 2, 2] {
                transcript(&mut run, &set, order(n).as_bytes(), size);
                assert_eq!(run.matched().len(), holding(texts, n), "{texts:?} of {n}");
            }
        }
    }
}

/// The same, systematically: in a message like those before each byte is another once, missing, or the last.
#[test]
fn a_message_like_those_before_but_for_a_byte() {
    let sets = [
        vec!["//o:Nothing"],
        vec![
            "//o:Line[@sku='s2']/o:Price > 200",
            "//o:Id='k2'",
            "//o:Order[o:Tier='gold' and @no='n1']",
            "/s:Envelope/s:Header/o:Version='v2'",
        ],
        vec![
            "/s:Envelope/s:Header/o:Tag/@id='i2'",
            "/s:Envelope/s:Header[o:Version='v2']/o:Tag",
            "starts-with(/s:Envelope/s:Header/o:Version, 'v')",
            "string-length(/s:Envelope/s:Body/o:Order/o:Tier)=4",
            "/s:Envelope/s:Body/o:Order/o:Customer/o:Name='x2'",
        ],
        // What the start of a leaf decides, and what its text decides behind it.
        vec![
            "/s:Envelope/s:Header/o:Version",
            "/s:Envelope/s:Header/o:Version='v2'",
            "/s:Envelope/s:Body/o:Order[o:Tier='gold']/o:Id",
            "starts-with(/s:Envelope/s:Body/o:Order/o:Id, 'k2')",
            "sum(/s:Envelope/s:Body/o:Order/o:Lines/o:Line/o:Quantity)=6",
            "count(/s:Envelope/s:Body/o:Order/o:Lines/o:Line/o:Price)=3",
            "/s:Envelope/s:Body/o:Order/o:Lines/o:Line[@sku='s2']/o:ALongerNameThanMost",
        ],
        vec![
            "count(//o:Line)=3",
            "//o:Line[2]/o:Sku='s1'",
            "//o:Line[not(o:Gone)]/o:Note",
            "//o:Empty/@no='1'",
            "sum(//o:Quantity)=6",
            "//o:Customer='x2'",
            "//o:Line[o:Price>100]//o:ALongerNameThanMost='2'",
            "//o:Lines/text()='x'",
        ],
    ];
    for texts in sets {
        let set = set_of(&texts);
        let mut run = Run::new();
        let mut held = |message: &[u8], size: usize| {
            let found = transcript(&mut run, &set, message, size);
            let expected = transcript(&mut Run::new(), &set, message, size);
            assert_eq!(found, expected, "{}", String::from_utf8_lossy(message));
        };
        for n in [1, 2, 1] {
            held(order(n).as_bytes(), usize::MAX);
        }
        let message = order(2).into_bytes();
        for at in 0..message.len() {
            for number in 0..2 {
                let mut other = message.clone();
                other[at] = b"<&'\x01>x]/ \xE4\"\r"[(at + 5 * number) % 12];
                held(&other, usize::MAX);
            }
            let mut other = message.clone();
            other.remove(at);
            held(&other, usize::MAX);
            if at % 3 == 0 {
                held(&message[..at], usize::MAX);
                held(&message, at + 1);
            }
        }
    }
}

/// Lists are passed while nobody waits for their values: each item that means something is told all the same.
#[test]
fn in_a_list_each_value_is_met_where_it_stands() {
    let sets = [
        vec![
            "//o:Item[@sku='B']",
            "//o:Item/o:Quantity='7'",
            "//o:Quantity='8'",
            "//o:Gone='x'",
        ],
        vec!["//o:Item[@sku='B' and o:Quantity='7']", "//o:Note='8'"],
        vec![
            "//o:Item[@sku='B']/o:Quantity='7'",
            "//o:Item/@no='8'",
            "starts-with(//o:Note, 'B')",
        ],
        // More tests on one value than are kept for a list.
        vec![
            "//o:Quantity='7'",
            "//o:Item/o:Quantity='8'",
            "/*/*/*/o:Item/o:Quantity='B'",
            "//o:Item/@*='7'",
        ],
        vec![
            "count(//o:Item[@sku='B'])=2",
            "//o:Quantity!='1'",
            "//o:Note>7",
            "//@sku='8'",
        ],
        vec!["//o:Note='7'", "//o:Note='B'", "//o:Quantity='8'"],
        vec!["//o:Gone='x'"],
        vec!["/*/*/*/o:Gone='x'"],
    ];
    let values = |item: usize| {
        [
            format!("A{item}"),
            format!("{item}"),
            "1".to_owned(),
            "x".to_owned(),
        ]
    };
    let list = |other: Option<(usize, usize, &str)>| {
        let items: String = (0..12)
            .map(|item| {
                let mut values = values(item % 3);
                if let Some((_, number, value)) = other.filter(|(at, ..)| *at == item) {
                    values[number] = value.to_owned();
                }
                let [sku, no, quantity, note] = values;
                format!(
                    "<o:Item sku=\"{sku}\" no='{no}'><o:Quantity>{quantity}</o:Quantity>\
                     <o:Note>{note}</o:Note></o:Item>\n"
                )
            })
            .collect();
        format!(
            "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/' xmlns:o='urn:o'><s:Body>\
             <o:Order>{items}<o:Gone>y</o:Gone></o:Order></s:Body></s:Envelope>"
        )
    };
    // A value may be too long, or its tag.
    let limits = [
        Limits {
            attribute_bytes_max: 79,
            ..Limits::default()
        },
        Limits {
            tag_bytes_max: 100,
            ..Limits::default()
        },
    ];
    let long = "7".repeat(80);
    for (limits, texts) in limits
        .iter()
        .flat_map(|of| sets.iter().map(move |set| (of, set)))
    {
        let set = set_of(texts);
        let mut run = Run::new();
        let mut held = |message: &str, size: usize| {
            let said =
                |run: &mut Run| transcript_within(run, &set, message.as_bytes(), size, limits);
            let (found, expected) = (said(&mut run), said(&mut Run::new()));
            assert_eq!(found, expected, "{texts:?} {message}");
        };
        held(&list(None), usize::MAX);
        for (item, number) in (0..12).flat_map(|item| (0..4).map(move |number| (item, number))) {
            for value in ["7", "8", "B", "", "BB", "&#55;", "a > b", &long] {
                held(&list(Some((item, number, value))), usize::MAX);
            }
            held(&list(Some((item, number, "7"))), 100 + item);
        }
    }
}

/// What the envelope says of itself is the same after other messages, however its header was written.
#[test]
fn envelopes_say_of_themselves_what_the_first_would_say() {
    use soap_router::soap::{Head, class_of};
    use soap_router::xpath::{Atom, Landmarks, Set};
    const WSA04: &str = "xmlns:w='http://schemas.xmlsoap.org/ws/2004/08/addressing'";
    const WSA10: &str = "xmlns:w='http://www.w3.org/2005/08/addressing'";
    let blocks = [
        "<w:Action>urn:a</w:Action>",
        "<w:Action>urn:b</w:Action>",
        "<w:Action s:mustUnderstand='1'> urn:c </w:Action>",
        "<w:Action s:actor='urn:other'>urn:d</w:Action>",
        "<w:To s:actor='http://schemas.xmlsoap.org/soap/actor/next'>urn:e</w:To>",
        "<w:To>urn:f</w:To>",
        "<w:To>urn:<x/> g</w:To>",
        "<w:To><!-- c -->urn:h&amp;i</w:To>",
        "<w:To/>",
        "<w:MessageID>1</w:MessageID>",
        "<w:ReplyTo><w:Address>urn:r</w:Address></w:ReplyTo>",
        "<o:Version>2</o:Version>",
        "<o:Version s:actor='http://schemas.xmlsoap.org/soap/actor/next'>2</o:Version>",
        "<v:To xmlns:v='http://www.w3.org/2005/08/addressing'>urn:j</v:To>",
        "text",
        "<o:Tag id='1'/>",
    ];
    let bodies = [
        "<o:Place><o:Tier>gold</o:Tier></o:Place>",
        "<o:Cancel><o:Tier>gold</o:Tier></o:Cancel>",
        "<w:Action>urn:x</w:Action><o:Second/>",
        "",
    ];
    let envelope = |choice: &[usize]| {
        let wsa = if choice[0] < 4 { WSA04 } else { WSA10 };
        let space = if choice[1] < 8 { "\n  " } else { "" };
        let header: String = choice[3..]
            .iter()
            .map(|n| format!("{space}{}", blocks[n % 16]))
            .collect();
        format!(
            "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/' {wsa} xmlns:o='urn:o'>\
             <s:Header>{header}</s:Header><s:Body>{space}{}</s:Body></s:Envelope>",
            bodies[choice[2] % 4]
        )
    };
    let landmarks = Landmarks {
        classes: Some(class_of),
        ..crate::support::landmarks()
    };
    let atoms = [
        "//o:Tier='gold'",
        "/s:Envelope/s:Header/o:Version='2'",
        "/s:Envelope/s:Header/wsa:MessageID='1'",
        "starts-with(/s:Envelope/s:Header/wsa:Action, 'urn:b')",
        "/s:Envelope/s:Header/wsa:To",
    ];
    let atoms = atoms.map(|text| Atom {
        expr: expr(text),
        level: 0,
    });
    let set = Set::compile(atoms.into(), &landmarks);
    let told = |run: &mut Run, message: &str| {
        let mut head = Head::new(None);
        run.begin(&set, &[], &Limits::default(), None).unwrap();
        let mut rest = message.as_bytes();
        let mut pauses = Vec::new();
        while let Ok(Progress::Paused(taken)) = run.feed(&set, rest, &mut head) {
            rest = &rest[taken..];
            pauses.push((message.len() - rest.len(), head.stage()));
            if head.error().is_some() {
                break;
            }
        }
        format!(
            "{pauses:?} {:?} {:?} {:?}",
            head.facts(),
            head.error(),
            run.matched()
        )
    };
    let mut runner = TestRunner::new(Config {
        cases: cases(500),
        failure_persistence: None,
        ..Config::default()
    });
    let choices = prop::collection::vec(prop::collection::vec(0_usize..16, 4..8), 2..12);
    let found = runner.run(&choices, |choices| {
        let mut run = Run::new();
        for choice in choices {
            let message = envelope(&choice);
            let expected = told(&mut Run::new(), &message);
            prop_assert_eq!(told(&mut run, &message), expected, "{}", message);
        }
        Ok(())
    });
    if let Err(error) = found {
        panic!("{error}");
    }
}

/// In a message whose markup is compared, a tag without attributes is not taken to have those of the tag before.
#[test]
fn a_tag_without_attributes_has_not_those_of_the_tag_before() {
    let set = set_of(&[
        "count(//a[@i='1'])=6",
        "count(//a[@i='1'])>6",
        "//a[@i='1']/c",
    ]);
    // What stands where the attribute stood in the tag before is the same.
    let pair = "<a i='1'><b>1</b></a><a><b>1</b><c/></a>";
    let message = format!("<r>{}</r>", pair.repeat(6));
    let mut run = Run::new();
    run.begin(&set, &[], &Limits::default(), None).unwrap();
    run.feed(&set, message.as_bytes(), &mut Nobody).unwrap();
    run.finish(&set, &mut Nobody).unwrap();
    assert_eq!(run.matched(), [AtomId(0)]);
}

#[test]
fn a_list_is_passed_whatever_its_values_and_its_markup_are() {
    let long = "n".repeat(75);
    // Items by what stands before, between and behind their two values.
    let shapes = [
        [
            "<o:I a=\"".to_owned(),
            "\"><o:Q>".to_owned(),
            "</o:Q></o:I>\n".to_owned(),
        ],
        [
            "<o:I a='".to_owned(),
            "' b='1'/><o:Q>".to_owned(),
            "</o:Q>".to_owned(),
        ],
        [
            "<o:Item sku=\"".to_owned(),
            "\"><o:Quantity>".to_owned(),
            "</o:Quantity></o:Item>\n".to_owned(),
        ],
        [
            format!("<o:I a=\"1\"><o:{long}>"),
            format!("</o:{long}><o:Q><o:P/>"),
            format!("</o:Q><o:{long}/></o:I>"),
        ],
        [
            "<o:I xx=\"1\" a=\"".to_owned(),
            "\"/><o:Gone/><o:Row><o:Q>".to_owned(),
            format!("</o:Q>{}</o:Row>\n\n", "<o:V/>".repeat(80)),
        ],
    ];
    let sets = [
        vec!["//o:Gone='x'"],
        vec!["//@a='it'", "//o:Q='7'", "//o:Q=''"],
        vec![
            "//o:I/@a=''",
            "/*/*/*/o:Q='12345678901234567890123456789012'",
        ],
    ];
    let lengths = (30..35).map(|length| "1234567890".repeat(4)[..length].to_owned());
    let values = [
        "it", "it's", "7", "", "[7]", "\u{E9}7", "7\n", "a > b", "&#55;",
    ];
    let values: Vec<String> = values
        .map(str::to_owned)
        .into_iter()
        .chain(lengths)
        .collect();
    let quoted = "say \"it\"".to_owned();
    let message = |[before, between, behind]: &[String; 3], other: (usize, usize, &str)| {
        let items: String = (0..9)
            .map(|item| {
                let value = |number: usize| match other {
                    (at, which, value) if (at, which) == (item, number) => value.to_owned(),
                    _ => format!("A{}", item % 4),
                };
                format!("{before}{}{between}{}{behind}", value(0), value(1))
            })
            .collect();
        format!(
            "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/' xmlns:o='urn:o'><s:Body>\
             <o:Order>{items}<o:Gone>y</o:Gone></o:Order></s:Body></s:Envelope>"
        )
    };
    for (texts, shape) in sets
        .iter()
        .flat_map(|set| shapes.iter().map(move |of| (set, of)))
    {
        let set = set_of(texts);
        let mut run = Run::new();
        let mut held = |message: &str, size: usize| {
            let found = transcript(&mut run, &set, message.as_bytes(), size);
            let expected = transcript(&mut Run::new(), &set, message.as_bytes(), size);
            assert_eq!(found, expected, "{texts:?} {message}");
        };
        let plain = message(shape, (9, 0, ""));
        held(&plain, usize::MAX);
        for item in 0..9 {
            for value in &values {
                if !(value.contains('\'') && shape[0].ends_with('\'')) {
                    held(&message(shape, (item, 0, value)), usize::MAX);
                }
                held(&message(shape, (item, 1, value)), usize::MAX);
            }
            held(&message(shape, (item, 1, &quoted)), usize::MAX);
            held(&message(shape, (item, 0, "it")), 70 + 31 * item);
        }
        // A byte of the markup is another one.
        for at in (plain.len() / 2..plain.len()).step_by(3) {
            let mut bytes = plain.clone().into_bytes();
            bytes[at] = b'o';
            held(&String::from_utf8(bytes).unwrap(), usize::MAX);
        }
    }
}
