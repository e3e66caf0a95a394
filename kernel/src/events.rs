//! Makes finished lines of a body of events, and slices of those that the reference has to read.

use std::collections::HashSet;

use crate::bitmaps::Bitmaps;
use crate::layouts::{Layouts, Plan, Role};
use crate::numbers::number;
use crate::table::{Table, LEVELS};
use crate::text::{Before, Cut, Masked, Text};
use crate::times;

/// Deeper values are left to the reference.
const DEEPEST: usize = 16;
/// Objects with more members are left to the reference: of two equal names the last wins.
const MOST_NESTED: usize = 32;
/// Members of an event.
const MOST_MEMBERS: usize = 64;
/// Names to learn that are reported at once.
const MOST_UNKNOWN: usize = 32;

/// A body that is not what the kernel reads: the reference reads all of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused;

/// An event that the reference has to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Where its line belongs among the finished ones, in bytes.
    pub place: usize,
    pub start: usize,
    pub end: usize,
    /// Whether its layout was never learnt.
    pub unknown: bool,
}

/// What became of a body.
#[derive(Default)]
pub struct Outcome {
    pub lines: Vec<u8>,
    pub slices: Vec<Slice>,
    /// Finished events.
    pub count: usize,
    pub missing_ts: u64,
    pub missing_level: u64,
    pub levels: [u64; LEVELS],
    pub masked: Masked,
    /// Whether the first event is one of `slices`.
    pub first_is_slice: bool,
    /// Names of nested members that were never learnt.
    pub unknown: Vec<Vec<u8>>,
}

/// What depends on the request.
pub struct Request<'a> {
    /// What follows the event's own members, for each `Plan::constants`.
    pub constants: &'a [Vec<u8>],
    pub zone_is_utc: bool,
    /// Of the first event without a time, in microseconds since 1970.
    pub receipt: u64,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Without any escape.
    Plain,
    /// With escapes.
    Escaped,
    Number,
    /// `true`, `false` or `null`.
    Word,
    Nested,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    start: usize,
    end: usize,
    kind: Kind,
}

/// What the reading of an event comes to, if it is not finished.
enum Stop {
    /// The reference looks at this event.
    Hand,
    /// As `Hand`, and its layout is new.
    Learn,
    /// The reference reads the whole body.
    Body,
}

impl From<()> for Stop {
    fn from((): ()) -> Self {
        Stop::Hand
    }
}

/// Memory that is used again from body to body.
#[derive(Default)]
pub struct Scratch {
    bitmaps: Bitmaps,
    members: Vec<Member>,
    names: Vec<u8>,
    cuts: Vec<Cut>,
}

/// Read a body: an array of events or one event, or with `by_line` one event a line.
pub fn read(
    body: &[u8],
    by_line: bool,
    table: &Table,
    layouts: &Layouts,
    request: &Request,
    scratch: &mut Scratch,
) -> Result<Outcome, Refused> {
    scratch.bitmaps.fill(body);
    let Scratch { bitmaps, members, names, cuts } = scratch;
    let mut reader = Reader {
        text: Text { body, bitmaps, table },
        layouts,
        request,
        members,
        names,
        cuts,
        out: Outcome { lines: Vec::with_capacity(body.len() + body.len() / 2), ..Outcome::default() },
        here: Here::default(),
        receipts_known: true,
    };
    if by_line {
        reader.by_line()?;
    } else {
        reader.array()?;
    }
    Ok(reader.out)
}

struct Reader<'a> {
    text: Text<'a>,
    layouts: &'a Layouts,
    request: &'a Request<'a>,
    members: &'a mut Vec<Member>,
    names: &'a mut Vec<u8>,
    cuts: &'a mut Vec<Cut>,
    out: Outcome,
    here: Here,
    /// Whether no event that was handed back may take a time of receipt: they are given in order.
    receipts_known: bool,
}

/// What is counted of the event that is being read.
#[derive(Default)]
struct Here {
    level: Option<usize>,
    missing_ts: bool,
    missing_level: bool,
    masked: Masked,
}

