//! The filters of one table, compiled together.
//!
//! Rows are sorted into classes at load: rows that are one XPath go to the engine, which
//! decides all of them in one pass; rows that are one action or one operation go to a hash
//! map; the rest are small trees, evaluated one by one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::address::AddressPattern;
use super::environment::landmarks;
use super::leaf::Leaf;
use super::spec::{Spec, Sticky};
use super::state::Turns;
use super::value::MessageValue;
use crate::routing::EntryId;
use crate::soap::{QName, Stage};
use crate::xpath::{self, Atom, AtomId, Pause, Strategy};

/// Runs kept for reuse, so that their memory is warm: one a message in flight at a time while
/// it is read, which is brief.
const RUNS_KEPT_MAX: usize = 64;

/// One row to compile.
#[derive(Debug, Clone)]
pub struct Row {
    /// How it is called in logs and by `explain`.
    pub name: String,
    /// Higher wins.
    pub priority: i32,
    /// Its filter.
    pub spec: Spec,
}

/// How much of a message a set needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Nothing of the envelope.
    Nothing,
    /// The header; Body's start tag at the most.
    Header,
    /// The body, in one pass, as far as needed. Names the first filter that asks for it.
    Body(String),
    /// The whole message at once. Names the first filter that asks for it, and why.
    Whole(String, String),
}

/// The compiled filters of a table. Immutable but for the turns of round robin.
#[derive(Debug)]
pub struct Set {
    pub(super) rows: Vec<CompiledRow>,
    pub(super) levels: Vec<Level>,
    pub(super) nodes: Vec<Node>,
    pub(super) actions: HashMap<String, Vec<u32>>,
    pub(super) operations: HashMap<QName, Vec<u32>>,
    /// The row that an atom is the whole filter of.
    pub(super) row_of_atom: Vec<Option<u32>>,
    pub(super) xpath: xpath::Set,
    /// When the engine lets the probe look.
    pause: Pause,
    /// The highest levels, where the engine alone decides all levels that it has a part in, and all
    /// others come behind them; else none. On these the engine says when to look.
    pub(super) engine_levels: usize,
    pub(super) turns: Turns,
    /// Whether any filter compares `To`, which costs parsing it.
    pub(super) compares_addresses: bool,
    /// Whether any share sticks to an XPath's value, which costs the whole message and a tree.
    draws_values: bool,
    /// Boxed, because a run is large and goes from hand to hand.
    #[allow(
        clippy::vec_box,
        reason = "a run is large, and moving it is what the box saves"
    )]
    runs: Mutex<Vec<Box<xpath::Run>>>,
}

#[derive(Debug)]
pub(super) struct CompiledRow {
    pub(super) name: String,
    pub(super) level: usize,
    pub(super) root: usize,
    pub(super) class: Class,
}

/// Where a row is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Engine(AtomId),
    Action,
    Operation,
    Tree,
}

/// Rows of one priority.
#[derive(Debug, Default)]
pub(super) struct Level {
    pub(super) trees: Vec<u32>,
    pub(super) has_engine: bool,
    pub(super) has_actions: bool,
    pub(super) has_operations: bool,
    pub(super) prefixes: Vec<AddressPattern>,
}

/// A filter tree, flat.
#[derive(Debug)]
pub(super) enum Node {
    Leaf(Leaf),
    And(Vec<usize>),
    Or(Vec<usize>),
    Not(usize),
}

struct Compiler {
    nodes: Vec<Node>,
    atoms: Vec<Atom>,
    atoms_in_trees: bool,
    turns: Turns,
}

