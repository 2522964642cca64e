//! The state of one message on its way through a set.

use crate::xml::{self, Fed, Flow, Observer, Scanner, Sink, Tag, EndTag};

use super::eval::{Evaluator, Given};
use super::set::{AtomId, Set};
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
    whole: Vec<u8>,
    limits: xml::Limits,
    charset: Option<String>,
    given: Vec<Given>,
    states: Vec<Option<bool>>,
    matched: Vec<AtomId>,
    levels: Vec<u32>,
    pause: Pause,
    decided_at: u64,
}

struct Watch<'o, O>(&'o mut O);

impl<O: Observer> Sink for Watch<'_, O> {
    fn symbol(&mut self, _: &str, _: &str) -> u64 {
        0
    }
    fn start(&mut self, tag: &Tag<'_>) -> Flow {
        if tag.depth() <= self.0.depth_max() { self.0.start(tag) } else { Flow::Continue }
    }
    fn wants_text(&self) -> bool {
        false
    }
    fn text(&mut self, _: &str) {}
    fn comment(&mut self, _: &str, _: bool) {}
    fn end(&mut self, tag: &EndTag<'_>) -> Flow {
        if tag.depth <= self.0.depth_max() { self.0.end(tag) } else { Flow::Continue }
    }
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
        self.whole.clear();
        self.limits = *limits;
        self.charset = charset.map(str::to_owned);
        self.given.clear();
        self.given.extend(externals.iter().map(|external| external.keep()));
        self.states.clear();
        self.states.resize(set.len(), None);
        self.levels.clear();
        self.levels.extend(set.atoms.iter().map(|atom| atom.level));
        self.matched.clear();
        self.decided_at = 0;
        self.scanner.begin(limits, charset, set.id)
    }

    /// When [`Run::feed`] returns early; kept over messages.
    pub fn set_pause(&mut self, pause: Pause) {
        self.pause = pause;
    }

    /// Reads more of the message.
    ///
    /// # Errors
    /// When the message is not well-formed, is refused, or passes a limit.
    pub fn feed<O: Observer>(&mut self, set: &Set, bytes: &[u8], observer: &mut O) -> Result<Progress, xml::Error> {
        let _ = set;
        let fed = self.scanner.feed(bytes, &mut Watch(observer))?;
        let taken = match fed {
            Fed::More => bytes.len(),
            Fed::Stopped(taken) => taken,
        };
        self.whole.extend_from_slice(bytes.get(..taken).unwrap_or(&[]));
        Ok(if fed == Fed::More { Progress::More } else { Progress::Paused(taken) })
    }

    /// Ends the message; everything that streams is decided now.
    ///
    /// # Errors
    /// As [`Run::feed`], and when the message is cut.
    pub fn finish<O: Observer>(&mut self, set: &Set, observer: &mut O) -> Result<(), xml::Error> {
        let _ = set;
        self.scanner.finish(&mut Watch(observer))
    }

    /// What is known of an expression.
    pub fn state(&self, atom: AtomId) -> Option<bool> {
        self.states.get(atom.0 as usize).copied().flatten()
    }

    /// Those that are true, in the order they were decided.
    pub fn matched(&self) -> &[AtomId] {
        &self.matched
    }

    /// Whether an expression of this level is undecided.
    pub fn open(&self, level: u32) -> bool {
        self.levels.iter().zip(&self.states).any(|(of, state)| *of == level && state.is_none())
    }

    /// Whether an expression of this level or one before it is undecided.
    pub fn open_at_or_above(&self, level: u32) -> bool {
        self.levels.iter().zip(&self.states).any(|(of, state)| *of <= level && state.is_none())
    }

    /// Whether reading on can decide nothing more; expressions that need a tree may be open.
    pub fn settled(&self) -> bool {
        self.states.iter().all(Option::is_some)
    }

    /// Offset behind the tag or text at which the last decision fell.
    pub fn decided_at(&self) -> u64 {
        self.decided_at
    }

    /// Bytes of the message that were looked at so far.
    pub fn offset(&self) -> u64 {
        self.scanner.offset()
    }

    /// Whether expressions are open that only a tree of the whole message can decide.
    pub fn needs_tree(&self) -> bool {
        self.states.iter().any(Option::is_none)
    }

    /// Decides what is open on a tree of the whole message.
    ///
    /// # Errors
    /// When the message is not well-formed or an evaluation costs too much; nothing is decided then.
    pub fn evaluate_trees(&mut self, set: &Set, whole: &[u8]) -> Result<(), TreeError> {
        let tree = Tree::read(whole, &self.limits, self.charset.as_deref(), true)?;
        let evaluator = Evaluator::new(&tree, &self.given);
        for (index, atom) in set.atoms.iter().enumerate() {
            let Some(state) = self.states.get_mut(index).filter(|state| state.is_none()) else { continue };
            let holds = evaluator.holds(&atom.expr.node).map_err(|_| TreeError::TooCostly {
                expression: atom.expr.source().to_owned(),
                max: super::eval::VISITS_MAX,
            })?;
            *state = Some(holds);
            if holds {
                self.matched.push(AtomId(index as u32));
            }
        }
        self.decided_at = whole.len() as u64;
        Ok(())
    }
}
