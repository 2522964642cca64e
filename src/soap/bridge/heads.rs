//! Heads that were bridged before, byte for byte, with what became of them.
//!
//! Callers of an operation send the same head again and again, unless it says who sent it or when. Such a head need not be
//! read: what was written in its place is written again, and the scanner goes on behind it.
//!
//! **Invariant:** a head is found only where everything is the same that its bridging depended on.

use std::sync::{Arc, Weak};

use super::plan::{Arriving, Context, Outcome, Plan, Within};
use super::rest::Border;
use super::work::{Direction, Tail};
use crate::xml::Bookmark;

/// Heads that are kept: the operations that a worker sees most of an endpoint.
const HEADS_MAX: usize = 4;
/// Longest head that is kept.
const BYTES_MAX: usize = 1 << 10;
/// So many unknown heads are met before one is replaced: heads that are never the same must not cost copies.
const REPLACED_EVERY: u32 = 256;

/// The heads that are kept, all of messages that went the same way.
#[derive(Debug, Default)]
pub(super) struct Heads {
    plan: Weak<Plan>,
    /// What was met moves forward.
    all: Vec<Head>,
    misses: u32,
}

/// A head and what became of it.
#[derive(Debug)]
pub(super) struct Head {
    bytes: Vec<u8>,
    beside: Beside,
    pub(super) bridged: Bridged,
}

/// What bridging a head gave.
#[derive(Debug)]
pub(super) struct Bridged {
    pub(super) written: Vec<u8>,
    pub(super) outcome: Outcome,
    pub(super) tail: Tail,
    pub(super) border: Border,
    /// The scanner's place behind it.
    pub(super) mark: Bookmark,
}

/// What a message's bridging depends on beside its bytes and the plan.
#[derive(Debug)]
enum Beside {
    Request {
        action: Option<String>,
        languages: Option<String>,
        one_way: bool,
        within: Option<Within>,
    },
    Reply(Arc<Context>),
}

impl Heads {
    /// A head with which `bytes` begin and that was bridged as this message would be, with its length.
    pub(super) fn find(
        &mut self,
        plan: &Arc<Plan>,
        direction: Direction<'_>,
        bytes: &[u8],
    ) -> Option<(&Bridged, usize)> {
        if self.plan.as_ptr() != Arc::as_ptr(plan) {
            return None;
        }
        let fits = |head: &Head| bytes.starts_with(&head.bytes) && head.beside.is(direction);
        let at = self.all.iter().position(fits)?;
        let ahead = at.saturating_sub(1);
        self.all.swap(at, ahead);
        let head = self.all.get(ahead)?;
        Some((&head.bridged, head.bytes.len()))
    }

    /// Lets all of them go.
    pub(super) fn clear(&mut self) {
        self.all.clear();
    }

    /// Whether a head of this length that was not found should be kept.
    pub(super) fn wants(&mut self, plan: &Arc<Plan>, length: usize) -> bool {
        if self.plan.as_ptr() != Arc::as_ptr(plan) {
            self.all.clear();
            self.plan = Arc::downgrade(plan);
        }
        self.misses = self.misses.wrapping_add(1);
        let due = self.all.len() < HEADS_MAX || self.misses.is_multiple_of(REPLACED_EVERY);
        due && length <= BYTES_MAX
    }

    /// Keeps one, in the place of the one that was met least where there is no room.
    pub(super) fn keep(&mut self, bytes: &[u8], direction: Direction<'_>, bridged: Bridged) {
        self.all.truncate(HEADS_MAX - 1);
        self.all.push(Head {
            bytes: bytes.to_vec(),
            beside: Beside::of(direction),
            bridged,
        });
    }
}

impl Beside {
    fn of(direction: Direction<'_>) -> Self {
        match direction {
            Direction::Request(arriving) => {
                // The number is only for ids that are made, and heads with such ids are not kept.
                let Arriving {
                    charset: _,
                    action,
                    one_way,
                    languages,
                    within,
                    unique: _,
                } = arriving.clone();
                Self::Request {
                    action,
                    languages,
                    one_way,
                    within,
                }
            }
            Direction::Reply(context) => Self::Reply(Arc::clone(context)),
        }
    }

    fn is(&self, direction: Direction<'_>) -> bool {
        match (self, direction) {
            (
                Self::Request {
                    action,
                    languages,
                    one_way,
                    within,
                },
                Direction::Request(new),
            ) => {
                *action == new.action
                    && *languages == new.languages
                    && *one_way == new.one_way
                    && *within == new.within
            }
            (Self::Reply(known), Direction::Reply(new)) => Arc::ptr_eq(known, new) || known == new,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::bridge::plan::Dialect;
    use crate::soap::bridge::rest::Rest;
    use crate::soap::bridge::shape::Shape;
    use crate::soap::version::Version;
    use crate::xml::{Limits, Scanner};

    fn bridged() -> Bridged {
        let (mut scanner, mut rest) = (Scanner::new(), Rest::default());
        scanner.begin(&Limits::default(), None, 0).unwrap();
        scanner.feed(b"<root>", &mut rest).unwrap();
        let dialect = Dialect {
            soap: Version::Soap11,
            addressing: None,
        };
        Bridged {
            written: Vec::new(),
            outcome: Outcome {
                changed: true,
                from: dialect,
                to: dialect,
                fault: None,
                losses: crate::soap::Losses::default(),
                unchanged_because: None,
                context: Arc::new(Context::of(Version::Soap11, None)),
            },
            tail: Tail::default(),
            border: Border::of(&Shape::default()),
            mark: scanner.bookmark(&mut rest).unwrap(),
        }
    }

    #[test]
    fn few_heads_are_kept_none_of_them_long_and_those_that_never_come_again_are_seldom_copied() {
        let (mut heads, plan) = (Heads::default(), Arc::new(Plan::default()));
        let arriving = Arriving::default();
        let direction = Direction::Request(&arriving);
        let mut kept = Vec::new();
        let most = 4 * REPLACED_EVERY as usize;
        for number in 0..most {
            let head = format!("<a{number}>");
            assert!(heads.find(&plan, direction, head.as_bytes()).is_none());
            if heads.wants(&plan, head.len()) {
                heads.keep(head.as_bytes(), direction, bridged());
                kept.push(head);
            }
        }
        assert_eq!(heads.all.len(), HEADS_MAX);
        assert_eq!(kept.len(), HEADS_MAX + 4);
        let found = |heads: &mut Heads, plan: &Arc<Plan>| {
            let all = kept.iter();
            all.filter(|head| heads.find(plan, direction, head.as_bytes()).is_some())
                .count()
        };
        assert_eq!(found(&mut heads, &plan), HEADS_MAX);
        assert!((0..most).all(|_| !heads.wants(&plan, BYTES_MAX + 1)));
        let other = Arc::new(Plan::default());
        assert_eq!(found(&mut heads, &other), 0);
        assert!(heads.wants(&other, 1) && heads.all.is_empty());
    }
}
