//! The common case of content, without detours: plain text, start tags without attributes whose name
//! is known, end tags that fit.
//!
//! Everything else is left to `tokens.rs` at the place where it begins. **Invariant:** what is done here
//! is what the general way would do, only with fewer questions.

use super::error::Error;
use super::find;
use super::key::{NameKey, WHOLE};
use super::scanner::{Place, Scanner, Step};
use super::sink::{Flow, Sink};
use super::tag::Read;

impl Scanner {
    /// Reads on while everything is common; `Next` is where something else begins.
    #[inline]
    pub(super) fn common_content<S: Sink>(
        &mut self,
        buf: &[u8],
        mut at: usize,
        sink: &mut S,
    ) -> Result<Step, Box<Error>> {
        let ready = self.ready(buf);
        let deepest = self.limits.depth_max as usize;
        loop {
            match ready.get(at) {
                Some(b'<') => {}
                Some(_) if self.plain => {
                    let Some(end) = find::less_than(ready, at) else {
                        break;
                    };
                    if sink.wants_text() {
                        let run = ready.get(at..end).unwrap_or(&[]);
                        sink.text(std::str::from_utf8(run).unwrap_or(""));
                    }
                    at = end;
                }
                _ => break,
            }
            match ready.get(at + 1) {
                Some(b'/') => {
                    let Some(frame) = self.frames.last() else {
                        break;
                    };
                    let (key, close) = (frame.key, at + 2 + frame.key.length as usize);
                    if ready.get(close) != Some(&b'>')
                        || !key.is_whole()
                        || NameKey::at(ready, at + 2, key.length as usize) != key
                    {
                        break;
                    }
                    let end = self.base + close as u64 + 1;
                    self.told = end;
                    let flow = self.close_element(self.base + at as u64, end, sink);
                    at = close + 1;
                    if flow == Flow::Stop {
                        return Ok(Step::Stop(at));
                    }
                    if self.place != Place::Content {
                        break;
                    }
                }
                Some(b'!' | b'?') | None => break,
                Some(_) => {
                    let close = find::name_end(ready, at + 1);
                    let length = close - at - 1;
                    if ready.get(close) != Some(&b'>')
                        || length > WHOLE
                        || self.frames.len() >= deepest
                    {
                        break;
                    }
                    let key = NameKey::at(ready, at + 1, length);
                    let scope = self.scope();
                    let Some(&name) = self.scopes.known(scope, key, &[], false) else {
                        break;
                    };
                    self.records.clear();
                    let read = Read {
                        name_end: close,
                        close,
                        empty: false,
                        declares: false,
                    };
                    match self.enter_element(ready, at, &read, (name, key, scope), sink)? {
                        Step::Next(next) if self.skip.is_none() => at = next,
                        other => return Ok(other),
                    }
                }
            }
        }
        Ok(Step::Next(at))
    }
}
