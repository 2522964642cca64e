//! Why a path leads nowhere: the step that fails, what stands there instead, and which predicate is
//! passed by none.

use super::ast::{Axis, NameTest, Path, Start, Step, Test};
use super::eval::{Context, TooCostly};
use super::flat;
use super::show::{show, show_path, show_step};
use super::tree::Id;
use super::why::{Reason, Said};

/// Names that are listed as being there instead.
const NAMES: usize = 3;

impl Reason<'_> {
    /// The first step of a path that leads nowhere.
    pub(super) fn of_missing(&self, path: &Path, at: Context) -> Said {
        let mut nodes = match &path.start {
            Start::Root => vec![0],
            Start::Here => vec![at.node],
            Start::Node(head) => self.evaluator.nodes(head, at)?,
        };
        for (index, step) in path.steps.iter().enumerate() {
            let next = self.evaluator.step(&nodes, step)?;
            if next.is_empty() {
                let before = Path {
                    start: path.start.clone(),
                    steps: path.steps.get(..index).unwrap_or(&[]).to_vec(),
                };
                let place = place(&before, at);
                return self.of_failed_step(&nodes, step, &place);
            }
            nodes = next;
        }
        Ok(format!("`{}` is empty", show_path(path)))
    }

    fn of_failed_step(&self, from: &[Id], step: &Step, place: &str) -> Said {
        // `*[local-name() = 'x']` is a name too.
        let mut step = step.clone();
        flat::name_predicates(&mut step);
        let bare = Step {
            predicates: Vec::new(),
            ..step.clone()
        };
        let candidates = self.evaluator.step(from, &bare)?;
        if !candidates.is_empty() {
            return self.of_failed_predicate(from, &step, bare, candidates);
        }
        if let (Axis::Itself, [only], Test::Name(test)) = (step.axis, from, &step.test)
            && let Some(name) = self.evaluator.tree.name(*only)
            && test.local.as_deref() != Some(name.local.as_str())
        {
            return Ok(format!("it is `{}`, not `{test}`", name.local));
        }
        let hint = match &step.test {
            Test::Name(test) => self.elsewhere(from, step.axis, test)?,
            _ => None,
        };
        let hint = hint.map_or(String::new(), |hint| format!("; {hint}"));
        let what = match &step.test {
            Test::Name(test) if test.prefix.is_empty() => without_prefix(&bare, test),
            _ => format!("`{}`", show_step(&bare)),
        };
        Ok(format!("no {what} in {place}{hint}"))
    }

    /// The first predicate that none passes of those that passed the ones before.
    fn of_failed_predicate(
        &self,
        from: &[Id],
        step: &Step,
        bare: Step,
        candidates: Vec<Id>,
    ) -> Said {
        let (mut passed, mut found) = (bare, candidates);
        for predicate in flat::conjuncts(&step.predicates) {
            let mut with = passed.clone();
            with.predicates.push(predicate.clone());
            let next = self.evaluator.step(from, &with)?;
            let (Some(&first), true) = (found.first(), next.is_empty()) else {
                (passed, found) = (with, next);
                continue;
            };
            let (name, count) = (show_step(&passed), found.len());
            if flat::is_positional(predicate) {
                let times = match count {
                    1 => "once".to_owned(),
                    _ => format!("{count} times"),
                };
                return Ok(format!(
                    "`{name}` is there {times}, but not as `[{}]`",
                    show(predicate)
                ));
            }
            let here = Context {
                node: first,
                position: 1,
                size: count,
            };
            let why = self.of(predicate, here)?;
            return Ok(match count {
                1 => format!("`{name}` is there, but {why}"),
                _ => format!(
                    "`{name}` is there, but of {count} none passes `[{}]`: in the first, {why}",
                    show(predicate)
                ),
            });
        }
        let name = show_step(&passed);
        Ok(format!("`{name}` is there, but none passes its predicates"))
    }

    /// The same local name in another namespace, another name that is meant, or what is there.
    fn elsewhere(
        &self,
        from: &[Id],
        axis: Axis,
        test: &NameTest,
    ) -> Result<Option<String>, TooCostly> {
        let any = Step {
            axis,
            test: Test::Name(NameTest::any()),
            predicates: Vec::new(),
        };
        let present = self.evaluator.step(from, &any)?;
        let tree = self.evaluator.tree;
        let Some(local) = test.local.as_deref() else {
            return Ok(None);
        };
        let kind = match axis {
            Axis::Attribute => "attribute",
            _ => "element",
        };
        let names = || present.iter().filter_map(|id| tree.name(*id));
        if let Some(name) = names().find(|name| name.local == local) {
            let found = match name.namespace.as_str() {
                "" => "in no namespace".to_owned(),
                namespace => format!("in namespace `{namespace}`"),
            };
            let means = meant(test);
            return Ok(Some(format!(
                "an {kind} `{local}` is there {found}, but {means}"
            )));
        }
        let locals = || names().map(|name| name.local.as_str());
        if let Some(hint) = super::error::did_you_mean(local, locals()) {
            return Ok(Some(hint));
        }
        // Everything in the document would be too much to list.
        let is_near = matches!(axis, Axis::Child | Axis::Attribute | Axis::Itself);
        let mut seen: Vec<&str> = Vec::new();
        for local in locals().filter(|_| is_near && from.len() == 1) {
            if !seen.contains(&local) {
                seen.push(local);
            }
        }
        let more = if seen.len() > NAMES { ", ..." } else { "" };
        seen.truncate(NAMES);
        let there: Vec<String> = seen.iter().map(|name| format!("`{name}`")).collect();
        Ok((!there.is_empty()).then(|| format!("there is {}{more}", there.join(", "))))
    }
}

/// What a name test asks for that another namespace is not.
fn meant(test: &NameTest) -> String {
    let uris: Vec<String> = match test.uris.as_deref() {
        Some([only]) if only.is_empty() => return "the expression asks for no namespace".into(),
        Some(uris) => uris.iter().map(|uri| format!("`{uri}`")).collect(),
        None => return String::new(),
    };
    match &*test.prefix {
        "" => format!("the expression asks for {}", uris.join(" or ")),
        prefix => format!("the prefix `{prefix}` means {}", uris.join(" or ")),
    }
}

/// A name test that was written with functions.
fn without_prefix(bare: &Step, test: &NameTest) -> String {
    let shown = show_step(bare).replace("*:", "");
    match test.uris.as_deref() {
        Some([uri]) if !uri.is_empty() => format!("`{shown}` of namespace `{uri}`"),
        _ => format!("`{shown}`"),
    }
}

/// The path up to the step that failed, for a sentence.
fn place(before: &Path, at: Context) -> String {
    let shown = show_path(before);
    match (shown.as_str(), at.node) {
        ("/" | "//", _) | ("." | ".//", 0) => "the document".to_owned(),
        (".", _) => "it".to_owned(),
        (".//", _) => "it and below".to_owned(),
        (path, _) => match path.strip_suffix("//") {
            Some(path) => format!("`{path}` and below"),
            None => format!("`{path}`"),
        },
    }
}
