//! What the scanner tells and refuses; quick-xml must agree; every cut gives the same.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use soap_router::xml::{EndTag, Event, Fed, Flow, Limits, Reader, Scanner, Sink, Tag, Unconcerned};

use crate::generate::document;
use crate::support::{Log, scan, scan_with};

const GOOD: &[&str] = &[
    "<a/>",
    "<a></a>",
    "<?xml version=\"1.0\"?><a/>",
    "<?xml version='1.0' encoding='UTF-8' standalone='yes' ?>\r\n<a/>\n<!-- end -->",
    "<!-- x --><a b='1' c=\"2\">t<b/>u</a>",
    "<a xmlns='u'><b xmlns=''/><p:c xmlns:p='v' p:x='1' x='2'/></a>",
    "<a>&lt;&gt;&amp;&quot;&apos;&#65;&#x42;</a>",
    "<a b='&lt;&#10;x\ty\r\nz'/>",
    "<a>x\r\ny\rz\n</a>",
    "<a><![CDATA[<x>]]]]><![CDATA[>]]>t<!--c-->u</a >",
    "<a>]] ></a>",
    "<a b = '1'\n c\t=\t\"2\" />",
    "<é:ü xmlns:é='urn:é' é:ö='ß'>€😀</é:ü>",
    "<a b='>'>></a>",
    "<a xmlns:p='u'><b xmlns:q='u'><p:c q:d='1' d='2'/></b></a>",
    "\u{FEFF}<a>bom</a>",
    "<a><b><c><d x='/'>/</d></c></b><!----></a>",
];

const BAD: &[&str] = &[
    "",
    " ",
    "x",
    "<a>",
    "<a></b>",
    "<a/><b/>",
    "<a/>x",
    "x<a/>",
    "<a b='1' b='2'/>",
    "<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>",
    "<p:a/>",
    "<a p:b='1'/>",
    "<a b='<'/>",
    "<a b=1/>",
    "<a b/>",
    "<a b='1'c='2'/>",
    "<a>&nbsp;</a>",
    "<a>& </a>",
    "<a>&#0;</a>",
    "<a>&#xD800;</a>",
    "<a>]]></a>",
    "<a>]]]></a>",
    "<?xml version=\"1\0\"?><a/>",
    "<a><!-- -- --></a>",
    "<a><!-- ---></a>",
    "<a><?pi x?></a>",
    "<?pi?><a/>",
    "<!DOCTYPE a><a/>",
    " <?xml version='1.0'?><a/>",
    "<?xml version='1.1'?><a/>",
    "<?xml encoding='UTF-8'?><a/>",
    "<1a/>",
    "<a:b:c xmlns:a='u'/>",
    "<:a/>",
    "<a:/>",
    "<a xmlns:p=''/>",
    "<a xmlns:xml='u'/>",
    "<a xmlns:xmlns='u'/>",
    "<a xmlns='http://www.w3.org/2000/xmlns/'/>",
    "<xmlns:a/>",
    "<a>\u{1}</a>",
    "<a>\u{FFFF}</a>",
    "<a b='\u{2}'/>",
    "<![CDATA[x]]><a/>",
    "<a/><![CDATA[x]]>",
    "<a><![cdata[x]]></a>",
    "< a/>",
    "<a></ a>",
    "<a/ >",
    "<a><b></a></b>",
    "</a>",
    "<a xmlns:p='u' xmlns:p='v'/>",
    "<a b='&x;'/>",
    "<!doctype a><a/>",
    "<a",
    "<a b='",
    "<a><!--",
    "<a>&am",
];

