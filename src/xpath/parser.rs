//! Tokens to a checked tree: grammar of XPath 1.0, prefixes, functions, types, limits.
//!
//! Everything that can be wrong with an expression is found here; evaluation cannot fail on it later.
//! Names and node tests are in `names.rs`.

use std::sync::Arc;

use super::ast::{Axis, Comparison, Expr, Node, Operator, Path, Start, Step, Test, Type};
use super::environment::{Environment, Namespaces};
use super::error::SyntaxError;
use super::lexer::{self, Kind, Token};

/// What an expression may ask of the compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseLimits {
    /// Parentheses, predicates and arguments inside each other. 64: real expressions stay below 6, and
    /// evaluation recurses this deep.
    pub nesting_max: u32,
    /// Bytes of text. 64 KiB: the longest real one is below 4.
    pub length_max: usize,
    /// Steps of all paths together. 1,024: each is a node of the automaton.
    pub steps_max: u32,
}

impl Default for ParseLimits {
    fn default() -> Self {
        Self {
            nesting_max: 64,
            length_max: 64 << 10,
            steps_max: 1024,
        }
    }
}

/// Height of the tree, operators chained to the left included. Evaluation recurses over it.
const HEIGHT_MAX: u32 = 256;

/// Parses an expression.
///
/// # Errors
/// When it is not XPath 1.0, refers to something unknown, or passes a limit.
pub fn parse(
    text: &str,
    environment: &Environment,
    limits: &ParseLimits,
) -> Result<Expr, SyntaxError> {
    let node = Parser::new(text, environment, &environment.namespaces, None, limits)?.whole()?;
    Ok(Expr {
        source: text.into(),
        node: Arc::new(node),
    })
}

/// Parses the body of a function; parameters and externals are variables in it.
pub(super) fn parse_macro(
    text: &str,
    environment: &Environment,
    namespaces: &Namespaces,
    parameters: &[Type],
    limits: &ParseLimits,
) -> Result<Node, SyntaxError> {
    Parser::new(text, environment, namespaces, Some(parameters), limits)?.whole()
}

pub(super) struct Parser<'t> {
    pub(super) text: &'t str,
    tokens: Vec<Token<'t>>,
    at: usize,
    pub(super) environment: &'t Environment,
    pub(super) namespaces: &'t Namespaces,
    pub(super) parameters: Option<&'t [Type]>,
    limits: &'t ParseLimits,
    depth: u32,
    steps: u32,
}

/// A parsed part and the height of its tree.
pub(super) struct Part {
    pub(super) node: Node,
    pub(super) height: u32,
}

impl From<Node> for Part {
    fn from(node: Node) -> Self {
        Self { node, height: 1 }
    }
}

type Parsed = Result<Part, SyntaxError>;

impl<'t> Parser<'t> {
    fn new(
        text: &'t str,
        environment: &'t Environment,
        namespaces: &'t Namespaces,
        parameters: Option<&'t [Type]>,
        limits: &'t ParseLimits,
    ) -> Result<Self, SyntaxError> {
        if text.len() > limits.length_max {
            let message = format!("the expression is longer than {} bytes", limits.length_max);
            return Err(SyntaxError::at(
                text,
                limits.length_max,
                limits.length_max,
                message,
            ));
        }
        let tokens = lexer::tokens(text)?;
        Ok(Self {
            text,
            tokens,
            at: 0,
            environment,
            namespaces,
            parameters,
            limits,
            depth: 0,
            steps: 0,
        })
    }

    fn whole(mut self) -> Result<Node, SyntaxError> {
        if self.peek() == Kind::End {
            return Err(self
                .wrong("the expression is empty")
                .expected("a path, a comparison or a function call"));
        }
        let part = self.expression()?;
        if self.peek() != Kind::End {
            let found = self.shown();
            return Err(self
                .wrong(format!("{found} does not continue the expression"))
                .expected("an operator or the end"));
        }
        Ok(part.node)
    }

    // --- tokens -------------------------------------------------------------------------------

