//! Values computed from what slots keep: the functions of XPath over first nodes, counts and sums.
//!
//! Evaluation works on one string used as a stack, so that it allocates nothing once that has grown.

use std::sync::Arc;

use super::ast::{Comparison, Native, Operator, Type};
use super::eval::Given;
use super::index::Found;
use super::value;

/// An expression over slots.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    /// The text of a slot; empty when nothing came.
    Text(u32),
    /// The number of a counting slot.
    Count(u32),
    Literal(Arc<str>),
    Number(f64),
    External(usize, Type),
    ToNumber(Box<Self>),
    ToText(Box<Self>),
    Arithmetic(Operator, Box<Self>, Box<Self>),
    Negate(Box<Self>),
    Compare(Comparison, Box<Self>, Box<Self>),
    Concat(Vec<Self>),
    StartsWith(Box<Self>, Box<Self>),
    Contains(Box<Self>, Box<Self>),
    Before(Box<Self>, Box<Self>),
    After(Box<Self>, Box<Self>),
    Substring(Box<Self>, Box<Self>, Option<Box<Self>>),
    Length(Box<Self>),
    NormalizeSpace(Box<Self>),
    Translate(Box<Self>, Box<Self>, Box<Self>),
    Floor(Box<Self>),
    Ceiling(Box<Self>),
    Round(Box<Self>),
    FirstNonEmpty(Box<Self>, Box<Self>),
    Native(Native, Vec<Self>),
}

/// What slots hold.
pub(super) trait Slots {
    /// The text of a slot of this instance.
    fn text(&self, slot: u32) -> &str;
    /// The number of a slot of this instance.
    fn number(&self, slot: u32) -> f64;
    /// A value of the message.
    fn external(&self, index: usize) -> Option<&Given>;
}

impl Scalar {
    pub(super) fn kind(&self) -> Type {
        match self {
            Self::Text(_)
            | Self::Literal(_)
            | Self::ToText(_)
            | Self::Concat(_)
            | Self::Before(..) => Type::String,
            Self::After(..)
            | Self::Substring(..)
            | Self::NormalizeSpace(_)
            | Self::Translate(..) => Type::String,
            Self::FirstNonEmpty(..) => Type::String,
            Self::Compare(..) | Self::StartsWith(..) | Self::Contains(..) => Type::Boolean,
            Self::External(_, kind) => *kind,
            _ => Type::Number,
        }
    }

    /// The slots used, each once.
    pub(super) fn slots(&self) -> Vec<u32> {
        let mut out = Vec::new();
        self.collect(&mut out);
        out.sort_unstable();
        out.dedup();
        out
    }

    fn collect(&self, out: &mut Vec<u32>) {
        match self {
            Self::Text(slot) | Self::Count(slot) => out.push(*slot),
            _ => self.parts().into_iter().for_each(|part| part.collect(out)),
        }
    }

    pub(super) fn uses_external(&self) -> bool {
        matches!(self, Self::External(..)) || self.parts().into_iter().any(Self::uses_external)
    }

    fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Text(_)
            | Self::Count(_)
            | Self::Literal(_)
            | Self::Number(_)
            | Self::External(..) => Vec::new(),
            Self::ToNumber(a) | Self::ToText(a) | Self::Negate(a) | Self::Length(a) => vec![a],
            Self::NormalizeSpace(a) | Self::Floor(a) | Self::Ceiling(a) | Self::Round(a) => vec![a],
            Self::Arithmetic(_, a, b) | Self::Compare(_, a, b) | Self::StartsWith(a, b) => {
                vec![a, b]
            }
            Self::Contains(a, b)
            | Self::Before(a, b)
            | Self::After(a, b)
            | Self::FirstNonEmpty(a, b) => vec![a, b],
            Self::Substring(a, b, c) => [Some(a), Some(b), c.as_ref()]
                .into_iter()
                .flatten()
                .map(|part| &**part)
                .collect(),
            Self::Translate(a, b, c) => vec![a, b, c],
            Self::Concat(all) | Self::Native(_, all) => all.iter().collect(),
        }
    }

    /// Computes the value and hands it on; `stack` is left as it was.
    pub(super) fn with<R>(
        &self,
        slots: &impl Slots,
        stack: &mut String,
        then: impl FnOnce(Found<'_>) -> R,
    ) -> R {
        match (self, self.kind()) {
            // The commonest case needs no copy.
            (Self::Text(slot), _) => then(Found::Text(slots.text(*slot).as_bytes(), false)),
            (_, Type::Number) => then(Found::Number(self.number(slots, stack))),
            (_, Type::Boolean) => then(Found::Boolean(self.truth(slots, stack))),
            _ => {
                let from = stack.len();
                self.push(slots, stack);
                let out = then(Found::Text(
                    stack.as_bytes().get(from..).unwrap_or(&[]),
                    false,
                ));
                stack.truncate(from);
                out
            }
        }
    }

    fn number(&self, slots: &impl Slots, stack: &mut String) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Count(slot) => slots.number(*slot),
            Self::External(index, Type::Number) => match slots.external(*index) {
                Some(Given::Number(number)) => *number,
                Some(Given::Text(text)) => value::number(text),
                None => f64::NAN,
            },
            Self::ToNumber(a) => match a.kind() {
                Type::Number => a.number(slots, stack),
                Type::Boolean => f64::from(u8::from(a.truth(slots, stack))),
                _ => a.with_text(slots, stack, value::number),
            },
            Self::Arithmetic(op, a, b) => op.apply(a.number(slots, stack), b.number(slots, stack)),
            Self::Negate(a) => -a.number(slots, stack),
            Self::Length(a) => a.with_text(slots, stack, |text| text.chars().count() as f64),
            Self::Floor(a) => a.number(slots, stack).floor(),
            Self::Ceiling(a) => a.number(slots, stack).ceil(),
            Self::Round(a) => value::round(a.number(slots, stack)),
            Self::Native(native, arguments) => {
                let texts: Vec<String> = arguments
                    .iter()
                    .map(|a| a.with_text(slots, stack, str::to_owned))
                    .collect();
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                (native.call)(&texts)
            }
            other => other.with_text(slots, stack, value::number),
        }
    }

    fn truth(&self, slots: &impl Slots, stack: &mut String) -> bool {
        match self {
            Self::Compare(op, a, b) => {
                let numbers = op.is_order() || a.kind() == Type::Number || b.kind() == Type::Number;
                if numbers {
                    return op.numbers(a.number(slots, stack), b.number(slots, stack));
                }
                let same = self.two(a, b, slots, stack, |a, b| a == b);
                same == (*op == Comparison::Equal)
            }
            Self::StartsWith(a, b) => self.two(a, b, slots, stack, |a, b| a.starts_with(b)),
            Self::Contains(a, b) => self.two(a, b, slots, stack, |a, b| a.contains(b)),
            _ => false,
        }
    }

    fn two<R>(
        &self,
        a: &Self,
        b: &Self,
        slots: &impl Slots,
        stack: &mut String,
        then: impl FnOnce(&str, &str) -> R,
    ) -> R {
        let from = stack.len();
        let out = self.two_kept(a, b, slots, stack, then);
        stack.truncate(from);
        out
    }

    fn with_text<R>(
        &self,
        slots: &impl Slots,
        stack: &mut String,
        then: impl FnOnce(&str) -> R,
    ) -> R {
        let from = stack.len();
        self.push(slots, stack);
        let out = then(stack.get(from..).unwrap_or(""));
        stack.truncate(from);
        out
    }

    /// Appends the text of the value.
    fn push(&self, slots: &impl Slots, stack: &mut String) {
        let from = stack.len();
        match self {
            Self::Text(slot) => stack.push_str(slots.text(*slot)),
            Self::Literal(text) => stack.push_str(text),
            Self::External(index, Type::String) => match slots.external(*index) {
                Some(Given::Text(text)) => stack.push_str(text),
                Some(Given::Number(number)) => value::write_text(*number, stack),
                None => {}
            },
            Self::ToText(a) => a.push(slots, stack),
            Self::Concat(all) => all.iter().for_each(|part| part.push(slots, stack)),
            Self::Before(a, b) => {
                let end = self.two_kept(a, b, slots, stack, |a, b| a.find(b).unwrap_or(0));
                stack.truncate(from + end);
            }
            Self::After(a, b) => {
                let (start, end) = self.two_kept(a, b, slots, stack, |a, b| {
                    (a.find(b).map_or(a.len(), |at| at + b.len()), a.len())
                });
                stack.truncate(from + end);
                stack.replace_range(from..from + start, "");
            }
            Self::Substring(a, start, length) => {
                let start = start.number(slots, stack);
                let length = length.as_ref().map(|length| length.number(slots, stack));
                a.push(slots, stack);
                let whole = stack.get(from..).unwrap_or("");
                let part = value::substring(whole, start, length);
                // An empty part may point anywhere.
                let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
                let (offset, length) = if part.is_empty() {
                    (0, 0)
                } else {
                    (start, part.len())
                };
                stack.truncate(from + offset + length);
                stack.replace_range(from..from + offset, "");
            }
            Self::NormalizeSpace(a) => {
                a.push(slots, stack);
                squeeze(stack, from);
            }
            Self::Translate(a, b, c) => {
                a.push(slots, stack);
                let second = stack.len();
                b.push(slots, stack);
                let third = stack.len();
                c.push(slots, stack);
                let end = stack.len();
                translate(stack, from, second, third, end);
            }
            Self::FirstNonEmpty(a, b) => {
                a.push(slots, stack);
                if stack.len() == from {
                    b.push(slots, stack);
                }
            }
            other => match other.kind() {
                Type::Boolean => {
                    let truth = other.truth(slots, stack);
                    stack.push_str(if truth { "true" } else { "false" });
                }
                _ => {
                    let number = other.number(slots, stack);
                    value::write_text(number, stack);
                }
            },
        }
    }

    /// Both texts stay on the stack.
    fn two_kept<R>(
        &self,
        a: &Self,
        b: &Self,
        slots: &impl Slots,
        stack: &mut String,
        then: impl FnOnce(&str, &str) -> R,
    ) -> R {
        let from = stack.len();
        a.push(slots, stack);
        let middle = stack.len();
        b.push(slots, stack);
        then(
            stack.get(from..middle).unwrap_or(""),
            stack.get(middle..).unwrap_or(""),
        )
    }
}

