//! Makes finished lines of a body of events, and slices of those that the reference has to read.

use crate::bitmaps::Bitmaps;
use crate::layouts::{Layouts, Plan, Role};
use crate::messages::{leading, Leading};
use crate::numbers::number;
use crate::table::{Level, Table, LEVELS};
use crate::text::{Before, Cut, Masked};
use crate::times;
use crate::tokens::{Kind, Member, Refused, Tokens};

/// Members of an event, and the bytes of all their names: more are left to the reference, and never learnt.
const MOST_MEMBERS: usize = 64;
const LONGEST_NAMES: usize = 2048;
/// Names, and spellings of levels, to learn that are reported at once.
pub const MOST_UNKNOWN: usize = 32;
/// Characters of a text that may be a level; the reference reads no longer one.
const LONGEST_LEVEL: usize = 64;

/// What is left to be done with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The reference reads the slice.
    Read,
    /// The same, and the layout was never learnt.
    Learn,
    /// The masks look at the line, which is settled.
    Mask,
    /// The finished line wants its level at this place: it is to be searched for in the message.
    Level,
}

/// An event that the reference has to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handed {
    /// Where its line belongs among the finished ones, in bytes.
    pub place: usize,
    /// Where it is in the body, or its message is; of a line to be masked, in `Outcome::unmasked`.
    pub start: usize,
    pub end: usize,
    pub ask: Ask,
}

/// What became of a body, or of a part of one.
#[derive(Default)]
pub struct Outcome {
    pub lines: Vec<u8>,
    /// Settled lines that are still to be masked.
    pub unmasked: Vec<u8>,
    pub handed: Vec<Handed>,
    /// Finished events, those of `unmasked` included.
    pub count: usize,
    pub missing_ts: u64,
    pub missing_level: u64,
    pub levels: [u64; LEVELS],
    pub masked: Masked,
    /// Whether the first event of the body is a slice.
    pub first_is_slice: bool,
    /// Names of nested members that were never learnt.
    pub unknown: Vec<Vec<u8>>,
    /// Spellings of levels that were never learnt, with the place of their scale.
    pub spellings: Vec<(usize, Vec<u8>)>,
    /// Where the next part begins.
    pub end: usize,
}

/// What depends on the request.
pub struct Request<'a> {
    /// What follows the event's own members, for each `Plan::constants`.
    pub constants: &'a [&'a [u8]],
    pub zone_is_utc: bool,
    /// Of the first event without a time, in microseconds since 1970.
    pub receipt: u64,
}

/// What is read of a body at once.
#[derive(Clone, Copy)]
pub struct Part {
    pub start: usize,
    /// Bytes that are looked at; an event has no more.
    pub size: usize,
    pub by_line: bool,
    /// Whether the first event may be an envelope.
    pub may_be_envelope: bool,
}

impl Part {
    pub fn whole(body: &[u8], by_line: bool) -> Self {
        Part { start: 0, size: body.len(), by_line, may_be_envelope: true }
    }
}

/// What the reading of an event comes to, if it is not finished.
pub(crate) enum Stop {
    /// The reference looks at this event.
    Hand,
    /// As `Hand`, and its layout is new.
    Learn,
    /// The masks of the reference look at its line.
    Mask,
    /// The reference reads the whole body.
    Body,
}

impl From<()> for Stop {
    fn from((): ()) -> Self {
        Stop::Hand
    }
}

impl From<Refused> for Stop {
    fn from(_: Refused) -> Self {
        Stop::Hand
    }
}

/// Memory that is used again from body to body.
#[derive(Default)]
pub struct Scratch {
    bitmaps: Bitmaps,
    members: Vec<Member>,
    names: Vec<u8>,
    strings: Strings,
}

/// For the string that is being written.
#[derive(Default)]
pub(crate) struct Strings {
    pub cuts: Vec<Cut>,
    /// A string without its escapes, and its bitmaps.
    pub decoded: Vec<u8>,
    pub bitmaps: Bitmaps,
}

