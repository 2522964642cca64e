//! Where services and routes are found: listener, host, path, the more specific one first.

use std::sync::Arc;

use regex::Regex;

/// A path as it is written for a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathPattern {
    /// This path.
    Exact(String),
    /// This path and everything below it (`/orders/*`; the text ends before the `/*`).
    Below(String),
}

/// A path as it is written for a route.
#[derive(Debug, Clone)]
pub enum RoutePath {
    /// As services have it.
    Plain(PathPattern),
    /// Every path that begins so.
    Prefix(String),
    /// Every path in which this is found.
    Matches(Regex),
}

/// How specifically something fits: by host (exact, wildcard by priority and length, any), then by path.
pub(super) type Rank = (u8, u32, usize, usize);

/// How specifically a path fits: exact, then a pattern, then the longest beginning.
const EXACT: usize = usize::MAX;
const PATTERN: usize = usize::MAX - 1;

impl PathPattern {
    pub(super) fn rank(&self, path: &str, ignore_case: bool) -> Option<usize> {
        match self {
            Self::Exact(own) if ignore_case => own.eq_ignore_ascii_case(path).then_some(EXACT),
            Self::Exact(own) => (own == path).then_some(EXACT),
            Self::Below(own) => {
                let rest = behind(own, path, ignore_case)?;
                (rest.is_empty() || rest.starts_with('/')).then_some(own.len())
            }
        }
    }

    /// The part of a path that the place itself stands for.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match self {
            Self::Exact(path) | Self::Below(path) => path,
        }
    }
}

impl RoutePath {
    pub(super) fn rank(&self, path: &str, ignore_case: bool) -> Option<usize> {
        match self {
            Self::Plain(plain) => plain.rank(path, ignore_case),
            Self::Prefix(own) => behind(own, path, ignore_case).map(|_| own.len()),
            Self::Matches(regex) => regex.is_match(path).then_some(PATTERN),
        }
    }

    /// The part of a path that the place itself stands for.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match self {
            Self::Plain(plain) => plain.prefix(),
            Self::Prefix(own) => own,
            Self::Matches(_) => "",
        }
    }
}

/// What stands in a path behind this beginning.
fn behind<'p>(beginning: &str, path: &'p str, ignore_case: bool) -> Option<&'p str> {
    if !ignore_case {
        return path.strip_prefix(beginning);
    }
    let start = path.get(..beginning.len())?;
    let fits = start.eq_ignore_ascii_case(beginning);
    fits.then(|| path.get(beginning.len()..))?
}

/// How specifically a place fits; `None` if it does not. `priority` orders its wildcard hosts.
pub(super) fn rank(
    listeners: &[Arc<str>],
    hosts: &[String],
    priority: Option<u32>,
    listener: &str,
    host: &str,
    path: impl FnOnce() -> Option<usize>,
) -> Option<Rank> {
    if !listeners.is_empty() && !listeners.iter().any(|own| &**own == listener) {
        return None;
    }
    let (kind, length) = host_rank(hosts, host)?;
    let before = match (kind, priority) {
        (WILDCARD, Some(priority)) => u32::MAX - priority,
        _ => 0,
    };
    Some((kind, before, length, path()?))
}

/// Whether these hosts name this one.
pub(super) fn names(hosts: &[String], host: &str) -> bool {
    !hosts.is_empty() && host_rank(hosts, host).is_some()
}

/// A host that fits by `*` or `?`.
const WILDCARD: u8 = 1;

fn host_rank(hosts: &[String], host: &str) -> Option<(u8, usize)> {
    if hosts.is_empty() {
        return Some((0, 0));
    }
    let rank = |own: &String| {
        if own.contains(['*', '?']) {
            glob(own.as_bytes(), host.as_bytes()).then_some((WILDCARD, own.len()))
        } else {
            own.eq_ignore_ascii_case(host).then_some((2, own.len()))
        }
    };
    hosts.iter().filter_map(rank).max()
}

/// `*` stands for one or more characters, dots included, `?` for one. At most two `*`, so this
/// ends soon.
fn glob(pattern: &[u8], host: &[u8]) -> bool {
    match pattern.split_first() {
        None => host.is_empty(),
        Some((b'*', rest)) => {
            (1..=host.len()).any(|taken| glob(rest, host.get(taken..).unwrap_or_default()))
        }
        Some((one, rest)) => host.split_first().is_some_and(|(first, behind)| {
            (*one == b'?' || one.eq_ignore_ascii_case(first)) && glob(rest, behind)
        }),
    }
}

/// `Host` without its port and without the dot at its end.
#[must_use]
pub fn host_name(host: &str) -> &str {
    let host = match host.rfind(':') {
        // A colon inside brackets belongs to an IPv6 address.
        Some(colon) if !host.get(colon..).is_some_and(|rest| rest.contains(']')) => {
            host.get(..colon).unwrap_or(host)
        }
        _ => host,
    };
    host.strip_suffix('.').unwrap_or(host)
}

impl std::fmt::Display for PathPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(path) => f.write_str(path),
            Self::Below(path) => write!(f, "{path}/*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_fit_by_name_and_by_wildcard() {
        let fits = |own: &str, host: &str| host_rank(&[own.to_owned()], host_name(host)).is_some();
        assert!(
            fits("a.example.com", "A.Example.com:8080") && fits("a.example.com", "a.example.com.")
        );
        assert!(fits("*.example.com", "a.b.example.com") && !fits("*.example.com", "example.com"));
        assert!(!fits("*.example.com", ".example.com.") || fits("*.example.com", "x.example.com"));
        assert!(
            fits("shop-*.example.*", "shop-1.example.org")
                && !fits("shop-*.example.*", "shop.example.org")
        );
        assert!(
            fits("a?.example.com", "a1.example.com") && !fits("a?.example.com", "a.example.com")
        );
        assert!(fits("[::1]", "[::1]:80"));
    }
}