/// The reader's events in the log's words.
fn read(text: &str) -> (Vec<String>, bool) {
    let mut lines = Vec::new();
    let mut reader = Reader::new(text, &Limits::default());
    loop {
        match reader.next_event() {
            Ok(Some(Event::Start { name, attributes })) => {
                let mut line = format!("start {{{}}}{}", name.2, name.1);
                for (name, value) in attributes {
                    line += &format!(" {{{}}}{}={:?}", name.2, name.1, value);
                }
                lines.push(line);
            }
            Ok(Some(Event::Text(text))) => lines.push(format!("text {text:?}")),
            Ok(Some(Event::Comment(text))) => lines.push(format!("comment {text:?}")),
            Ok(Some(Event::End)) => lines.push("end".into()),
            Ok(None) => return (lines, true),
            Err(_) => return (lines, false),
        }
    }
}

fn same_however_cut(bytes: &[u8], charset: Option<&str>) -> (Log, bool) {
    let whole = scan(bytes, &[usize::MAX], charset);
    for size in [1, 2, 3, 7] {
        assert_eq!(
            scan(bytes, &[size], charset),
            whole,
            "{size}: {}",
            String::from_utf8_lossy(bytes)
        );
    }
    for cut in 0..bytes.len() {
        assert_eq!(
            scan(bytes, &[cut, usize::MAX], charset),
            whole,
            "cut {cut}: {}",
            String::from_utf8_lossy(bytes)
        );
    }
    let good = whole.1.is_ok();
    (whole.0, good)
}

#[test]
fn good_documents() {
    for text in GOOD {
        let (log, good) = same_however_cut(text.as_bytes(), None);
        assert!(
            good,
            "{text}: {:?}",
            scan(text.as_bytes(), &[usize::MAX], None).1
        );
        assert_eq!((log.lines, true), read(text), "{text}");
    }
}

#[test]
fn bad_documents() {
    for text in BAD {
        let (_, good) = same_however_cut(text.as_bytes(), None);
        assert!(!good, "{text}");
    }
}

#[test]
fn utf16_reads_as_utf8() {
    for text in GOOD.iter().filter(|text| !text.contains("UTF-8")) {
        let plain = text.trim_start_matches('\u{FEFF}');
        let expected = scan(plain.as_bytes(), &[usize::MAX], None).0;
        let marked = format!("\u{FEFF}{plain}");
        let le: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = plain.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let (log, good) = same_however_cut(&le, Some("utf-16"));
        assert!(good, "{text}");
        assert_eq!(log, expected);
        assert_eq!(same_however_cut(&be, None), (expected, true));
    }
}

#[test]
fn declared_latin1() {
    let bytes = b"<?xml version='1.0' encoding='ISO-8859-1'?><a b='\xE9'>\xE9</a>";
    let (log, good) = same_however_cut(bytes, None);
    assert!(good);
    assert_eq!(log.lines, ["start {}a {}b=\"é\"", "text \"é\"", "end"]);
    assert!(!same_however_cut(bytes, Some("utf-8")).1);
    assert!(same_however_cut(b"<a>\xE9</a>", Some("windows-1252")).1);
    assert!(scan(b"<a/>", &[1], Some("ebcdic")).1.is_err());
}

/// Found by fuzzing: which of two mistakes is told must not depend on the cut.
#[test]
fn wrong_bytes_come_first() {
    for bytes in [
        &b"<a><\xF7/b></a>"[..],
        b"<a \xFF b='<'/>",
        b"<a b='1' b='\x01'/>",
        b"<?xml version='\xE1'?>",
    ] {
        assert!(!same_however_cut(bytes, None).1);
    }
}

#[test]
fn offsets_are_of_the_bytes_received() {
    let error = scan(b"<a>\n</b>", &[1], None).1.unwrap_err();
    assert_eq!(error.offset, 4);
    assert!(
        error.to_string().contains("`</b>` does not match `<a>`"),
        "{error}"
    );
    let wide: Vec<u8> = "<a>é</b>"
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    assert_eq!(scan(&wide, &[3], None).1.unwrap_err().offset, 8);
}

/// Cut anywhere, such a tag was once read again and again without an end.
#[test]
fn a_quote_in_a_name_does_not_hide_the_end_of_its_tag() {
    for text in [
        "<a\" b=\"c></a>",
        "<a b\"c=\"d></a>",
        "<r><a' b='c></a></r>",
    ] {
        assert!(!same_however_cut(text.as_bytes(), None).1, "{text}");
    }
}

