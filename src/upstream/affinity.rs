//! What binds a caller to a server: a cookie of the router's own, or a value of the message.
//!
//! The cookie's value is a keyed hash of the server, so it needs no memory, is the same on every
//! router with the same secret, and says nothing of what is inside.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::fields::{COOKIE, Fields, SET_COOKIE};

/// Behind the cookie's name for browsers that load the service from another site.
const CORS: &str = "CORS";
/// Where no secret is configured: the value then says which servers are the same, no more.
const NO_SECRET: &[u8] = b"soap-router affinity";

/// What binds callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affinity {
    /// By what.
    pub by: BoundBy,
    /// Whether a caller whose server is lost gets another one; else it gets a fault.
    pub redistribute: bool,
}

/// By what callers are bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoundBy {
    /// A cookie that the router sets.
    Cookie(Box<CookieSpec>),
    /// The hash of a value that comes with each message.
    Value,
}

/// The router's own cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieSpec {
    /// Its name.
    pub name: String,
    /// What stands behind its value, `; Path=/` and so on.
    pub attributes: String,
    /// Whether a second one is set for requests from other sites.
    pub cors: bool,
    /// Whether it is kept from the endpoint.
    pub strip: bool,
    /// What the value is made with.
    pub secret: Secret,
}

/// A secret, never printed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(pub Option<Arc<[u8]>>);

/// The cookie's value for one server: 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Token([u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "secret" } else { "none" })
    }
}

impl Token {
    pub(super) fn of(secret: &Secret, endpoint: &str, address: SocketAddr) -> Self {
        let key = secret.0.as_deref().unwrap_or(NO_SECRET);
        let mut digits = [b'0'; 32];
        // HMAC takes keys of any length, so there is always one.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) {
            mac.update(endpoint.as_bytes());
            mac.update(&[0]);
            mac.update(address.to_string().as_bytes());
            let code = mac.finalize().into_bytes();
            for (pair, byte) in digits.chunks_exact_mut(2).zip(code.iter()) {
                let hex = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0') as u8;
                pair.copy_from_slice(&[hex(byte >> 4), hex(byte & 15)]);
            }
        }
        Self(digits)
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }
}

impl CookieSpec {
    fn cors_name(&self) -> String {
        format!("{}{CORS}", self.name)
    }

    fn is_own(&self, name: &str) -> bool {
        let twin = || name.strip_suffix(CORS) == Some(self.name.as_str());
        name == self.name || (self.cors && twin())
    }

    /// The values that a caller shows, as they stand in its `Cookie` fields.
    pub(super) fn shown(&self, headers: &Fields) -> Vec<Token> {
        let mut tokens = Vec::new();
        for field in headers.get_all(COOKIE) {
            for (name, value) in field.split(|b| *b == b';').filter_map(pair) {
                if let (true, Ok(token)) = (self.is_own(name), value.try_into()) {
                    tokens.push(Token(token));
                }
            }
        }
        tokens
    }

    /// Takes the router's own cookies out; whatever else stands there stays as it was.
    pub fn strip(&self, headers: &mut Fields) {
        let is_own = |part: &&[u8]| pair(part).is_some_and(|(name, _)| self.is_own(name));
        let found = headers
            .get_all(COOKIE)
            .any(|field| field.split(|b| *b == b';').any(|p| is_own(&p)));
        if !found {
            return;
        }
        let kept: Vec<Vec<u8>> = headers
            .get_all(COOKIE)
            .map(|field| {
                let parts = field.split(|b| *b == b';');
                let rest: Vec<&[u8]> = parts.filter(|part| !is_own(part)).collect();
                rest.join(&b';').trim_ascii_start().to_vec()
            })
            .filter(|field| !field.is_empty())
            .collect();
        headers.remove(COOKIE);
        for field in &kept {
            headers.append(COOKIE, field.as_slice());
        }
    }

