//! The PROXY protocol, versions 1 and 2: a balancer says first who its caller is.

use std::io;
use std::net::SocketAddr;

use ppp::{HeaderResult, v1, v2};

use crate::http1::Stream;
use crate::net::Ahead;

/// The longest head: version 1 has at most 107 bytes, version 2 as many as its extensions need.
const BYTES_MAX: usize = 4096;

/// How version 2 begins.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, its end included.
const LINE_MAX: usize = 107;

/// What came of looking for the head.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    More,
    /// So many bytes, and whom they name; nobody where the balancer speaks for itself.
    Head(usize, Option<SocketAddr>),
    Nothing,
}

/// Takes the head off the connection and gives the caller that it names, if it names one.
///
/// # Errors
/// When there is none, or it is too long.
pub(super) async fn read<S: Stream>(stream: &mut Ahead<S>) -> io::Result<Option<SocketAddr>> {
    let none = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
    loop {
        match find(stream.seen()) {
            Found::Head(bytes, caller) => {
                stream.take(bytes);
                return Ok(caller);
            }
            Found::Nothing => return Err(none("it does not begin with the PROXY protocol")),
            Found::More if stream.seen().len() >= BYTES_MAX => {
                return Err(none("the head of the PROXY protocol is too long"));
            }
            Found::More => {}
        }
        if !stream.look().await? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn find(bytes: &[u8]) -> Found {
    let Some(complete) = is_complete(bytes) else {
        return Found::Nothing;
    };
    if !complete {
        return Found::More;
    }
    match HeaderResult::parse(bytes) {
        HeaderResult::V1(Ok(head)) => {
            let caller = match head.addresses {
                v1::Addresses::Tcp4(tcp) => {
                    Some(SocketAddr::from((tcp.source_address, tcp.source_port)))
                }
                v1::Addresses::Tcp6(tcp) => {
                    Some(SocketAddr::from((tcp.source_address, tcp.source_port)))
                }
                v1::Addresses::Unknown => None,
            };
            Found::Head(head.header.len(), caller)
        }
        HeaderResult::V2(Ok(head)) => {
            let caller = match head.addresses {
                _ if head.command == v2::Command::Local => None,
                v2::Addresses::IPv4(ip) => {
                    Some(SocketAddr::from((ip.source_address, ip.source_port)))
                }
                v2::Addresses::IPv6(ip) => {
                    Some(SocketAddr::from((ip.source_address, ip.source_port)))
                }
                v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
            };
            Found::Head(head.len(), caller)
        }
        _ => Found::Nothing,
    }
}

/// Whether the whole head is there; `None` if this is the beginning of none.
fn is_complete(bytes: &[u8]) -> Option<bool> {
    let begins = |start: &[u8]| {
        let known = bytes.len().min(start.len());
        bytes.get(..known) == start.get(..known)
    };
    if begins(SIGNATURE) {
        let Some([high, low]) = bytes.get(14..16) else {
            return Some(false);
        };
        let extent = usize::from(u16::from_be_bytes([*high, *low]));
        return Some(bytes.len() >= 16 + extent);
    }
    let line = memchr::memmem::find(bytes, b"\r\n").is_some();
    (begins(b"PROXY ") && (line || bytes.len() < LINE_MAX)).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_found_however_they_are_cut() {
        let one = b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n".to_vec();
        let six = b"PROXY TCP6 2001:db8::7 ::1 4711 80\r\n".to_vec();
        let unknown = b"PROXY UNKNOWN\r\n".to_vec();
        let mut two = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
        two.extend([192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x67, 0, 80]);
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00".to_vec();
        let caller = Some("192.0.2.7:4711".parse().unwrap());
        let cases = [
            (one, caller),
            (six, Some("[2001:db8::7]:4711".parse().unwrap())),
            (unknown, None),
            (two, caller),
            (local, None),
        ];
        for (head, expected) in cases {
            for cut in 0..head.len() {
                assert_eq!(find(&head[..cut]), Found::More, "{head:?} cut at {cut}");
            }
            let whole = [head.as_slice(), b"POST / HTTP/1.1\r\n"].concat();
            assert_eq!(find(&whole), Found::Head(head.len(), expected), "{head:?}");
        }
        for bad in [
            &b"POST / HTTP/1.1\r\n\r\n"[..],
            b"PROXY TCP4 x y 1 2\r\n",
            b"\x16\x03\x01",
        ] {
            assert_eq!(find(bad), Found::Nothing, "{bad:?}");
        }
    }
}