/// What a scanner remembers of the documents before changes nothing of what it tells.
#[test]
fn documents_before_leave_no_trace() {
    let mut runner = TestRunner::new(Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    });
    // Tags near a buffer's end are read the long way; the space keeps the end away.
    let spaced = document().prop_map(|document| document + &" ".repeat(80));
    let inputs = (
        prop::collection::vec(spaced, 1..4),
        prop::collection::vec(0_usize..4, 3..9),
        prop::sample::select(&[usize::MAX, 7, 64][..]),
    );
    let run = runner.run(&inputs, |(documents, order, size)| {
        let mut scanner = Scanner::new();
        for number in order {
            let document = documents[number % documents.len()].as_bytes();
            let log = scan_with(&mut scanner, document, &[size], None);
            prop_assert_eq!(log, scan(document, &[size], None));
        }
        Ok(())
    });
    if let Err(error) = run {
        panic!("{error}");
    }
}

/// Who looks at nothing is told the mistakes that others are told, whatever came before: lists, values that grow,
/// and items that are wrong in one place.
#[test]
fn who_looks_at_nothing_is_told_the_same_mistakes() {
    let piece = prop_oneof![
        6 => "[a-c ]{0,70}".prop_map(|value| format!("<i s='{value}'><q>{value}</q></i>\n")),
        1 => "[a-c<&;'\u{e4}]{0,3}".prop_map(|value| format!("<i s='{value}'><q>{value}</q></i>")),
        1 => prop::sample::select(vec!["<i s='1'><q>1</i>", "<i s='1' s='2'/>", "<n:q/>", "</r><r>", "<!--", "<q/>", "]]>"])
            .prop_map(str::to_owned),
        1 => document(),
    ];
    let bodies = prop::collection::vec(piece, 0..12).prop_map(|all| all.concat());
    let inputs = (
        prop::collection::vec(bodies, 1..6),
        prop::sample::select(&[usize::MAX, 7, 64, 200][..]),
    );
    let mut runner = TestRunner::new(Config::with_cases(400));
    let run = runner.run(&inputs, |(bodies, size)| {
        let mut scanner = Scanner::new();
        for body in bodies {
            let document = format!("<r>{body}</r>");
            scanner.begin(&Limits::default(), None, 1).unwrap();
            let mut pieces = document.as_bytes().chunks(size);
            let read =
                pieces.try_for_each(|piece| scanner.feed(piece, &mut Unconcerned).map(|_| ()));
            let told = read.and_then(|()| scanner.finish(&mut Unconcerned));
            let (_, other) = scan(document.as_bytes(), &[size], None);
            prop_assert_eq!(told, other, "{}", document);
        }
        Ok(())
    });
    run.unwrap();
}

/// Of two mistakes in one tag the same is told however the tag was cut, in every encoding.
#[test]
fn of_two_mistakes_the_first_is_told() {
    let documents = [
        "<a>\n<b c d\u{FFFF} e='1'/></a>",
        "<a><b c\u{FFFF}d&e f='1'/></a>",
        "<a><b \u{FFFF} c=1 d></b></a>",
        "<a><b c=1 \u{FFFF}></b></a>",
        "<a></b\u{1}></a>",
        "<a><b c='\u{1}' d></a>",
        "<a><b \u{1}",
        "<a b\u{FFFF}",
        "<a></ \u{FFFF}></a>",
    ];
    for document in documents {
        let wide = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            let units = std::iter::once(0xFEFF).chain(document.encode_utf16());
            units.flat_map(bytes).collect()
        };
        for bytes in [
            document.as_bytes().to_vec(),
            wide(u16::to_le_bytes),
            wide(u16::to_be_bytes),
        ] {
            let whole = scan(&bytes, &[usize::MAX], None);
            assert!(whole.1.is_err(), "{document:?}");
            for first in 1..bytes.len() {
                let cut = scan(&bytes, &[first, usize::MAX], None);
                assert_eq!(cut, whole, "{document:?} cut at {first}");
            }
            assert_eq!(scan(&bytes, &[1], None), whole, "{document:?} in bytes");
        }
    }
}

