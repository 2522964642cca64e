//! Names that the router itself looks for, or that most messages have: told once, when a head is
//! read, and found by a number from there on.

/// A name that is known, and how it is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known(u8);

/// Several of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Names(u64);

/// Ordered by length, so that a name is compared with the few of its own length only.
macro_rules! known {
    ($($(#[$note:meta])* $constant:ident $number:literal $usual:literal;)*) => {
        $(
            #[doc = concat!("`", $usual, "`.")]
            $(#[$note])*
            pub const $constant: Known = Known($number);
        )*

        /// How each is spelled, by its number; number 0 is every name that is not known.
        const USUAL: [&str; COUNT] = ["", $($usual),*];
        const COUNT: usize = 1 + [$($usual),*].len();
    };
}

known! {
    TE 1 "TE";
    DNT 2 "DNT";
    HOST 3 "Host";
    DATE 4 "Date";
    ETAG 5 "ETag";
    ALLOW 6 "Allow";
    SERVER 7 "Server";
    ACCEPT 8 "Accept";
    EXPECT 9 "Expect";
    COOKIE 10 "Cookie";
    UPGRADE 11 "Upgrade";
    TRAILER 12 "Trailer";
    LOCATION 13 "Location";
    CONNECTION 14 "Connection";
    /// It states the action in SOAP 1.1 (S11 §6.1.1).
    SOAP_ACTION 15 "SOAPAction";
    USER_AGENT 16 "User-Agent";
    KEEP_ALIVE 17 "Keep-Alive";
    SET_COOKIE 18 "Set-Cookie";
    CONTENT_ID 19 "Content-ID";
    RETRY_AFTER 20 "Retry-After";
    CONTENT_MD5 21 "Content-MD5";
    CONTENT_TYPE 22 "Content-Type";
    MIME_VERSION 23 "MIME-Version";
    REQUEST_ID 24 "X-Request-ID";
    AUTHORIZATION 25 "Authorization";
    CACHE_CONTROL 26 "Cache-Control";
    CONTENT_LENGTH 27 "Content-Length";
    HTTP2_SETTINGS 28 "HTTP2-Settings";
    ORIGINAL_URL 29 "X-Original-Url";
    ACCEPT_ENCODING 30 "Accept-Encoding";
    ACCEPT_LANGUAGE 31 "Accept-Language";
    FORWARDED_FOR 32 "X-Forwarded-For";
    ORIGINAL_HOST 33 "X-Original-Host";
    CONTENT_ENCODING 34 "Content-Encoding";
    WWW_AUTHENTICATE 35 "WWW-Authenticate";
    PROXY_CONNECTION 36 "Proxy-Connection";
    FORWARDED_HOST 37 "X-Forwarded-Host";
    FORWARDED_PORT 38 "X-Forwarded-Port";
    CORRELATION_ID 39 "X-Correlation-ID";
    APPGW_TRACE_ID 40 "X-Appgw-Trace-Id";
    TRANSFER_ENCODING 41 "Transfer-Encoding";
    FORWARDED_PROTO 42 "X-Forwarded-Proto";
    WEBSOCKET_KEY 43 "Sec-WebSocket-Key";
    /// It marks a fault as the router's own, so that nobody searches an endpoint for it.
    ROUTER_FAULT 44 "X-SOAP-Router-Fault";
}

/// Longest of the names, and as long as any name that is compared with them.
const LENGTH_MAX: usize = 24;

/// Its letters in lower case, folded into three words.
type Key = [u64; 3];

const KEYS: [Key; COUNT] = keys();
/// For each length the first name of it, and behind it the first that is longer.
const BY_LENGTH: [(u8, u8); LENGTH_MAX + 1] = by_length();

impl Known {
    /// The known name that this is, in whatever case; `written` must be a token of HTTP.
    #[must_use]
    pub fn of(written: &[u8]) -> Option<Self> {
        let &(from, to) = BY_LENGTH.get(written.len())?;
        if from == to {
            return None;
        }
        let key = key(written);
        (from..to)
            .find(|at| KEYS.get(usize::from(*at)) == Some(&key))
            .map(Self)
    }

    /// How it is spelled.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        USUAL.get(usize::from(self.0)).copied().unwrap_or_default()
    }

    /// The name of this number; 0 is none.
    pub(super) const fn numbered(number: u8) -> Option<Self> {
        match number {
            0 => None,
            _ => Some(Self(number)),
        }
    }

    /// Its number, not 0 and below 64.
    pub(super) const fn number(self) -> u8 {
        self.0
    }

    /// All of them.
    #[cfg(test)]
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (1..COUNT).map(|at| Self(u8::try_from(at).unwrap()))
    }
}

impl Names {
    /// These.
    #[must_use]
    pub const fn of(names: &[Known]) -> Self {
        let (mut bits, mut rest) = (0, names);
        while let [first, behind @ ..] = rest {
            bits |= 1 << first.0;
            rest = behind;
        }
        Self(bits)
    }

    /// Whether it is one of them.
    #[must_use]
    pub const fn has(self, name: Known) -> bool {
        self.has_number(name.0)
    }

    /// Whether they have one in common.
    #[must_use]
    pub(super) const fn meets(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    pub(super) const fn has_number(self, number: u8) -> bool {
        self.0 >> (number & 63) & 1 != 0
    }
}

/// Which known names are there, and which of them more than once.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) present: Names,
    pub(super) doubled: Names,
}

impl Tally {
    pub(super) const NOTHING: Self = Self {
        present: Names(0),
        doubled: Names(0),
    };

    /// Number 0, no known name, is nothing to add.
    pub(super) const fn add(&mut self, number: u8) {
        let bit = (1 << (number & 63)) & !1;
        self.doubled.0 |= self.present.0 & bit;
        self.present.0 |= bit;
    }

    /// There is one of it now.
    pub(super) const fn single_out(&mut self, number: u8) {
        self.doubled.0 &= !(1 << (number & 63));
    }

    /// There is none of these any more.
    pub(super) const fn take_out(&mut self, names: Names) {
        self.present.0 &= !names.0;
        self.doubled.0 &= !names.0;
    }

    /// All of the other's are added.
    pub(super) const fn add_all(&mut self, other: Self) {
        self.doubled.0 |= other.doubled.0 | (self.present.0 & other.present.0);
        self.present.0 |= other.present.0;
    }
}

/// Small letters differ from capitals in one bit, which is set here in everything: among the
/// characters of tokens only `^` and `~`, and characters that are in no known name, become the same.
const SMALL: u64 = 0x2020_2020_2020_2020;

/// All of a name of up to 24 characters: its first eight, its last eight, and the eight from the
/// ninth on, where there are so many.
const fn key(name: &[u8]) -> Key {
    let (first, last) = match (name.first_chunk(), name.last_chunk()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (name.first_chunk(), name.last_chunk()) {
            (Some(first), Some(last)) => (
                u32::from_le_bytes(*first) as u64,
                u32::from_le_bytes(*last) as u64,
            ),
            _ => match name {
                [a, b, c] => (u32::from_le_bytes([*a, *b, *c, 0]) as u64, 0),
                [a, b] => (u16::from_le_bytes([*a, *b]) as u64, 0),
                _ => (0, 0),
            },
        },
    };
    let middle = match name.split_at_checked(8) {
        Some((_, behind)) if name.len() > 16 => match behind.first_chunk() {
            Some(middle) => u64::from_le_bytes(*middle),
            None => 0,
        },
        _ => 0,
    };
    [first | SMALL, middle | SMALL, last | SMALL]
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn keys() -> [Key; COUNT] {
    let (mut keys, mut at) = ([[0; 3]; COUNT], 0);
    while at < COUNT {
        keys[at] = key(USUAL[at].as_bytes());
        at += 1;
    }
    keys
}

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated by the compiler"
)]
const fn by_length() -> [(u8, u8); LENGTH_MAX + 1] {
    const { assert!(COUNT <= 64, "a name is a bit") };
    let (mut ranges, mut at) = ([(0, 0); LENGTH_MAX + 1], 1);
    while at < COUNT {
        let length = USUAL[at].len();
        assert!(length >= USUAL[at - 1].len(), "names stand by length");
        if ranges[length].0 == 0 {
            ranges[length].0 = at as u8;
        }
        at += 1;
        ranges[length].1 = at as u8;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case_and_nothing_else_is() {
        for known in Known::all() {
            let usual = known.as_str();
            for written in [usual.to_owned(), usual.to_uppercase(), usual.to_lowercase()] {
                assert_eq!(Known::of(written.as_bytes()), Some(known), "{written}");
            }
            for at in 0..usual.len() {
                let mut other = usual.as_bytes().to_vec();
                for byte in
                    (b'!'..=b'~').filter(|byte| http::HeaderName::from_bytes(&[*byte]).is_ok())
                {
                    other[at] = byte;
                    let same = other.eq_ignore_ascii_case(usual.as_bytes());
                    let found = Known::of(&other);
                    let text = String::from_utf8_lossy(&other);
                    let fits = found.is_none_or(|found| found.as_str().eq_ignore_ascii_case(&text));
                    assert!(fits && (!same || found == Some(known)), "{text}");
                }
            }
            assert_eq!(Known::of(&usual.as_bytes()[1..]), None, "{usual}");
        }
        for other in [
            "",
            "a",
            "x-nobody-knows-this-one",
            "x-nobody-knows-this-one-which-is-longer",
        ] {
            assert_eq!(Known::of(other.as_bytes()), None);
        }
    }

    #[test]
    fn names_are_bits() {
        let names = Names::of(&[HOST, ROUTER_FAULT]);
        assert!(names.has(HOST) && names.has(ROUTER_FAULT) && !names.has(DATE));
        assert!(names.meets(Names::of(&[DATE, HOST])) && !names.meets(Names::of(&[DATE])));
    }
}
