//! The tokens of JSON text: where values begin and end. What is in them is not looked at.

use crate::bitmaps::Bitmaps;

/// A body that is not what the kernel reads: the reference reads all of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused;

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Without any escape.
    Plain,
    /// With escapes.
    Escaped,
    Number,
    /// `true`, `false` or `null`.
    Word,
    Nested,
}

/// A value; a string's without its quotes.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    pub start: usize,
    pub end: usize,
    pub kind: Kind,
}

impl Member {
    /// Where what follows the value begins.
    pub fn after(&self) -> usize {
        match self.kind {
            Kind::Plain | Kind::Escaped => self.end + 1,
            _ => self.end,
        }
    }
}

/// Reads tokens of one body.
#[derive(Clone, Copy)]
pub struct Tokens<'a> {
    pub body: &'a [u8],
    pub bitmaps: &'a Bitmaps,
}

impl Tokens<'_> {
    /// The byte at `at`; 0 after the end.
    #[inline]
    pub fn byte(&self, at: usize) -> u8 {
        self.body.get(at).copied().unwrap_or(0)
    }

    #[inline]
    pub fn skip_blanks(&self, mut at: usize) -> usize {
        while matches!(self.byte(at), b' ' | b'\n' | b'\r' | b'\t') && at < self.body.len() {
            at += 1;
        }
        at
    }

    /// As `skip_blanks`, within a line.
    pub fn skip_in_line(&self, mut at: usize) -> usize {
        while matches!(self.byte(at), b' ' | b'\r' | b'\t') && at < self.body.len() {
            at += 1;
        }
        at
    }

    /// Where the string whose first character is at `start` begins and ends, and whether it holds an escape.
    #[inline]
    pub fn string(&self, start: usize) -> Result<(usize, usize, bool), Refused> {
        let end = self.bitmaps.next_quote(start).ok_or(Refused)?;
        if !self.bitmaps.has_odd(start, end) {
            return Ok((start, end, false));
        }
        let mut at = start;
        loop {
            match self.body.get(at).ok_or(Refused)? {
                b'"' => return Ok((start, at, true)),
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
    }

    /// The value that begins at `at`.
    #[inline]
    pub fn value(&self, at: usize) -> Result<Member, Refused> {
        match self.byte(at) {
            b'"' => {
                let (start, end, escaped) = self.string(at + 1)?;
                Ok(Member { start, end, kind: if escaped { Kind::Escaped } else { Kind::Plain } })
            }
            b'{' | b'[' => Ok(Member { start: at, end: self.nested_end(at)?, kind: Kind::Nested }),
            b'-' | b'0'..=b'9' => {
                let mut end = at + 1;
                while matches!(self.byte(end), b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E') {
                    end += 1;
                }
                Ok(Member { start: at, end, kind: Kind::Number })
            }
            _ => {
                let rest = &self.body[at.min(self.body.len())..];
                for word in [b"true".as_slice(), b"false", b"null"] {
                    if rest.starts_with(word) {
                        return Ok(Member { start: at, end: at + word.len(), kind: Kind::Word });
                    }
                }
                Err(Refused)
            }
        }
    }

    /// Where the object or array that begins at `at` ends.
    fn nested_end(&self, mut at: usize) -> Result<usize, Refused> {
        let mut depth = 0usize;
        loop {
            match self.body.get(at).ok_or(Refused)? {
                b'"' => at = self.string(at + 1)?.1,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(at + 1);
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }
}
