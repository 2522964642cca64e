//! Text to tokens, with the two rules of XPath 1.0 §3.7 that tell operators from names.

use crate::xml::{is_name_char, is_name_start};

use super::error::SyntaxError;

/// One token and where it stands, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind<'t>,
    pub(super) start: usize,
    pub(super) end: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind<'t> {
    /// `( ) [ ] . .. @ , :: / // | + - = != < <= > >= *` and the operator names.
    Symbol(&'static str),
    /// `*` as a name test.
    Star,
    /// A name: prefix or `""`, and local part; `*` for `p:*`.
    Name(&'t str, &'t str),
    Literal(&'t str),
    Number(f64),
    /// `$name`
    Variable(&'t str),
    End,
}

const SYMBOLS: [&str; 20] = [
    "::", "//", "..", "!=", "<=", ">=", "(", ")", "[", "]", ".", "@", ",", "/", "|", "+", "-", "=",
    "<", ">",
];

/// All tokens, ended by one `End`.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, SyntaxError> {
    let mut out: Vec<Token<'_>> = Vec::new();
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or("");
        let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        at += rest.len() - trimmed.len();
        let (kind, length) = match trimmed.chars().next() {
            None => (Kind::End, 0),
            Some(first) => token(text, at, trimmed, first, out.last())?,
        };
        out.push(Token {
            kind,
            start: at,
            end: at + length,
        });
        if kind == Kind::End {
            return Ok(out);
        }
        at += length;
    }
}

fn token<'t>(
    text: &'t str,
    at: usize,
    rest: &'t str,
    first: char,
    before: Option<&Token<'t>>,
) -> Result<(Kind<'t>, usize), SyntaxError> {
    let second = rest.chars().nth(1);
    if first.is_ascii_digit() || first == '.' && second.is_some_and(|c| c.is_ascii_digit()) {
        return Ok(number(rest));
    }
    if first == '"' || first == '\'' {
        let inside = rest.get(1..).unwrap_or("");
        let Some(end) = inside.find(first) else {
            return Err(
                SyntaxError::at(text, at, text.len(), "the string is not closed")
                    .expected(format!("`{first}`")),
            );
        };
        return Ok((Kind::Literal(inside.get(..end).unwrap_or("")), end + 2));
    }
    if first == '*' {
        return Ok((
            if operator_place(before) {
                Kind::Symbol("*")
            } else {
                Kind::Star
            },
            1,
        ));
    }
    if first == '$' {
        let name = rest.get(1..).unwrap_or("");
        let length = name
            .find(|c| !is_name_char(c) && c != ':')
            .unwrap_or(name.len());
        return Ok((Kind::Variable(name.get(..length).unwrap_or("")), length + 1));
    }
    if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
        return Ok((Kind::Symbol(symbol), symbol.len()));
    }
    if !is_name_start(first) {
        let hint = match first {
            '!' => Some("not equal is written `!=`, negation `not(...)`".to_owned()),
            '&' => Some("conjunction is written `and`".to_owned()),
            _ => None,
        };
        let message = format!("the character `{first}` means nothing in XPath");
        return Err(SyntaxError::at(text, at, at + first.len_utf8(), message).hint(hint));
    }
    let (prefix, local, length) = name(rest);
    if prefix.is_empty()
        && operator_place(before)
        && let Some(word) = ["and", "or", "mod", "div"]
            .into_iter()
            .find(|word| *word == local)
    {
        return Ok((Kind::Symbol(word), length));
    }
    Ok((Kind::Name(prefix, local), length))
}

/// Whether a `*` or name here is an operator: something stands before that can be an operand's end.
fn operator_place(before: Option<&Token<'_>>) -> bool {
    match before.map(|token| token.kind) {
        None => false,
        Some(Kind::Symbol(symbol)) => matches!(symbol, ")" | "]" | "." | ".."),
        Some(_) => true,
    }
}

fn number(rest: &str) -> (Kind<'_>, usize) {
    let whole = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let mut length = whole;
    if rest.get(whole..).is_some_and(|tail| tail.starts_with('.')) {
        let fraction = rest.get(whole + 1..).unwrap_or("");
        length += 1 + fraction
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(fraction.len());
    }
    let digits = rest.get(..length).unwrap_or("");
    (Kind::Number(digits.parse().unwrap_or(f64::NAN)), length)
}

/// A `QName` or `NCName:*` at the start; a colon of an axis (`child::a`) does not belong to it.
fn name(rest: &str) -> (&str, &str, usize) {
    let part = |text: &str| text.find(|c| !is_name_char(c)).unwrap_or(text.len());
    let first = part(rest);
    let prefix = rest.get(..first).unwrap_or("");
    let after = rest.get(first..).unwrap_or("");
    if let Some(local) = after
        .strip_prefix(':')
        .filter(|local| !local.starts_with(':'))
    {
        if local.starts_with('*') {
            return (prefix, "*", first + 2);
        }
        if local.starts_with(is_name_start) {
            let length = part(local);
            return (
                prefix,
                local.get(..length).unwrap_or(""),
                first + 1 + length,
            );
        }
    }
    ("", prefix, first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_and_names() {
        let kinds = |text| {
            tokens(text)
                .unwrap()
                .into_iter()
                .map(|t| t.kind)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            kinds("div div * div *"),
            [
                Kind::Name("", "div"),
                Kind::Symbol("div"),
                Kind::Star,
                Kind::Symbol("div"),
                Kind::Star,
                Kind::End
            ]
        );
        assert_eq!(
            kinds("child::a"),
            [
                Kind::Name("", "child"),
                Kind::Symbol("::"),
                Kind::Name("", "a"),
                Kind::End
            ]
        );
        assert_eq!(kinds("p:*"), [Kind::Name("p", "*"), Kind::End]);
        assert_eq!(kinds("4."), [Kind::Number(4.0), Kind::End]);
        assert!(tokens("'a").is_err());
        assert!(tokens("a # b").is_err());
    }
}
