//! One message's run over a table's filters: the scanner, the XPath engine and the envelope's
//! facts in a single pass, stopped as soon as the decision cannot change any more.
//!
//! Priorities are walked from the highest. A level is decided when every filter in it is; if
//! one matched, the probe has decided and lower levels are never looked at, else the next level
//! is asked. Serving and `explain` both get their answer here.
//!
//! **Invariant:** the decision is the same however the message was cut into chunks.

use smallvec::SmallVec;

use super::address::Address;
use super::environment::{Externals, days_since_year_one};
use super::error::ReadError;
use super::leaf::{Known, Leaf, hash, percent};
use super::set::{Class, Node, Set};
use super::spec::{Certificate, Sticky};
use super::value::Around;
use crate::fields::Fields;
use crate::routing::EntryId;
use crate::soap::{Facts, Head, Stage};
use crate::xml;
use crate::xpath::{self, Progress, Run};

/// What is known of a message before its first byte.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// HTTP request headers.
    pub headers: &'a Fields,
    /// The action stated by HTTP.
    pub action: Option<&'a str>,
    /// The URL that the caller used.
    pub url: &'a str,
    /// The listener's name.
    pub listener: &'a str,
    /// The service's name.
    pub service: &'a str,
    /// The client's verified certificate.
    pub certificate: Option<&'a Certificate>,
    /// The charset stated by HTTP.
    pub charset: Option<&'a str>,
    /// What the scanner accepts.
    pub limits: xml::Limits,
    /// The message's own random number, for shares.
    pub draw: u64,
    /// Time since the Unix epoch, for `sm:utc-now()`.
    pub now: std::time::Duration,
}

/// What became of one row, for `explain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Considered {
    /// The row.
    pub entry: EntryId,
    /// Whether it matched; `None` if it was still open when the decision fell.
    pub matched: Option<bool>,
    /// The value that was looked at.
    pub why: String,
    /// `streaming`, `tree` or `head`.
    pub strategy: &'static str,
}

/// The run.
#[derive(Debug)]
pub struct Probe<'a> {
    set: &'a Set,
    arrival: Arrival<'a>,
    head: Head,
    run: Option<Box<Run>>,
    /// The level being decided; all above it matched nothing.
    level: usize,
    to: Option<Address>,
    to_known: bool,
    longest: Option<usize>,
    /// Turns taken by this message, by group.
    turns: SmallVec<[(usize, u64); 2]>,
    /// Numbers that shares were drawn by an XPath's value, by node; known at the end only.
    drawn: SmallVec<[(usize, u64); 1]>,
    matched: SmallVec<[EntryId; 4]>,
    decided: bool,
    decided_after: u64,
}

impl<'a> Probe<'a> {
    /// A message of which nothing was read; [`Probe::begin`] is next.
    #[must_use]
    pub fn new(set: &'a Set, arrival: Arrival<'a>) -> Self {
        let mut probe = Self {
            set,
            arrival,
            head: Head::new(arrival.action),
            run: Some(set.take_run()),
            level: 0,
            to: None,
            to_known: false,
            longest: None,
            turns: SmallVec::new(),
            drawn: SmallVec::new(),
            matched: SmallVec::new(),
            decided: false,
            decided_after: 0,
        };
        // Nothing is sent on before its version is known, so the Envelope is always awaited.
        probe.note_level();
        probe.choose_pauses();
        probe
    }

    /// Begins the message.
    ///
    /// # Errors
    /// When its charset is none that can be read.
    pub fn begin(&mut self) -> Result<(), ReadError> {
        self.begin_in(self.arrival.charset)
    }

    /// The message's charset is known only now: before its first byte, but after the start.
    ///
    /// # Errors
    /// When it is none that can be read.
    pub fn declare_charset(&mut self, charset: &str) -> Result<(), ReadError> {
        self.begin_in(Some(charset))
    }

    fn begin_in(&mut self, charset: Option<&str>) -> Result<(), ReadError> {
        let Some(run) = &mut self.run else {
            return Ok(());
        };
        let externals = externals(&self.arrival);
        Ok(run.begin(
            &self.set.xpath,
            &externals.values(),
            &self.arrival.limits,
            charset,
        )?)
    }

