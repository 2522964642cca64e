//! The filters of one table: circles, trees that grow without bound, kinds that say too little or too much.

use std::collections::HashMap;

use super::super::filter::{Filter, FilterRef};
use super::super::forms::RoundRobin;
use super::super::loaded::Config;
use super::super::written::Spanned;
use super::tables::{Used, each_reference};
use crate::diag::{Diagnostic, Report};

/// Filters inside each other, through names too: deciding one recurses.
const NESTING_MAX: u64 = 100;
/// Filters in one tree after names are filled in: ten names that each name the one before twice are a
/// thousand, a hundred are without end.
const TREE_MAX: u64 = 100_000;

/// True if the filters are sound enough to reason about.
pub(super) fn check(used: &Used<'_>, config: &Config, report: &mut Report) -> bool {
    let before = report.errors();
    for filter in used.filters() {
        kind(filter, config, report);
    }
    round_robins(used, report);
    trees(used, report);
    report.errors() == before
}

fn kind(filter: &Spanned<Filter>, config: &Config, report: &mut Report) {
    let mut one_test = |text: &str, span, label: &str| {
        report.push(Diagnostic::error("one-test", text, span).label(label));
    };
    match &filter.value {
        Filter::And(parts) | Filter::Or(parts) if parts.is_empty() => {
            let text = format!("`{}` needs at least one filter", filter.value.kind());
            report.push(
                Diagnostic::error("empty-list", text, filter.span).label("needs at least one item"),
            );
        }
        Filter::HttpHeader(header) if header.value.tests() != 1 => {
            let text = "`http_header` needs one test of the field's value";
            one_test(
                text,
                header.span,
                "exactly one of `equals`, `prefix`, `matches`, `present`",
            );
        }
        Filter::ClientCertificate(certificate) => {
            let written = [&certificate.subject, &certificate.issuer, &certificate.san];
            if written.iter().all(|one| one.is_none()) {
                let text = "`client_certificate` needs something to compare";
                one_test(
                    text,
                    certificate.span,
                    "at least one of `subject`, `issuer`, `san`",
                );
            }
            let asks =
                |tls: &Spanned<super::super::tls::ListenerTls>| tls.value.client_ca.is_some();
            if !config
                .router
                .listeners
                .iter()
                .any(|(_, listener)| listener.tls.as_ref().is_some_and(asks))
            {
                let text = "no listener asks for client certificates, so this filter never matches";
                let told = Diagnostic::warning("no-client-ca", text, filter.span);
                report.push(
                    told.hint("give a listener `tls: { cert: ..., key: ..., client_ca: ... }`"),
                );
            }
        }
        Filter::EndpointName(name) => {
            let router = &config.router;
            if router.listeners.span_of(name).is_none() && router.services.span_of(name).is_none() {
                let text = format!("no listener and no service has the name `{}`", name.value);
                let names = router
                    .listeners
                    .declared()
                    .chain(router.services.declared());
                let names: Vec<_> = names.map(|name| name.value.as_str()).collect();
                let hint = super::super::suggest::did_you_mean(name, names.iter().copied());
                report.push(
                    Diagnostic::error("unknown-endpoint-name", text, name.span)
                        .allowed(names)
                        .hint_if(hint),
                );
            }
        }
        _ => {}
    }
}

/// The filters of one group share a count, so they must agree on the length of a round.
fn round_robins(used: &Used<'_>, report: &mut Report) {
    let mut groups: HashMap<&str, (&RoundRobin, &Spanned<String>)> = HashMap::new();
    let mut places: HashMap<(&str, Option<u32>), &Spanned<String>> = HashMap::new();
    for filter in used.filters() {
        let Filter::RoundRobin(one) = &filter.value else {
            continue;
        };
        let group = one.group.value.as_str();
        let (first, place) = groups.entry(group).or_insert((one, &one.group));
        if first.of != one.of {
            let number = |of: Option<u32>| of.map_or_else(String::new, |of| of.to_string());
            let text =
                format!("the filters of group `{group}` do not agree on the length of a round");
            let told = Diagnostic::error("bad-round-robin", text, one.group.span)
                .label(format!("`of` is {} here", number(one.of)));
            report.push(
                told.other(place.span, format!("and {} here", number(first.of)))
                    .hint("write `of` and `index` for all of a group or for none"),
            );
        } else if let Some(other) = places.insert((group, one.index), &one.group) {
            let text = format!("two filters of group `{group}` have the same place in the round");
            report.push(
                Diagnostic::warning("bad-round-robin", text, one.group.span)
                    .other(other.span, "the other is here"),
            );
        }
    }
}

/// What is known of a named filter once all that it names is known.
#[derive(Clone, Copy)]
struct Tree {
    nesting: u64,
    size: u64,
}

