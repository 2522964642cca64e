//! The face of a report that people read: the line, a caret below it, the hint last.
//!
//! Meaning never hangs on colour; tabs and control characters are replaced by blanks so that the caret
//! stands where it points; very long lines are cut around the caret.

use super::diagnostic::{Diagnostic, Severity};
use super::report::Report;
use super::source::{Sources, Span};

/// Whether the human face may use terminal colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colour {
    /// Plain text.
    #[default]
    Never,
    /// ANSI colours.
    Always,
}

/// Longer lines are cut to this many characters around the caret: a minified line must not fill the screen.
const LINE_CHARS_MAX: usize = 120;
/// So many characters before the caret are kept in a line that is cut.
const LEAD_CHARS: usize = 30;

const RED: &str = "\u{1b}[1;31m";
const YELLOW: &str = "\u{1b}[1;33m";
const BLUE: &str = "\u{1b}[1;34m";
const BOLD: &str = "\u{1b}[1m";
const PLAIN: &str = "\u{1b}[0m";

/// All findings as blocks with a blank line between them.
pub fn human(report: &Report, sources: &Sources, colour: Colour) -> String {
    let paint = Paint { colour };
    let blocks: Vec<_> = report
        .iter()
        .map(|found| block(found, sources, paint))
        .collect();
    blocks.join("\n")
}

impl Colour {
    /// Colours if they were asked for and `NO_COLOR` does not forbid them (<https://no-color.org>: set and not empty).
    pub fn wanted(asked: bool, no_color: Option<&std::ffi::OsStr>) -> Self {
        let forbidden = no_color.is_some_and(|value| !value.is_empty());
        if asked && !forbidden {
            Self::Always
        } else {
            Self::Never
        }
    }
}

#[derive(Clone, Copy)]
struct Paint {
    colour: Colour,
}

impl Paint {
    fn with(self, style: &str, text: &str) -> String {
        match self.colour {
            Colour::Always if !text.is_empty() => format!("{style}{text}{PLAIN}"),
            _ => text.to_owned(),
        }
    }
}

fn block(found: &Diagnostic, sources: &Sources, paint: Paint) -> String {
    let tone = match found.severity {
        Severity::Error => RED,
        Severity::Warning => YELLOW,
    };
    let widest = found.other.iter().map(|other| other.span.start.line);
    let widest = widest.chain([found.primary.start.line]).max().unwrap_or(1);
    let gutter = widest.to_string().len();

    let head = paint.with(tone, &format!("{}[{}]", found.severity.word(), found.rule));
    let mut text = format!(
        "{head}{}\n",
        paint.with(BOLD, &format!(": {}", one_line(&found.message)))
    );
    let excerpt = Excerpt {
        sources,
        paint,
        gutter,
    };
    excerpt.push(
        &mut text,
        "-->",
        '^',
        tone,
        found.primary,
        &found.label_line(),
    );
    for other in &found.other {
        excerpt.push(&mut text, ":::", '-', BLUE, other.span, &other.label);
    }
    if let Some(hint) = &found.hint {
        text.push_str(&format!(
            "{} {}\n",
            paint.with(BOLD, "hint:"),
            one_line(hint)
        ));
    }
    text
}

/// What all excerpts of one block share.
struct Excerpt<'a> {
    sources: &'a Sources,
    paint: Paint,
    gutter: usize,
}

impl Excerpt<'_> {
    fn push(
        &self,
        text: &mut String,
        arrow: &str,
        mark: char,
        tone: &str,
        span: Span,
        label: &str,
    ) {
        let pad = " ".repeat(self.gutter);
        let arrow = self.paint.with(BLUE, arrow);
        text.push_str(&format!("{pad}{arrow} {}\n", self.sources.place(span)));
        let label = one_line(label);
        let bar = self.paint.with(BLUE, "|");
        let Some(line) = self.sources.line(span.file, span.start.line) else {
            if !label.is_empty() {
                text.push_str(&format!("{pad} {} {label}\n", self.paint.with(BLUE, "=")));
            }
            return;
        };
        let shown = Shown::cut(line, span);
        let number = format!("{:>width$}", span.start.line, width = self.gutter);
        let carets = self
            .paint
            .with(tone, &mark.to_string().repeat(shown.mark_len));
        let label = if label.is_empty() {
            label
        } else {
            self.paint.with(tone, &format!(" {label}"))
        };
        text.push_str(&format!("{pad} {bar}\n"));
        let numbered = format!("{} {bar} {}", self.paint.with(BLUE, &number), shown.text);
        text.push_str(numbered.trim_end());
        text.push('\n');
        text.push_str(&format!(
            "{pad} {bar} {}{carets}{label}\n",
            " ".repeat(shown.mark_at)
        ));
    }
}