    /// Reads the next bytes.
    ///
    /// # Errors
    /// When the message is not what SOAP allows, or over a limit.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), ReadError> {
        let mut rest = bytes;
        let mut left = true;
        while left && !self.decided {
            (rest, left) = self.step(rest)?;
            self.settle();
        }
        // The decision stands, but what the bytes at hand still say of the envelope is worth
        // having in the log. Behind the deciding byte nothing is refused any more.
        while left && self.head.stage() < Stage::Operation {
            let Ok(stepped) = self.step(rest) else { break };
            (rest, left) = stepped;
        }
        Ok(())
    }

    /// Reads on up to where the engine or the envelope's reader pauses: what was not taken, and
    /// whether there is something left. A message that had to be decoded may have something
    /// left although all its bytes were taken.
    fn step<'b>(&mut self, bytes: &'b [u8]) -> Result<(&'b [u8], bool), ReadError> {
        let Some(run) = &mut self.run else {
            return Ok((&[], false));
        };
        let before = run.offset();
        let fed = run.feed(&self.set.xpath, bytes, &mut self.head)?;
        let moved = run.offset() > before;
        if let Some(error) = self.head.error() {
            return Err(error.clone().into());
        }
        Ok(match fed {
            Progress::More => (&[], false),
            Progress::Paused(taken) => {
                let rest = bytes.get(taken..).unwrap_or_default();
                (rest, moved || !rest.is_empty())
            }
        })
    }

    /// The message is over; `whole` are all its bytes, if [`Probe::needs_whole`] asks for them.
    ///
    /// # Errors
    /// When it ended too early, or an expression needed more than it may have.
    pub fn finish(&mut self, whole: &[u8]) -> Result<(), ReadError> {
        let Some(run) = &mut self.run else {
            return Ok(());
        };
        run.finish(&self.set.xpath, &mut self.head)?;
        self.head.finish(run.offset())?;
        if run.needs_tree() {
            run.evaluate_trees(&self.set.xpath, whole)
                .map_err(|error| ReadError::Tree(error.to_string()))?;
        }
        self.draw_by_values(whole)?;
        self.settle();
        Ok(())
    }

    /// How far the envelope was read.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.head.stage()
    }

    /// Whether [`Probe::finish`] will need all bytes of the message.
    #[must_use]
    pub fn needs_whole(&self) -> bool {
        self.set.has_drawn_values() || self.run.as_ref().is_some_and(|run| run.needs_tree())
    }

    /// Draws the shares that stick to an XPath's value: one value serves all shares that ask for
    /// it, so growing a share keeps whom it had.
    fn draw_by_values(&mut self, whole: &[u8]) -> Result<(), ReadError> {
        let set = self.set;
        let around = Around {
            action: self.arrival.action,
            url: self.arrival.url,
            charset: self.arrival.charset,
            limits: self.arrival.limits,
            now: self.arrival.now,
        };
        for (node, value) in set.drawn_values() {
            let found = value.of(whole, &around)?;
            let number = found.map_or(self.arrival.draw, |text| hash(text.as_bytes()));
            self.drawn.push((node, number));
        }
        Ok(())
    }

    /// Whether the decision cannot change any more.
    #[must_use]
    pub const fn is_decided(&self) -> bool {
        self.decided
    }

    /// Bytes after which the decision could not change any more.
    #[must_use]
    pub const fn decided_after(&self) -> u64 {
        self.decided_after
    }

    /// Matching rows of the winning level in table order; empty if nothing matched.
    #[must_use]
    pub fn matched(&self) -> &[EntryId] {
        &self.matched
    }

    /// What the envelope said of itself, as far as it was read.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        self.head.facts()
    }

    /// Moves on as far as what is known allows.
    fn settle(&mut self) {
        if self.head.stage() >= Stage::Body && !self.to_known {
            self.to_known = true;
            if self.set.compares_addresses {
                let to = self.head.facts().to.as_deref().unwrap_or(self.arrival.url);
                self.to = Address::parse(to);
            }
            self.note_level();
        }
        let set = self.set;
        while !self.decided && self.head.stage() >= Stage::Envelope {
            let Some(level) = set.levels.get(self.level) else {
                return self.decide();
            };
            if self.is_open(set, level) {
                return;
            }
            self.collect(set, level);
            if !self.matched.is_empty() {
                return self.decide();
            }
            self.level += 1;
            self.note_level();
            self.choose_pauses();
        }
    }

    /// Where the engine alone decides, what else is known of the envelope decides nothing: each pause
    /// begins the reading anew.
    fn choose_pauses(&mut self) {
        let engines = self.level < self.set.engine_levels;
        self.head.pause_from(if engines {
            Stage::Operation
        } else {
            Stage::Start
        });
    }

    fn decide(&mut self) {
        self.decided = true;
        let engine = self.run.as_ref().map_or(0, |run| run.offset());
        self.decided_after = engine;
    }

    /// Longest-prefix is a matter of one level (`wcf-routing` §1.3).
    fn note_level(&mut self) {
        let to = self.to.as_ref();
        self.longest = self.set.levels.get(self.level).and_then(|level| {
            level
                .prefixes
                .iter()
                .filter_map(|pattern| pattern.covers(to?))
                .max()
        });
    }

    fn is_open(&self, set: &Set, level: &super::set::Level) -> bool {
        let stage = self.head.stage();
        (level.has_actions && stage < Stage::Body)
            || (level.has_operations && stage < Stage::Operation)
            || (level.has_engine && self.engine_open())
            || level.trees.iter().any(|&row| {
                set.rows
                    .get(row as usize)
                    .is_some_and(|row| self.value(set, row.root).is_none())
            })
    }

    fn engine_open(&self) -> bool {
        let level = u32::try_from(self.level).unwrap_or(u32::MAX);
        self.run.as_ref().is_some_and(|run| run.open(level))
    }

    fn collect(&mut self, set: &Set, level: &super::set::Level) {
        let of_level = |row: &u32| {
            set.rows
                .get(*row as usize)
                .is_some_and(|r| r.level == self.level)
        };
        let mut rows: SmallVec<[u32; 4]> = SmallVec::new();
        if level.has_engine
            && let Some(run) = &self.run
        {
            let atoms = run.matched().iter();
            rows.extend(
                atoms
                    .filter_map(|atom| *set.row_of_atom.get(atom.0 as usize)?)
                    .filter(of_level),
            );
        }
        if level.has_actions {
            let action = self.facts().action().unwrap_or("");
            rows.extend(
                set.actions
                    .get(action)
                    .into_iter()
                    .flatten()
                    .copied()
                    .filter(of_level),
            );
        }
        if level.has_operations
            && let Some(operation) = &self.facts().operation
        {
            rows.extend(
                set.operations
                    .get(operation)
                    .into_iter()
                    .flatten()
                    .copied()
                    .filter(of_level),
            );
        }
        for &row in &level.trees {
            let root = set.rows.get(row as usize).map(|compiled| compiled.root);
            if root.is_some_and(|root| self.holds(set, root)) {
                rows.push(row);
            }
        }
        rows.sort_unstable();
        self.matched = rows.into_iter().map(EntryId).collect();
    }

    /// A tree's value by what is known; `None` while that leaves it open. A round robin counts
    /// as known, because its turn is only taken when its level is asked.
    fn value(&self, set: &Set, node: usize) -> Option<bool> {
        match set.nodes.get(node)? {
            Node::Leaf(Leaf::XPath { atom, .. }) => self.run.as_ref()?.state(*atom),
            Node::Leaf(Leaf::RoundRobin { group, of, index }) => {
                let turn = self.turns.iter().find(|(known, _)| known == group);
                Some(turn.is_some_and(|(_, turn)| is_turn(*turn, *of, *index)))
            }
            Node::Leaf(Leaf::Percent {
                share,
                sticky: Some(Sticky::XPath(_)),
            }) => {
                let drawn = self.drawn.iter().find(|(own, _)| *own == node)?;
                Some(percent(drawn.1) < *share)
            }
            Node::Leaf(leaf) => leaf.decide(&self.known()),
            Node::Not(child) => self.value(set, *child).map(|value| !value),
            Node::And(children) => self.combine(set, children, false),
            Node::Or(children) => self.combine(set, children, true),
        }
    }

    /// `and` is settled by one false, `or` by one true; else every child must be known.
    fn combine(&self, set: &Set, children: &[usize], settling: bool) -> Option<bool> {
        let mut open = false;
        for &child in children {
            match self.value(set, child) {
                Some(value) if value == settling => return Some(settling),
                Some(_) => {}
                None => open = true,
            }
        }
        (!open).then_some(!settling)
    }

    /// A tree's value, turns taken. Every part is asked, so that a turn advances whether or not
    /// the other parts hold, as WCF's strict `And` does.
    fn holds(&mut self, set: &Set, node: usize) -> bool {
        self.take_turns(set, node);
        self.value(set, node) == Some(true)
    }

    fn take_turns(&mut self, set: &Set, node: usize) {
        match set.nodes.get(node) {
            Some(Node::Leaf(Leaf::RoundRobin { group, .. })) => {
                if !self.turns.iter().any(|(known, _)| known == group) {
                    self.turns.push((*group, set.turns.take(*group)));
                }
            }
            Some(Node::And(children) | Node::Or(children)) => {
                for &child in children {
                    self.take_turns(set, child);
                }
            }
            Some(Node::Not(child)) => self.take_turns(set, *child),
            Some(Node::Leaf(_)) | None => {}
        }
    }

    fn known(&self) -> Known<'_> {
        Known {
            arrival: &self.arrival,
            facts: self.head.facts(),
            stage: self.head.stage(),
            to: self.to.as_ref(),
            longest: self.longest,
        }
    }

    /// What became of every row down to the level that won. `whole` lets expressions say more
    /// about why.
    #[must_use]
    pub fn considered(&self, whole: &[u8]) -> Vec<Considered> {
        let set = self.set;
        let rows = set.rows.iter().enumerate();
        let mut all: Vec<(usize, Considered)> = rows
            .filter(|(_, row)| row.level <= self.level)
            .map(|(number, row)| {
                let entry = EntryId(u32::try_from(number).unwrap_or(u32::MAX));
                let matched = match row.class {
                    Class::Engine(atom) => self.run.as_ref().and_then(|run| run.state(atom)),
                    _ => self.value(set, row.root),
                };
                let why = self.why(set, row.root, whole);
                (
                    row.level,
                    Considered {
                        entry,
                        matched,
                        why,
                        strategy: set.strategy(entry),
                    },
                )
            })
            .collect();
        all.sort_by_key(|(level, considered)| (*level, considered.entry));
        all.into_iter().map(|(_, considered)| considered).collect()
    }

    fn why(&self, set: &Set, node: usize, whole: &[u8]) -> String {
        let join = |children: &[usize], word: &str| {
            let parts: Vec<String> = children
                .iter()
                .map(|&child| {
                    let value = match self.value(set, child) {
                        Some(true) => "true",
                        Some(false) => "false",
                        None => "open",
                    };
                    format!("{value}: {}", self.why(set, child, whole))
                })
                .collect();
            format!("{word}({})", parts.join("; "))
        };
        match set.nodes.get(node) {
            Some(Node::And(children)) => join(children, "and"),
            Some(Node::Or(children)) => join(children, "or"),
            Some(Node::Not(child)) => join(&[*child], "not"),
            Some(Node::Leaf(Leaf::XPath { atom, .. })) => {
                let state = self.run.as_ref().and_then(|run| run.state(*atom));
                self.why_xpath(set, *atom, state, whole)
            }
            Some(Node::Leaf(Leaf::Percent {
                share,
                sticky: Some(Sticky::XPath(value)),
            })) => {
                let drawn = match self.value(set, node) {
                    Some(true) => "into",
                    Some(false) => "outside",
                    None => return "the decision fell without it".into(),
                };
                let text = value.text();
                format!("the value of `{text}` was drawn {drawn} the {share} %")
            }
            Some(Node::Leaf(leaf)) => leaf.why(&self.known()),
            None => String::new(),
        }
    }

    fn why_xpath(
        &self,
        set: &Set,
        atom: xpath::AtomId,
        state: Option<bool>,
        whole: &[u8],
    ) -> String {
        if state.is_none() {
            return "the decision fell without it".into();
        }
        let externals = externals(&self.arrival);
        let Some(expr) = set.xpath.expr(atom) else {
            return String::new();
        };
        let (limits, charset) = (&self.arrival.limits, self.arrival.charset);
        match xpath::why(expr, whole, &externals.values(), limits, charset) {
            Ok(diagnosis) => diagnosis.why,
            // The rest of the message was never read by the road, so it may be anything.
            Err(error) => {
                format!("decided while streaming; the whole message cannot be looked at: {error}")
            }
        }
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        if let Some(run) = self.run.take() {
            self.set.give_run(run);
        }
    }
}