/// What is not plain in text is found wherever the blocks end in which a document is checked ahead, the first at
/// 128 bytes and each twice as long as the one before.
#[test]
fn what_is_special_in_text_is_found_wherever_it_stands() {
    for before in ["<a><c>", "<a><b k='1'>x</b>x<c>", "<a><b/>"] {
        for length in 0..2200 {
            let text = format!("{before}{}", "p".repeat(length));
            let tail = &"</c></a>"[if before.ends_with("/>") { 4 } else { 0 }..];
            let (_, refused) = scan(format!("{text}]]>{tail}").as_bytes(), &[usize::MAX], None);
            let at = refused.map_err(|error| error.offset);
            assert_eq!(at, Err(text.len() as u64), "{text}");
            let (log, good) = scan(
                format!("{text}\r\n&lt;]]{tail}").as_bytes(),
                &[usize::MAX],
                None,
            );
            assert_eq!(good, Ok(()), "{text}");
            let read = format!("text {:?}", "p".repeat(length) + "\n<]]");
            assert!(log.lines.contains(&read), "{text}");
        }
    }
}

/// An error at a character that was cut waits for the rest of it, which may be wrong itself.
#[test]
fn a_cut_character_is_waited_for() {
    let documents: [&[u8]; 4] = [
        b"<a b=''\xE0\x87\x92c='1'/>",
        b"<a b=''\xC3\xA9 c='1'/>",
        b"<a><b c='1'\xF0\x9F\x98\x80/></a>",
        b"<a><b c=\xF0\x9F\x28\x80/></a>",
    ];
    for document in documents {
        let whole = scan(document, &[usize::MAX], None);
        assert!(whole.1.is_err());
        for first in 1..document.len() {
            let cut = scan(document, &[first, usize::MAX], None);
            assert_eq!(cut, whole, "{:?} cut at {first}", document.escape_ascii());
        }
        assert_eq!(scan(document, &[1], None), whole);
    }
}

/// `/>` in a value ends nothing, wherever it stands in what is passed over.
#[test]
fn a_value_that_looks_like_an_end_is_passed_over() {
    for before in 0..70 {
        for behind in [0, 40, 64, 100] {
            let (x, y) = ("x".repeat(before), "y".repeat(behind));
            let inner = format!("<b c='{x}/>{y}' d='e'><c/></b>");
            let message = format!("<r><a>{x}{inner}{inner}{x}</a><z/>{}</r>", " ".repeat(70));
            assert!(crate::support::ask("/r/z", &message), "{before} {behind}");
        }
    }
}

/// A tag without a name is refused wherever it stands in what is passed over, however that is cut.
#[test]
fn a_tag_without_a_name_is_not_passed_over() {
    let padding = "x".repeat(140);
    for before in 0..140 {
        let x = padding.get(..before).unwrap();
        for tag in ["<>", "< b>", "<\n>", "</>", "</ b>", "</\t>"] {
            let message = format!("<r><a>{x}<b>y{tag}y</b>{padding}</a><z/></r>");
            for size in [usize::MAX, 1, 90] {
                let error = crate::support::ask_all(&["/r/z"], message.as_bytes(), size);
                let error = error.expect_err(&message).to_string();
                assert!(error.contains("a tag has no name"), "{error}: {message}");
            }
        }
    }
}

