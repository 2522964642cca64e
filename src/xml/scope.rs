//! Namespace scopes and the memory of names already resolved.
//!
//! A scope is a chain of declarations. Scopes seen before are recognised by content, also in the next
//! message, so that a name is checked and resolved once and then found by its bytes.
//!
//! **Invariant:** memory is bounded: at most [`SCOPES_MAX`] scopes are remembered; what a hostile
//! message declares beyond that lives only while its element is open.

use super::chars;
use super::error::ErrorKind;
use super::sink::Sink;

/// The namespace of the prefix `xml`.
pub const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";
/// The namespace of the prefix `xmlns`.
pub(super) const XMLNS_NAMESPACE: &str = "http://www.w3.org/2000/xmlns/";

/// Scopes remembered across elements and messages: a service sees a handful of envelope styles.
const SCOPES_MAX: usize = 512;
/// Bytes of prefixes and namespaces remembered with them.
const TEXT_MAX: usize = 64 << 10;
/// A range of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// A resolved name.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct NameRef {
    pub(super) symbol: u64,
    pub(super) namespace: Span,
    pub(super) prefix_len: u16,
    /// What the name is to the one who reads along.
    pub(super) class: u8,
}

impl NameRef {
    /// Of no name.
    pub(super) const NONE: Self = Self {
        symbol: 0,
        namespace: Span { start: 0, end: 0 },
        prefix_len: 0,
        class: 0,
    };
}

/// Number of a scope; 0 is the empty one.
pub(super) type ScopeId = u32;

#[derive(Debug, Clone, Copy)]
struct Scope {
    /// Never used twice, so that a remembered name cannot meet a later scope at the same place.
    serial: u32,
    parent: ScopeId,
    hash: u64,
    first: u32,
    text_start: u32,
    passing: bool,
}

#[derive(Debug, Clone, Copy)]
struct Declaration {
    prefix: Span,
    namespace: Span,
}

/// All scopes of a scanner.
#[derive(Debug)]
pub(super) struct Scopes {
    text: String,
    declarations: Vec<Declaration>,
    scopes: Vec<Scope>,
    /// By hash: the number of one that is remembered, or 0.
    index: Box<[u16]>,
    next_serial: u32,
}

impl Scopes {
    pub(super) fn new() -> Self {
        let mut scopes = Self {
            text: String::new(),
            declarations: Vec::new(),
            scopes: Vec::new(),
            index: vec![0; SCOPES_MAX * 2].into_boxed_slice(),
            next_serial: 1,
        };
        scopes.forget();
        scopes
    }

    /// Forgets everything remembered; called between messages only.
    pub(super) fn forget(&mut self) {
        self.text.clear();
        self.text.push_str("xml");
        self.text.push_str(XML_NAMESPACE);
        self.declarations.clear();
        let end = self.text.len() as u32;
        self.declarations.push(Declaration {
            prefix: Span { start: 0, end: 3 },
            namespace: Span { start: 3, end },
        });
        self.scopes.clear();
        self.scopes.push(Scope {
            serial: 1,
            parent: 0,
            hash: 0,
            first: 0,
            text_start: 0,
            passing: false,
        });
        self.next_serial = 2;
        self.index.fill(0);
    }

    /// Whether there is no room to remember another scope.
    pub(super) fn is_full(&self) -> bool {
        self.scopes.len() >= SCOPES_MAX
            || self.text.len() >= TEXT_MAX
            || self.next_serial > u32::MAX / 4
    }

    pub(super) fn text(&self, span: Span) -> &str {
        self.text
            .get(span.start as usize..span.end as usize)
            .unwrap_or("")
    }

    /// The scope inside an element that declares `declared` (prefix, namespace).
    pub(super) fn enter(&mut self, parent: ScopeId, declared: &[(&str, &str)]) -> ScopeId {
        let hash = self.hash(parent, declared);
        let mask = self.index.len() - 1;
        let mut at = hash as usize & mask;
        while let Some(&found) = self.index.get(at).filter(|&&found| found != 0) {
            let found = ScopeId::from(found);
            if self.same(found, hash, parent, declared) {
                return found;
            }
            at = (at + 1) & mask;
        }
        let id = self.scopes.len() as u32;
        let passing = self.scopes.len() >= SCOPES_MAX || self.text.len() >= TEXT_MAX;
        let (first, text_start) = (self.declarations.len() as u32, self.text.len() as u32);
        self.scopes.push(Scope {
            serial: self.next_serial,
            parent,
            hash,
            first,
            text_start,
            passing,
        });
        self.next_serial = self.next_serial.wrapping_add(1);
        for (prefix, namespace) in declared {
            let declaration = Declaration {
                prefix: self.keep(prefix),
                namespace: self.keep(namespace),
            };
            self.declarations.push(declaration);
        }
        if !passing && let Some(slot) = self.index.get_mut(at) {
            *slot = id as u16;
        }
        id
    }

