//! How a document begins that begins as one before did: from its XML declaration to behind its root's start
//! tag, which are compared once and not read.
//!
//! **Invariant:** what is told is what `tokens.rs` and `tag.rs` would tell.

use super::chars::is_bare_space;
use super::error::Error;
use super::scanner::{Scanner, Step};
use super::sink::Sink;

impl Scanner {
    /// Opens the root if all up to its start tag's end stands as it stood before; else nothing has happened.
    #[inline(always)]
    pub(super) fn known_start<S: Sink>(
        &mut self,
        buf: &[u8],
        sink: &mut S,
    ) -> Result<Option<Step>, Box<Error>> {
        let at = self.known_prolog(buf);
        let Some((number, read, opened)) = self.read_remembered(buf, at) else {
            return Ok(None);
        };
        let element = self.remembered.element(number, self.trace.since());
        self.checked = read.close + 1;
        let step = self.enter_element(buf, at, &read, opened, sink)?;
        if element != 0 {
            if let Some(root) = self.frames.last_mut() {
                root.element = element;
            }
        } else if sink.traces()
            && let Some(element) = self.identify(sink)
        {
            self.remembered.place(number, element, self.trace.since());
        }
        Ok(Some(step))
    }

    /// How much of the buffer, which begins in the prolog, is the XML declaration that stood there before and
    /// white space.
    #[inline(always)]
    fn known_prolog(&self, buf: &[u8]) -> usize {
        let declaration = &self.input.plain_declaration;
        let declared = !declaration.is_empty()
            && self.base == self.start_offset()
            && buf.starts_with(declaration);
        let before = if declared { declaration.len() } else { 0 };
        let rest = buf.get(before..).unwrap_or(&[]);
        before + rest.iter().take_while(|byte| is_bare_space(**byte)).count()
    }
}
