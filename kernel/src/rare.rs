//! The plainest forms of card numbers, IPv6 addresses and bearer tokens. Any other form is left to the reference.

use crate::table::is_card;
use crate::text::{Cut, Text};

const STARS: &[u8; 19] = b"*******************";
const IPV6_MASK: &[u8] = b":x:x:x:x:x:x";
const TOKEN_MASK: &[u8] = b"***";
/// Digits of a card's number that stay.
const KEPT: usize = 4;
/// How cards print their numbers.
const PRINTED: [&[usize]; 3] = [&[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4]];
const SHORTEST_CARD: usize = 13;
/// Longer than any word that may follow `Bearer` in English.
const SHORTEST_TOKEN: usize = 24;
/// What the credentials after it are masked for.
const SCHEMES: [&[u8]; 3] = [b"bearer", b"basic", b"digest"];
/// What a key that its form gives away begins with.
const KEYS_BEGIN: &[u8] = b"AGNPSRadghlnprswxy1";

impl Text<'_> {
    /// Mask the card's number that the digit at `place` is part of; returns where it ends.
    ///
    /// It is certain if it stands between blanks and words, and no other group of digits is near.
    pub(crate) fn card(&self, place: usize, start: usize, end: usize, cuts: &mut Vec<Cut>) -> Option<usize> {
        let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b' ' | b'-');
        let mut first = place - self.body[start..place].iter().rev().take_while(|byte| is_part(byte)).count();
        let mut last = place + self.body[place..end].iter().take_while(|byte| is_part(byte)).count();
        let blank_before = first > start && self.body[first] == b' ' && self.body[first - 1].is_ascii_alphabetic();
        first += 1;
        if last < end {
            last -= 1;
            if self.body[last] != b' ' || !self.body[last + 1].is_ascii_alphabetic() {
                return None;
            }
        }
        let number = self.body.get(first..last)?;
        let mark = number.iter().copied().find(|byte| !byte.is_ascii_digit()).unwrap_or(b' ');
        let mut lengths = [0usize; 4];
        let mut groups = 0;
        let mut digits = [0u8; 19];
        let mut count = 0;
        for group in number.split(|byte| !byte.is_ascii_digit()) {
            *lengths.get_mut(groups)? = group.len();
            digits.get_mut(count..count + group.len())?.copy_from_slice(group);
            // Another number may begin here.
            if groups > 0 && group.first_chunk::<4>().is_some_and(|four| self.table.cards.contains_key(four)) {
                return None;
            }
            groups += 1;
            count += group.len();
        }
        let lengths = &lengths[..groups];
        let is_even = number.iter().all(|&byte| byte.is_ascii_digit() || byte == mark);
        let is_printed = (groups == 1 && count >= SHORTEST_CARD) || PRINTED.contains(&lengths);
        if !blank_before || !is_even || !is_printed || !is_card(&self.table.cards, &digits[..count]) {
            return None;
        }
        let mut at = first;
        for (group, &length) in lengths.iter().enumerate() {
            let hidden = if group + 1 == groups { length.checked_sub(KEPT)? } else { length };
            if hidden > 0 {
                cuts.push(Cut { start: at, end: at + hidden, mask: &STARS[..hidden] });
            }
            at += length + 1;
        }
        Some(last)
    }

    /// The mask of the IPv6 address whose first colon is at `colon`: two groups of it stay.
    ///
    /// It is certain if it stands between blanks, has a gap and begins with a group of four with a digit.
    pub(crate) fn ipv6(&self, colon: usize, start: usize, end: usize) -> Option<Cut> {
        let is_part = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b':';
        let first = colon - self.body[start..colon].iter().rev().take_while(|byte| is_part(byte)).count();
        let last = colon + self.body[colon..end].iter().take_while(|byte| is_part(byte)).count();
        let apart = first > start && self.body[first - 1] == b' ' && (last == end || self.body[last] == b' ');
        let run = &self.body[first..last];
        if !apart || run.first() == Some(&b':') || run.last() == Some(&b':') {
            return None;
        }
        let mut gaps = 0;
        let mut left = 0;
        let mut groups = 0;
        let mut cut = 0;
        for group in run.split(|&byte| byte == b':') {
            if group.is_empty() {
                gaps += 1;
                continue;
            }
            groups += 1;
            left += usize::from(gaps == 0);
            if group.len() > 4 {
                return None;
            }
            if groups == 1 && (group.len() != 4 || !group.iter().any(u8::is_ascii_digit)) {
                return None;
            }
            if groups <= 2 {
                cut += group.len() + usize::from(groups == 2);
            }
        }
        (gaps == 1 && left >= 2 && groups < 8).then_some(Cut { start: first + cut, end: last, mask: IPV6_MASK })
    }

    /// The mask of the token of an `Authorization: Bearer` whose colon is at `colon`.
    ///
    /// It is certain if it is a JSON Web Token of three parts (RFC 7519) in which nothing has the form of a key or a card,
    /// or may begin what goes on after it: a private key, in `-----BEGIN PRIVATE KEY-----` (RFC 7468), another token.
    pub(crate) fn bearer(&self, colon: usize, start: usize, end: usize) -> Option<Cut> {
        const NAME: &[u8] = b"authorization";
        const SCHEME: &[u8] = b" bearer ";
        let head = &self.body[start..colon];
        let (before, name) = head.split_at(head.len().checked_sub(NAME.len())?);
        let scheme = self.body.get(colon + 1..colon + 1 + SCHEME.len())?;
        if !name.eq_ignore_ascii_case(NAME)
            || before.last().is_some_and(|&byte| byte != b' ')
            || !scheme.eq_ignore_ascii_case(SCHEME)
        {
            return None;
        }
        let from = colon + 1 + SCHEME.len();
        let tail = self.body.get(from..end)?;
        let length =
            tail.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')).count();
        let token = &tail[..length];
        let mut parts = token.split(|&byte| byte == b'.');
        let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
        let certain = length >= SHORTEST_TOKEN
            && parts.next().is_none()
            && tail.get(length).is_none_or(|&byte| byte == b' ' || byte == b'\n')
            && header.starts_with(b"eyJ")
            && claims.starts_with(b"eyJ")
            && signature.last().is_some_and(u8::is_ascii_alphanumeric)
            && !token.windows(3).any(|some| some == b"---")
            && !SCHEMES.iter().any(|scheme| ends_in(token, scheme))
            && !token.windows(2).any(|pair| !pair[0].is_ascii_alphanumeric() && KEYS_BEGIN.contains(&pair[1]))
            && !token.windows(SHORTEST_CARD).any(|some| some.iter().all(u8::is_ascii_digit));
        certain.then_some(Cut { start: from, end: from + length, mask: TOKEN_MASK })
    }
}

fn ends_in(text: &[u8], word: &[u8]) -> bool {
    text.len().checked_sub(word.len()).is_some_and(|at| text[at..].eq_ignore_ascii_case(word))
}
