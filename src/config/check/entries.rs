//! The entries of one table: empty tables, backups that are no help, entries that can never win.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::filter::FilterRef;
use super::super::loaded::Config;
use super::super::service::{Pattern, SeveralMatches};
use super::super::table::{Backups, Entry};
use super::super::written::Spanned;
use super::meaning::{ALWAYS, Id, Meanings, NEVER};
use super::tables::Used;
use crate::diag::{Diagnostic, Report, Span};

/// Checks each entry by itself. A table is only called empty if no entry was left out for its mistakes.
pub(super) fn check_each(used: &Used<'_>, config: &Config, whole: bool, report: &mut Report) {
    if whole && used.table.table.is_empty() {
        let text = format!("{} has no entries, so every message is refused", used.title);
        let told = Diagnostic::error("empty-table", text, used.span);
        report.push(told.hint("`table: [{ filter: { match_all: {} }, endpoint: NAME }]` sends everything to one endpoint"));
    }
    for entry in &used.table.table {
        backups(&entry.value, config, report);
    }
}

/// An endpoint that failed is not helped by trying it again at once.
fn backups(entry: &Entry, config: &Config, report: &mut Report) {
    let (list, place) = match &entry.backups {
        None => return,
        Some(Backups::Inline(list)) => (list.value.as_slice(), list.span),
        Some(Backups::Named(name)) => match config.router.backup_lists.get(name) {
            Some(list) => (list.0.as_slice(), name.span),
            None => return,
        },
    };
    if list.is_empty() {
        let text = "this list of backups is empty";
        report.push(
            Diagnostic::error("empty-list", text, place)
                .label("needs at least one item")
                .hint("leave `backups` out"),
        );
    }
    let mut tried: HashMap<&str, Span> =
        HashMap::from([(entry.endpoint.value.as_str(), entry.endpoint.span)]);
    for endpoint in list {
        if let Some(earlier) = tried.insert(&endpoint.value, endpoint.span) {
            let text = format!(
                "endpoint `{}` is tried again after it failed",
                endpoint.value
            );
            report.push(
                Diagnostic::warning("repeated-backup", text, endpoint.span)
                    .other(earlier, "it is tried first here"),
            );
        }
    }
}

/// What the services that use a table make of two matches of one priority.
#[derive(Clone, Copy, PartialEq)]
enum Tie {
    Fault,
    First,
    Both,
}

/// Looks for entries that can never win, from the highest priority down.
pub(super) fn check_order(used: &Used<'_>, report: &mut Report) {
    let mut levels: BTreeMap<i32, Vec<&Spanned<Entry>>> = BTreeMap::new();
    for entry in &used.table.table {
        levels.entry(entry.value.priority).or_default().push(entry);
    }
    let mut meanings = Meanings::new(used.table);
    let mut above: HashMap<Id, &Spanned<Entry>> = HashMap::new();
    for entries in levels.values().rev() {
        let level: Vec<_> = entries
            .iter()
            .map(|entry| (*entry, meanings.of(&entry.value.filter)))
            .collect();
        let mut winners = Vec::with_capacity(level.len());
        for (entry, id) in &level {
            if *id == NEVER {
                let text = format!(
                    "this entry of {} can never win: its filter never matches",
                    used.title
                );
                report.push(Diagnostic::warning(
                    "unreachable-entry",
                    text,
                    entry.value.filter.span(),
                ));
            } else if let Some(winner) = first_of(&meanings, *id, &above) {
                never_wins(used, entry, winner, "and is tried first", report);
            } else {
                winners.push((*entry, *id));
            }
        }
        ties(used, &meanings, &winners, report);
        for (entry, id) in winners {
            for covered in meanings.covered(id) {
                above.entry(covered).or_insert(entry);
            }
        }
    }
}

/// An earlier entry that matches whenever this condition holds.
fn first_of<'c>(
    meanings: &Meanings<'_>,
    id: Id,
    above: &HashMap<Id, &'c Spanned<Entry>>,
) -> Option<&'c Spanned<Entry>> {
    meanings
        .implied(id)
        .chain([ALWAYS])
        .find_map(|implied| above.get(&implied).copied())
}

/// Two entries of one priority of which one matches whenever the other does.
fn ties(
    used: &Used<'_>,
    meanings: &Meanings<'_>,
    level: &[(&Spanned<Entry>, Id)],
    report: &mut Report,
) {
    let tie = tie(used);
    if tie == Tie::Both {
        return;
    }
    let mut earlier: HashMap<Id, &Spanned<Entry>> = HashMap::new();
    let mut implied_earlier: HashMap<Id, &Spanned<Entry>> = HashMap::new();
    for (entry, id) in level {
        let winner = first_of(meanings, *id, &earlier);
        match (tie, winner) {
            (Tie::First, Some(winner)) => {
                never_wins(used, entry, winner, "and stands first", report);
            }
            (Tie::Fault, winner) => {
                let followed = || {
                    meanings
                        .covered(*id)
                        .find_map(|covered| implied_earlier.get(&covered).copied())
                };
                let always = || {
                    level
                        .first()
                        .map(|(first, _)| *first)
                        .filter(|_| *id == ALWAYS && !earlier.is_empty())
                };
                if let Some(other) = winner.or_else(followed).or_else(always) {
                    always_several(used, entry, other, report);
                }
            }
            _ => {}
        }
        for covered in meanings.covered(*id) {
            earlier.entry(covered).or_insert(entry);
        }
        for implied in meanings.implied(*id) {
            implied_earlier.entry(implied).or_insert(entry);
        }
    }
}

/// A table that services use differently is judged by the strictest; one without a service as by default.
fn tie(used: &Used<'_>) -> Tie {
    let ties: HashSet<_> = used
        .services
        .iter()
        .map(
            |(_, service)| match (service.pattern, service.several_matches()) {
                (Pattern::OneWay, _) => "both",
                (Pattern::RequestReply, SeveralMatches::First) => "first",
                (Pattern::RequestReply, SeveralMatches::Fault) => "fault",
            },
        )
        .collect();
    match () {
        () if ties.is_empty() || ties.contains("fault") => Tie::Fault,
        () if ties.contains("both") => Tie::Both,
        () => Tie::First,
    }
}

fn never_wins(
    used: &Used<'_>,
    entry: &Spanned<Entry>,
    winner: &Spanned<Entry>,
    why: &str,
    report: &mut Report,
) {
    let text = format!(
        "this entry of {} can never win: {} matches every message it matches, {why}",
        used.title,
        title(&winner.value.filter)
    );
    let told = Diagnostic::warning("unreachable-entry", text, entry.value.filter.span());
    let told = told.label(format!("priority {}", entry.value.priority));
    report.push(told.other(
        winner.value.filter.span(),
        format!("priority {}", winner.value.priority),
    ));
}

fn always_several(
    used: &Used<'_>,
    entry: &Spanned<Entry>,
    other: &Spanned<Entry>,
    report: &mut Report,
) {
    let text = format!(
        "{} and {} of {} match the same messages at priority {}, which is the fault SeveralFiltersMatched",
        title(&entry.value.filter),
        title(&other.value.filter),
        used.title,
        entry.value.priority
    );
    let told = Diagnostic::warning("always-several", text, entry.value.filter.span());
    report.push(
        told.other(other.value.filter.span(), "both match")
            .hint("give one of them a higher priority, or the service `several_matches: first`"),
    );
}

fn title(filter: &FilterRef) -> String {
    format!("`{}`", super::super::node::shorten(&filter.title()))
}