    /// Leaves the scope of a closed element, dropping it if there was no room to remember it.
    pub(super) fn leave(&mut self, id: ScopeId) {
        if let Some(scope) = self
            .scopes
            .get(id as usize)
            .copied()
            .filter(|scope| scope.passing)
        {
            self.scopes.truncate(id as usize);
            self.declarations.truncate(scope.first as usize);
            self.text.truncate(scope.text_start as usize);
        }
    }

    /// The serial number of a scope, which no other ever has.
    #[inline(always)]
    pub(super) fn serial(&self, scope: ScopeId) -> u32 {
        self.scopes.get(scope as usize).map_or(0, |s| s.serial)
    }

    /// Whether a scope stays after its element has closed.
    pub(super) fn lasts(&self, scope: ScopeId) -> bool {
        self.scopes
            .get(scope as usize)
            .is_some_and(|scope| !scope.passing)
    }

    /// Checks and resolves a qualified name.
    #[cold]
    pub(super) fn resolve<S: Sink>(
        &self,
        scope: ScopeId,
        raw: &[u8],
        attribute: bool,
        sink: &mut S,
    ) -> Result<NameRef, ErrorKind> {
        let name = std::str::from_utf8(raw)
            .map_err(|_| ErrorKind::Encoding("a name is not UTF-8".into()))?;
        let (prefix, local) = chars::split_qname(name).map_err(ErrorKind::NotWellFormed)?;
        if prefix == "xmlns" {
            return Err(ErrorKind::Namespace(format!(
                "`{name}` uses the prefix `xmlns`, which only declares"
            )));
        }
        let namespace = match (prefix, attribute) {
            ("", true) => Span::default(),
            _ => match self.lookup(scope, prefix) {
                Some(namespace) => namespace,
                None if prefix.is_empty() => Span::default(),
                None => {
                    let prefix = chars::clip(prefix);
                    return Err(ErrorKind::Namespace(format!(
                        "the prefix `{prefix}` of `{}` is not declared",
                        chars::clip(name)
                    )));
                }
            },
        };
        let uri = self.text(namespace);
        Ok(NameRef {
            symbol: sink.symbol(uri, local),
            class: sink.class(uri, local),
            namespace,
            prefix_len: prefix.len() as u16,
        })
    }

    fn lookup(&self, mut id: ScopeId, prefix: &str) -> Option<Span> {
        loop {
            let scope = self.scopes.get(id as usize)?;
            let end = self
                .scopes
                .get(id as usize + 1)
                .map_or(self.declarations.len(), |next| next.first as usize);
            let own = self.declarations.get(scope.first as usize..end)?;
            if let Some(found) = own.iter().find(|d| self.text(d.prefix) == prefix) {
                return Some(found.namespace);
            }
            if id == 0 {
                return None;
            }
            id = scope.parent;
        }
    }

    fn same(&self, id: ScopeId, hash: u64, parent: ScopeId, declared: &[(&str, &str)]) -> bool {
        let Some(scope) = self.scopes.get(id as usize) else {
            return false;
        };
        let end = self
            .scopes
            .get(id as usize + 1)
            .map_or(self.declarations.len(), |next| next.first as usize);
        let Some(own) = self.declarations.get(scope.first as usize..end) else {
            return false;
        };
        scope.hash == hash
            && scope.parent == parent
            && own.len() == declared.len()
            && own
                .iter()
                .zip(declared)
                .all(|(a, b)| self.text(a.prefix) == b.0 && self.text(a.namespace) == b.1)
    }

    fn hash(&self, parent: ScopeId, declared: &[(&str, &str)]) -> u64 {
        let mut hash = mix(u64::from(parent), declared.len() as u64);
        for (prefix, namespace) in declared {
            hash = hash_bytes(hash_bytes(hash, prefix.as_bytes()), namespace.as_bytes());
        }
        hash
    }

    fn keep(&mut self, text: &str) -> Span {
        let start = self.text.len() as u32;
        self.text.push_str(text);
        Span {
            start,
            end: self.text.len() as u32,
        }
    }
}

#[inline(always)]
fn mix(a: u64, b: u64) -> u64 {
    let wide = u128::from(a ^ 0x9E37_79B9_7F4A_7C15) * u128::from(b ^ 0xD6E8_FEB8_6659_FD93);
    (wide as u64) ^ ((wide >> 64) as u64)
}

pub(super) fn hash_bytes(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = mix(seed, bytes.len() as u64);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        if let Some(into) = word.get_mut(..chunk.len()) {
            into.copy_from_slice(chunk);
        }
        hash = mix(hash, u64::from_le_bytes(word));
    }
    hash
}
