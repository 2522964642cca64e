//! Many expressions compiled into one immutable thing.

use std::sync::atomic::{AtomicU64, Ordering};

use super::ast::Expr;

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
}

impl Set {
    /// Compiles; never fails, since expressions were checked when they were parsed.
    pub fn compile(atoms: Vec<Atom>, landmarks: &Landmarks) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(2);
        let _ = landmarks;
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), atoms }
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
        self.atoms.get(atom.0 as usize).map(|_| Strategy::Tree { why: "the streaming engine is not built in yet".into() })
    }

    /// Whether every expression is decided by the end of the first section.
    pub fn header_only(&self) -> bool {
        self.atoms.is_empty()
    }

    /// Whether any expression needs the whole message as a tree.
    pub fn may_need_tree(&self) -> bool {
        !self.atoms.is_empty()
    }
}
