//! Values that are computed: slots for first nodes, counts and sums, and the scalars over them.

use super::ast::{Node, Type};
use super::compile::{Compiled, Compiler, CondKey};
use super::flat;
use super::functions::Function;
use super::index::ValueTest;
use super::locate::{Place, Source};
use super::program::{Effect, Logic, PHASE_BEGIN, ScalarInfo, Slot, SlotKind};
use super::scalar::Scalar;
use super::trie::NodeId;

impl Compiler {
    /// A test on a computed value.
    pub(super) fn scalar_test(
        &mut self,
        node: &Node,
        test: ValueTest,
        at: NodeId,
    ) -> Compiled<Logic> {
        let scalar = self.scalar(node, at)?;
        let key = (at, format!("{scalar:?}"));
        let id = match self.known_scalars.get(&key) {
            Some(&known) => known,
            None => {
                let id = self.scalars.len() as u32;
                let phase = self.phase_of_scalar(&scalar, at);
                let index = self.tests.len() as u32;
                self.tests.push(std::collections::HashMap::new());
                self.scalars.push(ScalarInfo {
                    anchor: at,
                    scalar,
                    index,
                    phase,
                    early: None,
                    slots: Vec::new(),
                });
                self.known_scalars.insert(key, id);
                id
            }
        };
        let (index, phase) = self
            .scalars
            .get(id as usize)
            .map_or((0, 0), |info| (info.index, info.phase));
        Ok(Logic::Cond(self.index_cond(index, test, at, phase, false)))
    }

    fn phase_of_scalar(&self, scalar: &Scalar, at: NodeId) -> u8 {
        if at != 0 {
            return PHASE_BEGIN;
        }
        let phases = scalar
            .slots()
            .into_iter()
            .filter_map(|slot| self.root_slot_phases.get(slot as usize));
        phases.copied().max().unwrap_or(PHASE_BEGIN)
    }

    fn scalar(&mut self, node: &Node, at: NodeId) -> Compiled<Scalar> {
        let boxed = |scalar: Scalar| Box::new(scalar);
        Ok(match node {
            Node::Literal(text) => Scalar::Literal(text.clone()),
            Node::Number(number) => Scalar::Number(*number),
            Node::External(external) => Scalar::External(external.index, external.kind),
            Node::Negate(a) => Scalar::Negate(boxed(self.number(a, at)?)),
            Node::Arithmetic(op, a, b) => {
                Scalar::Arithmetic(*op, boxed(self.number(a, at)?), boxed(self.number(b, at)?))
            }
            Node::Compare(op, a, b) => {
                let (a, b) = (self.plain(a, at)?, self.plain(b, at)?);
                Scalar::Compare(*op, boxed(a), boxed(b))
            }
            Node::Native(native, arguments) => Scalar::Native(
                native.clone(),
                arguments
                    .iter()
                    .map(|a| self.text(a, at))
                    .collect::<Compiled<Vec<_>>>()?,
            ),
            Node::Path(_) | Node::Union(_) | Node::Filter(..) => {
                self.first(node, SlotKind::Text, at)?
            }
            Node::Call(function, arguments) => self.call(*function, arguments, at)?,
            Node::Or(_) | Node::And(_) => {
                return Err("a truth stands inside a computed value".into());
            }
            Node::Parameter(..) => return Err("a parameter".into()),
        })
    }

    /// An operand of a comparison that is neither node-set nor boolean.
    fn plain(&mut self, node: &Node, at: NodeId) -> Compiled<Scalar> {
        match node.kind() {
            Type::String | Type::Number => self.scalar(node, at),
            kind => Err(format!("a {kind} is compared with a computed value")),
        }
    }

    fn text(&mut self, node: &Node, at: NodeId) -> Compiled<Scalar> {
        let scalar = self.scalar(node, at)?;
        Ok(if scalar.kind() == Type::String {
            scalar
        } else {
            Scalar::ToText(Box::new(scalar))
        })
    }

    fn number(&mut self, node: &Node, at: NodeId) -> Compiled<Scalar> {
        let scalar = self.scalar(node, at)?;
        Ok(if scalar.kind() == Type::Number {
            scalar
        } else {
            Scalar::ToNumber(Box::new(scalar))
        })
    }

