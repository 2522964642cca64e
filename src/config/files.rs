//! The files that the configuration names, read with it: certificates, keys, authorities.
//!
//! Like `load.rs`, this touches the disk, so that nobody who compiles has to.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::load::read_bounded;
use super::node::shorten;
use super::written::Spanned;
use crate::diag::{Diagnostic, Report};

/// What was in the files, and what else of the system is to be known.
#[derive(Debug, Clone, Default)]
pub struct Files {
    bytes: HashMap<PathBuf, Vec<u8>>,
    /// The authorities that the system trusts, DER; read only where they are needed.
    pub system_roots: Vec<Vec<u8>>,
    /// When all this was read, since the Unix epoch; zero where nobody looked at a clock.
    pub read_at: Duration,
}

impl Files {
    /// What is in a file that could be read.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<&[u8]> {
        self.bytes.get(path).map(Vec::as_slice)
    }

    /// Reads a file, or tells why that is not possible.
    pub(super) fn read(&mut self, path: &Spanned<PathBuf>, report: &mut Report) {
        if self.bytes.contains_key(&path.value) {
            return;
        }
        match read_bounded(&path.value) {
            Ok(bytes) => _ = self.bytes.insert(path.value.clone(), bytes),
            Err(error) => {
                let name = path.value.display().to_string();
                let text = format!("the file `{}` cannot be read: {error}", shorten(&name));
                let found = Diagnostic::error("unreadable-file", text, path.span);
                report.push(found.hint("paths are relative to the file they stand in"));
            }
        }
    }

    /// Looks up whom the system trusts; a system without any is told of where that matters.
    pub(super) fn read_system_roots(&mut self) {
        if self.system_roots.is_empty() {
            let found = rustls_native_certs::load_native_certs();
            self.system_roots = found.certs.iter().map(|one| one.to_vec()).collect();
        }
    }

    pub(super) fn note_time(&mut self) {
        self.read_at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
    }
}
