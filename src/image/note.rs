//! What happened to a picture on its way in or out: data, for a program to show.

use std::fmt;

/// Something that a picture's user may want to know: it is not, or will not be, all that the file was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Note {
    /// The file is damaged; what could be read was.
    Damaged(String),
    /// Something was kept in another form.
    Converted(String),
    /// Something is left out.
    Lost(String),
}

impl Note {
    /// The text, a sentence without a full stop.
    pub fn text(&self) -> &str {
        let (Note::Damaged(text) | Note::Converted(text) | Note::Lost(text)) = self;
        text
    }

    pub(super) fn converted(text: impl Into<String>) -> Note {
        Note::Converted(text.into())
    }

    pub(super) fn lost(text: impl Into<String>) -> Note {
        Note::Lost(text.into())
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// A number of things: 1 value, 2 values.
pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