/// Quotes that are not closed, or stand where none should, are taken the same wherever they are passed over.
#[test]
fn quotes_are_respected_in_what_is_passed_over() {
    let padding = "x".repeat(140);
    let tags = [
        "<b c\">",
        "<b c='\">",
        "<b c='\"'\">",
        "<b c='>'>",
        "<b c=\"'\" d='>\"'>",
        "<b 'c\">\">",
    ];
    for before in 0..140 {
        let x = padding.get(..before).unwrap();
        for tag in tags {
            for behind in ["</b>", "<i j='k'>'</i></b>", "<i j=\"k\"/></b>"] {
                let message = format!("<r><a>{x}{tag}y{behind}{padding}</a><z/></r>");
                let whole = crate::support::ask_all(&["/r/z"], message.as_bytes(), usize::MAX);
                let cut = crate::support::ask_all(&["/r/z"], message.as_bytes(), 1);
                assert_eq!(whole, cut, "{message}");
            }
        }
    }
}

/// Two searches find where a tag ends: one for a tag that is whole, one for a tag that comes in
/// pieces. They agree on every short tag, so no tag can be held back for ever.
#[test]
fn every_short_tag_ends_in_one_place() {
    let letters = b"a='\"&;/> <";
    let mut tag = [0_u8; 4];
    for number in 0..letters.len().pow(tag.len() as u32) {
        let mut rest = number;
        for byte in &mut tag {
            *byte = letters[rest % letters.len()];
            rest /= letters.len();
        }
        let document = [b"<a", &tag[..], b">x</a>"].concat();
        let whole = scan(&document, &[usize::MAX], None);
        let told = |error: &soap_router::xml::Error| error.to_string().contains("cannot be told");
        let shown = String::from_utf8_lossy(&document);
        assert!(!whole.1.as_ref().is_err_and(told), "{shown}");
        assert_eq!(scan(&document, &[1], None), whole, "{shown}");
        assert_eq!(scan(&document, &[4, 2], None), whole, "{shown}");
    }
}

/// A document that begins as another did, but not quite, is read like the first; so is one that begins just so,
/// in whatever encoding and pieces it comes.
#[test]
fn documents_begin_like_those_before_or_not_quite() {
    let mut documents = Vec::new();
    for mark in ["", "\u{FEFF}", " "] {
        for declaration in [
            "",
            "<?xml version='1.0'?>",
            "<?xml version='1.0' encoding='utf-8'?>",
            "<?xml version='1.0' encoding='iso-8859-1'?>",
        ] {
            for gap in [
                "",
                "\n ",
                "\r\n",
                "<!-- c -->",
                "<?xml version='1.0'?>",
                "x",
            ] {
                for root in [
                    "<a xmlns='u'>x</a>",
                    "<a xmlns='u'/>",
                    "<é xmlns='u' a='1'><b/></é>",
                    "<a xmlns='u'",
                ] {
                    documents.push([mark, declaration, gap, root].concat());
                }
            }
        }
    }
    for charset in [None, Some("utf-8"), Some("iso-8859-1")] {
        // The last ones cut behind the first declaration.
        for sizes in [&[usize::MAX][..], &[1], &[30], &[21, 500]] {
            let mut scanner = Scanner::new();
            let mut same = |bytes: &[u8]| {
                let found = scan_with(&mut scanner, bytes, sizes, charset);
                let shown = String::from_utf8_lossy(bytes);
                assert_eq!(found, scan(bytes, sizes, charset), "{shown}");
            };
            for document in &documents {
                let wide = document.encode_utf16().flat_map(u16::to_le_bytes);
                let wide: Vec<u8> = [0xFF, 0xFE].into_iter().chain(wide).collect();
                for _ in 0..2 {
                    same(document.as_bytes());
                    same(&wide);
                }
            }
        }
    }
}

/// Stops behind a start tag.
struct Stopping {
    log: Log,
    /// How many come before that tag.
    before: usize,
}

