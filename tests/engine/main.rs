//! Tests of the engine (`xml` and `xpath`) through its public face.
//!
//! `scanner`: what is told and refused, against quick-xml. `chunks`: the same however the input is
//! cut. `answers`: expressions and what they mean. `streaming`: one pass against the tree. `strategy`:
//! what streams, and the reasons where it does not.

mod answers;
mod bounds;
mod corpus;
mod generate;
mod metamorphic;
mod reasons;
mod recommendation;
mod scanner;
mod strategy;
mod streaming;
mod support;
