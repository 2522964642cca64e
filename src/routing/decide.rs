//! From matching rows to deliveries.

use smallvec::SmallVec;

use super::table::{EndpointId, EntryId, Pattern, SeveralMatches, Table};

/// One copy of the message on its way: an endpoint, and who is asked when it fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The row that chose it.
    pub entry: EntryId,
    /// Asked first.
    pub endpoint: EndpointId,
    /// Asked next, in this order.
    pub backups: Vec<EndpointId>,
}

/// Where the message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// One for request-reply, one or more for one-way.
    pub deliveries: SmallVec<[Delivery; 1]>,
}

/// Why no decision can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecidable {
    /// No row matched.
    #[error("no filter of the table matches this message")]
    NoMatch,
    /// Request-reply, but rows of one priority choose different endpoints.
    #[error("{} filters of the same priority match this message, but exactly one answer is wanted", .0.len())]
    Several(Vec<EntryId>),
}

/// Turns the matching rows of the winning priority, in table order, into deliveries.
///
/// An endpoint that several rows choose is sent to once, for the first of them; WCF would send
/// twice, which no one wants.
///
/// # Errors
/// [`Undecidable`] when nothing matched, or several rows did where one is wanted.
pub fn decide(table: &Table, matched: &[EntryId]) -> Result<Decision, Undecidable> {
    let mut deliveries: SmallVec<[Delivery; 1]> = SmallVec::new();
    for &id in matched {
        let Some(entry) = table.entry(id) else {
            continue;
        };
        if deliveries
            .iter()
            .any(|known| known.endpoint == entry.endpoint)
        {
            continue;
        }
        deliveries.push(Delivery {
            entry: id,
            endpoint: entry.endpoint,
            backups: entry.backups.clone(),
        });
    }
    match (table.pattern, table.several) {
        _ if deliveries.is_empty() => return Err(Undecidable::NoMatch),
        (Pattern::OneWay, _) => {}
        (Pattern::RequestReply, SeveralMatches::First) => deliveries.truncate(1),
        (Pattern::RequestReply, SeveralMatches::Fault) if deliveries.len() > 1 => {
            return Err(Undecidable::Several(matched.to_vec()));
        }
        (Pattern::RequestReply, SeveralMatches::Fault) => {}
    }
    Ok(Decision { deliveries })
}

#[cfg(test)]
mod tests {
    use super::super::table::Entry;
    use super::*;

    fn table(pattern: Pattern, several: SeveralMatches, endpoints: &[u32]) -> Table {
        let entries = endpoints
            .iter()
            .map(|&endpoint| Entry {
                name: "".into(),
                priority: 0,
                endpoint: EndpointId(endpoint),
                backups: vec![],
            })
            .collect();
        Table {
            entries,
            pattern,
            several,
        }
    }

    fn chosen(table: &Table, matched: &[u32]) -> Result<Vec<u32>, Undecidable> {
        let matched: Vec<EntryId> = matched.iter().map(|&id| EntryId(id)).collect();
        decide(table, &matched)
            .map(|decision| decision.deliveries.iter().map(|d| d.endpoint.0).collect())
    }

    #[test]
    fn one_or_several() {
        let fault = table(Pattern::RequestReply, SeveralMatches::Fault, &[7, 8, 7]);
        assert_eq!(chosen(&fault, &[]), Err(Undecidable::NoMatch));
        assert_eq!(chosen(&fault, &[1]), Ok(vec![8]));
        assert_eq!(
            chosen(&fault, &[0, 2]),
            Ok(vec![7]),
            "same endpoint twice is one choice"
        );
        assert_eq!(
            chosen(&fault, &[0, 1]),
            Err(Undecidable::Several(vec![EntryId(0), EntryId(1)]))
        );
        let first = table(Pattern::RequestReply, SeveralMatches::First, &[7, 8, 7]);
        assert_eq!(chosen(&first, &[1, 2]), Ok(vec![8]));
        let one_way = table(Pattern::OneWay, SeveralMatches::Fault, &[7, 8, 7]);
        assert_eq!(chosen(&one_way, &[0, 1, 2]), Ok(vec![7, 8]));
    }
}