/// Follows names, without recursion, for a chain of names may be as long as the file.
fn trees(used: &Used<'_>, report: &mut Report) {
    let filters = &used.table.filters;
    let children: HashMap<&str, Vec<&Spanned<String>>> = filters
        .iter()
        .map(|(name, filter)| {
            let mut names = Vec::new();
            each_reference(&filter.value, &mut |reference| {
                if let FilterRef::Name(child) = reference
                    && filters.get(child).is_some()
                {
                    names.push(child);
                }
            });
            (name.value.as_str(), names)
        })
        .collect();
    let known = settle(used, &children);
    for (name, filter) in filters.iter() {
        let Some(tree) = known.get(name.value.as_str()) else {
            continue;
        };
        if tree.nesting > NESTING_MAX || tree.size > TREE_MAX {
            let text = format!(
                "filter `{}` is too large once the names in it are filled in",
                name.value
            );
            let label =
                format!("at most {NESTING_MAX} filters inside each other, {TREE_MAX} in all");
            report.push(Diagnostic::error("filter-limit", text, filter.span).label(label));
        }
    }
    cycles(used, &children, &known, report);
}

/// Sizes from the leaves up; what stands in or above a circle is never reached.
fn settle<'c>(
    used: &Used<'c>,
    children: &HashMap<&'c str, Vec<&'c Spanned<String>>>,
) -> HashMap<&'c str, Tree> {
    let mut parents: HashMap<&str, Vec<&'c str>> = HashMap::new();
    let mut waiting: HashMap<&'c str, usize> = HashMap::new();
    let mut ready = Vec::new();
    for (name, _) in used.table.filters.iter() {
        let name = name.value.as_str();
        let names = children.get(name).map_or(&[][..], Vec::as_slice);
        names
            .iter()
            .for_each(|child| parents.entry(&child.value).or_default().push(name));
        waiting.insert(name, names.len());
        if names.is_empty() {
            ready.push(name);
        }
    }
    let mut known: HashMap<&'c str, Tree> = HashMap::new();
    while let Some(name) = ready.pop() {
        let below = children
            .get(name)
            .into_iter()
            .flatten()
            .filter_map(|child| known.get(child.value.as_str()));
        let filter = used.table.filters.get(name);
        let (depth, size) = filter.map_or((1, 1), |filter| {
            (own_depth(&filter.value), own_size(&filter.value))
        });
        let tree = below.fold(
            Tree {
                nesting: depth,
                size,
            },
            |tree, child| Tree {
                nesting: tree.nesting.max(depth.saturating_add(child.nesting)),
                size: tree.size.saturating_add(child.size),
            },
        );
        known.insert(name, tree);
        for parent in parents.get(name).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(parent) {
                *count -= 1;
                if *count == 0 {
                    ready.push(parent);
                }
            }
        }
    }
    known
}

/// Filters inside each other as they are written here, without following names.
fn own_depth(filter: &Filter) -> u64 {
    let below = |part: &FilterRef| match part {
        FilterRef::Inline(filter) => own_depth(&filter.value),
        FilterRef::Name(_) => 0,
    };
    1 + match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().map(below).max().unwrap_or(0),
        Filter::Not(part) => below(part),
        _ => 0,
    }
}

/// Filters written inline below this one, itself included.
fn own_size(filter: &Filter) -> u64 {
    let mut count = 1;
    each_reference(filter, &mut |reference| {
        count += u64::from(matches!(reference, FilterRef::Inline(_)));
    });
    count
}

fn cycles(
    used: &Used<'_>,
    children: &HashMap<&str, Vec<&Spanned<String>>>,
    known: &HashMap<&str, Tree>,
    report: &mut Report,
) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (round, (start, _)) in used.table.filters.iter().enumerate() {
        let mut path: Vec<(&str, &Spanned<String>)> = Vec::new();
        let mut at = start.value.as_str();
        // Whatever has no size names at least one that has none, so the walk ends only where it was before.
        while !known.contains_key(at) && !seen.contains_key(at) {
            seen.insert(at, round);
            let next = children
                .get(at)
                .into_iter()
                .flatten()
                .find(|child| !known.contains_key(child.value.as_str()));
            let Some(next) = next else { break };
            path.push((at, next));
            at = &next.value;
        }
        let Some(from) = path.iter().position(|(name, _)| *name == at) else {
            continue;
        };
        if seen.get(at) == Some(&round) {
            tell_cycle(used, path.get(from..).unwrap_or_default(), report);
        }
    }
}

fn tell_cycle(used: &Used<'_>, path: &[(&str, &Spanned<String>)], report: &mut Report) {
    // A circle of thousands is told by its first steps.
    const SHOWN_MAX: usize = 8;
    let Some((first, reference)) = path.first() else {
        return;
    };
    let mut chain: Vec<_> = path
        .iter()
        .take(SHOWN_MAX)
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    if path.len() > SHOWN_MAX {
        chain.push("...".to_owned());
    }
    chain.push(format!("`{first}`"));
    let chain = chain.join(" -> ");
    let text = format!("filter `{first}` of {} holds itself: {chain}", used.title);
    let mut told =
        Diagnostic::error("filter-cycle", text, reference.span).label("part of the circle");
    for (name, next) in path.iter().skip(1).take(SHOWN_MAX) {
        told = told.other(next.span, format!("`{name}` names `{}` here", next.value));
    }
    report.push(told.hint("a filter cannot depend on its own answer: break the circle"));
}
