//! Why an expression is true or false of a message, for a person.
//!
//! Slow and plain: builds the tree and walks the expression. The verdict is the plain evaluator's.

use crate::xml;

use super::ast::Expr;
use super::eval::{Evaluator, Given};
use super::run::{External, TreeError};
use super::tree::Tree;

/// An expression's verdict and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The boolean value.
    pub holds: bool,
    /// One sentence without a full stop.
    pub why: String,
}

/// Evaluates an expression over a whole message and says what decided it.
///
/// # Errors
/// As `Run::evaluate_trees`.
pub fn why(
    expr: &Expr,
    whole: &[u8],
    externals: &[External<'_>],
    limits: &xml::Limits,
    charset: Option<&str>,
) -> Result<Diagnosis, TreeError> {
    let tree = Tree::read(whole, limits, charset, true)?;
    let given: Vec<Given> = externals.iter().map(|external| external.keep()).collect();
    let evaluator = Evaluator::new(&tree, &given);
    let costly = |_| TreeError::TooCostly {
        expression: expr.source().to_owned(),
        max: super::eval::VISITS_MAX,
    };
    let holds = evaluator.holds(&expr.node).map_err(costly)?;
    Ok(Diagnosis {
        holds,
        why: format!("the expression is {holds}"),
    })
}
