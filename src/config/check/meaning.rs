//! Which filters follow from which: enough of it to see that an entry can never win.
//!
//! Every condition gets a number; equal conditions get the same one, `and`/`or`/`not` are simplified a
//! little. Wrong answers are all on one side: two conditions may be equal without our seeing it.
//!
//! **Invariant:** linear in the size of the table; no two entries are ever compared.

use std::collections::{BTreeSet, HashMap};

use super::super::filter::{Filter, FilterRef};
use super::super::table::Table;

/// A condition by number.
pub(super) type Id = usize;
/// Matches every message.
pub(super) const ALWAYS: Id = 0;
/// Matches none.
pub(super) const NEVER: Id = 1;

/// So many conditions are followed from one; more would make the table's check quadratic.
const FOLLOWED_MAX: usize = 64;

/// The conditions of one table.
pub(super) struct Meanings<'c> {
    table: &'c Table,
    ids: HashMap<String, Id>,
    names: HashMap<&'c str, Id>,
    conditions: Vec<Condition>,
}

#[derive(Default)]
struct Condition {
    /// What is true whenever this is.
    implies: BTreeSet<Id>,
    /// What makes this true whenever it is.
    covers: BTreeSet<Id>,
}

impl<'c> Meanings<'c> {
    /// Nothing known yet. The table's filters must be free of circles and not too deep (`filters.rs`).
    pub(super) fn new(table: &'c Table) -> Self {
        let mut meanings = Self {
            table,
            ids: HashMap::new(),
            names: HashMap::new(),
            conditions: Vec::new(),
        };
        meanings.fresh();
        meanings.fresh();
        meanings
    }

    /// The number of a condition.
    pub(super) fn of(&mut self, reference: &'c FilterRef) -> Id {
        match reference {
            FilterRef::Inline(filter) => self.of_filter(&filter.value),
            FilterRef::Name(name) => {
                if let Some(id) = self.names.get(name.value.as_str()) {
                    return *id;
                }
                let table: &'c Table = self.table;
                let Some(filter) = table.filters.get(name) else {
                    return self.fresh();
                };
                let id = self.of_filter(&filter.value);
                self.names.insert(&name.value, id);
                id
            }
        }
    }

    /// What is true whenever this is, itself first.
    pub(super) fn implied(&self, id: Id) -> impl Iterator<Item = Id> + '_ {
        std::iter::once(id).chain(
            self.conditions
                .get(id)
                .into_iter()
                .flat_map(|one| one.implies.iter().copied()),
        )
    }

    /// What makes this true whenever it is, itself first.
    pub(super) fn covered(&self, id: Id) -> impl Iterator<Item = Id> + '_ {
        std::iter::once(id).chain(
            self.conditions
                .get(id)
                .into_iter()
                .flat_map(|one| one.covers.iter().copied()),
        )
    }

    fn of_filter(&mut self, filter: &'c Filter) -> Id {
        match filter {
            Filter::MatchAll(_) => ALWAYS,
            Filter::And(parts) => self.of_parts(parts, "and", NEVER, ALWAYS),
            Filter::Or(parts) => self.of_parts(parts, "or", ALWAYS, NEVER),
            Filter::Not(part) => match self.of(part) {
                ALWAYS => NEVER,
                NEVER => ALWAYS,
                id => self.interned(format!("not {id}")),
            },
            Filter::Percent(percent) if percent.share.0 <= 0.0 => NEVER,
            Filter::Percent(percent) if percent.share.0 >= 100.0 => ALWAYS,
            // Two of these need not answer alike, even if they are written alike.
            Filter::Percent(_) | Filter::RoundRobin(_) | Filter::Custom(_) => self.fresh(),
            leaf => self.interned(serde_json::to_string(leaf).unwrap_or_default()),
        }
    }

    /// `winner` decides alone (`never` in an `and`), `neutral` says nothing.
    fn of_parts(&mut self, parts: &'c [FilterRef], word: &str, winner: Id, neutral: Id) -> Id {
        let ids: BTreeSet<Id> = parts
            .iter()
            .map(|part| self.of(part))
            .filter(|id| *id != neutral)
            .collect();
        if ids.contains(&winner) {
            return winner;
        }
        let mut only = ids.iter();
        match (only.next(), only.next()) {
            (None, _) => return neutral,
            (Some(id), None) => return *id,
            _ => {}
        }
        let key: Vec<_> = ids.iter().map(ToString::to_string).collect();
        let id = self.interned(format!("{word} {}", key.join(" ")));
        let is_and = winner == NEVER;
        let mut follow = BTreeSet::new();
        for part in &ids {
            follow.insert(*part);
            let Some(condition) = self.conditions.get(*part) else {
                continue;
            };
            follow.extend(if is_and {
                &condition.implies
            } else {
                &condition.covers
            });
        }
        while follow.len() > FOLLOWED_MAX {
            follow.pop_last();
        }
        if let Some(condition) = self.conditions.get_mut(id) {
            if is_and {
                condition.implies = follow;
            } else {
                condition.covers = follow;
            }
        }
        id
    }

    fn interned(&mut self, key: String) -> Id {
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        let id = self.fresh();
        self.ids.insert(key, id);
        id
    }

    fn fresh(&mut self) -> Id {
        self.conditions.push(Condition::default());
        self.conditions.len() - 1
    }
}
