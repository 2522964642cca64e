//! soap-router
#![forbid(unsafe_code)]