/// Read a part of a body: of an array of events or one event, or of one event a line.
pub fn read(
    body: &[u8],
    part: Part,
    table: &Table,
    layouts: &Layouts,
    request: &Request,
    scratch: &mut Scratch,
) -> Result<Outcome, Refused> {
    let end = part.start.saturating_add(part.size).min(body.len());
    let is_last = end == body.len();
    let mut text = body.get(part.start..end).ok_or(Refused)?;
    if part.by_line && !is_last {
        let newline = text.iter().rposition(|&byte| byte == b'\n').ok_or(Refused)?;
        text = &text[..=newline];
    }
    scratch.bitmaps.fill(text);
    let Scratch { bitmaps, members, names, strings } = scratch;
    let mut reader = Reader {
        tokens: Tokens { body: text, bitmaps },
        table,
        layouts,
        request,
        members,
        names,
        strings,
        out: Outcome { lines: Vec::with_capacity(text.len() + text.len() / 2), ..Outcome::default() },
        here: Here::default(),
        receipts_known: true,
        is_first: part.may_be_envelope && part.start == 0,
        only_settles: false,
    };
    let end = if part.by_line { reader.by_line()? } else { reader.array(part.start > 0, is_last)? };
    reader.out.end = part.start + end;
    for handed in &mut reader.out.handed {
        if handed.ask != Ask::Mask {
            handed.start += part.start;
            handed.end += part.start;
        }
    }
    Ok(reader.out)
}

pub(crate) struct Reader<'a> {
    pub tokens: Tokens<'a>,
    pub table: &'a Table,
    pub layouts: &'a Layouts,
    request: &'a Request<'a>,
    members: &'a mut Vec<Member>,
    names: &'a mut Vec<u8>,
    pub strings: &'a mut Strings,
    pub out: Outcome,
    pub here: Here,
    /// Whether no event that was handed back may take a time of receipt: they are given in order.
    receipts_known: bool,
    is_first: bool,
    /// Whether the line that is written will be masked by the reference.
    pub only_settles: bool,
}

/// What is counted of the event that is being read.
#[derive(Default)]
pub(crate) struct Here {
    level: Option<Level>,
    /// Where the level belongs in the lines, and the message in which to look for it.
    level_at: Option<(usize, Member)>,
    missing_ts: bool,
    missing_level: bool,
    pub masked: Masked,
}