    /// Binds the caller: one more `Set-Cookie` beside the endpoint's own.
    pub(super) fn set(&self, token: &Token, headers: &mut Fields) {
        let own = format!("{}={}{}", self.name, token.as_str(), self.attributes);
        let twin = self.cors.then(|| {
            let name = self.cors_name();
            format!("{name}={}; Path=/; SameSite=None; Secure", token.as_str())
        });
        for text in [Some(own), twin].into_iter().flatten() {
            // Names and attributes were checked when they were read.
            headers.append(SET_COOKIE, text.as_str());
        }
    }
}

/// Name and value of one cookie.
fn pair(part: &[u8]) -> Option<(&str, &[u8])> {
    let at = part.iter().position(|byte| *byte == b'=')?;
    let (name, value) = part.split_at(at);
    let name = std::str::from_utf8(name.trim_ascii()).ok()?;
    Some((name, value.get(1..)?.trim_ascii()))
}

/// The value of a cookie, whoever set it.
#[must_use]
pub fn cookie<'a>(headers: &'a Fields, name: &str) -> Option<&'a [u8]> {
    headers
        .get_all(COOKIE)
        .flat_map(|field| field.split(|byte| *byte == b';'))
        .filter_map(pair)
        .find_map(|(own, value)| (own == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Known;

    fn spec(cors: bool) -> CookieSpec {
        CookieSpec {
            name: "Route".into(),
            attributes: "; Path=/; HttpOnly".into(),
            cors,
            strip: true,
            secret: Secret::default(),
        }
    }

    fn token() -> Token {
        Token::of(&Secret::default(), "orders", ([10, 0, 0, 1], 80).into())
    }

    fn headers(fields: &[&str]) -> Fields {
        let mut headers = Fields::new();
        for field in fields {
            assert!(headers.append(COOKIE, *field));
        }
        headers
    }

    fn fields(headers: &Fields, name: Known) -> Vec<String> {
        let texts = headers.get_all(name);
        texts
            .map(|v| String::from_utf8(v.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn a_value_is_the_same_for_the_same_server_and_no_other() {
        let address: SocketAddr = ([10, 0, 0, 1], 80).into();
        let secret = Secret(Some(b"key".as_slice().into()));
        assert_eq!(token(), Token::of(&Secret::default(), "orders", address));
        assert_ne!(token(), Token::of(&secret, "orders", address));
        assert_ne!(token(), Token::of(&Secret::default(), "other", address));
        assert!(token().as_str().bytes().all(|b| b.is_ascii_hexdigit()));
    }

    #[test]
    fn what_was_set_is_shown_again() {
        let mut answer = Fields::new();
        spec(true).set(&token(), &mut answer);
        let set = fields(&answer, SET_COOKIE);
        assert_eq!(set.len(), 2);
        assert!(set[0].ends_with("; Path=/; HttpOnly"), "{set:?}");
        assert!(set[1].starts_with("RouteCORS=") && set[1].ends_with("; SameSite=None; Secure"));
        for cookie in &set {
            let sent = cookie.split(';').next().unwrap();
            let shown = spec(true).shown(&headers(&[&format!("a=b; {sent}")]));
            assert_eq!(shown, [token()]);
        }
        assert_eq!(
            spec(true).shown(&headers(&["Route=; Route=x; route=y"])),
            []
        );
    }

    #[test]
    fn only_our_own_is_taken_out() {
        let check = |before: &[&str], after: &[&str]| {
            let mut headers = headers(before);
            spec(true).strip(&mut headers);
            assert_eq!(fields(&headers, COOKIE), after, "{before:?}");
        };
        check(&["a=1;b=\"x; y\"; c"], &["a=1;b=\"x; y\"; c"]);
        check(&["a=1; Route=x;  b=2 "], &["a=1;  b=2 "]);
        check(&["Route=x; a=1; RouteCORS=x"], &["a=1"]);
        check(&["Route=x", "Routed=1"], &["Routed=1"]);
    }

    #[test]
    fn anybodys_cookie_is_found() {
        let headers = headers(&["a=1; SID= x ", "b=2"]);
        assert_eq!(cookie(&headers, "SID"), Some(b"x".as_slice()));
        assert_eq!(cookie(&headers, "b"), Some(b"2".as_slice()));
        assert_eq!(cookie(&headers, "c"), None);
    }
}
