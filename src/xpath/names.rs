//! The parser's part that looks names up: axes, node tests, variables, functions.

use smallvec::{SmallVec, smallvec};

use crate::xml::XML_NAMESPACE;

use super::ast::{Axis, NameTest, Node, Path, Start, Test, Type};
use super::environment::Custom;
use super::error::{SyntaxError, did_you_mean};
use super::functions::{Argument, Function, SIGNATURES, Signature};
use super::lexer::Kind;
use super::parser::{Parser, Part};

type Parsed = Result<Part, SyntaxError>;

impl Parser<'_> {
    pub(super) fn axis(&mut self) -> Result<Axis, SyntaxError> {
        if self.accept("@") {
            return Ok(Axis::Attribute);
        }
        let (Kind::Name(prefix, local), Kind::Symbol("::")) = (self.peek(), self.peek_second())
        else {
            return Ok(Axis::Child);
        };
        let found = Axis::ALL
            .iter()
            .find(|(name, _)| prefix.is_empty() && *name == local);
        let Some(&(_, axis)) = found else {
            let hint = did_you_mean(local, Axis::ALL.iter().map(|(name, _)| *name));
            return Err(self.wrong(format!("`{local}` is not an axis")).hint(hint));
        };
        self.advance();
        self.advance();
        Ok(axis)
    }

    pub(super) fn node_test(&mut self, axis: Axis) -> Result<Test, SyntaxError> {
        let (prefix, local) = match self.peek() {
            Kind::Star => {
                self.advance();
                return Ok(Test::Name(NameTest::any()));
            }
            Kind::Name(prefix, local) => (prefix, local),
            _ => {
                let found = self.shown();
                return Err(self.wrong(format!("{found} stands where a node test is expected")).expected(
                    "a name, `*`, `node()`, `text()`, `comment()` or `processing-instruction()`",
                ));
            }
        };
        let is_type = prefix.is_empty() && self.peek_second() == Kind::Symbol("(");
        if !is_type {
            let test = self.name_test(prefix, local, axis)?;
            self.advance();
            return Ok(Test::Name(test));
        }
        let kinds = ["node", "text", "comment", "processing-instruction"];
        if !kinds.contains(&local) {
            let hint = did_you_mean(local, kinds.into_iter());
            return Err(self
                .wrong(format!("the function `{local}` cannot be a step of a path"))
                .hint(hint));
        }
        self.advance();
        self.advance();
        let test = match (local, self.peek()) {
            ("node", _) => Test::Node,
            ("text", _) => Test::Text,
            ("comment", _) => Test::Comment,
            (_, Kind::Literal(target)) => {
                self.advance();
                Test::Instruction(Some(target.into()))
            }
            _ => Test::Instruction(None),
        };
        self.expect(")", "a node test must end")?;
        Ok(test)
    }

    fn name_test(&self, prefix: &str, local: &str, axis: Axis) -> Result<NameTest, SyntaxError> {
        let uris: SmallVec<_> = match prefix {
            "" => smallvec!["".into()],
            _ => self.uris(prefix, axis)?,
        };
        Ok(NameTest {
            prefix: prefix.into(),
            uris: Some(uris),
            local: (local != "*").then(|| local.into()),
        })
    }

    fn uris(
        &self,
        prefix: &str,
        axis: Axis,
    ) -> Result<SmallVec<[std::sync::Arc<str>; 2]>, SyntaxError> {
        if let Some(uris) = self.namespaces.get(prefix) {
            return Ok(uris.iter().cloned().collect());
        }
        if prefix == "xml" {
            return Ok(smallvec![XML_NAMESPACE.into()]);
        }
        if axis == Axis::Namespace {
            // Nodes of this axis have no namespace, but the prefix must be known all the same.
            return Err(self.unknown_prefix(prefix));
        }
        Err(self.unknown_prefix(prefix))
    }

    fn unknown_prefix(&self, prefix: &str) -> SyntaxError {
        let known: Vec<&str> = self.namespaces.prefixes().collect();
        let near = did_you_mean(prefix, known.iter().copied());
        let error = self.wrong(format!("the prefix `{prefix}` is not defined"));
        if near.is_some() {
            return error.hint(near);
        }
        let hint = match known.is_empty() {
            true => format!("declare it: `{prefix}: <namespace>` under `namespaces`"),
            false => format!(
                "declare it under `namespaces`; defined are: {}",
                known.join(", ")
            ),
        };
        error.hint(Some(hint))
    }

    pub(super) fn variable(&mut self, name: &str) -> Parsed {
        let Some(parameters) = self.parameters else {
            return Err(self
                .wrong(format!("`${name}` is a variable; no variables exist here"))
                .hint(Some("write the value itself, or a path to it".into())));
        };
        let index = name
            .parse::<usize>()
            .ok()
            .and_then(|number| number.checked_sub(1));
        let node = match index {
            Some(index) => parameters
                .get(index)
                .map(|kind| Node::Parameter(index, *kind)),
            None => self
                .environment
                .external_named(name)
                .cloned()
                .map(Node::External),
        };
        let Some(node) = node else {
            let hint = did_you_mean(name, self.environment.all_externals());
            return Err(self
                .wrong(format!(
                    "`${name}` is neither a parameter nor an external value"
                ))
                .hint(hint));
        };
        self.advance();
        Ok(node.into())
    }

    pub(super) fn call(&mut self, prefix: &str, local: &str) -> Parsed {
        let from = self.place();
        let target = self.target(prefix, local)?;
        self.advance();
        self.expect("(", "a function's arguments must begin")?;
        let mut arguments = Vec::new();
        let mut below = 1;
        if !self.is(")") {
            loop {
                let part = self.expression()?;
                below = below.max(part.height);
                arguments.push(part.node);
                if !self.accept(",") {
                    break;
                }
            }
        }
        self.expect(")", "a function's arguments must end")?;
        let node = match target {
            Target::Core(signature) => self.core(signature, arguments, from)?,
            Target::Custom(custom) => self.custom(&custom, local, arguments, from)?,
        };
        self.call_part(node, below)
    }

    fn target(&self, prefix: &str, local: &str) -> Result<Target, SyntaxError> {
        if prefix.is_empty() {
            let in_macro = self.parameters.is_some();
            let known = || {
                SIGNATURES
                    .iter()
                    .filter(move |s| in_macro || s.function != Function::FirstNonEmpty)
            };
            if let Some(signature) = known().find(|signature| signature.name == local) {
                return Ok(Target::Core(signature));
            }
            let hint = did_you_mean(local, known().map(|signature| signature.name));
            return Err(self
                .wrong(format!("the function `{local}` is unknown"))
                .hint(hint));
        }
        let uris = self.uris(prefix, Axis::Child)?;
        let found = uris
            .iter()
            .find_map(|uri| self.environment.function(uri, local));
        found.cloned().map(Target::Custom).ok_or_else(|| {
            let known = uris
                .iter()
                .flat_map(|uri| self.environment.functions_of(uri));
            let hint = did_you_mean(local, known);
            self.wrong(format!("the function `{prefix}:{local}` is unknown"))
                .hint(hint)
        })
    }

    fn core(
        &self,
        signature: &Signature,
        mut arguments: Vec<Node>,
        from: usize,
    ) -> Result<Node, SyntaxError> {
        let count = arguments.len();
        if count < signature.min || count > signature.max {
            let expected = match (signature.min, signature.max) {
                (0, 0) => "no arguments".into(),
                (1, 1) => "one argument".into(),
                (min, max) if min == max => format!("{min} arguments"),
                (min, usize::MAX) => format!("at least {min} arguments"),
                (min, max) => format!("{min} to {max} arguments"),
            };
            let message = format!("`{}()` is called with {count} arguments", signature.name);
            return Err(self.wrong_since(from, message).expected(expected));
        }
        if let Some(wrong) = arguments
            .iter()
            .find(|a| a.kind() != Type::NodeSet)
            .filter(|_| signature.argument == Argument::NodeSet)
        {
            let message = format!(
                "`{}()` needs a node-set, this is a {}",
                signature.name,
                wrong.kind()
            );
            return Err(self.wrong_since(from, message));
        }
        if arguments.is_empty() && signature.defaults_to_context {
            arguments.push(Node::Path(Path::here()));
        }
        Ok(Node::Call(signature.function, arguments))
    }

    fn custom(
        &self,
        custom: &Custom,
        local: &str,
        arguments: Vec<Node>,
        from: usize,
    ) -> Result<Node, SyntaxError> {
        let wanted = match custom {
            Custom::Macro { parameters, .. } => parameters.len(),
            Custom::Native { arguments, .. } => *arguments,
        };
        if arguments.len() != wanted {
            let message = format!("`{local}()` is called with {} arguments", arguments.len());
            return Err(self
                .wrong_since(from, message)
                .expected(format!("{wanted}")));
        }
        let (parameters, body) = match custom {
            Custom::Native { native, .. } => return Ok(Node::Native(native.clone(), arguments)),
            Custom::Macro { parameters, body } => (parameters, body),
        };
        let mut given = Vec::new();
        for (argument, kind) in arguments.into_iter().zip(parameters) {
            let have = argument.kind();
            given.push(match kind {
                _ if have == *kind => argument,
                Type::String => Node::Call(Function::String, vec![argument]),
                Type::Number => Node::Call(Function::Number, vec![argument]),
                Type::Boolean => Node::Call(Function::Boolean, vec![argument]),
                Type::NodeSet => {
                    return Err(self.wrong_since(
                        from,
                        format!("`{local}()` needs a node-set, this is a {have}"),
                    ));
                }
            });
        }
        expand(body, &given, false).ok_or_else(|| {
            self.wrong_since(
                from,
                format!("the argument of `{local}()` must not depend on the context"),
            )
            .hint(Some("use a string or an absolute path".into()))
        })
    }
}