    fn call(&mut self, function: Function, arguments: &[Node], at: NodeId) -> Compiled<Scalar> {
        use Function as F;
        let refuse = || {
            Err(format!(
                "`{}()` stands inside a computed value",
                function.name()
            ))
        };
        Ok(match (function, arguments) {
            (F::True, _) => Scalar::Compare(
                super::ast::Comparison::Equal,
                Box::new(Scalar::Number(1.0)),
                Box::new(Scalar::Number(1.0)),
            ),
            (F::False, _) => Scalar::Compare(
                super::ast::Comparison::Equal,
                Box::new(Scalar::Number(1.0)),
                Box::new(Scalar::Number(0.0)),
            ),
            (F::String, [a]) => self.text(a, at)?,
            (F::Number, [a]) => self.number(a, at)?,
            (F::Count, [set]) => self.counted(set, at)?,
            (F::Sum, [set]) => Scalar::Count(self.slot(set, SlotKind::Sum, at)?),
            (F::LocalName, [set]) => self.first(set, SlotKind::LocalName, at)?,
            (F::NamespaceUri, [set]) => self.first(set, SlotKind::NamespaceUri, at)?,
            (F::Name, [set]) => self.first(set, SlotKind::Name, at)?,
            (F::Concat, all) => Scalar::Concat(
                all.iter()
                    .map(|a| self.text(a, at))
                    .collect::<Compiled<Vec<_>>>()?,
            ),
            (F::StartsWith, [a, b]) => {
                Scalar::StartsWith(Box::new(self.text(a, at)?), Box::new(self.text(b, at)?))
            }
            (F::Contains, [a, b]) => {
                Scalar::Contains(Box::new(self.text(a, at)?), Box::new(self.text(b, at)?))
            }
            (F::SubstringBefore, [a, b]) => {
                Scalar::Before(Box::new(self.text(a, at)?), Box::new(self.text(b, at)?))
            }
            (F::SubstringAfter, [a, b]) => {
                Scalar::After(Box::new(self.text(a, at)?), Box::new(self.text(b, at)?))
            }
            (F::Substring, [a, start, rest @ ..]) => {
                let length = match rest {
                    [length] => Some(Box::new(self.number(length, at)?)),
                    _ => None,
                };
                Scalar::Substring(
                    Box::new(self.text(a, at)?),
                    Box::new(self.number(start, at)?),
                    length,
                )
            }
            (F::StringLength, [a]) => Scalar::Length(Box::new(self.text(a, at)?)),
            (F::NormalizeSpace, [a]) => Scalar::NormalizeSpace(Box::new(self.text(a, at)?)),
            (F::Translate, [a, b, c]) => Scalar::Translate(
                Box::new(self.text(a, at)?),
                Box::new(self.text(b, at)?),
                Box::new(self.text(c, at)?),
            ),
            (F::Floor, [a]) => Scalar::Floor(Box::new(self.number(a, at)?)),
            (F::Ceiling, [a]) => Scalar::Ceiling(Box::new(self.number(a, at)?)),
            (F::Round, [a]) => Scalar::Round(Box::new(self.number(a, at)?)),
            (F::FirstNonEmpty, [a, b]) => {
                Scalar::FirstNonEmpty(Box::new(self.text(a, at)?), Box::new(self.text(b, at)?))
            }
            _ => return refuse(),
        })
    }

    /// The first node in document order: its text or its name.
    fn first(&mut self, set: &Node, kind: SlotKind, at: NodeId) -> Compiled<Scalar> {
        if let Node::Filter(head, predicates) = set
            && matches!(predicates.as_slice(), [Node::Number(first)] if *first == 1.0)
        {
            return self.first(head, kind, at);
        }
        if kind != SlotKind::Text && at == 0 && is_document(set) {
            // The document has no name.
            return Ok(Scalar::Literal("".into()));
        }
        Ok(Scalar::Text(self.slot(set, kind, at)?))
    }

    fn slot(&mut self, set: &Node, kind: SlotKind, at: NodeId) -> Compiled<u32> {
        let places = self.places_of(set, at)?;
        let attributes = places
            .iter()
            .filter(|place| matches!(place.source, Source::Attribute(_)))
            .count();
        if attributes > 0
            && (places.len() > 1 || !self.names_one_attribute(&places))
            && kind != SlotKind::Sum
            && kind != SlotKind::Count
        {
            return Err("the first of several attributes is taken".into());
        }
        if places.len() > 1 && (attributes > 0 || kind == SlotKind::Sum) {
            return Err(
                "nodes of several paths are summed up, or attributes of several counted".into(),
            );
        }
        Ok(self.slot_at(places, kind, at))
    }