/// A line as it is printed, and where its marks go.
struct Shown {
    text: String,
    mark_at: usize,
    mark_len: usize,
}

impl Shown {
    fn cut(line: &str, span: Span) -> Self {
        let chars: Vec<char> = line.chars().map(printable).collect();
        let column = |col: u32| usize::try_from(col).unwrap_or(usize::MAX).saturating_sub(1);
        let start = column(span.start.col).min(chars.len());
        // What goes on in later lines is marked to the end of its first.
        let end = if span.end.line > span.start.line {
            chars.len()
        } else {
            column(span.end.col)
        };
        let end = end.clamp(start, chars.len());

        let from = if chars.len() > LINE_CHARS_MAX {
            start.saturating_sub(LEAD_CHARS)
        } else {
            0
        };
        let to = (from + LINE_CHARS_MAX).min(chars.len());
        let before = if from > 0 { "..." } else { "" };
        let after = if to < chars.len() { "..." } else { "" };
        let window: String = chars.get(from..to).unwrap_or_default().iter().collect();
        let window = if after.is_empty() {
            window.trim_end()
        } else {
            window.as_str()
        };
        Self {
            text: format!("{before}{window}{after}"),
            mark_at: before.len() + width(chars.get(from..start).unwrap_or_default()),
            mark_len: width(chars.get(start..end.min(to)).unwrap_or_default()).max(1),
        }
    }
}

/// A tab has no fixed width and a control character may steer the terminal: both become a blank.
fn printable(character: char) -> char {
    if character.is_control() || is_direction(character) {
        ' '
    } else {
        character
    }
}

/// Characters that turn the direction of text and so could hide what a line says.
fn is_direction(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// Columns on a terminal: CJK and emoji take two, combining marks none. Near enough to place a caret.
fn width(chars: &[char]) -> usize {
    chars.iter().map(|character| cells(*character)).sum()
}

fn cells(character: char) -> usize {
    match u32::from(character) {
        0x0300..=0x036f | 0x200b..=0x200d | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff => 2,
        0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff => 2,
        0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::super::source::Pos;
    use super::*;

    fn shown(text: &str, line: u32, from: u32, to: u32) -> String {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml", text);
        let span = Span::new(file, Pos::new(line, from), Pos::new(line, to));
        let mut report = Report::default();
        report.push(
            Diagnostic::error("rule", "message", span)
                .label("here")
                .hint("help"),
        );
        human(&report, &sources, Colour::Never)
    }

    #[test]
    fn the_block_has_the_agreed_shape() {
        assert_eq!(
            shown("one\n  two: three\n", 2, 8, 13),
            "error[rule]: message\n --> a.yaml:2:8\n  |\n2 |   two: three\n  |        ^^^^^ here\nhint: help\n"
        );
    }

    #[test]
    fn tabs_crlf_and_wide_characters_keep_the_caret_in_place() {
        assert!(shown("a:\tb\r\n", 1, 4, 5).contains("1 | a: b\n  |    ^ here"));
        assert!(shown("é: x", 1, 4, 5).contains("  |    ^ here"));
        assert!(shown("日本: x", 1, 5, 6).contains("  |       ^ here"));
        assert!(shown("a\u{1b}[31m: x", 1, 1, 2).contains("1 | a [31m: x"));
    }

    #[test]
    fn a_very_long_line_is_cut_around_the_caret() {
        let text = format!("{}HERE{}", "x".repeat(5000), "y".repeat(5000));
        let block = shown(&text, 1, 5001, 5005);
        assert!(
            block
                .lines()
                .all(|line| line.chars().count() < LINE_CHARS_MAX + 20)
        );
        assert!(
            block.contains("...xxx") && block.contains("HEREyyy") && block.contains("^^^^ here")
        );
        let (lines, caret): (Vec<_>, _) = (block.lines().collect(), block.find("^^^^"));
        assert!(caret.is_some());
        assert_eq!(lines[3].find("HERE"), lines[4].find("^^^^"));
    }

    #[test]
    fn places_outside_the_text_are_shown_without_a_line() {
        assert!(shown("one", 9, 1, 2).contains("a.yaml:9:1\n  = here"));
        assert!(shown("one", 1, 90, 99).contains("  |    ^ here"));
        assert!(shown("one", 0, 0, 0).contains("--> a.yaml\n"));
    }

    #[test]
    fn colours_only_if_asked_and_not_forbidden() {
        assert_eq!(Colour::wanted(true, None), Colour::Always);
        assert_eq!(Colour::wanted(true, Some("1".as_ref())), Colour::Never);
        assert_eq!(Colour::wanted(true, Some("".as_ref())), Colour::Always);
        assert_eq!(Colour::wanted(false, None), Colour::Never);
    }
}
