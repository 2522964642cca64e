//! The string value of an expression, for what wants more than true or false: hashing, affinity,
//! shares that stick.
//!
//! Slow and plain, like `why`: a tree and the plain evaluator. Only messages whose value is asked
//! for pay for it.

use crate::xml;

use super::ast::Expr;
use super::eval::{Context, Evaluator, Given, TooCostly};
use super::run::{External, TreeError};
use super::tree::Tree;

/// Bytes of a value that count; what lies behind is cut off.
pub const VALUE_BYTES_MAX: usize = 4096;

/// The string value of an expression over a whole message, as `string()` gives it: of a node-set
/// the first node's (XPath 1.0 §4.2).
///
/// # Errors
/// As `Run::evaluate_trees`.
pub fn string_value(
    expr: &Expr,
    whole: &[u8],
    externals: &[External<'_>],
    limits: &xml::Limits,
    charset: Option<&str>,
) -> Result<String, TreeError> {
    let tree = Tree::read(whole, limits, charset, expr.node.asks_namespaces())?;
    let given: Vec<Given> = externals.iter().map(|external| external.keep()).collect();
    let text = Evaluator::new(&tree, &given)
        .text(&expr.node, Context::ROOT)
        .map_err(|TooCostly| TreeError::TooCostly {
            expression: expr.source().to_owned(),
            max: super::eval::VISITS_MAX,
        })?;
    Ok(shortened(text))
}

fn shortened(mut text: String) -> String {
    let mut end = VALUE_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::super::environment::{Environment, Namespaces};
    use super::super::parser::{ParseLimits, parse};
    use super::*;

    fn of(text: &str, message: &str) -> String {
        let environment = Environment::new(Namespaces::new());
        let expr = parse(text, &environment, &ParseLimits::default()).unwrap();
        string_value(
            &expr,
            message.as_bytes(),
            &[],
            &xml::Limits::default(),
            None,
        )
        .unwrap()
    }

    #[test]
    fn the_first_nodes_string_value() {
        let message = "<a><b>x<c>y</c></b><b i='2'>z</b></a>";
        assert_eq!(of("//b", message), "xy");
        assert_eq!(of("//b[2]/@i", message), "2");
        assert_eq!(of("count(//b)", message), "2");
        assert_eq!(of("//none", message), "");
        assert_eq!(of("//b = 'z'", message), "true");
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let message = format!("<a>x{}</a>", "é".repeat(VALUE_BYTES_MAX));
        let found = of("/a", &message);
        assert_eq!(found.len(), VALUE_BYTES_MAX - 1);
        assert!(found.ends_with('é'));
    }
}
