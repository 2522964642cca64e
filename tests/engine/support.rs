//! Shared by the engine's tests: events as text, and one way to ask an expression.

use soap_router::xml::{self, EndTag, Fed, Flow, Limits, Scanner, Sink, Tag};
use soap_router::xpath::{
    Atom, AtomId, Environment, Expr, Landmarks, Namespaces, ParseLimits, Run, Set, parse,
};

/// Writes down every event, text pieces joined.
#[derive(Default, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) lines: Vec<String>,
    text: String,
    comment: String,
}

impl Log {
    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.lines.push(format!("text {:?}", self.text));
            self.text.clear();
        }
    }
}

impl Sink for Log {
    fn symbol(&mut self, _: &str, _: &str) -> u64 {
        0
    }
    fn start(&mut self, tag: &Tag<'_>) -> Flow {
        self.flush();
        let name = tag.name();
        let mut line = format!("start {{{}}}{}", name.namespace, name.local);
        for attribute in tag.attributes() {
            line += &format!(
                " {{{}}}{}={:?}",
                attribute.name.namespace, attribute.name.local, attribute.value
            );
        }
        self.lines.push(line);
        Flow::Continue
    }
    fn wants_text(&self) -> bool {
        true
    }
    fn text(&mut self, text: &str) {
        self.text += text;
    }
    fn comment(&mut self, text: &str, last: bool) {
        self.flush();
        self.comment += text;
        if last {
            self.lines.push(format!("comment {:?}", self.comment));
            self.comment.clear();
        }
    }
    fn end(&mut self, _: &EndTag<'_>) -> Flow {
        self.flush();
        self.lines.push("end".into());
        Flow::Continue
    }
}

/// Scans in pieces of the given sizes, repeated.
pub(crate) fn scan(
    bytes: &[u8],
    sizes: &[usize],
    charset: Option<&str>,
) -> (Log, Result<(), xml::Error>) {
    scan_with(&mut Scanner::new(), bytes, sizes, charset)
}

/// The same with a scanner that may have read other documents.
pub(crate) fn scan_with(
    scanner: &mut Scanner,
    bytes: &[u8],
    sizes: &[usize],
    charset: Option<&str>,
) -> (Log, Result<(), xml::Error>) {
    let mut log = Log::default();
    let result = (|| {
        scanner.begin(&Limits::default(), charset, 1)?;
        let mut rest = bytes;
        let mut sizes = sizes.iter().copied().cycle();
        while !rest.is_empty() {
            let take = sizes.next().unwrap_or(usize::MAX).clamp(1, rest.len());
            let fed = scanner.feed(&rest[..take], &mut log)?;
            let taken = if let Fed::Stopped(taken) = fed {
                taken
            } else {
                take
            };
            rest = &rest[taken..];
        }
        scanner.finish(&mut log)
    })();
    if result.is_err() {
        // Text before an error is told as far as it came, and so is a comment.
        log.text.clear();
    }
    log.flush();
    log.comment.clear();
    (log, result)
}

pub(crate) const SOAP11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
pub(crate) const SOAP12: &str = "http://www.w3.org/2003/05/soap-envelope";

pub(crate) fn environment() -> Environment {
    let mut namespaces = Namespaces::new();
    namespaces
        .bind_any("soap", &[SOAP11, SOAP12])
        .bind("s11", SOAP11)
        .bind("s12", SOAP12)
        .bind("s", SOAP11);
    namespaces
        .bind("o", "urn:o")
        .bind("p", "urn:p")
        .bind("wsa", "http://www.w3.org/2005/08/addressing");
    Environment::new(namespaces)
}

pub(crate) fn landmarks() -> Landmarks {
    let both = |local: &str| {
        vec![
            (SOAP11.to_owned(), local.to_owned()),
            (SOAP12.to_owned(), local.to_owned()),
        ]
    };
    Landmarks {
        root: both("Envelope"),
        sections: vec![both("Header"), both("Body")],
        classes: None,
    }
}

pub(crate) fn expr(text: &str) -> Expr {
    parse(text, &environment(), &ParseLimits::default())
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub(crate) fn set_of(texts: &[&str]) -> Set {
    let atoms = texts
        .iter()
        .map(|text| Atom {
            expr: expr(text),
            level: 0,
        })
        .collect();
    Set::compile(atoms, &landmarks())
}

/// The answers of a set, streaming first and then on a tree where needed.
pub(crate) fn ask_all(texts: &[&str], message: &[u8], size: usize) -> Result<Vec<bool>, String> {
    let set = set_of(texts);
    let mut run = Run::new();
    run.begin(&set, &[], &Limits::default(), None)
        .map_err(|e| e.to_string())?;
    let mut rest = message;
    while !rest.is_empty() {
        let take = size.clamp(1, rest.len());
        let progress = run
            .feed(&set, &rest[..take], &mut xml::Nobody)
            .map_err(|e| e.to_string())?;
        let taken = if let soap_router::xpath::Progress::Paused(taken) = progress {
            taken
        } else {
            take
        };
        rest = &rest[taken..];
    }
    run.finish(&set, &mut xml::Nobody)
        .map_err(|e| e.to_string())?;
    if run.needs_tree() {
        run.evaluate_trees(&set, message)
            .map_err(|e| e.to_string())?;
    }
    Ok((0..texts.len())
        .map(|index| run.state(AtomId(index as u32)).expect("decided"))
        .collect())
}

pub(crate) fn ask(text: &str, message: &str) -> bool {
    ask_all(&[text], message.as_bytes(), usize::MAX)
        .unwrap_or_else(|error| panic!("{text}: {error}"))[0]
}