impl Reader<'_> {
    /// Read events of an array; returns where the part ends: after the body, or after an event.
    fn array(&mut self, is_begun: bool, is_last: bool) -> Result<usize, Refused> {
        let tokens = self.tokens;
        let length = tokens.body.len();
        let mut at = tokens.skip_blanks(0);
        let opened = tokens.byte(at);
        let after = if !is_begun && opened == b'{' {
            self.event(at)?
        } else {
            at = match (is_begun, opened) {
                (false, b'[') | (true, b',') => tokens.skip_blanks(at + 1),
                (true, b']') => at,
                _ => return Err(Refused),
            };
            match if opened != b',' && tokens.byte(at) == b']' { Some(at + 1) } else { self.elements_of(&mut at)? } {
                Some(after) => after,
                None if is_last || at == 0 => return Err(Refused),
                None => return Ok(at),
            }
        };
        if is_last && tokens.skip_blanks(after) == length {
            Ok(length)
        } else {
            Err(Refused)
        }
    }

    /// Read events from `at` up to the bracket; returns what is after it, None if the part ends before it.
    ///
    /// `at` becomes the end of the last event, 0 if there is none.
    fn elements_of(&mut self, at: &mut usize) -> Result<Option<usize>, Refused> {
        let tokens = self.tokens;
        let mut next = std::mem::take(at);
        loop {
            let end = if tokens.byte(next) == b'{' { self.event(next) } else { Err(Refused) };
            match end {
                Ok(end) => *at = end,
                Err(Refused) => return Ok(None),
            }
            next = tokens.skip_blanks(*at);
            match tokens.byte(next) {
                b',' => next = tokens.skip_blanks(next + 1),
                b']' => return Ok(Some(next + 1)),
                _ if next == tokens.body.len() => return Ok(None),
                _ => return Err(Refused),
            }
        }
    }

    fn by_line(&mut self) -> Result<usize, Refused> {
        let tokens = self.tokens;
        let length = tokens.body.len();
        let mut at = 0;
        while at < length {
            at = tokens.skip_in_line(at);
            if at == length {
                break;
            }
            if tokens.byte(at) == b'\n' {
                at += 1;
                continue;
            }
            if tokens.byte(at) != b'{' {
                return Err(Refused);
            }
            let end = self.event(at)?;
            // A line that goes on would be read as two by the reference.
            if tokens.body[at..end].contains(&b'\n') {
                return Err(Refused);
            }
            at = tokens.skip_in_line(end);
            if at < length && tokens.byte(at) != b'\n' {
                return Err(Refused);
            }
            at += 1;
        }
        Ok(length)
    }

    /// Read the event that begins at `start`; returns where it ends.
    fn event(&mut self, start: usize) -> Result<usize, Refused> {
        let place = self.out.lines.len();
        let (end, known) = self.members_of(start)?;
        let mut stop = if known { self.write().err() } else { Some(Stop::Hand) };
        if matches!(stop, Some(Stop::Mask)) {
            self.out.lines.truncate(place);
            self.only_settles = true;
            stop = self.write().err();
            self.only_settles = false;
            if stop.is_none() {
                let begin = self.out.unmasked.len();
                self.out.unmasked.extend_from_slice(&self.out.lines[place..]);
                self.out.lines.truncate(place);
                let end = self.out.unmasked.len();
                self.out.handed.push(Handed { place, start: begin, end, ask: Ask::Mask });
            }
        }
        let is_first = std::mem::replace(&mut self.is_first, false);
        let Some(stop) = stop else {
            self.out.count += 1;
            if let Some(level) = self.here.level {
                self.out.levels[level] += 1;
            }
            if let Some((place, message)) = self.here.level_at {
                let Member { start, end, .. } = message;
                self.out.handed.push(Handed { place, start, end, ask: Ask::Level });
            }
            self.out.missing_ts += u64::from(self.here.missing_ts);
            self.out.missing_level += u64::from(self.here.missing_level);
            self.out.masked += self.here.masked;
            return Ok(end);
        };
        let ask = match stop {
            Stop::Hand | Stop::Mask => Ask::Read,
            Stop::Learn => Ask::Learn,
            Stop::Body => return Err(Refused),
        };
        self.out.lines.truncate(place);
        self.receipts_known = self.receipts_known && known && self.has_time();
        self.out.lines.truncate(place);
        self.out.handed.push(Handed { place, start, end, ask });
        self.out.first_is_slice |= is_first;
        Ok(end)
    }

    /// Find the members of the object at `start`; returns where it ends, and whether all its names are plain.
    fn members_of(&mut self, start: usize) -> Result<(usize, bool), Refused> {
        let tokens = self.tokens;
        self.members.clear();
        self.names.clear();
        let mut plain = true;
        let mut at = tokens.skip_blanks(start + 1);
        if tokens.byte(at) == b'}' {
            return Ok((at + 1, true));
        }
        loop {
            if tokens.byte(at) != b'"' {
                return Err(Refused);
            }
            let (name, end, escaped) = tokens.string(at + 1)?;
            plain &= !escaped && !tokens.bitmaps.has_wide(name, end);
            if self.names.len() + end - name < LONGEST_NAMES {
                self.names.extend_from_slice(&tokens.body[name..=end]);
            } else {
                plain = false;
            }
            at = tokens.skip_blanks(end + 1);
            if tokens.byte(at) != b':' {
                return Err(Refused);
            }
            let member = tokens.value(tokens.skip_blanks(at + 1))?;
            if self.members.len() < MOST_MEMBERS {
                self.members.push(member);
            } else {
                plain = false;
            }
            at = tokens.skip_blanks(member.after());
            match tokens.byte(at) {
                b',' => at = tokens.skip_blanks(at + 1),
                b'}' => return Ok((at + 1, plain)),
                _ => return Err(Refused),
            }
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
    fn write(&mut self) -> Result<(), Stop> {
        self.here = Here::default();
        let plan: &Plan = match self.layouts.plan(self.names) {
            Some(Some(plan)) => plan,
            Some(None) => return Err(Stop::Hand),
            None => return Err(Stop::Learn),
        };
        if self.is_first && plan.telltale {
            return Err(Stop::Body);
        }
        for item in &plan.items {
            self.out.lines.extend_from_slice(&item.name);
            match item.role {
                Role::Copy(at) => self.copy(self.members[at], Before::Name(item.last), 0)?,
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
                    match self.leading(member)? {
                        Leading::Level(level) => self.put_level(level),
                        Leading::None => {
                            self.here.missing_level = true;
                            self.put_level(self.table.default_level);
                        }
                        Leading::Unknown if self.only_settles => return Err(Stop::Hand),
                        Leading::Unknown => self.here.level_at = Some((self.out.lines.len(), member)),
                    }
                }
                Role::Text(at) => {
                    let member = self.members[at];
                    if !matches!(member.kind, Kind::Plain | Kind::Escaped) || member.start == member.end {
                        return Err(Stop::Hand);
                    }
                    self.copy(member, Before::Name(item.last), 0)?;
                }
            }
        }
        let end = match self.only_settles {
            true => &self.table.places[plan.constants][..],
            false => self.request.constants[plan.constants],
        };
        self.out.lines.extend_from_slice(end);
        Ok(())
    }

    fn put_level(&mut self, level: Level) {
        self.here.level = Some(level);
        self.out.lines.push(b'"');
        self.out.lines.extend_from_slice(&self.table.levels[level]);
        self.out.lines.push(b'"');
    }

    fn time(&mut self, member: Member) -> Result<(), Stop> {
        let text = &self.tokens.body[member.start..member.end];
        let lines = &mut self.out.lines;
        lines.push(b'"');
        let read = match member.kind {
            Kind::Plain => times::from_text(text, &self.table.offsets, self.request.zone_is_utc, lines),
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

    fn level(&mut self, member: Member, scale: usize) -> Result<Level, Stop> {
        let text = &self.tokens.body[member.start..member.end];
        match member.kind {
            Kind::Plain => {
                if let Some(&level) = self.table.spellings.get(text) {
                    return Ok(level);
                }
                match self.layouts.spelling(scale, text) {
                    Some(level) => level.ok_or(Stop::Hand),
                    None => {
                        self.report(scale, text);
                        Err(Stop::Hand)
                    }
                }
            }
            Kind::Number if text.len() <= 3 && text.iter().all(u8::is_ascii_digit) => {
                if text.len() > 1 && text[0] == b'0' {
                    return Err(Stop::Hand);
                }
                let number = text.iter().fold(0usize, |number, digit| number * 10 + usize::from(digit - b'0'));
                self.table.scales[scale].get(number).copied().flatten().ok_or(Stop::Hand)
            }
            _ => Err(Stop::Hand),
        }
    }

    /// Ask the reference for the level that a text is.
    fn report(&mut self, scale: usize, text: &[u8]) {
        let unknown = &mut self.out.spellings;
        if text.len() <= LONGEST_LEVEL
            && text.is_ascii()
            && unknown.len() < MOST_UNKNOWN
            && !unknown.iter().any(|one| one.0 == scale && one.1 == text)
        {
            unknown.push((scale, text.to_vec()));
        }
    }

    /// The message, not empty; with `strip` without the newline that ends it, as Docker and loguru write it.
    fn message(&self, at: usize, strip: bool) -> Result<Member, Stop> {
        let mut member = self.members[at];
        let text = &self.tokens.body[member.start..member.end];
        match member.kind {
            Kind::Plain => {}
            Kind::Escaped if strip => {
                if ends_in(text, b'n')? {
                    member.end -= 2;
                    member.end -= if ends_in(&text[..text.len() - 2], b'r')? { 2 } else { 0 };
                }
                if !self.tokens.bitmaps.has_odd(member.start, member.end) {
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

    /// The level that a message begins with.
    fn leading(&mut self, member: Member) -> Result<Leading, Stop> {
        let text = &self.tokens.body[member.start..member.end];
        let text = match member.kind {
            Kind::Escaped => self.strings.decode(text).ok_or(Stop::Hand)?,
            _ => text,
        };
        Ok(leading(text, self.table))
    }
}

/// Whether a string ends in the escape of this letter, a line end's; Hand if it is written in another way.
fn ends_in(text: &[u8], letter: u8) -> Result<bool, Stop> {
    match text {
        [.., b'\\', b'\\', last] if *last == letter => Err(Stop::Hand),
        [.., b'\\', last] if *last == letter => Ok(true),
        // `\u000a`, `\u000d`.
        [.., b'\\', b'u', b'0', b'0', b'0', b'a' | b'A' | b'd' | b'D'] => Err(Stop::Hand),
        _ => Ok(false),
    }
}
