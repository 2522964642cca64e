//! Many expressions compiled into one immutable thing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ast::Expr;
use super::compile::Compiler;
use super::program::{PHASE_ROOT, Phase, Program};
use super::tally::{PHASE_TREE, Plan};

/// Number of an expression in its set: its place in the list given to [`Set::compile`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AtomId(pub u32);

/// One expression of a set.
#[derive(Debug, Clone)]
pub struct Atom {
    /// The expression.
    pub expr: Expr,
    /// How early it is asked for; 0 comes first.
    pub level: u32,
}

/// Elements that occur at most once and in a known order; decisions fall at their ends.
///
/// An expression that looks only below the first section is decided when that section ends or the
/// next one begins, whatever follows.
#[derive(Debug, Clone, Default)]
pub struct Landmarks {
    /// Expanded names (namespace, local) the root may have.
    pub root: Vec<(String, String)>,
    /// Children of the root in document order, each with the expanded names it may have.
    pub sections: Vec<Vec<(String, String)>>,
    /// What an expanded name (namespace, local) is to the observer that will read along; without it
    /// every tag is told that the observer's depth allows.
    pub classes: Option<fn(&str, &str) -> u8>,
}

/// How an expression is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// In the one pass.
    Streaming {
        /// Decided at the end of the first section (the header).
        header_only: bool,
    },
    /// On a tree of the whole message, when it is still needed.
    Tree {
        /// What keeps it from streaming.
        why: String,
    },
}

/// The compiled set: share it in an `Arc`.
#[derive(Debug)]
pub struct Set {
    pub(super) id: u64,
    pub(super) atoms: Vec<Atom>,
    pub(super) program: Program,
    pub(super) tally: Arc<Plan>,
}

impl Set {
    /// Compiles; never fails, since expressions were checked when they were parsed.
    pub fn compile(atoms: Vec<Atom>, landmarks: &Landmarks) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(2);
        let mut compiler = Compiler::new(landmarks);
        let number = |index: usize| index as u32;
        let plans: Vec<Result<Phase, String>> = atoms
            .iter()
            .enumerate()
            .map(|(index, atom)| compiler.atom(number(index), atom))
            .collect();
        let program = compiler.program(plans);
        let phases: Vec<(u32, Phase)> = atoms
            .iter()
            .zip(&program.plans)
            .map(|(atom, plan)| (atom.level, plan.as_ref().copied().unwrap_or(PHASE_TREE)))
            .collect();
        let tally = Arc::new(Plan::new(&phases, program.phase_ends.len()));
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            atoms,
            program,
            tally,
        }
    }

    /// How many expressions there are.
    pub fn len(&self) -> usize {
        self.atoms.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.atoms.is_empty()
    }

    /// The expression.
    pub fn expr(&self, atom: AtomId) -> Option<&Expr> {
        self.atoms.get(atom.0 as usize).map(|atom| &atom.expr)
    }

    /// How an expression is decided; `None` for a number that is not in the set.
    pub fn strategy(&self, atom: AtomId) -> Option<Strategy> {
        Some(match self.program.plans.get(atom.0 as usize)? {
            Ok(phase) => Strategy::Streaming {
                header_only: *phase <= PHASE_ROOT + 1,
            },
            Err(why) => Strategy::Tree { why: why.clone() },
        })
    }

    /// Whether every expression is decided by the end of the first section.
    pub fn header_only(&self) -> bool {
        self.program
            .plans
            .iter()
            .all(|plan| plan.as_ref().is_ok_and(|phase| *phase <= PHASE_ROOT + 1))
    }

    /// Whether any expression needs the whole message as a tree.
    pub fn may_need_tree(&self) -> bool {
        self.tally.trees() > 0
    }
}
