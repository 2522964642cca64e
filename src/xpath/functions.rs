//! The core function library of XPath 1.0: names, arguments, results.
//!
//! Only signatures; what they compute is in `eval.rs`.

use super::ast::Type;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Function {
    Last,
    Position,
    Count,
    Id,
    LocalName,
    NamespaceUri,
    Name,
    String,
    Concat,
    StartsWith,
    Contains,
    SubstringBefore,
    SubstringAfter,
    Substring,
    StringLength,
    NormalizeSpace,
    Translate,
    Boolean,
    Not,
    True,
    False,
    Lang,
    Number,
    Sum,
    Floor,
    Ceiling,
    Round,
    /// `first-non-empty(a, b)`: for macros only.
    FirstNonEmpty,
}

/// What an argument must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Argument {
    NodeSet,
    Any,
}

/// A function's signature.
#[derive(Debug)]
pub(super) struct Signature {
    pub(super) name: &'static str,
    pub(super) function: Function,
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) argument: Argument,
    pub(super) result: Type,
    /// Whether a missing argument means the context node.
    pub(super) defaults_to_context: bool,
}

const fn signature(
    name: &'static str,
    function: Function,
    (min, max): (usize, usize),
    argument: Argument,
    result: Type,
) -> Signature {
    Signature {
        name,
        function,
        min,
        max,
        argument,
        result,
        defaults_to_context: false,
    }
}

const fn or_context(signature: Signature) -> Signature {
    Signature {
        defaults_to_context: true,
        ..signature
    }
}

use Argument::{Any, NodeSet};
use Function as F;
use Type::{Boolean as B, NodeSet as Ns, Number as N, String as S};

pub(super) static SIGNATURES: [Signature; 28] = [
    signature("last", F::Last, (0, 0), Any, N),
    signature("position", F::Position, (0, 0), Any, N),
    signature("count", F::Count, (1, 1), NodeSet, N),
    signature("id", F::Id, (1, 1), Any, Ns),
    or_context(signature("local-name", F::LocalName, (0, 1), NodeSet, S)),
    or_context(signature(
        "namespace-uri",
        F::NamespaceUri,
        (0, 1),
        NodeSet,
        S,
    )),
    or_context(signature("name", F::Name, (0, 1), NodeSet, S)),
    or_context(signature("string", F::String, (0, 1), Any, S)),
    signature("concat", F::Concat, (2, usize::MAX), Any, S),
    signature("starts-with", F::StartsWith, (2, 2), Any, B),
    signature("contains", F::Contains, (2, 2), Any, B),
    signature("substring-before", F::SubstringBefore, (2, 2), Any, S),
    signature("substring-after", F::SubstringAfter, (2, 2), Any, S),
    signature("substring", F::Substring, (2, 3), Any, S),
    or_context(signature("string-length", F::StringLength, (0, 1), Any, N)),
    or_context(signature(
        "normalize-space",
        F::NormalizeSpace,
        (0, 1),
        Any,
        S,
    )),
    signature("translate", F::Translate, (3, 3), Any, S),
    signature("boolean", F::Boolean, (1, 1), Any, B),
    signature("not", F::Not, (1, 1), Any, B),
    signature("true", F::True, (0, 0), Any, B),
    signature("false", F::False, (0, 0), Any, B),
    signature("lang", F::Lang, (1, 1), Any, B),
    or_context(signature("number", F::Number, (0, 1), Any, N)),
    signature("sum", F::Sum, (1, 1), NodeSet, N),
    signature("floor", F::Floor, (1, 1), Any, N),
    signature("ceiling", F::Ceiling, (1, 1), Any, N),
    signature("round", F::Round, (1, 1), Any, N),
    signature("first-non-empty", F::FirstNonEmpty, (2, 2), Any, S),
];

impl Function {
    pub(super) fn signature(self) -> Option<&'static Signature> {
        SIGNATURES
            .iter()
            .find(|signature| signature.function == self)
    }

    pub(super) fn name(self) -> &'static str {
        self.signature().map_or("", |signature| signature.name)
    }

    pub(super) fn result(self) -> Type {
        self.signature()
            .map_or(Type::Boolean, |signature| signature.result)
    }
}
