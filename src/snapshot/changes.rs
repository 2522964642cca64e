//! What a reload changes, in words an operator can check against what they meant.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Service, Snapshot};

/// Entries added, removed, moved; endpoints, services and listeners that came, went, changed.
#[must_use]
pub fn changes(old: &Snapshot, new: &Snapshot) -> Vec<String> {
    let mut told = Vec::new();
    let listeners = |snapshot: &Snapshot| -> BTreeMap<String, String> {
        snapshot
            .listeners
            .iter()
            .map(|l| (l.name.to_string(), format!("{l:?}")))
            .collect()
    };
    compare("listener", &listeners(old), &listeners(new), &mut told);
    let endpoints = |snapshot: &Snapshot| -> BTreeMap<String, String> {
        snapshot
            .endpoints
            .iter()
            .map(|e| (e.spec.name.to_string(), format!("{e:?}")))
            .collect()
    };
    compare("endpoint", &endpoints(old), &endpoints(new), &mut told);
    let routes = |snapshot: &Snapshot| -> BTreeMap<String, String> {
        let all = snapshot.routes.iter();
        all.map(|r| (r.name.to_string(), format!("{r:?}")))
            .collect()
    };
    compare("route", &routes(old), &routes(new), &mut told);
    let settings = |snapshot: &Snapshot| -> BTreeMap<String, String> {
        snapshot
            .services
            .iter()
            .map(|s| (s.name.to_string(), service_settings(snapshot, s)))
            .collect()
    };
    compare("service", &settings(old), &settings(new), &mut told);
    for service in &new.services {
        let Some(id) = old.service_named(&service.name) else {
            continue;
        };
        let Some(before) = old.service(id) else {
            continue;
        };
        entries(
            &service.name,
            &rows(old, before),
            &rows(new, service),
            &mut told,
        );
    }
    told
}

fn compare(
    kind: &str,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
    told: &mut Vec<String>,
) {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        match (old.get(name), new.get(name)) {
            (None, Some(_)) => told.push(format!("{kind} `{name}` added")),
            (Some(_), None) => told.push(format!("{kind} `{name}` removed")),
            (Some(before), Some(after)) if before != after => {
                told.push(format!("{kind} `{name}` changed"));
            }
            _ => {}
        }
    }
}

fn service_settings(snapshot: &Snapshot, service: &Service) -> String {
    let default = service
        .default_endpoint
        .and_then(|id| snapshot.endpoint(id));
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {} {} {} {} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        service.path,
        service.hosts,
        service.listeners,
        service.route_on,
        service.table.pattern,
        service.table.several,
        service.ignore_case,
        service.strict,
        service.sender_fault_status,
        service.verify_full,
        service.on_overflow,
        service.timeout,
        service.limits,
        service.priority,
        service.rewrites,
        service.admission,
        default.map(|endpoint| &*endpoint.spec.name),
    )
}

/// An entry in words, with its priority apart: an entry that only changed that has moved.
fn rows(snapshot: &Snapshot, service: &Service) -> Vec<(String, i32)> {
    let name = |id| {
        snapshot
            .endpoint(id)
            .map_or("?", |endpoint| &*endpoint.spec.name)
    };
    service
        .table
        .entries
        .iter()
        .map(|entry| {
            let backups: Vec<&str> = entry.backups.iter().map(|id| name(*id)).collect();
            let backups = if backups.is_empty() {
                String::new()
            } else {
                format!(", backups {}", backups.join(", "))
            };
            (
                format!("`{}` to {}{backups}", entry.name, name(entry.endpoint)),
                entry.priority,
            )
        })
        .collect()
}

fn entries(service: &str, old: &[(String, i32)], new: &[(String, i32)], told: &mut Vec<String>) {
    let mut left: BTreeMap<&str, Vec<(usize, i32)>> = BTreeMap::new();
    for (place, (text, priority)) in old.iter().enumerate() {
        left.entry(text).or_default().push((place, *priority));
    }
    let mut kept = Vec::new();
    for (text, priority) in new {
        match left
            .get_mut(text.as_str())
            .filter(|places| !places.is_empty())
        {
            None => told.push(format!(
                "service `{service}`: entry {text} added at priority {priority}"
            )),
            Some(places) => {
                let (place, before) = places.remove(0);
                if before == *priority {
                    kept.push((place, text, *priority));
                } else {
                    told.push(format!(
                        "service `{service}`: entry {text} moved from priority {before} to {priority}"
                    ));
                }
            }
        }
    }
    moved_rows(service, &kept, told);
    for (text, places) in left {
        for (_, priority) in places {
            told.push(format!(
                "service `{service}`: entry {text} removed from priority {priority}"
            ));
        }
    }
}

/// Rows kept at their priority but now behind one that they stood before: order decides which
/// of several matches is first.
fn moved_rows(service: &str, kept: &[(usize, &String, i32)], told: &mut Vec<String>) {
    let mut furthest: BTreeMap<i32, usize> = BTreeMap::new();
    for (place, text, priority) in kept {
        match furthest.get(priority) {
            Some(known) if known > place => {
                told.push(format!(
                    "service `{service}`: entry {text} moved within priority {priority}"
                ));
            }
            _ => _ = furthest.insert(*priority, *place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_removed_moved() {
        let row = |text: &str, priority| (text.to_owned(), priority);
        let old = [row("a", 1), row("b", 1), row("c", 0), row("d", 0)];
        let new = [row("b", 1), row("a", 1), row("c", 2), row("e", 0)];
        let mut told = Vec::new();
        entries("s", &old, &new, &mut told);
        assert_eq!(
            told,
            [
                "service `s`: entry c moved from priority 0 to 2",
                "service `s`: entry e added at priority 0",
                "service `s`: entry a moved within priority 1",
                "service `s`: entry d removed from priority 0",
            ]
        );
    }
}