/// Whether this turn of a round is the filter's.
fn is_turn(turn: u64, of: u32, index: u32) -> bool {
    turn % u64::from(of.max(1)) == u64::from(index)
}

fn externals<'a>(arrival: &Arrival<'a>) -> Externals<'a> {
    Externals {
        http_action: arrival.action.unwrap_or(""),
        url: arrival.url,
        now_days: days_since_year_one(arrival.now),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::environment::environment;
    use super::super::set::Row;
    use super::super::spec::Spec;
    use super::*;

    fn xpath(text: &str) -> Spec {
        let environment = environment([("o", "urn:o")]);
        Spec::XPath {
            expr: xpath::parse(text, &environment, &xpath::ParseLimits::default()).unwrap(),
            text: text.to_owned(),
        }
    }

    /// What matched, and after how many bytes that was certain.
    fn decide(set: &Set, message: &str) -> (Vec<EntryId>, u64) {
        let headers = Fields::new();
        let arrival = Arrival {
            headers: &headers,
            action: Some("urn:o/a"),
            url: "http://host/",
            listener: "",
            service: "",
            certificate: None,
            charset: None,
            limits: xml::Limits::default(),
            draw: 0,
            now: Duration::ZERO,
        };
        let mut probe = Probe::new(set, arrival);
        probe.begin().unwrap();
        probe.feed(message.as_bytes()).unwrap();
        if !probe.is_decided() {
            probe.finish(message.as_bytes()).unwrap();
        }
        (probe.matched().to_vec(), probe.decided_after())
    }

    #[test]
    fn where_the_engine_alone_says_when_to_look_decisions_fall_where_they_would() {
        let early = ["sm:header()/o:V = '2'", "sm:header()/o:V = '3'"];
        let late = ["//o:T = 'gold'", "//o:T = 'tin'", "//soap:Body/o:P/o:T"];
        let action = || Spec::Action(vec!["urn:o/a".to_owned()]);
        let other = || Spec::Action(vec!["urn:o/b".to_owned()]);
        let leaves = |number: usize| match number {
            0 | 1 => xpath(early[number]),
            2..=4 => xpath(late[number - 2]),
            5 => action(),
            6 => other(),
            7 => Spec::Not(Box::new(xpath(early[0]))),
            _ => Spec::Always,
        };
        let head =
            "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:o=\"urn:o\">";
        let body =
            "<e:Body><o:P><o:S>1</o:S><o:T>gold</o:T><o:T>tin</o:T></o:P></e:Body></e:Envelope>";
        let header = "<e:Header><o:V>2</o:V><o:W/></e:Header>";
        let messages = [format!("{head}{header}{body}"), format!("{head}{body}")];
        for number in 0..9 * 9 * 9 {
            let filters = [number / 81, number / 9 % 9, number % 9];
            for priorities in [[3, 2, 1], [2, 2, 1], [2, 1, 1]] {
                let row = |(filter, priority)| Row {
                    name: String::new(),
                    priority,
                    spec: leaves(filter),
                };
                let mut set = Set::compile(filters.into_iter().zip(priorities).map(row).collect());
                let decided = messages.each_ref().map(|message| decide(&set, message));
                set.engine_levels = 0;
                let looked = messages.each_ref().map(|message| decide(&set, message));
                assert_eq!(decided, looked, "{filters:?} {priorities:?}");
            }
        }
    }
}
