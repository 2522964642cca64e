//! The state of one message on its way through a set.

use std::sync::Arc;

use crate::xml::{self, Fed, Observer, Scanner};

use super::eval::{Evaluator, Given};
use super::fallback::Foreign;
use super::pass::Pass;
use super::set::{AtomId, Set};
use super::stream::Stream;
use super::tally::{PHASE_TREE, Plan};
use super::tree::Tree;

/// A value that comes with the message, in the order the environment declared them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum External<'a> {
    /// For `external_string`.
    Text(&'a str),
    /// For `external_number`.
    Number(f64),
}

impl External<'_> {
    pub(super) fn keep(self) -> Given {
        match self {
            Self::Text(text) => Given::Text(text.to_owned()),
            Self::Number(number) => Given::Number(number),
        }
    }
}

/// When [`Run::feed`] returns before its bytes are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pause {
    /// When nothing more can be decided by reading on.
    #[default]
    WhenSettled,
    /// Also when the best level that matched cannot be joined or beaten any more.
    WhenBestLevelIsSure,
    /// Also at each tag or text at which an expression was decided.
    AtEachDecision,
}

/// How a feed ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All bytes were read; more may come.
    More,
    /// The observer stopped, or a [`Pause`] came due, after this many bytes. The rest may be fed later.
    Paused(usize),
}

/// Why a tree could not answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TreeError {
    /// The whole message is not well-formed or passes a limit.
    #[error(transparent)]
    Xml(#[from] xml::Error),
    /// An expression visits too many nodes of this message.
    #[error("the expression `{expression}` visits more than {max} nodes of this message")]
    TooCostly {
        /// The expression.
        expression: String,
        /// The limit.
        max: u64,
    },
}

/// The state of one message; reusable.
#[derive(Debug, Default)]
pub struct Run {
    scanner: Scanner,
    stream: Stream,
    limits: xml::Limits,
    charset: Option<String>,
    check_all: bool,
    trees_done: bool,
    /// The plan of the set this message runs through, and the set's number.
    plan: Arc<Plan>,
    plan_of: u64,
}

