//! As much of WebSocket as a tunnel must know to say goodbye: where one frame ends and the next may
//! begin (RFC 6455 §5.2). What is in them is nobody's business here.
//!
//! **Invariant:** the boundaries are the same however the bytes were cut.

/// "Going away" (RFC 6455 §7.4.1) to a caller.
pub(super) const GOING_AWAY: &[u8] = &[0x88, 0x02, 0x03, 0xE9];
/// The same to an endpoint, masked as everything that goes there must be. Masks keep what a script
/// chooses from looking like HTTP (§10.3); these two bytes are chosen by nobody, so any mask does.
pub(super) const GOING_AWAY_MASKED: &[u8] = &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE9];

/// Two bytes, eight of an extended length, four of a mask.
const HEAD_MAX: usize = 14;
const CLOSE: u8 = 0x8;

/// Follows the frames of one direction.
#[derive(Debug, Clone)]
pub(super) struct Frames {
    head: [u8; HEAD_MAX],
    /// Bytes of the head that are there.
    known: usize,
    /// Bytes of the payload still to come.
    payload: u64,
    closed: bool,
}

impl Frames {
    /// Before the first.
    pub(super) const START: Self = Self {
        head: [0; HEAD_MAX],
        known: 0,
        payload: 0,
        closed: false,
    };

    /// These bytes went by.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.payload > 0 {
                let skipped = self
                    .payload
                    .min(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                self.payload -= skipped;
                let skipped = usize::try_from(skipped).unwrap_or(bytes.len());
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            bytes = rest;
            if let Some(slot) = self.head.get_mut(self.known) {
                *slot = first;
                self.known += 1;
            }
            if let Some(length) = self.length() {
                let [kind, ..] = self.head;
                self.closed |= kind & 0x0F == CLOSE;
                self.payload = length;
                self.known = 0;
            }
        }
    }

    /// Whether a frame of our own may be put here: nothing is half way, and nobody said goodbye.
    pub(super) const fn may_close(&self) -> bool {
        self.known == 0 && self.payload == 0 && !self.closed
    }

    /// The payload's length, once the head is whole.
    fn length(&self) -> Option<u64> {
        let [_, second, extended @ ..] = self.head;
        let short = second & 0x7F;
        let size = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        if self.known < 2 + size + mask {
            return None;
        }
        let long = extended.get(..size).unwrap_or_default();
        Some(match size {
            0 => u64::from(short),
            _ => long.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, mask: bool, length: usize) -> Vec<u8> {
        let bit = u8::from(mask) << 7;
        let mut frame = vec![0x80 | kind];
        match length {
            0..126 => frame.push(bit | u8::try_from(length).unwrap()),
            126..65_536 => {
                frame.push(bit | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(bit | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        if mask {
            frame.extend([1, 2, 3, 4]);
        }
        // Looks like the head of a close frame wherever one is searched in it.
        frame.resize(frame.len() + length, 0x88);
        frame
    }

    #[test]
    fn boundaries_are_found_however_the_bytes_are_cut() {
        let sizes = [0, 1, 125, 126, 127, 65_535, 65_536];
        let frames: Vec<_> = sizes
            .iter()
            .flat_map(|&size| [frame(1, true, size), frame(2, false, size)])
            .collect();
        for step in [1, 2, 3, 7, 1000, usize::MAX] {
            let mut follow = Frames::START;
            for frame in &frames {
                for (at, part) in frame.chunks(step.min(frame.len())).enumerate() {
                    assert!(at == 0 || !follow.may_close());
                    follow.pass(part);
                }
                assert!(follow.may_close(), "behind a frame of {}", frame.len());
            }
            follow.pass(&frame(CLOSE, true, 2));
            assert!(!follow.may_close(), "a second goodbye");
        }
    }
}