impl Set {
    /// Compiles rows; their order is the table's.
    #[must_use]
    pub fn compile(rows: Vec<Row>) -> Self {
        let mut priorities: Vec<i32> = rows.iter().map(|row| row.priority).collect();
        priorities.sort_unstable_by(|a, b| b.cmp(a));
        priorities.dedup();
        let mut levels: Vec<Level> = priorities.iter().map(|_| Level::default()).collect();
        let mut compiler = Compiler {
            nodes: Vec::new(),
            atoms: Vec::new(),
            atoms_in_trees: false,
            turns: Turns::default(),
        };
        let mut compiled = Vec::with_capacity(rows.len());
        let (mut actions, mut operations) = (HashMap::new(), HashMap::new());
        let mut row_of_atom = Vec::new();
        for (number, row) in (0_u32..).zip(rows) {
            // Invariant: every row's priority was collected above, in descending order.
            let level = priorities
                .binary_search_by(|p| row.priority.cmp(p))
                .unwrap_or(0);
            let class = class_of(&row.spec, compiler.atoms.len());
            let pure = !matches!(class, Class::Tree);
            let root = compiler.node(row.spec, level, pure, &mut levels);
            row_of_atom.resize(compiler.atoms.len(), None);
            match (&compiler.nodes.get(root), class) {
                (_, Class::Engine(_)) => {
                    if let Some(slot) = row_of_atom.last_mut() {
                        *slot = Some(number);
                    }
                }
                (Some(Node::Leaf(Leaf::Action(own))), Class::Action) => {
                    index(&mut actions, own, number);
                }
                (Some(Node::Leaf(Leaf::Operation(own))), Class::Operation) => {
                    index(&mut operations, own, number);
                }
                _ => {}
            }
            if let Some(level) = levels.get_mut(level) {
                level.note(class, number);
            }
            compiled.push(CompiledRow {
                name: row.name,
                level,
                root,
                class,
            });
        }
        Self {
            rows: compiled,
            engine_levels: if compiler.atoms_in_trees {
                0
            } else {
                engine_levels(&levels)
            },
            levels,
            compares_addresses: compiler
                .nodes
                .iter()
                .any(|node| matches!(node, Node::Leaf(Leaf::Address(_) | Leaf::Prefix(_)))),
            draws_values: compiler.nodes.iter().any(|node| {
                let sticky = match node {
                    Node::Leaf(Leaf::Percent { sticky, .. }) => sticky,
                    _ => &None,
                };
                matches!(sticky, Some(Sticky::XPath(_)))
            }),
            nodes: compiler.nodes,
            actions,
            operations,
            row_of_atom,
            xpath: xpath::Set::compile(compiler.atoms, &landmarks()),
            pause: if compiler.atoms_in_trees {
                Pause::AtEachDecision
            } else {
                Pause::WhenBestLevelIsSure
            },
            turns: compiler.turns,
            runs: Mutex::default(),
        }
    }
}

impl Set {
    /// How much of a message this set needs before it can decide.
    #[must_use]
    pub fn reading(&self) -> Reading {
        let mut reading = Reading::Nothing;
        for row in &self.rows {
            reading = reading.max(self.reading_of(&row.name, row.root));
        }
        reading
    }

    /// How each row is decided, in words: for `check` and `explain`.
    #[must_use]
    pub fn strategy(&self, row: EntryId) -> &'static str {
        match self
            .rows
            .get(row.0 as usize)
            .map(|row| self.reading_of(&row.name, row.root))
        {
            Some(Reading::Whole(..)) => "tree",
            Some(Reading::Header | Reading::Body(_)) => "streaming",
            Some(Reading::Nothing) | None => "head",
        }
    }

    /// What keeps a row from being decided in one pass; `None` when nothing does.
    #[must_use]
    pub fn tree_reason(&self, row: EntryId) -> Option<String> {
        let row = self.rows.get(row.0 as usize)?;
        match self.reading_of(&row.name, row.root) {
            Reading::Whole(_, why) => Some(why),
            _ => None,
        }
    }

    fn reading_of(&self, name: &str, node: usize) -> Reading {
        match self.nodes.get(node) {
            Some(Node::And(children) | Node::Or(children)) => children
                .iter()
                .map(|&child| self.reading_of(name, child))
                .fold(Reading::Nothing, Reading::max),
            Some(Node::Not(child)) => self.reading_of(name, *child),
            Some(Node::Leaf(Leaf::XPath { atom, .. })) => match self.xpath.strategy(*atom) {
                None => Reading::Nothing,
                Some(Strategy::Streaming { header_only: true }) => Reading::Header,
                Some(Strategy::Streaming { header_only: false }) => Reading::Body(name.to_owned()),
                Some(Strategy::Tree { why }) => Reading::Whole(name.to_owned(), why),
            },
            Some(Node::Leaf(Leaf::Percent {
                sticky: Some(Sticky::XPath(value)),
                ..
            })) => {
                let why = format!("a share sticks to the value of `{}`", value.text());
                Reading::Whole(name.to_owned(), why)
            }
            Some(Node::Leaf(leaf)) => match leaf.stage() {
                Stage::Start => Reading::Nothing,
                Stage::Envelope | Stage::Body => Reading::Header,
                Stage::Operation | Stage::AfterBody => Reading::Body(name.to_owned()),
            },
            None => Reading::Nothing,
        }
    }

    /// Whether shares are drawn by values that stand in the message.
    pub(super) const fn has_drawn_values(&self) -> bool {
        self.draws_values
    }

    /// The values that shares are drawn by, with the share's node.
    pub(super) fn drawn_values(&self) -> impl Iterator<Item = (usize, &MessageValue)> {
        let none = (!self.draws_values).then_some(0);
        let nodes = self.nodes.iter().take(none.unwrap_or(usize::MAX));
        nodes.enumerate().filter_map(|(at, node)| match node {
            Node::Leaf(Leaf::Percent {
                sticky: Some(Sticky::XPath(value)),
                ..
            }) => Some((at, value)),
            _ => None,
        })
    }

    /// A run with warm memory if there is one.
    pub(super) fn take_run(&self) -> Box<xpath::Run> {
        let kept = self
            .runs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut run = kept.unwrap_or_default();
        run.set_pause(self.pause);
        run
    }

    pub(super) fn give_run(&self, run: Box<xpath::Run>) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.len() < RUNS_KEPT_MAX {
            runs.push(run);
        }
    }
}

