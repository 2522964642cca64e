//! Reads the metrics text as a scraper would, and refuses what a scraper would refuse.

use std::collections::{BTreeMap, BTreeSet};

/// Samples by `name{labels}` as written.
#[derive(Debug, Clone)]
pub struct Metrics {
    samples: BTreeMap<String, f64>,
    pub families: BTreeSet<String>,
}

impl Metrics {
    /// Parses the whole text.
    ///
    /// # Panics
    /// When a line is not what the format allows, a sample has no family, or the end is missing.
    pub fn parse(text: &str) -> Self {
        let mut metrics = Self {
            samples: BTreeMap::new(),
            families: BTreeSet::new(),
        };
        assert!(text.ends_with("# EOF\n"), "the text has no end");
        for line in text.lines() {
            assert!(!line.trim().is_empty(), "an empty line");
            match line.strip_prefix("# ") {
                Some("EOF") => {}
                Some(comment) => metrics.comment(comment),
                None => metrics.sample(line),
            }
        }
        metrics.histograms_end();
        metrics
    }

    /// The last bucket of each histogram is infinite and has all that was counted.
    fn histograms_end(&self) {
        let bucketed = |name: &str| {
            let first = format!("{name}_bucket{{");
            self.samples
                .range(first.clone()..)
                .next()
                .is_some_and(|(key, _)| key.starts_with(&first))
        };
        for (key, count) in &self.samples {
            let (name, labels) = key.split_once('{').unwrap_or((key, "}"));
            let Some(name) = name.strip_suffix("_count").filter(|name| bucketed(name)) else {
                continue;
            };
            let own = labels.strip_suffix('}').expect(key);
            let all = [
                format!("{name}_bucket{{le=\"+Inf\""),
                format!("{name}_bucket{{{own},le=\"+Inf\""),
            ];
            let last = all.iter().find_map(|bucket| {
                let ends = [format!("{bucket}}}"), format!("{bucket},{own}}}")];
                ends.iter().find_map(|end| self.samples.get(end))
            });
            assert_eq!(last, Some(count), "the infinite bucket of `{key}`");
        }
    }

    /// The sample's value; 0 where there is none, as a counter that was never touched.
    pub fn get(&self, sample: &str) -> f64 {
        self.samples.get(sample).copied().unwrap_or(0.0)
    }

    /// The names of all samples, without labels.
    pub fn names(&self) -> BTreeSet<&str> {
        self.samples
            .keys()
            .map(|key| key.split('{').next().unwrap_or(key))
            .collect()
    }

    fn comment(&mut self, comment: &str) {
        let mut words = comment.splitn(3, ' ');
        let (keyword, name) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        assert!(is_name(name), "bad name in `# {comment}`");
        let rest = words.next().unwrap_or("");
        match keyword {
            "HELP" => assert!(!rest.is_empty(), "no help for `{name}`"),
            "UNIT" => {}
            "TYPE" => {
                assert!(
                    ["counter", "gauge", "histogram"].contains(&rest),
                    "type of `{name}`"
                );
                assert!(
                    self.families.insert(name.to_owned()),
                    "`{name}` has two types"
                );
            }
            other => panic!("unknown comment `{other}`"),
        }
    }

    fn sample(&mut self, line: &str) {
        let (key, value) = line
            .rsplit_once(' ')
            .unwrap_or_else(|| panic!("no value: {line}"));
        let value = value
            .parse()
            .unwrap_or_else(|_| panic!("no number: {line}"));
        let (name, labels) = match key.split_once('{') {
            Some((name, rest)) => (name, rest.strip_suffix('}').expect(line)),
            None => (key, ""),
        };
        assert!(is_name(name), "bad name: {line}");
        assert!(self.has_family(name), "sample without a family: {line}");
        check_labels(labels, line);
        assert!(
            self.samples.insert(key.to_owned(), value).is_none(),
            "twice: {line}"
        );
    }

    fn has_family(&self, name: &str) -> bool {
        let ends = ["_total", "_bucket", "_sum", "_count", "_created", ""];
        ends.iter()
            .filter_map(|end| name.strip_suffix(end))
            .any(|family| self.families.contains(family))
    }
}

fn is_name(name: &str) -> bool {
    let first = name.chars().next();
    first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `key="value"` pairs, with `\\`, `\"` and `\n` as the only escapes.
fn check_labels(mut labels: &str, line: &str) {
    while !labels.is_empty() {
        let (name, rest) = labels
            .split_once("=\"")
            .unwrap_or_else(|| panic!("labels: {line}"));
        assert!(is_name(name), "bad label name `{name}`: {line}");
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next() {
                Some((at, '"')) => break at,
                Some((_, '\\')) => {
                    let escaped = characters.next().map(|(_, c)| c);
                    assert!(
                        matches!(escaped, Some('\\' | '"' | 'n')),
                        "bad escape: {line}"
                    );
                }
                Some(_) => {}
                None => panic!("a label without an end: {line}"),
            }
        };
        labels = rest[end + 1..].trim_start_matches(',');
    }
}
