//! What stands where in a window of 64 bytes: by the widest vectors that the machine has.

use fearless_simd::{Bytes, Simd, SimdBase, SimdFrom, SimdMask, i8x64, u8x64};

/// Bits of the bytes that steer a skip; bit 0 is the first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// `<`
    pub(super) open: u64,
    /// `>`
    pub(super) close: u64,
    /// `/`
    pub(super) slash: u64,
    /// `!` or `?`
    pub(super) odd: u64,
    /// White space and `>`: where a name must begin, there is none.
    pub(super) nameless: u64,
    /// `"`
    pub(super) quote: u64,
    /// `'`
    pub(super) apostrophe: u64,
    /// What may not be good UTF-8 or is no character of XML: control characters, bytes above 0x7F.
    pub(super) unusual: u64,
}

impl Window {
    #[inline(always)]
    pub(super) fn of<V: Simd>(simd: V, bytes: &[u8; 64]) -> Self {
        let bytes = u8x64::simd_from(simd, *bytes);
        let is = |byte: u8| bytes.simd_eq(byte);
        // As signed numbers, bytes above 0x7F are below 0x20 as well.
        let low = bytes.bitcast::<i8x64<V>>().simd_lt(0x20);
        let space = is(b'\n') | is(b'\t') | is(b'\r');
        Self {
            open: is(b'<').to_bitmask(),
            close: is(b'>').to_bitmask(),
            slash: is(b'/').to_bitmask(),
            odd: (is(b'!') | is(b'?')).to_bitmask(),
            nameless: (space | is(b' ') | is(b'>')).to_bitmask(),
            quote: is(b'"').to_bitmask(),
            apostrophe: is(b'\'').to_bitmask(),
            unusual: (low & !space).to_bitmask(),
        }
    }
}

/// What the machine that runs this has, and what lesser ones have.
#[cfg(test)]
pub(super) fn levels() -> Vec<fearless_simd::Level> {
    use fearless_simd::Level;

    let best = Level::new();
    #[cfg(target_arch = "x86_64")]
    let lesser = [
        best.as_avx2().map(Simd::level),
        best.as_sse4_2().map(Simd::level),
        best.as_sse2().map(Simd::level),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let lesser = [Some(Level::baseline())];
    std::iter::once(best)
        .chain(lesser.into_iter().flatten())
        .collect()
}

#[cfg(test)]
mod tests {
    use fearless_simd::dispatch;

    use super::*;

    #[test]
    fn every_level_sees_every_byte_in_every_place() {
        let bits = |bytes: &[u8; 64], is: fn(u8) -> bool| {
            let bits = bytes
                .iter()
                .zip(0..)
                .map(|(byte, at)| u64::from(is(*byte)) << at);
            bits.fold(0, |all, bit| all | bit)
        };
        for byte in 0..=u8::MAX {
            for at in 0..64 {
                let mut bytes = *b"<a b='c'/>\t<!--?-->\n</d>\r\x01\xC3\xA4<e>text</e><f>more of the text</f><g>12345"
                    .first_chunk::<64>()
                    .unwrap();
                bytes[at] = byte;
                let expected = Window {
                    open: bits(&bytes, |byte| byte == b'<'),
                    close: bits(&bytes, |byte| byte == b'>'),
                    slash: bits(&bytes, |byte| byte == b'/'),
                    odd: bits(&bytes, |byte| matches!(byte, b'!' | b'?')),
                    quote: bits(&bytes, |byte| byte == b'"'),
                    apostrophe: bits(&bytes, |byte| byte == b'\''),
                    nameless: bits(&bytes, |byte| {
                        matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'>')
                    }),
                    unusual: bits(&bytes, |byte| {
                        byte > 0x7F || byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')
                    }),
                };
                for level in levels() {
                    let found = dispatch!(level, simd => Window::of(simd, &bytes));
                    assert_eq!(found, expected, "{level:?}: {byte:#04X} at {at}");
                }
            }
        }
    }
}