impl Run {
    /// A fresh state; keep it for many messages.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a message.
    ///
    /// # Errors
    /// When the charset is not supported.
    pub fn begin(
        &mut self,
        set: &Set,
        externals: &[External<'_>],
        limits: &xml::Limits,
        charset: Option<&str>,
    ) -> Result<(), xml::Error> {
        self.limits = *limits;
        self.trees_done = false;
        if self.plan_of != set.id {
            self.plan = set.tally.clone();
            self.plan_of = set.id;
        }
        match (charset, &mut self.charset) {
            (Some(new), Some(kept)) => {
                kept.clear();
                kept.push_str(new);
            }
            (new, kept) => *kept = new.map(str::to_owned),
        }
        self.keep(externals);
        self.stream.begin(&set.program, &set.tally, set.id);
        self.stream.news(&set.tally);
        self.scanner.begin(limits, charset, set.id)
    }

    /// Keeps the external values, in the strings of the last message where there are such.
    fn keep(&mut self, externals: &[External<'_>]) {
        let given = &mut self.stream.facts.given;
        given.truncate(externals.len());
        for (index, external) in externals.iter().enumerate() {
            match (given.get_mut(index), external) {
                (Some(Given::Text(kept)), External::Text(text)) => {
                    kept.clear();
                    kept.push_str(text);
                }
                (Some(kept), other) => *kept = other.keep(),
                (None, other) => given.push(other.keep()),
            }
        }
    }

    /// When [`Run::feed`] returns early; kept over messages.
    pub fn set_pause(&mut self, pause: Pause) {
        self.stream.pause = pause;
    }

    /// Whether content that no expression looks at is checked like the rest instead of passed over
    /// for balance only; kept over messages.
    pub fn set_check_all(&mut self, check_all: bool) {
        self.check_all = check_all;
    }

    /// Reads more of the message.
    ///
    /// # Errors
    /// When the message is not well-formed, is refused, or passes a limit.
    pub fn feed<O: Observer>(
        &mut self,
        set: &Set,
        bytes: &[u8],
        observer: &mut O,
    ) -> Result<Progress, xml::Error> {
        let mut pass = pass(
            &mut self.stream,
            set,
            observer,
            self.scanner.depth(),
            self.check_all,
        );
        Ok(match self.scanner.feed(bytes, &mut pass)? {
            Fed::More => Progress::More,
            Fed::Stopped(taken) => Progress::Paused(taken),
        })
    }

    /// Ends the message; everything that streams is decided now.
    ///
    /// # Errors
    /// As [`Run::feed`], and when the message is cut.
    pub fn finish<O: Observer>(&mut self, set: &Set, observer: &mut O) -> Result<(), xml::Error> {
        let mut pass = pass(
            &mut self.stream,
            set,
            observer,
            self.scanner.depth(),
            self.check_all,
        );
        self.scanner.finish(&mut pass)?;
        self.stream
            .end_document(&set.program, &set.tally, self.scanner.offset());
        Ok(())
    }

    /// What is known of an expression.
    pub fn state(&self, atom: AtomId) -> Option<bool> {
        let facts = &self.stream.facts;
        if facts.is_true(atom.0) {
            return Some(true);
        }
        let (_, phase) = self.plan.atom(atom.0)?;
        let over = self.trees_done || phase != PHASE_TREE && phase < facts.phase && !facts.spilled;
        over.then_some(false)
    }

    /// Those that are true, in the order they were decided.
    pub fn matched(&self) -> &[AtomId] {
        &self.stream.facts.matched
    }

    /// Whether an expression of this level is undecided.
    pub fn open(&self, level: u32) -> bool {
        let below = level
            .checked_sub(1)
            .map_or(0, |before| self.count_open(before));
        self.count_open(level) > below
    }

    /// Whether an expression of this level or one before it is undecided.
    pub fn open_at_or_above(&self, level: u32) -> bool {
        self.count_open(level) > 0
    }

    fn count_open(&self, level: u32) -> u32 {
        let facts = &self.stream.facts;
        if facts.spilled {
            let open = (0..self.plan.len()).filter(|atom| {
                let rank = self.plan.atom(*atom).map(|(rank, _)| rank as usize);
                rank.and_then(|rank| self.plan.levels.get(rank))
                    .is_some_and(|of| *of <= level)
                    && self.state(AtomId(*atom)).is_none()
            });
            return open.count() as u32;
        }
        self.stream
            .tally
            .open_upto(&self.plan, &facts.matched, level, !self.trees_done)
    }

    /// Whether reading on can decide nothing more; expressions that need a tree may be open.
    pub fn settled(&self) -> bool {
        self.stream.tally.settled
    }

    /// Offset behind the tag or text at which the last decision fell.
    pub fn decided_at(&self) -> u64 {
        self.stream.decided_at
    }

    /// Offset behind the last tag that was read.
    pub fn offset(&self) -> u64 {
        self.scanner.offset()
    }

    /// Whether expressions are open that only a tree of the whole message can decide.
    pub fn needs_tree(&self) -> bool {
        let facts = &self.stream.facts;
        let spilled = || (0..self.plan.len()).any(|atom| self.state(AtomId(atom)).is_none());
        !self.trees_done && (self.plan.trees() > 0 || facts.spilled && spilled())
    }

    /// Decides what is open on a tree of the whole message.
    ///
    /// # Errors
    /// When the message is not well-formed or an evaluation costs too much; nothing is decided then.
    pub fn evaluate_trees(&mut self, set: &Set, whole: &[u8]) -> Result<(), TreeError> {
        let open = |number: u32| self.state(AtomId(number)).is_none();
        let namespaces = (0_u32..)
            .zip(&set.atoms)
            .any(|(number, atom)| open(number) && atom.expr.node.asks_namespaces());
        let tree = Tree::read(whole, &self.limits, self.charset.as_deref(), namespaces)?;
        let evaluator = Evaluator::new(&tree, &self.stream.facts.given);
        let foreign = Foreign::of(&tree, namespaces);
        let mut holding = Vec::new();
        for (number, atom) in (0_u32..).zip(&set.atoms) {
            if self.state(AtomId(number)).is_some() {
                continue;
            }
            let holds = match foreign
                .as_ref()
                .filter(|foreign| foreign.suits(&atom.expr.node))
                .and_then(|foreign| foreign.holds(&atom.expr.node))
            {
                Some(holds) => holds,
                None => evaluator
                    .holds(&atom.expr.node)
                    .map_err(|_| TreeError::TooCostly {
                        expression: atom.expr.source().to_owned(),
                        max: super::eval::VISITS_MAX,
                    })?,
            };
            if holds {
                holding.push(number);
            }
        }
        let facts = &mut self.stream.facts;
        for atom in holding {
            facts.mark(atom);
            facts.matched.push(AtomId(atom));
        }
        self.trees_done = true;
        self.stream.decided_at = whole.len() as u64;
        Ok(())
    }
}

fn pass<'p, O: Observer>(
    stream: &'p mut Stream,
    set: &'p Set,
    observer: &'p mut O,
    depth: u32,
    check_all: bool,
) -> Pass<'p, O> {
    let observes = observer.depth_max();
    Pass {
        stream,
        program: &set.program,
        tally: &set.tally,
        observer,
        observes,
        depth,
        check_all,
    }
}