impl Reader<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.text.body.get(at).copied().unwrap_or(0)
    }

    fn skip_blanks(&self, mut at: usize) -> usize {
        while matches!(self.byte(at), b' ' | b'\n' | b'\r' | b'\t') && at < self.text.body.len() {
            at += 1;
        }
        at
    }

    fn array(&mut self) -> Result<(), Refused> {
        let mut at = self.skip_blanks(0);
        if self.byte(at) == b'{' {
            at = self.event(at)?;
        } else if self.byte(at) == b'[' {
            at = self.skip_blanks(at + 1);
            if self.byte(at) == b']' {
                at += 1;
            } else {
                loop {
                    if self.byte(at) != b'{' {
                        return Err(Refused);
                    }
                    at = self.event(at)?;
                    at = self.skip_blanks(at);
                    match self.byte(at) {
                        b',' => at = self.skip_blanks(at + 1),
                        b']' => break,
                        _ => return Err(Refused),
                    }
                }
                at += 1;
            }
        } else {
            return Err(Refused);
        }
        if self.skip_blanks(at) == self.text.body.len() {
            Ok(())
        } else {
            Err(Refused)
        }
    }

    fn by_line(&mut self) -> Result<(), Refused> {
        let length = self.text.body.len();
        let mut at = 0;
        while at < length {
            while matches!(self.byte(at), b' ' | b'\r' | b'\t') && at < length {
                at += 1;
            }
            if at == length {
                break;
            }
            if self.byte(at) == b'\n' {
                at += 1;
                continue;
            }
            if self.byte(at) != b'{' {
                return Err(Refused);
            }
            let end = self.event(at)?;
            // A line that goes on would be read as two by the reference.
            if self.text.body[at..end].contains(&b'\n') {
                return Err(Refused);
            }
            at = end;
            while matches!(self.byte(at), b' ' | b'\r' | b'\t') && at < length {
                at += 1;
            }
            if at < length && self.byte(at) != b'\n' {
                return Err(Refused);
            }
            at += 1;
        }
        Ok(())
    }

    /// Read the event that begins at `start`; returns where it ends.
    fn event(&mut self, start: usize) -> Result<usize, Refused> {
        let is_first = self.out.count == 0 && self.out.slices.is_empty();
        let place = self.out.lines.len();
        let (end, known) = self.members_of(start)?;
        self.here = Here::default();
        let stop = match if known { self.write(is_first) } else { Err(Stop::Hand) } {
            Ok(()) => {
                self.out.count += 1;
                if let Some(level) = self.here.level {
                    self.out.levels[level] += 1;
                }
                self.out.missing_ts += u64::from(self.here.missing_ts);
                self.out.missing_level += u64::from(self.here.missing_level);
                self.out.masked.emails += self.here.masked.emails;
                self.out.masked.addresses += self.here.masked.addresses;
                return Ok(end);
            }
            Err(stop) => stop,
        };
        self.out.lines.truncate(place);
        let unknown = match stop {
            Stop::Hand => false,
            Stop::Learn => true,
            Stop::Body => return Err(Refused),
        };
        self.receipts_known = self.receipts_known && known && self.has_time();
        self.out.lines.truncate(place);
        self.out.slices.push(Slice { place, start, end, unknown });
        self.out.first_is_slice |= is_first;
        Ok(end)
    }

    /// Find the members of the object at `start`; returns where it ends, and whether all its names are plain.
    fn members_of(&mut self, start: usize) -> Result<(usize, bool), Refused> {
        self.members.clear();
        self.names.clear();
        let mut plain = true;
        let mut at = self.skip_blanks(start + 1);
        if self.byte(at) == b'}' {
            return Ok((at + 1, true));
        }
        loop {
            if self.byte(at) != b'"' {
                return Err(Refused);
            }
            let (name, end, escaped) = self.string(at + 1)?;
            plain &= !escaped && !self.text.bitmaps.has_wide(name, end);
            self.names.extend_from_slice(&self.text.body[name..=end]);
            at = self.skip_blanks(end + 1);
            if self.byte(at) != b':' {
                return Err(Refused);
            }
            at = self.skip_blanks(at + 1);
            let member = self.value(at)?;
            at = match member.kind {
                Kind::Plain | Kind::Escaped => member.end + 1,
                _ => member.end,
            };
            if self.members.len() < MOST_MEMBERS {
                self.members.push(member);
            } else {
                plain = false;
            }
            at = self.skip_blanks(at);
            match self.byte(at) {
                b',' => at = self.skip_blanks(at + 1),
                b'}' => return Ok((at + 1, plain)),
                _ => return Err(Refused),
            }
        }
    }

    /// Where the string whose first character is at `start` begins and ends, and whether it holds an escape.
    fn string(&self, start: usize) -> Result<(usize, usize, bool), Refused> {
        let end = self.text.bitmaps.next_quote(start).ok_or(Refused)?;
        if !self.text.bitmaps.has_odd(start, end) {
            return Ok((start, end, false));
        }
        let mut at = start;
        loop {
            match self.text.body.get(at).ok_or(Refused)? {
                b'"' => return Ok((start, at, true)),
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
    }

    /// The value that begins at `at`.
    fn value(&self, at: usize) -> Result<Member, Refused> {
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
                let rest = &self.text.body[at.min(self.text.body.len())..];
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
            match self.text.body.get(at).ok_or(Refused)? {
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

    /// Whether the event whose members were found certainly has a time of its own.
    fn has_time(&mut self) -> bool {
        match self.layouts.plan(self.names) {
            Some(Some(Plan { time: Some(at), .. })) => self.time(self.members[*at]).is_ok(),
            _ => false,
        }
    }

    /// Write the line of the event whose members were found.
    fn write(&mut self, is_first: bool) -> Result<(), Stop> {
        let plan: &Plan = match self.layouts.plan(self.names) {
            Some(Some(plan)) => plan,
            Some(None) => return Err(Stop::Hand),
            None => return Err(Stop::Learn),
        };
        if is_first && plan.telltale {
            return Err(Stop::Body);
        }
        for item in &plan.items {
            self.out.lines.extend_from_slice(&item.name);
            match item.role {
                Role::Copy(at) => {
                    let member = self.members[at];
                    self.copy(member, Before::Name(item.last), 0)?;
                }
                Role::Flat(at) => {
                    let member = self.members[at];
                    if matches!(member.kind, Kind::Nested) {
                        return Err(Stop::Hand);
                    }
                    self.copy(member, Before::Name(item.last), 0)?;
                }
                Role::Receipt => {
                    if !self.receipts_known {
                        return Err(Stop::Hand);
                    }
                    self.here.missing_ts = true;
                    let micros = self.request.receipt + self.out.missing_ts;
                    let lines = &mut self.out.lines;
                    lines.push(b'"');
                    if !times::from_micros(micros, lines) {
                        return Err(Stop::Hand);
                    }
                    lines.push(b'"');
                }
                Role::Time(at) => self.time(self.members[at])?,
                Role::Level(at, scale) => {
                    let level = self.level(self.members[at], scale)?;
                    self.put_level(level);
                }
                Role::Implied(level) => self.put_level(level),
                Role::Message(at, strip) => {
                    let member = self.message(at, strip)?;
                    self.copy(member, Before::Name(item.last), 0)?;
                }
                Role::Leading(at, strip) => {
                    let member = self.message(at, strip)?;
                    let level = self.leading(member)?;
                    self.here.missing_level = level.is_none();
                    self.put_level(level.unwrap_or(self.text.table.default_level));
                }
                Role::Text(at) => {
                    let member = self.members[at];
                    if !matches!(member.kind, Kind::Plain) || member.start == member.end {
                        return Err(Stop::Hand);
                    }
                    self.copy(member, Before::Name(item.last), 0)?;
                }
            }
        }
        self.out.lines.extend_from_slice(&self.request.constants[plan.constants]);
        Ok(())
    }

    fn put_level(&mut self, level: usize) {
        self.here.level = Some(level);
        self.out.lines.push(b'"');
        self.out.lines.extend_from_slice(&self.text.table.levels[level]);
        self.out.lines.push(b'"');
    }

    fn time(&mut self, member: Member) -> Result<(), Stop> {
        let text = &self.text.body[member.start..member.end];
        let lines = &mut self.out.lines;
        lines.push(b'"');
        let read = match member.kind {
            Kind::Plain => times::from_text(text, &self.text.table.offsets, self.request.zone_is_utc, lines),
            Kind::Number => {
                let (whole, fraction) = match text.iter().position(|&byte| byte == b'.') {
                    Some(dot) => (&text[..dot], &text[dot + 1..]),
                    None => (text, &text[..0]),
                };
                number(text).is_some()
                    && times::from_number(whole, if fraction == b"0" { b"" } else { fraction }, lines)
            }
            _ => false,
        };
        lines.push(b'"');
        if read {
            Ok(())
        } else {
            Err(Stop::Hand)
        }
    }

    fn level(&self, member: Member, scale: usize) -> Result<usize, Stop> {
        let text = &self.text.body[member.start..member.end];
        match member.kind {
            Kind::Plain => self.text.table.spellings.get(text).copied().ok_or(Stop::Hand),
            Kind::Number if text.len() <= 3 && text.iter().all(u8::is_ascii_digit) => {
                if text.len() > 1 && text[0] == b'0' {
                    return Err(Stop::Hand);
                }
                let number = text.iter().fold(0usize, |number, digit| number * 10 + usize::from(digit - b'0'));
                self.text.table.scales[scale].get(number).copied().flatten().ok_or(Stop::Hand)
            }
            _ => Err(Stop::Hand),
        }
    }

    /// The message, not empty; with `strip` without the newline that ends it, as Docker and loguru write it.
    fn message(&self, at: usize, strip: bool) -> Result<Member, Stop> {
        let mut member = self.members[at];
        let text = &self.text.body[member.start..member.end];
        match member.kind {
            Kind::Plain => {}
            Kind::Escaped if strip && text.ends_with(b"\\n") && !text.ends_with(b"\\\\n") => {
                member.end -= 2;
                let rest = &text[..text.len() - 2];
                if rest.ends_with(b"\\r") {
                    if rest.ends_with(b"\\\\r") {
                        return Err(Stop::Hand);
                    }
                    member.end -= 2;
                }
                if !self.text.bitmaps.has_odd(member.start, member.end) {
                    member.kind = Kind::Plain;
                }
            }
            Kind::Escaped => {}
            _ => return Err(Stop::Hand),
        }
        if member.start == member.end {
            Err(Stop::Hand)
        } else {
            Ok(member)
        }
    }

    /// The level that a message begins with; None if it certainly names none anywhere.
    fn leading(&self, member: Member) -> Result<Option<usize>, Stop> {
        if !matches!(member.kind, Kind::Plain) || self.text.bitmaps.has_wide(member.start, member.end) {
            return Err(Stop::Hand);
        }
        let table = self.text.table;
        let text = &self.text.body[member.start..member.end];
        let head = &text[..text.len().min(table.longest_leading)];
        let word = head.split(|&byte| byte == b' ').next().unwrap_or(head);
        match table.leading.get(word) {
            Some(&level) => Ok(Some(level)),
            None if may_name_level(text, &table.front) => Err(Stop::Hand),
            None => Ok(None),
        }
    }

    /// Write a value as the reference does.
    fn copy(&mut self, member: Member, before: Before, depth: usize) -> Result<(), Stop> {
        let body = self.text.body;
        match member.kind {
            Kind::Plain => {
                self.cuts.clear();
                self.text.cuts(member.start, member.end, before, self.cuts, &mut self.here.masked).ok_or(Stop::Hand)?;
                let lines = &mut self.out.lines;
                lines.push(b'"');
                let mut from = member.start;
                for cut in self.cuts.iter() {
                    lines.extend_from_slice(&body[from..cut.start]);
                    lines.extend_from_slice(cut.mask);
                    from = cut.end;
                }
                lines.extend_from_slice(&body[from..member.end]);
                lines.push(b'"');
            }
            Kind::Escaped => {
                let bitmaps = self.text.bitmaps;
                if bitmaps.has_wide(member.start, member.end)
                    || (self.text.table.masks && bitmaps.has_look(member.start, member.end))
                    || !has_plain_escapes(&body[member.start..member.end])
                {
                    return Err(Stop::Hand);
                }
                self.out.lines.extend_from_slice(&body[member.start - 1..member.end]);
                self.out.lines.push(b'"');
            }
            Kind::Number => {
                let text = &body[member.start..member.end];
                number(text).ok_or(Stop::Hand)?;
                if text.len() >= 13 && self.text.table.masks && crate::table::is_card(&self.text.table.cards, text) {
                    return Err(Stop::Hand);
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

    /// Write one value of an object or array; returns where it ends.
    fn part(&mut self, at: usize, before: Before, depth: usize) -> Result<usize, Stop> {
        let member = self.value(at).map_err(|_| Stop::Hand)?;
        self.copy(member, before, depth)?;
        Ok(match member.kind {
            Kind::Plain | Kind::Escaped => member.end + 1,
            _ => member.end,
        })
    }

    fn object(&mut self, start: usize, depth: usize) -> Result<usize, Stop> {
        if depth > DEEPEST {
            return Err(Stop::Hand);
        }
        let body = self.text.body;
        let mut seen = [(0usize, 0usize); MOST_NESTED];
        let mut count = 0;
        self.out.lines.push(b'{');
        let mut at = self.skip_blanks(start + 1);
        if self.byte(at) == b'}' {
            self.out.lines.push(b'}');
            return Ok(at + 1);
        }
        loop {
            if self.byte(at) != b'"' || count == MOST_NESTED {
                return Err(Stop::Hand);
            }
            let (name, end, escaped) = self.string(at + 1).map_err(|_| Stop::Hand)?;
            if escaped || name == end || self.text.bitmaps.has_wide(name, end) {
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
            at = self.skip_blanks(end + 1);
            if self.byte(at) != b':' {
                return Err(Stop::Hand);
            }
            self.out.lines.push(b':');
            at = self.skip_blanks(at + 1);
            at = self.part(at, Before::Name(body[end - 1]), depth)?;
            at = self.skip_blanks(at);
            match self.byte(at) {
                b',' => {
                    self.out.lines.push(b',');
                    at = self.skip_blanks(at + 1);
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
        self.out.lines.push(b'[');
        let mut at = self.skip_blanks(start + 1);
        if self.byte(at) == b']' {
            self.out.lines.push(b']');
            return Ok(at + 1);
        }
        loop {
            at = self.part(at, Before::Element, depth)?;
            at = self.skip_blanks(at);
            match self.byte(at) {
                b',' => {
                    self.out.lines.push(b',');
                    at = self.skip_blanks(at + 1);
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

/// As `may_name_level` of the reference, for ASCII: whether a search of a message for a level can find one.
fn may_name_level(text: &[u8], front: &HashSet<Vec<u8>>) -> bool {
    let has = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
    let has_small = |word: &[u8]| text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    let begins = &text[..text.len().min(3)];
    if !text[..text.len().min(2)].iter().all(u8::is_ascii_alphabetic)
        || front.contains(&begins.to_ascii_lowercase())
        || text.iter().any(|byte| matches!(byte, b'[' | b'=' | b'|' | b'<'))
        || has(b" - ")
    {
        return true;
    }
    if text.contains(&b':')
        && (has(b": ")
            || text.ends_with(b":")
            || text[..text.len().min(16)].contains(&b'.')
            || has(b"lvl")
            || has_small(b"evel")
            || has_small(b"everity"))
    {
        return true;
    }
    text.iter().any(u8::is_ascii_uppercase)
        && [
            b"ERR".as_slice(),
            b"WARN",
            b"CRIT",
            b"ALERT",
            b"EMERG",
            b"SEVERE",
            b"TRACE",
            b"INFO",
            b"FATAL",
            b"NOTICE",
            b"PANIC",
            b"DEBUG",
        ]
        .iter()
        .any(|word| has(word))
}

/// Whether a string holds only escapes that are written as they came, and no control character.
fn has_plain_escapes(text: &[u8]) -> bool {
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        if byte < 0x20 || (byte == b'\\' && !matches!(bytes.next(), Some(b'n' | b't' | b'r' | b'"'))) {
            return false;
        }
    }
    true
}
