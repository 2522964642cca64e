//! Checks.
use super::loaded::Config;
use crate::diag::{Report, Sources};
pub(super) fn check(_: &Config, _: &Sources, _: &mut Report) {}