enum Target {
    Core(&'static Signature),
    Custom(Custom),
}

/// Puts arguments in the place of parameters; nothing if one would get another context.
fn expand(node: &Node, given: &[Node], moved: bool) -> Option<Node> {
    let all = |nodes: &[Node]| {
        nodes
            .iter()
            .map(|node| expand(node, given, moved))
            .collect::<Option<Vec<_>>>()
    };
    let inner = |nodes: &[Node]| {
        nodes
            .iter()
            .map(|node| expand(node, given, true))
            .collect::<Option<Vec<_>>>()
    };
    let one = |node: &Node| expand(node, given, moved).map(Box::new);
    Some(match node {
        Node::Parameter(index, _) => {
            let argument = given.get(*index)?;
            if moved && argument.needs_context() {
                return None;
            }
            argument.clone()
        }
        Node::Or(nodes) => Node::Or(all(nodes)?),
        Node::And(nodes) => Node::And(all(nodes)?),
        Node::Union(nodes) => Node::Union(all(nodes)?),
        Node::Call(function, nodes) => Node::Call(*function, all(nodes)?),
        Node::Native(native, nodes) => Node::Native(native.clone(), all(nodes)?),
        Node::Compare(op, a, b) => Node::Compare(*op, one(a)?, one(b)?),
        Node::Arithmetic(op, a, b) => Node::Arithmetic(*op, one(a)?, one(b)?),
        Node::Negate(a) => Node::Negate(one(a)?),
        Node::Filter(head, predicates) => Node::Filter(one(head)?, inner(predicates)?),
        Node::Path(path) => {
            let mut steps = Vec::new();
            for step in &path.steps {
                let mut step = step.clone();
                step.predicates = inner(&step.predicates)?;
                steps.push(step);
            }
            let start = match &path.start {
                Start::Node(head) => Start::Node(one(head)?),
                other => other.clone(),
            };
            // A parameter that was a path joins with the steps behind it.
            match start {
                Start::Node(head) => match *head {
                    Node::Path(mut first) => {
                        first.steps.append(&mut steps);
                        Node::Path(first)
                    }
                    other => Node::Path(Path {
                        start: Start::Node(Box::new(other)),
                        steps,
                    }),
                },
                start => Node::Path(Path { start, steps }),
            }
        }
        Node::Literal(_) | Node::Number(_) | Node::External(_) => node.clone(),
    })
}