/// Normalises the white space of the stack from `from` on, in place.
fn squeeze(stack: &mut String, from: usize) {
    let end = stack.len();
    let mut at = from;
    while at < end {
        let rest = stack.get(at..end).unwrap_or("");
        let Some(word_start) = rest.find(|c| !value::is_space(c)) else {
            break;
        };
        let word = rest.get(word_start..).unwrap_or("");
        let length = word.find(value::is_space).unwrap_or(word.len());
        if stack.len() > end {
            stack.push(' ');
        }
        stack.extend_from_within_str(at + word_start, at + word_start + length);
        at += word_start + length;
    }
    stack.replace_range(from..end, "");
}

fn translate(stack: &mut String, from: usize, second: usize, third: usize, end: usize) {
    if third - second > LETTERS_MAX {
        let part = |start: usize, end: usize| stack.get(start..end).unwrap_or("");
        let mapped = value::translate(part(from, second), part(second, third), part(third, end));
        stack.truncate(from);
        stack.push_str(&mapped);
        return;
    }
    let mut at = from;
    while let Some(c) = stack.get(at..second).and_then(|rest| rest.chars().next()) {
        let index = stack
            .get(second..third)
            .and_then(|letters| letters.chars().position(|letter| letter == c));
        let mapped = match index {
            None => Some(c),
            Some(index) => stack
                .get(third..end)
                .and_then(|letters| letters.chars().nth(index)),
        };
        stack.extend(mapped);
        at += c.len_utf8();
    }
    stack.replace_range(from..end, "");
}

/// Bytes of letters that `translate()` looks through for each character; of more it makes a map.
const LETTERS_MAX: usize = 64;

trait ExtendWithin {
    fn extend_from_within_str(&mut self, start: usize, end: usize);
}

impl ExtendWithin for String {
    /// `String::extend_from_within` is not stable in the oldest supported compiler.
    fn extend_from_within_str(&mut self, start: usize, end: usize) {
        let mut at = start;
        while let Some(c) = self.get(at..end).and_then(|rest| rest.chars().next()) {
            self.push(c);
            at += c.len_utf8();
        }
    }
}
