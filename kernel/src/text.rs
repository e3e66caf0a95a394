//! Strings: whether one is stored as it came, what is masked in it, or whether the reference has to look.

use crate::bitmaps::Bitmaps;
use crate::escapes::is_special;
use crate::table::{is_card, Table};

/// Where the masks' bytes go: `start..end` of the body becomes `mask`.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    pub start: usize,
    pub end: usize,
    pub mask: &'static [u8],
}

/// What was masked.
#[derive(Clone, Copy, Default)]
pub struct Masked {
    pub emails: u64,
    pub ipv4: u64,
    pub ipv6: u64,
    pub cards: u64,
    pub tokens: u64,
    pub secrets: u64,
}

impl std::ops::AddAssign for Masked {
    fn add_assign(&mut self, more: Self) {
        self.emails += more.emails;
        self.ipv4 += more.ipv4;
        self.ipv6 += more.ipv6;
        self.cards += more.cards;
        self.tokens += more.tokens;
        self.secrets += more.secrets;
    }
}

const EMAIL_MASK: &[u8] = b"***";
const IPV4_MASK: &[u8] = b".x.x";
/// A longer local part is left to the reference.
const LONGEST_LOCAL: usize = 47;
const LONGEST_CARD: usize = 19;
/// What follows the A of a key that begins with one: those of AWS, and Google's.
const KEYS_IN_A: [&[u8; 3]; 11] =
    [b"KIA", b"SIA", b"GPA", b"IDA", b"ROA", b"IPA", b"NPA", b"NVA", b"BIA", b"CCA", b"Iza"];

/// What comes before a string in the line that is written.
#[derive(Clone, Copy)]
pub enum Before {
    /// A member's name, which ends in this byte.
    Name(u8),
    /// Another element of an array, or its bracket.
    Element,
}

/// Looks at strings of one body.
pub struct Text<'a> {
    pub body: &'a [u8],
    pub bitmaps: &'a Bitmaps,
    pub table: &'a Table,
}

