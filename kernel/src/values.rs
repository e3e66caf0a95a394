//! Values as the reference writes them.

use crate::escapes;
use crate::events::{Reader, Stop, Strings, MOST_UNKNOWN};
use crate::numbers::number;
use crate::table::is_card;
use crate::text::{Before, Text};
use crate::tokens::{Kind, Member};

/// Deeper values are left to the reference.
const DEEPEST: usize = 16;
/// Objects with more members are left to the reference: of two equal names the last wins.
const MOST_NESTED: usize = 32;
/// Bytes of a name; longer ones are left to the reference, and never learnt.
const LONGEST_NAME: usize = 256;
const SHORTEST_CARD: usize = 13;

impl Strings {
    /// What a JSON string holds; None if the reference has to look.
    pub fn decode(&mut self, text: &[u8]) -> Option<&[u8]> {
        self.decoded.clear();
        escapes::decode(text, &mut self.decoded).then_some(self.decoded.as_slice())
    }
}

impl Reader<'_> {
    /// Write a value, its strings masked.
    pub(crate) fn copy(&mut self, member: Member, before: Before, depth: usize) -> Result<(), Stop> {
        let body = self.tokens.body;
        match member.kind {
            Kind::Plain => self.plain(member, before)?,
            Kind::Escaped => self.escaped(member, before)?,
            Kind::Number => {
                let text = &body[member.start..member.end];
                number(text).ok_or(Stop::Hand)?;
                if text.len() >= SHORTEST_CARD
                    && self.table.masks
                    && !self.only_settles
                    && is_card(&self.table.cards, text)
                {
                    return Err(Stop::Mask);
                }
                self.out.lines.extend_from_slice(text);
            }
            Kind::Word => self.out.lines.extend_from_slice(&body[member.start..member.end]),
            Kind::Nested => {
                let end = if body[member.start] == b'{' {
                    self.object(member.start, depth + 1)?
                } else {
                    self.elements(member.start, depth + 1)?
                };
                if end != member.end {
                    return Err(Stop::Hand);
                }
            }
        }
        Ok(())
    }

    /// Write a string without escapes.
    #[inline]
    fn plain(&mut self, member: Member, before: Before) -> Result<(), Stop> {
        let Member { start, end, .. } = member;
        let (body, bitmaps) = (self.tokens.body, self.tokens.bitmaps);
        let lines = &mut self.out.lines;
        if self.only_settles {
            if bitmaps.has_wide(start, end) && std::str::from_utf8(&body[start..end]).is_err() {
                return Err(Stop::Hand);
            }
            lines.extend_from_slice(&body[start - 1..end]);
            lines.push(b'"');
            return Ok(());
        }
        let text = Text { body, bitmaps, table: self.table };
        let cuts = &mut self.strings.cuts;
        cuts.clear();
        text.cuts(start, end, before, cuts, &mut self.here.masked).ok_or(Stop::Mask)?;
        lines.push(b'"');
        let mut from = start;
        for cut in cuts.iter() {
            lines.extend_from_slice(&body[from..cut.start]);
            lines.extend_from_slice(cut.mask);
            from = cut.end;
        }
        lines.extend_from_slice(&body[from..end]);
        lines.push(b'"');
        Ok(())
    }

    /// Write a string with escapes: the masks see what it holds.
    fn escaped(&mut self, member: Member, before: Before) -> Result<(), Stop> {
        let Strings { cuts, decoded, bitmaps } = &mut *self.strings;
        decoded.clear();
        cuts.clear();
        if !escapes::decode(&self.tokens.body[member.start..member.end], decoded) {
            return Err(Stop::Hand);
        }
        if self.only_settles {
            if std::str::from_utf8(decoded).is_err() {
                return Err(Stop::Hand);
            }
        } else {
            if self.table.masks && escapes::may_be_encoded(decoded) {
                return Err(Stop::Mask);
            }
            bitmaps.fill(decoded);
            let text = Text { body: decoded, bitmaps, table: self.table };
            text.cuts(0, decoded.len(), before, cuts, &mut self.here.masked).ok_or(Stop::Mask)?;
            if cuts.iter().any(|cut| text.is_near_escape(*cut)) {
                return Err(Stop::Mask);
            }
        }
        let lines = &mut self.out.lines;
        lines.push(b'"');
        let mut from = 0;
        for cut in cuts.iter() {
            escapes::encode(&decoded[from..cut.start], lines);
            lines.extend_from_slice(cut.mask);
            from = cut.end;
        }
        escapes::encode(&decoded[from..], lines);
        lines.push(b'"');
        Ok(())
    }

    /// Write one value of an object or array; returns where it ends.
    fn part(&mut self, at: usize, before: Before, depth: usize) -> Result<usize, Stop> {
        let member = self.tokens.value(at)?;
        self.copy(member, before, depth)?;
        Ok(member.after())
    }

    fn object(&mut self, start: usize, depth: usize) -> Result<usize, Stop> {
        if depth > DEEPEST {
            return Err(Stop::Hand);
        }
        let tokens = self.tokens;
        let body = tokens.body;
        let mut seen = [(0usize, 0usize); MOST_NESTED];
        let mut count = 0;
        self.out.lines.push(b'{');
        let mut at = tokens.skip_blanks(start + 1);
        if tokens.byte(at) == b'}' {
            self.out.lines.push(b'}');
            return Ok(at + 1);
        }
        loop {
            if tokens.byte(at) != b'"' || count == MOST_NESTED {
                return Err(Stop::Hand);
            }
            let (name, end, escaped) = tokens.string(at + 1)?;
            if escaped || name == end || end - name > LONGEST_NAME || tokens.bitmaps.has_wide(name, end) {
                return Err(Stop::Hand);
            }
            match self.layouts.is_plain(&body[name..end]) {
                Some(true) => {}
                Some(false) => return Err(Stop::Hand),
                None => {
                    let unknown = body[name..end].to_vec();
                    if self.out.unknown.len() < MOST_UNKNOWN && !self.out.unknown.contains(&unknown) {
                        self.out.unknown.push(unknown);
                    }
                    return Err(Stop::Hand);
                }
            }
            if seen[..count].iter().any(|&(from, to)| body[from..to] == body[name..end]) {
                return Err(Stop::Hand);
            }
            seen[count] = (name, end);
            count += 1;
            self.out.lines.extend_from_slice(&body[name - 1..=end]);
            at = tokens.skip_blanks(end + 1);
            if tokens.byte(at) != b':' {
                return Err(Stop::Hand);
            }
            self.out.lines.push(b':');
            at = self.part(tokens.skip_blanks(at + 1), Before::Name(body[end - 1]), depth)?;
            at = tokens.skip_blanks(at);
            match tokens.byte(at) {
                b',' => {
                    self.out.lines.push(b',');
                    at = tokens.skip_blanks(at + 1);
                }
                b'}' => {
                    self.out.lines.push(b'}');
                    return Ok(at + 1);
                }
                _ => return Err(Stop::Hand),
            }
        }
    }

    fn elements(&mut self, start: usize, depth: usize) -> Result<usize, Stop> {
        if depth > DEEPEST {
            return Err(Stop::Hand);
        }
        let tokens = self.tokens;
        self.out.lines.push(b'[');
        let mut at = tokens.skip_blanks(start + 1);
        if tokens.byte(at) == b']' {
            self.out.lines.push(b']');
            return Ok(at + 1);
        }
        loop {
            at = self.part(at, Before::Element, depth)?;
            at = tokens.skip_blanks(at);
            match tokens.byte(at) {
                b',' => {
                    self.out.lines.push(b',');
                    at = tokens.skip_blanks(at + 1);
                }
                b']' => {
                    self.out.lines.push(b']');
                    return Ok(at + 1);
                }
                _ => return Err(Stop::Hand),
            }
        }
    }
}