impl Sink for Stopping {
    fn symbol(&mut self, namespace: &str, local: &str) -> u64 {
        self.log.symbol(namespace, local)
    }
    fn start(&mut self, tag: &Tag<'_>) -> Flow {
        self.log.start(tag);
        match self.before.checked_sub(1) {
            Some(before) => {
                self.before = before;
                Flow::Continue
            }
            None => Flow::Stop,
        }
    }
    fn wants_text(&self) -> bool {
        true
    }
    fn text(&mut self, text: &str) {
        self.log.text(text);
    }
    fn comment(&mut self, text: &str, last: bool) {
        self.log.comment(text, last);
    }
    fn end(&mut self, tag: &EndTag<'_>) -> Flow {
        self.log.end(tag)
    }
}

/// Reads a document up to behind a start tag, and another that begins with the same bytes from there on: as it
/// would be read from its start. Says whether there was such a place.
fn goes_on(document: &str, before: usize, change: impl Fn(&str) -> String) -> bool {
    let mut scanner = Scanner::new();
    scanner.begin(&Limits::default(), None, 1).unwrap();
    let mut first = Stopping {
        log: Log::default(),
        before,
    };
    let Ok(Fed::Stopped(taken)) = scanner.feed(document.as_bytes(), &mut first) else {
        return false;
    };
    let Some(mark) = scanner.bookmark(&mut first) else {
        return false;
    };
    let (head, tail) = document.split_at(taken);
    for tail in [tail.to_owned(), change(tail)] {
        let (all, result) = scan([head, &tail].concat().as_bytes(), &[usize::MAX], None);
        scanner.begin(&Limits::default(), None, 1).unwrap();
        assert!(scanner.resume(&mark) && !scanner.resume(&mark));
        assert_eq!(scanner.offset(), taken as u64);
        let mut log = Log::default();
        let fed = scanner.feed(tail.as_bytes(), &mut log);
        let over = fed.and_then(|_| scanner.finish(&mut log));
        assert_eq!(over, result, "{head} | {tail}");
        if over.is_ok() {
            assert_eq!(log.lines, all.lines[first.log.lines.len()..]);
        }
    }
    true
}

/// Behind a place that was marked in one document, another that begins with the same bytes is read as from its
/// start, whatever comes then.
#[test]
fn a_document_goes_on_behind_a_known_head() {
    let values = (
        document(),
        "[<>/&a-c='\" ]{0,6}",
        any::<prop::sample::Index>(),
        0_usize..6,
    );
    let places = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config::with_cases(2_000));
    let ran = runner.run(&values, |(document, other, place, before)| {
        let change = |tail: &str| {
            let ends: Vec<usize> = tail.char_indices().map(|(at, _)| at).collect();
            let at = ends.get(place.index(ends.len() + 1)).copied();
            let (kept, rest) = tail.split_at(at.unwrap_or(tail.len()));
            [kept, &other, rest].concat()
        };
        places.set(places.get() + usize::from(goes_on(&document, before, change)));
        Ok(())
    });
    ran.unwrap();
    assert!(places.get() > 300, "{places:?}");
    let long = "<a.name.that.no.key.holds.whole><b.name.that.no.key.holds.whole/></a.name.that.no.key.holds.whole>";
    for before in 0..2 {
        assert!(goes_on(long, before, |tail| tail.replacen('.', "-", 1)));
    }
}

/// A place means nothing to a scanner that has forgotten what it had read, or that reads another encoding; in the
/// middle of a tag there is none.
#[test]
fn a_place_means_nothing_where_names_mean_something_else() {
    let mut scanner = Scanner::new();
    scanner.begin(&Limits::default(), None, 1).unwrap();
    let mut log = Stopping {
        log: Log::default(),
        before: 0,
    };
    scanner.feed(b"<a xmlns='u'>", &mut log).unwrap();
    let mark = scanner.bookmark(&mut log).unwrap();
    scanner.feed(b"<b", &mut log).unwrap();
    assert!(scanner.bookmark(&mut log).is_none());
    for (charset, symbols) in [
        (Some("iso-8859-1"), 1),
        (Some("utf-16"), 1),
        (None, 2),
        (None, 1),
    ] {
        scanner.begin(&Limits::default(), charset, symbols).unwrap();
        assert!(!scanner.resume(&mark));
    }
}