/// See [`Set::engine_levels`].
fn engine_levels(levels: &[Level]) -> usize {
    let count = levels.iter().take_while(|level| level.is_engines()).count();
    let mut behind = levels.iter().skip(count);
    if behind.any(|level| level.has_engine) {
        0
    } else {
        count
    }
}

impl Reading {
    fn rank(&self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Header => 1,
            Self::Body(_) => 2,
            Self::Whole(..) => 3,
        }
    }

    /// The one that reads more; of equals, the first.
    fn max(self, other: Self) -> Self {
        if other.rank() > self.rank() {
            other
        } else {
            self
        }
    }
}

impl Level {
    /// Whether nobody else decides here.
    const fn is_engines(&self) -> bool {
        let alone = self.trees.is_empty() && !self.has_actions && !self.has_operations;
        self.has_engine && alone
    }

    fn note(&mut self, class: Class, row: u32) {
        match class {
            Class::Engine(_) => self.has_engine = true,
            Class::Action => self.has_actions = true,
            Class::Operation => self.has_operations = true,
            Class::Tree => self.trees.push(row),
        }
    }
}

impl Compiler {
    /// Adds a filter to the flat tree and gives its place. `pure` says that the filter is a
    /// row's whole filter.
    fn node(&mut self, spec: Spec, level: usize, pure: bool, levels: &mut [Level]) -> usize {
        let node = match spec {
            Spec::And(children) => Node::And(self.nodes(children, level, levels)),
            Spec::Or(children) => Node::Or(self.nodes(children, level, levels)),
            Spec::Not(child) => Node::Not(self.node(*child, level, false, levels)),
            leaf => {
                if let (Spec::Prefix(pattern), Some(level)) = (&leaf, levels.get_mut(level)) {
                    level.prefixes.push(pattern.clone());
                }
                Node::Leaf(self.leaf(leaf, level, pure))
            }
        };
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn nodes(&mut self, specs: Vec<Spec>, level: usize, levels: &mut [Level]) -> Vec<usize> {
        specs
            .into_iter()
            .map(|spec| self.node(spec, level, false, levels))
            .collect()
    }

    fn leaf(&mut self, spec: Spec, level: usize, pure: bool) -> Leaf {
        match spec {
            Spec::Action(actions) => Leaf::Action(actions),
            Spec::Operation(operations) => Leaf::Operation(operations),
            Spec::Address(pattern) => Leaf::Address(pattern),
            Spec::Prefix(pattern) => Leaf::Prefix(pattern),
            Spec::EndpointName(name) => Leaf::EndpointName(name),
            Spec::SoapVersion(version) => Leaf::SoapVersion(version),
            Spec::Header(test) => Leaf::Header(test),
            Spec::Certificate(test) => Leaf::Certificate(test),
            Spec::RoundRobin { group, of, index } => Leaf::RoundRobin {
                group: self.turns.group(&group),
                of,
                index,
            },
            Spec::Percent { share, sticky } => Leaf::Percent { share, sticky },
            Spec::Custom { name, filter } => Leaf::Custom { name, filter },
            Spec::XPath { expr, text } => {
                let atom = AtomId(u32::try_from(self.atoms.len()).unwrap_or(u32::MAX));
                let level = u32::try_from(level).unwrap_or(u32::MAX);
                self.atoms_in_trees |= !pure;
                self.atoms.push(Atom { expr, level });
                Leaf::XPath {
                    atom,
                    text: text.into(),
                }
            }
            // Trees were taken apart by the caller.
            Spec::Always | Spec::And(_) | Spec::Or(_) | Spec::Not(_) => Leaf::Always,
        }
    }
}

fn class_of(spec: &Spec, next_atom: usize) -> Class {
    match spec {
        Spec::XPath { .. } => Class::Engine(AtomId(u32::try_from(next_atom).unwrap_or(u32::MAX))),
        Spec::Action(_) => Class::Action,
        Spec::Operation(_) => Class::Operation,
        _ => Class::Tree,
    }
}

fn index<K: Clone + Eq + std::hash::Hash>(map: &mut HashMap<K, Vec<u32>>, keys: &[K], row: u32) {
    for key in keys {
        let rows = map.entry(key.clone()).or_default();
        // An action listed twice in one filter is one match.
        if rows.last() != Some(&row) {
            rows.push(row);
        }
    }
}