    pub(super) fn peek(&self) -> Kind<'t> {
        self.tokens
            .get(self.at)
            .map_or(Kind::End, |token| token.kind)
    }

    pub(super) fn peek_second(&self) -> Kind<'t> {
        self.tokens
            .get(self.at + 1)
            .map_or(Kind::End, |token| token.kind)
    }

    pub(super) fn advance(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len().saturating_sub(1));
    }

    pub(super) fn accept(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn is(&self, symbol: &str) -> bool {
        matches!(self.peek(), Kind::Symbol(found) if found == symbol)
    }

    pub(super) fn expect(&mut self, symbol: &'static str, why: &str) -> Result<(), SyntaxError> {
        if self.accept(symbol) {
            return Ok(());
        }
        let found = self.shown();
        Err(self
            .wrong(format!("{found} stands where {why}"))
            .expected(format!("`{symbol}`")))
    }

    /// An error at the token in hand.
    pub(super) fn wrong(&self, message: impl Into<String>) -> SyntaxError {
        let (start, end) = self
            .tokens
            .get(self.at)
            .map_or((0, 0), |token| (token.start, token.end));
        SyntaxError::at(self.text, start, end, message)
    }

    /// An error from the token at `from` up to the last one taken.
    pub(super) fn wrong_since(&self, from: usize, message: impl Into<String>) -> SyntaxError {
        let start = self.tokens.get(from).map_or(0, |token| token.start);
        let end = self
            .at
            .checked_sub(1)
            .and_then(|last| self.tokens.get(last))
            .map_or(start, |token| token.end);
        SyntaxError::at(self.text, start, end, message)
    }

    pub(super) fn place(&self) -> usize {
        self.at
    }

    pub(super) fn shown(&self) -> String {
        match self.tokens.get(self.at) {
            Some(token) if token.kind != Kind::End => {
                format!("`{}`", self.text.get(token.start..token.end).unwrap_or(""))
            }
            _ => "the end".into(),
        }
    }

    // --- operators ----------------------------------------------------------------------------

    pub(super) fn expression(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > self.limits.nesting_max {
            let message = format!(
                "the expression is nested deeper than {}",
                self.limits.nesting_max
            );
            return Err(self.wrong(message));
        }
        let parsed = self.flat("or", Node::Or, |parser| {
            parser.flat("and", Node::And, Self::equality)
        });
        self.depth -= 1;
        parsed
    }

    /// A chain of one operator, kept flat.
    fn flat(
        &mut self,
        symbol: &str,
        join: fn(Vec<Node>) -> Node,
        mut operand: impl FnMut(&mut Self) -> Parsed,
    ) -> Parsed {
        let first = operand(self)?;
        if !self.is(symbol) {
            return Ok(first);
        }
        let mut height = first.height;
        let mut parts = vec![first.node];
        while self.accept(symbol) {
            let part = operand(self)?;
            height = height.max(part.height);
            parts.push(part.node);
        }
        self.grown(join(parts), height)
    }

    fn grown(&self, node: Node, below: u32) -> Parsed {
        if below >= HEIGHT_MAX {
            return Err(self.wrong(format!(
                "more than {HEIGHT_MAX} operators follow from each other"
            )));
        }
        Ok(Part {
            node,
            height: below + 1,
        })
    }

    fn equality(&mut self) -> Parsed {
        let known = [("=", Comparison::Equal), ("!=", Comparison::NotEqual)];
        self.chain(&known, Self::relational, Node::Compare)
    }

    fn relational(&mut self) -> Parsed {
        let known = [
            ("<", Comparison::Less),
            ("<=", Comparison::LessEqual),
            (">", Comparison::Greater),
            (">=", Comparison::GreaterEqual),
        ];
        self.chain(&known, Self::additive, Node::Compare)
    }

    fn additive(&mut self) -> Parsed {
        let known = [("+", Operator::Add), ("-", Operator::Subtract)];
        self.chain(&known, Self::multiplicative, |op, a, b| {
            Node::Arithmetic(op, a, b)
        })
    }

    fn multiplicative(&mut self) -> Parsed {
        let known = [
            ("*", Operator::Multiply),
            ("div", Operator::Divide),
            ("mod", Operator::Remainder),
        ];
        self.chain(&known, Self::unary, Node::Arithmetic)
    }

    /// Operators that group from the left.
    fn chain<O: Copy>(
        &mut self,
        known: &[(&str, O)],
        operand: fn(&mut Self) -> Parsed,
        join: fn(O, Box<Node>, Box<Node>) -> Node,
    ) -> Parsed {
        let mut left = operand(self)?;
        while let Some(&(_, operator)) = known.iter().find(|(symbol, _)| self.is(symbol)) {
            self.advance();
            let right = operand(self)?;
            let below = left.height.max(right.height);
            left = self.grown(
                join(operator, Box::new(left.node), Box::new(right.node)),
                below,
            )?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed {
        let mut signs = 0_u32;
        while self.accept("-") {
            signs += 1;
        }
        let part = self.flat("|", Node::Union, Self::path_of_union)?;
        match signs {
            0 => Ok(part),
            // Two signs cancel, but still make a number.
            _ if signs.is_multiple_of(2) => self.grown(
                Node::Negate(Box::new(Node::Negate(Box::new(part.node)))),
                part.height + 1,
            ),
            _ => self.grown(Node::Negate(Box::new(part.node)), part.height),
        }
    }

    fn path_of_union(&mut self) -> Parsed {
        let from = self.place();
        let joined = from > 0
            && self
                .tokens
                .get(from - 1)
                .is_some_and(|t| t.kind == Kind::Symbol("|"));
        let part = self.path()?;
        if (joined || self.is("|")) && part.node.kind() != Type::NodeSet {
            let message = format!("`|` joins node-sets, this is a {}", part.node.kind());
            return Err(self.wrong_since(from, message));
        }
        Ok(part)
    }

    // --- paths --------------------------------------------------------------------------------

    fn path(&mut self) -> Parsed {
        if self.starts_primary() {
            return self.filter();
        }
        if self.accept("/") {
            if !self.starts_step() {
                return Ok(Node::Path(Path {
                    start: Start::Root,
                    steps: Vec::new(),
                })
                .into());
            }
            return self.steps(Start::Root, Vec::new(), 0);
        }
        if self.accept("//") {
            return self.steps(Start::Root, vec![any_depth()], 0);
        }
        if !self.starts_step() {
            let found = self.shown();
            return Err(self
                .wrong(format!("{found} stands where a value is expected"))
                .expected("a path, a string, a number or a function call"));
        }
        self.steps(Start::Here, Vec::new(), 0)
    }

    fn starts_primary(&self) -> bool {
        match self.peek() {
            Kind::Literal(_) | Kind::Number(_) | Kind::Variable(_) | Kind::Symbol("(") => true,
            Kind::Name(prefix, local) => {
                self.peek_second() == Kind::Symbol("(")
                    && !(prefix.is_empty()
                        && matches!(
                            local,
                            "node" | "text" | "comment" | "processing-instruction"
                        ))
            }
            _ => false,
        }
    }

    fn starts_step(&self) -> bool {
        matches!(
            self.peek(),
            Kind::Name(..) | Kind::Star | Kind::Symbol("." | ".." | "@")
        )
    }

    fn filter(&mut self) -> Parsed {
        let from = self.place();
        let mut part = self.primary()?;
        let (predicates, below) = self.predicates(part.height)?;
        let kind = part.node.kind();
        if kind != Type::NodeSet && !predicates.is_empty() {
            return Err(self.wrong_since(
                from,
                format!("a predicate needs a node-set, this is a {kind}"),
            ));
        }
        if !predicates.is_empty() {
            part = self.grown(Node::Filter(Box::new(part.node), predicates), below)?;
        }
        if !self.is("/") && !self.is("//") {
            return Ok(part);
        }
        if kind != Type::NodeSet {
            return Err(self.wrong_since(
                from,
                format!("`/` needs a node-set before it, this is a {kind}"),
            ));
        }
        let before = if self.is("//") {
            vec![any_depth()]
        } else {
            Vec::new()
        };
        self.advance();
        self.steps(Start::Node(Box::new(part.node)), before, part.height)
    }

    /// Steps up to the path's end; at least one must come.
    fn steps(&mut self, start: Start, mut steps: Vec<Step>, below: u32) -> Parsed {
        let mut height = below;
        loop {
            let (step, under) = self.step()?;
            height = height.max(under);
            steps.push(step);
            if self.accept("/") {
                continue;
            }
            if self.accept("//") {
                steps.push(any_depth());
                continue;
            }
            break;
        }
        // `(a/b)/c` is `a/b/c`.
        let path = match start {
            Start::Node(node) => match *node {
                Node::Path(mut head) => {
                    head.steps.append(&mut steps);
                    head
                }
                other => Path {
                    start: Start::Node(Box::new(other)),
                    steps,
                },
            },
            start => Path { start, steps },
        };
        self.grown(Node::Path(path), height)
    }

    fn step(&mut self) -> Result<(Step, u32), SyntaxError> {
        self.steps += 1;
        if self.steps > self.limits.steps_max {
            return Err(self.wrong(format!(
                "the expression has more than {} steps",
                self.limits.steps_max
            )));
        }
        for (symbol, axis) in [(".", Axis::Itself), ("..", Axis::Parent)] {
            if self.accept(symbol) {
                if self.is("[") {
                    let whole = format!("{}::node()", axis.name());
                    return Err(self
                        .wrong(format!("`{symbol}` takes no predicate"))
                        .hint(Some(format!("write `{whole}[...]`"))));
                }
                return Ok((
                    Step {
                        axis,
                        test: Test::Node,
                        predicates: Vec::new(),
                    },
                    0,
                ));
            }
        }
        let axis = self.axis()?;
        let test = self.node_test(axis)?;
        let (predicates, below) = self.predicates(0)?;
        Ok((
            Step {
                axis,
                test,
                predicates,
            },
            below,
        ))
    }

    fn predicates(&mut self, below: u32) -> Result<(Vec<Node>, u32), SyntaxError> {
        let mut predicates = Vec::new();
        let mut height = below;
        while self.accept("[") {
            let part = self.expression()?;
            self.expect("]", "a predicate must end")?;
            height = height.max(part.height);
            predicates.push(part.node);
        }
        Ok((predicates, height))
    }

    fn primary(&mut self) -> Parsed {
        let token = self.peek();
        match token {
            Kind::Literal(text) => {
                self.advance();
                Ok(Node::Literal(text.into()).into())
            }
            Kind::Number(number) => {
                self.advance();
                Ok(Node::Number(number).into())
            }
            Kind::Variable(name) => self.variable(name),
            Kind::Name(prefix, local) => self.call(prefix, local),
            _ => {
                self.expect("(", "a value is expected")?;
                let part = self.expression()?;
                self.expect(")", "a parenthesis must end")?;
                Ok(part)
            }
        }
    }

    pub(super) fn call_part(&self, node: Node, below: u32) -> Parsed {
        self.grown(node, below)
    }
}

/// What `//` stands for.
fn any_depth() -> Step {
    Step {
        axis: Axis::DescendantOrSelf,
        test: Test::Node,
        predicates: Vec::new(),
    }
}