impl Text<'_> {
    /// Find what is masked in the string `start..end` of the body, which holds no escape; None if it is not certain.
    #[inline]
    pub fn cuts(
        &self,
        start: usize,
        end: usize,
        before: Before,
        cuts: &mut Vec<Cut>,
        masked: &mut Masked,
    ) -> Option<()> {
        if !self.table.masks {
            return if self.bitmaps.has_wide(start, end) { self.wide(start, end) } else { Some(()) };
        }
        let look = self.bitmaps.has_look(start, end);
        if self.bitmaps.has_wide(start, end) {
            return if look { None } else { self.wide(start, end) };
        }
        if !look {
            return Some(());
        }
        self.looked_at(start, end, before, cuts, masked)
    }

    fn looked_at(
        &self,
        start: usize,
        end: usize,
        before: Before,
        cuts: &mut Vec<Cut>,
        masked: &mut Masked,
    ) -> Option<()> {
        let first = cuts.len();
        let mut at_sign = None;
        let mut has_url = false;
        // The end of what was masked last: what is found before it was looked at.
        let mut done = start;
        for place in self.bitmaps.looks(start, end) {
            if place < done {
                if self.body[place] == b':' && self.table.endings.may_end(&self.body[start..place]) {
                    return None;
                }
                continue;
            }
            match self.body[place] {
                b'@' => {
                    if at_sign.replace(place).is_some() {
                        return None;
                    }
                    if let Some(cut) = self.email(place, start, end)? {
                        cuts.push(cut);
                        masked.emails += 1;
                    }
                }
                b':' | b'=' | b'>' => {
                    if let Some(cut) = self.separator(place, start, end, masked)? {
                        cuts.push(cut);
                        done = cut.end;
                    }
                }
                b'%' => {
                    if self.body[place + 1..end].iter().take(2).filter(|byte| byte.is_ascii_hexdigit()).count() == 2 {
                        return None;
                    }
                }
                b'&' => self.reference(place, end)?,
                b'0'..=b'9' if self.is_in_card(place, start, end) => {
                    done = self.card(place, start, end, cuts)?;
                    masked.cards += 1;
                }
                b'0'..=b'9' => {
                    if let Some(cut) = self.digit(place, start, end, before)? {
                        cuts.push(cut);
                        masked.ipv4 += 1;
                    }
                }
                b'/' => has_url |= self.slash(place, start, end)?,
                _ => self.letter(place, start, end)?,
            }
        }
        if has_url && at_sign.is_some() {
            return None;
        }
        let here = &cuts[first..];
        // An address in a local part, or next to another: the reference knows which of two masks counts.
        let apart = here.windows(2).all(|pair| pair[0].end < pair[1].start);
        apart.then_some(())
    }

    /// Whether a byte near an address, which a rule of the reference may read, was written as an escape.
    ///
    /// The reference sees other bytes there. Before: an address begins at most seven bytes before its cut, and two more are
    /// read. After: a backslash may go on with a domain.
    pub fn is_near_escape(&self, cut: Cut) -> bool {
        let before = &self.body[cut.start.saturating_sub(10)..cut.start];
        let after = self.body[cut.end..].iter().find(|&&byte| !byte.is_ascii_graphic() || is_special(byte));
        before.iter().any(|&byte| is_special(byte)) || after == Some(&b'\\')
    }

    /// Bytes beyond ASCII are stored as they came if they are UTF-8 and no digit is next to them: a no-break space may
    /// part the groups of a card's number.
    fn wide(&self, start: usize, end: usize) -> Option<()> {
        let text = &self.body[start..end];
        std::str::from_utf8(text).ok()?;
        let parted = text.windows(2).any(|pair| pair[0].is_ascii_digit() && pair[1] >= 0x80);
        (!parted || !self.table.masks).then_some(())
    }

    /// The mask of the address whose sign is at `place`; `Some(None)` if there certainly is none.
    fn email(&self, place: usize, start: usize, end: usize) -> Option<Option<Cut>> {
        let domain = &self.body[place + 1..end];
        let run =
            domain.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-'));
        let domain = &domain[..run.count()];
        let first = *domain.first()?;
        if !first.is_ascii_alphabetic() || matches!(first, b'v' | b'V') {
            return None;
        }
        if domain.contains(&b':') || domain.contains(&b'_') {
            return None;
        }
        let Some(last) = domain.iter().rposition(|&byte| byte == b'.') else {
            // `user@localhost`. What follows might go on in a way that is read here as an end.
            return self.body[place + 1 + domain.len()..end].first().is_none_or(|byte| byte.is_ascii()).then_some(None);
        };
        let top = &domain[last + 1..];
        if top.len() < 2 || !top[..2].iter().all(u8::is_ascii_alphabetic) {
            return None;
        }
        for label in domain.split(|&byte| byte == b'.') {
            if label.is_empty() || self.table.units.iter().any(|unit| label.starts_with(unit)) {
                return None;
            }
        }
        let local = self.body[start..place].iter().rev().take_while(|byte| is_local(**byte)).count();
        if local == 0 || local > LONGEST_LOCAL {
            return None;
        }
        let begin = place - local;
        if !self.body[begin].is_ascii_alphanumeric() && self.body[begin] != b'_' {
            return None;
        }
        Some(Some(Cut { start: begin + 1, end: place, mask: EMAIL_MASK }))
    }

    /// The mask of what follows a `:`, `=` or `>`, or of the IPv6 address that it is in; `Some(None)`: certainly none.
    fn separator(&self, place: usize, start: usize, end: usize, masked: &mut Masked) -> Option<Option<Cut>> {
        let head = &self.body[start..place];
        let is_colon = self.body[place] == b':';
        if self.table.endings.may_end(head) {
            if !is_colon || self.table.has_own_names {
                return None;
            }
            let cut = self.bearer(place, start, end)?;
            // The value of a secret's name, a bearer token and a JSON Web Token.
            masked.secrets += 1;
            masked.tokens += 2;
            return Some(Some(cut));
        }
        if self.table.has_own_names {
            let name = head.iter().rev().find(|byte| !matches!(byte, b' ' | b'\t'));
            if matches!(name, Some(b'"' | b'\'' | b'`')) {
                return None;
            }
        }
        if !is_colon {
            return Some(None);
        }
        // Two colons in a row, or `:` and two groups: with this one and the next it might be an address.
        let mut is_anchor = self.body[place + 1..end].first() == Some(&b':') || head.last() == Some(&b':');
        let mut groups = 0;
        let mut digits = 0;
        for &byte in head.iter().rev() {
            if byte == b':' && groups == 2 {
                is_anchor = true;
                break;
            } else if byte == b':' && digits > 0 {
                groups += 1;
                digits = 0;
            } else if byte.is_ascii_hexdigit() && digits < 4 {
                digits += 1;
            } else {
                break;
            }
        }
        if is_anchor {
            let cut = self.ipv6(place, start, end)?;
            masked.ipv6 += 1;
            return Some(Some(cut));
        }
        Some(None)
    }

    /// Whether what begins at the `&` at `place` is certainly no character reference.
    fn reference(&self, place: usize, end: usize) -> Option<()> {
        let tail = &self.body[place + 1..end];
        (!tail.iter().take(10).any(|&byte| byte == b';')).then_some(())
    }

    /// Whether the digit at `place`, the fourth of a group or the thirteenth of a run, may be part of a card's number.
    fn is_in_card(&self, place: usize, start: usize, end: usize) -> bool {
        let head = &self.body[start..=place];
        let digits = head.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        if digits >= 13 {
            let first = place + 1 - digits;
            let length = self.body[first..end].iter().take_while(|byte| byte.is_ascii_digit()).count();
            return length <= LONGEST_CARD && is_card(&self.table.cards, &self.body[first..first + length]);
        }
        if digits != 4 || head.len() < 9 {
            return false;
        }
        let group = &head[head.len() - 9..];
        let edge = head.len() == 9 || !head[head.len() - 10].is_ascii_digit();
        let first = [group[0], group[1], group[2], group[3]];
        edge && first.iter().all(u8::is_ascii_digit)
            && !group[4].is_ascii_digit()
            && self.table.cards.contains_key(&first)
    }

    /// The mask of the IPv4 address that the digit at `place`, the first after a dot, is in.
    fn digit(&self, place: usize, start: usize, end: usize, before: Before) -> Option<Option<Cut>> {
        let head = &self.body[start..=place];
        let digits = head.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        if is_long_word(&self.body[start..place], &self.body[place..end]) {
            return None;
        }
        if digits == 1 && head.len() >= 3 && head[head.len() - 2] == b'.' && head[head.len() - 3].is_ascii_digit() {
            return self.address(place - 1, start, end, before);
        }
        Some(None)
    }

    /// The mask of the IPv4 address whose first dot is at `dot`.
    fn address(&self, dot: usize, start: usize, end: usize, before: Before) -> Option<Option<Cut>> {
        let octet = |at: usize| self.body[at..end].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let second = octet(dot + 1);
        let dot_after = dot + 1 + second;
        if second > 3 || dot_after >= end || self.body[dot_after] != b'.' {
            return Some(None);
        }
        let third = octet(dot_after + 1);
        let last_dot = dot_after + 1 + third;
        if third == 0 || third > 3 || last_dot >= end || self.body[last_dot] != b'.' {
            return Some(None);
        }
        let fourth = octet(last_dot + 1);
        if fourth == 0 {
            return Some(None);
        }
        // Four numbers: an address, a version or something longer.
        let stop = last_dot + 1 + fourth;
        let head = &self.body[start..dot];
        let first = head.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let fits = |at: usize, length: usize| {
            let digits = &self.body[at..at + length];
            length < 3 || (length == 3 && digits <= b"255".as_slice())
        };
        if !fits(dot - first, first)
            || !fits(dot + 1, second)
            || !fits(dot_after + 1, third)
            || !fits(last_dot + 1, fourth)
            || (self.body[stop..end].first() == Some(&b'.')
                && self.body[stop + 1..end].first().is_none_or(u8::is_ascii_digit))
            || (self.body[stop..end].first() == Some(&b'@'))
        {
            return None;
        }
        let begin = dot - first;
        let certain = if begin == start {
            matches!(before, Before::Name(last) if !self.table.name_ends.contains(&last))
        } else {
            let head = &self.body[start..begin];
            match head.last() {
                Some(b' ') if head.len() > 1 && !self.table.suspect.contains(&head[head.len() - 2]) => true,
                Some(byte) => self.table.plain_before.contains(byte) || self.is_value(head),
                None => false,
            }
        };
        certain.then_some(Some(Cut { start: dot_after, end: stop, mask: IPV4_MASK }))
    }

    /// Whether `head` ends in a name that is no version's, and what parts it from its value.
    fn is_value(&self, head: &[u8]) -> bool {
        let parts = head.iter().rev().take(8).take_while(|byte| matches!(byte, b' ' | b':' | b'=')).count();
        // `example==1.2.3.4` is a package.
        parts > 0
            && !head.ends_with(b"==")
            && head[..head.len() - parts]
                .last()
                .is_some_and(|byte| byte.is_ascii_alphanumeric() && !self.table.name_ends.contains(byte))
    }

    /// Whether a slash is that of a URL (true); None if it may be part of a key.
    fn slash(&self, place: usize, start: usize, end: usize) -> Option<bool> {
        let head = &self.body[start..place];
        for word in [b"hooks".as_slice(), b"services", b"workflows", b"triggers"] {
            if head.ends_with(word) {
                return None;
            }
        }
        if head.ends_with(b"1/") && self.body[place + 1..end].first() == Some(&b'0') {
            return None;
        }
        Some(head.ends_with(b":/"))
    }

    /// Whether a letter or a dash is certainly no part of a credential.
    fn letter(&self, place: usize, start: usize, end: usize) -> Option<()> {
        let tail = &self.body[place..end];
        let head = &self.body[start..place];
        let certain = match tail[0] {
            b'-' => !tail[1..].starts_with(b"---BEGIN") && !head.ends_with(b"glpat") && !head.ends_with(b"GOCSPX"),
            b'_' => !head.ends_with(b"dckr"),
            b'J' if is_before(head, b"ey") => false,
            b'e' | b'E' if head.last() == Some(&b'.') => {
                let next = &tail[1..];
                !(next.starts_with(b"yJ")
                    || next.starts_with(b"yA")
                    || next.starts_with(b"wo")
                    || next.starts_with(b"w0")
                    || next.starts_with(b"wk")
                    || next.starts_with(b"30"))
            }
            _ => true,
        };
        if !certain {
            return None;
        }
        let from = place.saturating_sub(2).max(start);
        for word in [b"bearer".as_slice(), b"basic", b"digest"] {
            if self.body[from..end].get(..word.len()).is_some_and(|text| text.eq_ignore_ascii_case(word)) {
                return None;
            }
        }
        // A key that begins with an A: AKIA..., AIza...
        if let Some((b'A', before)) = head.split_last() {
            let part = before.last().is_none_or(|byte| !byte.is_ascii_alphanumeric());
            if part && tail.first_chunk::<3>().is_some_and(|next| KEYS_IN_A.contains(&next)) {
                return None;
            }
        }
        if is_long_word(head, tail) {
            return None;
        }
        Some(())
    }
}

fn is_before(head: &[u8], word: &[u8]) -> bool {
    head.len() >= word.len() && head[head.len() - word.len()..].eq_ignore_ascii_case(word)
}

/// Whether sixteen letters or digits after a separator end here.
fn is_long_word(head: &[u8], tail: &[u8]) -> bool {
    tail[0].is_ascii_alphanumeric()
        && head.len() >= 16
        && head[head.len() - 15..].iter().all(u8::is_ascii_alphanumeric)
        && matches!(head[head.len() - 16], b'_' | b'-' | b'.' | b'/')
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'_' | b'.' | b'-' | b'+' | b'%' | b'\'' | b'!' | b'#' | b'$' | b'^' | b'~')
}