    fn names_one_attribute(&self, places: &[Place]) -> bool {
        places.iter().all(|place| match &place.source {
            Source::Attribute(test) => test.names_one(),
            _ => true,
        })
    }

    fn slot_at(&mut self, places: Vec<Place>, kind: SlotKind, at: NodeId) -> u32 {
        let key = (at, kind, places);
        if let Some(&known) = self.known_slots.get(&key) {
            return known;
        }
        let phase = key
            .2
            .iter()
            .map(|place| self.phase_of(place, matches!(place.source, Source::Attribute(_))))
            .max();
        let slot = self.new_slot(kind, at, phase.unwrap_or(PHASE_BEGIN));
        for place in &key.2 {
            self.listener(place, at).slots.push(slot);
        }
        self.known_slots.insert(key, slot);
        slot
    }

    fn new_slot(&mut self, kind: SlotKind, at: NodeId, phase: u8) -> u32 {
        let slot = Slot {
            kind,
            scalars: Vec::new(),
            counts: Vec::new(),
            need: 0,
            kept: false,
        };
        if at == 0 {
            self.root_slots.push(slot);
            self.root_slot_phases.push(phase);
            return self.root_slots.len() as u32 - 1;
        }
        let anchor = self
            .places
            .entry(at)
            .or_default()
            .anchor
            .get_or_insert_default();
        anchor.slots.push(slot);
        anchor.slots.len() as u32 - 1
    }

    /// A count; predicates may stand on the last step of a single path.
    fn counted(&mut self, set: &Node, at: NodeId) -> Compiled<Scalar> {
        let mut paths = flat::paths(set)?;
        let predicated = paths
            .iter()
            .any(|path| path.steps.iter().any(|step| !step.predicates.is_empty()));
        if !predicated {
            return Ok(Scalar::Count(self.slot(set, SlotKind::Count, at)?));
        }
        let (Some(mut path), true) = (paths.pop(), paths.is_empty()) else {
            return Err("nodes of several paths with predicates are counted".into());
        };
        let Some(last) = path.steps.last_mut() else {
            return Err("the document is counted".into());
        };
        let predicates = std::mem::take(&mut last.predicates);
        if predicates.iter().any(flat::is_positional) {
            return Err("what is counted has a position".into());
        }
        let places = self.places_of_flat(&path, at)?;
        let [
            Place {
                node,
                source: Source::Element,
            },
        ] = places.as_slice()
        else {
            return Err("attributes or texts with predicates are counted".into());
        };
        let node = *node;
        let parts = predicates
            .iter()
            .map(|p| self.boolean(p, node))
            .collect::<Compiled<Vec<_>>>()?;
        let logic = super::compile::and(parts);
        match logic {
            Logic::Const(true) => {
                return Ok(Scalar::Count(self.slot_at(places, SlotKind::Count, at)));
            }
            Logic::Const(false) => return Ok(Scalar::Number(0.0)),
            _ => {}
        }
        let formula = self.formula(node, logic);
        let phase = self.phase_of(
            &Place {
                node,
                source: Source::Element,
            },
            false,
        );
        let up = self.trie.distance(at, node);
        let known = self
            .formulas
            .get(formula as usize)
            .and_then(|(formula, _)| {
                formula.effects.iter().find_map(|effect| match effect {
                    Effect::Count(slot, anchor, _) if *anchor == at => Some(*slot),
                    _ => None,
                })
            });
        if let Some(slot) = known {
            return Ok(Scalar::Count(slot));
        }
        let slot = self.new_slot(SlotKind::Count, at, phase);
        let once = self.cond(CondKey::Once(formula), node, PHASE_BEGIN, false);
        if let Some((formula, _)) = self.formulas.get_mut(formula as usize) {
            formula.effects.push(Effect::Count(slot, at, up));
            formula.once = Some(once);
        }
        Ok(Scalar::Count(slot))
    }

    fn places_of_flat(&mut self, path: &flat::FlatPath, at: NodeId) -> Compiled<Vec<Place>> {
        let start = if path.absolute {
            super::ast::Start::Root
        } else {
            super::ast::Start::Here
        };
        self.places_of(
            &Node::Path(super::ast::Path {
                start,
                steps: path.steps.clone(),
            }),
            at,
        )
    }
}

/// `/`, and `.` where the context is the document.
fn is_document(set: &Node) -> bool {
    matches!(set, Node::Path(path) if path.steps.is_empty()
        && !matches!(path.start, super::ast::Start::Node(_)))
}
