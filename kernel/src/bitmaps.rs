//! One pass over the bytes of a body: where its quotes are, and where anything is that a mask might touch.
//!
//! Each bitmap has a bit for every byte. What is rare is asked for here, 64 bytes at a time; strings without any such
//! bit are copied as they are. A bit says "look closely here", never "mask this".

/// The bitmaps of 64 bytes; bit `i` stands for byte `i`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Classes {
    quote: u64,
    backslash: u64,
    control: u64,
    wide: u64,
    digit: u64,
    alnum: u64,
    upper: u64,
    /// `@ : = > % &`: looked at wherever they are.
    always: u64,
    dot: u64,
    dash: u64,
    slash: u64,
    underscore: u64,
    blank: u64,
    plus: u64,
    capital_a: u64,
    capital_j: u64,
    // Letters in either case.
    a: u64,
    b: u64,
    d: u64,
    e: u64,
    g: u64,
    i: u64,
    r: u64,
    s: u64,
    t: u64,
    x: u64,
    y: u64,
}

#[cfg(target_arch = "x86_64")]
fn classes(block: &[u8; 64]) -> Classes {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
        _mm_sub_epi8,
    };

    // SAFETY: SSE2 is part of every x86-64, and the four loads of 16 bytes lie in the block of 64.
    unsafe {
        let load = |at: usize| _mm_loadu_si128(block.as_ptr().add(at).cast::<__m128i>());
        let raw = [load(0), load(16), load(32), load(48)];
        let bits = |lanes: [__m128i; 4]| {
            lanes.iter().rev().fold(0u64, |bits, lane| (bits << 16) | u64::from(_mm_movemask_epi8(*lane) as u16))
        };
        let equal = |from: &[__m128i; 4], byte: u8| {
            let wanted = _mm_set1_epi8(byte as i8);
            bits([
                _mm_cmpeq_epi8(from[0], wanted),
                _mm_cmpeq_epi8(from[1], wanted),
                _mm_cmpeq_epi8(from[2], wanted),
                _mm_cmpeq_epi8(from[3], wanted),
            ])
        };
        let between = |from: &[__m128i; 4], low: u8, high: u8| {
            let (low, span) = (_mm_set1_epi8(low as i8), _mm_set1_epi8((high - low) as i8));
            bits(from.map(|lane| {
                let moved = _mm_sub_epi8(lane, low);
                _mm_cmpeq_epi8(_mm_min_epu8(moved, span), moved)
            }))
        };
        let any = |bytes: [u8; 6]| {
            bits(raw.map(|lane| {
                bytes.iter().fold(_mm_set1_epi8(0), |found, byte| {
                    _mm_or_si128(found, _mm_cmpeq_epi8(lane, _mm_set1_epi8(*byte as i8)))
                })
            }))
        };
        let case = _mm_set1_epi8(0x20);
        let small = raw.map(|lane| _mm_or_si128(lane, case));
        let digit = between(&raw, b'0', b'9');
        Classes {
            quote: equal(&raw, b'"'),
            backslash: equal(&raw, b'\\'),
            control: between(&raw, 0, 0x1f),
            wide: bits(raw),
            digit,
            alnum: digit | between(&small, b'a', b'z'),
            upper: between(&raw, b'A', b'Z'),
            always: any(*b"@:=>%&"),
            dot: equal(&raw, b'.'),
            dash: equal(&raw, b'-'),
            slash: equal(&raw, b'/'),
            underscore: equal(&raw, b'_'),
            blank: equal(&raw, b' '),
            plus: equal(&raw, b'+'),
            capital_a: equal(&raw, b'A'),
            capital_j: equal(&raw, b'J'),
            a: equal(&small, b'a'),
            b: equal(&small, b'b'),
            d: equal(&small, b'd'),
            e: equal(&small, b'e'),
            g: equal(&small, b'g'),
            i: equal(&small, b'i'),
            r: equal(&small, b'r'),
            s: equal(&small, b's'),
            t: equal(&small, b't'),
            x: equal(&small, b'x'),
            y: equal(&small, b'y'),
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
use portable as classes;

/// For other processors; in the tests for all.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn portable(block: &[u8; 64]) -> Classes {
    let mut found = Classes::default();
    for (place, &byte) in block.iter().enumerate() {
        let bit = 1u64 << place;
        let set = |bits: &mut u64, yes: bool| *bits |= if yes { bit } else { 0 };
        set(&mut found.quote, byte == b'"');
        set(&mut found.backslash, byte == b'\\');
        set(&mut found.control, byte < 0x20);
        set(&mut found.wide, byte >= 0x80);
        set(&mut found.digit, byte.is_ascii_digit());
        set(&mut found.alnum, byte.is_ascii_alphanumeric());
        set(&mut found.upper, byte.is_ascii_uppercase());
        set(&mut found.always, matches!(byte, b'@' | b':' | b'=' | b'>' | b'%' | b'&'));
        set(&mut found.dot, byte == b'.');
        set(&mut found.dash, byte == b'-');
        set(&mut found.slash, byte == b'/');
        set(&mut found.underscore, byte == b'_');
        set(&mut found.blank, byte == b' ');
        set(&mut found.plus, byte == b'+');
        set(&mut found.capital_a, byte == b'A');
        set(&mut found.capital_j, byte == b'J');
        let small = byte | 0x20;
        set(&mut found.a, small == b'a');
        set(&mut found.b, small == b'b');
        set(&mut found.d, small == b'd');
        set(&mut found.e, small == b'e');
        set(&mut found.g, small == b'g');
        set(&mut found.i, small == b'i');
        set(&mut found.r, small == b'r');
        set(&mut found.s, small == b's');
        set(&mut found.t, small == b't');
        set(&mut found.x, small == b'x');
        set(&mut found.y, small == b'y');
    }
    found
}

/// A bitmap with the 64 bits before it: what was before a byte is asked for by shifting.
#[derive(Clone, Copy)]
struct Row(u128);

impl Row {
    fn of(before: u64, now: u64) -> Self {
        Row((u128::from(now) << 64) | u128::from(before))
    }

    /// The bits `count` bytes earlier.
    fn back(self, count: u32) -> u64 {
        ((self.0 << count) >> 64) as u64
    }

    /// Where a run of `count` set bits ends.
    fn run(self, count: u32) -> Row {
        let mut run = self.0;
        let mut have = 1;
        while have * 2 <= count {
            run &= run << have;
            have *= 2;
        }
        if have < count {
            run &= run << (count - have);
        }
        Row(run)
    }

    fn now(self) -> u64 {
        (self.0 >> 64) as u64
    }
}

/// The bitmaps of a body.
#[derive(Default)]
pub struct Bitmaps {
    quote: Vec<u64>,
    /// Backslashes and control characters: what no plain string holds.
    odd: Vec<u64>,
    /// Bytes beyond ASCII.
    wide: Vec<u64>,
    /// Where something is, or ends, that a mask may touch.
    look: Vec<u64>,
}

/// The longest run that a trigger looks back over; shorter than 64.
const LETTERS_OF_A_KEY: u32 = 16;
const DIGITS_OF_A_CARD: u32 = 13;

impl Bitmaps {
    /// Find what is where in `body`; the memory of the body before is used again.
    pub fn fill(&mut self, body: &[u8]) {
        self.quote.clear();
        self.odd.clear();
        self.wide.clear();
        self.look.clear();
        let mut before = Classes::default();
        let mut blocks = body.chunks_exact(64);
        for block in &mut blocks {
            if let Ok(block) = block.try_into() {
                before = self.add(classes(block), &before);
            }
        }
        let rest = blocks.remainder();
        let mut last = [b' '; 64];
        last[..rest.len()].copy_from_slice(rest);
        self.add(classes(&last), &before);
    }

    fn add(&mut self, now: Classes, before: &Classes) -> Classes {
        let row = |of: fn(&Classes) -> u64| Row::of(of(before), of(&now));
        let digit = row(|c| c.digit);
        let dot = row(|c| c.dot);
        let slash = row(|c| c.slash);
        let dash = row(|c| c.dash);
        let (a, b, d) = (row(|c| c.a), row(|c| c.b), row(|c| c.d));
        let (e, i, y, s) = (row(|c| c.e), row(|c| c.i), row(|c| c.y), row(|c| c.s));
        let apart = row(|c| c.underscore | c.dash | c.dot | c.slash);
        let gap = row(|c| c.blank | c.dot | c.plus | c.dash);

        let number = now.digit & dot.back(1) & digit.back(2);
        // bearer, basic, digest by their first three letters.
        let word = (now.a & e.back(1) & b.back(2)) | (now.s & a.back(1) & b.back(2)) | (now.g & i.back(1) & d.back(2));
        // eyJ, and the second part of a token, which begins with an e.
        let token = (now.capital_j & y.back(1) & e.back(2)) | (now.e & dot.back(1));
        let key = (now.upper & row(|c| c.capital_a).back(1))
            | (row(|c| c.alnum).run(LETTERS_OF_A_KEY).now() & apart.back(LETTERS_OF_A_KEY))
            | (now.dash & dash.back(1))
            // glpat-, GOCSPX-, dckr_.
            | (now.dash & row(|c| c.t | c.x).back(1))
            | (now.underscore & row(|c| c.r).back(1))
            | (now.slash & slash.back(1))
            | (now.slash & s.back(1));
        let card = (digit.run(DIGITS_OF_A_CARD).now() & !digit.back(DIGITS_OF_A_CARD))
            | (digit.run(4).now() & gap.back(4) & digit.run(4).back(5));
        self.quote.push(now.quote);
        self.odd.push(now.backslash | now.control);
        self.wide.push(now.wide);
        self.look.push(now.always | number | word | token | key | card);
        now
    }

    /// The first quote at or after `at`.
    pub fn next_quote(&self, at: usize) -> Option<usize> {
        let mut word = at / 64;
        let mut bits = self.quote.get(word)? & (!0 << (at % 64));
        while bits == 0 {
            word += 1;
            bits = *self.quote.get(word)?;
        }
        Some(word * 64 + bits.trailing_zeros() as usize)
    }

    pub fn has_odd(&self, start: usize, end: usize) -> bool {
        any(&self.odd, start, end)
    }

    pub fn has_wide(&self, start: usize, end: usize) -> bool {
        any(&self.wide, start, end)
    }

    pub fn has_look(&self, start: usize, end: usize) -> bool {
        any(&self.look, start, end)
    }

    /// The places to look at in `start..end`, in order.
    pub fn looks(&self, start: usize, end: usize) -> Looks<'_> {
        let bits = self.look.get(start / 64).map_or(0, |word| word & (!0 << (start % 64)));
        Looks { words: &self.look, word: start / 64, bits, end }
    }
}

fn any(words: &[u64], start: usize, end: usize) -> bool {
    if start >= end {
        return false;
    }
    let (first, last) = (start / 64, (end - 1) / 64);
    let head = !0u64 << (start % 64);
    let tail = !0u64 >> (63 - (end - 1) % 64);
    if first == last {
        return words[first] & head & tail != 0;
    }
    words[first] & head != 0 || words[last] & tail != 0 || words[first + 1..last].iter().any(|&word| word != 0)
}

/// The places of set bits.
pub struct Looks<'a> {
    words: &'a [u64],
    word: usize,
    bits: u64,
    end: usize,
}

impl Iterator for Looks<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        while self.bits == 0 {
            self.word += 1;
            if self.word * 64 >= self.end {
                return None;
            }
            self.bits = self.words[self.word];
        }
        let place = self.word * 64 + self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        (place < self.end).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked_at(text: &str) -> Vec<usize> {
        let mut found = Bitmaps::default();
        // Far from the edge, then across it: what is before a byte may lie in the block before.
        let mut places = Vec::new();
        for shift in 0..70 {
            let body = [" ".repeat(shift).as_bytes(), text.as_bytes()].concat();
            found.fill(&body);
            let here: Vec<usize> = found.looks(0, body.len()).map(|place| place - shift).collect();
            if shift == 0 {
                places = here;
            } else {
                assert_eq!(here, places, "{text:?} at {shift}");
            }
        }
        places
    }

    #[test]
    fn what_no_mask_touches_is_not_looked_at() {
        for text in ["order 129 moved", "pool 1. 2 x", "a-b_c", "0123456789ab", "1.x", "A1", "/a/b", "eyj"] {
            assert_eq!(looked_at(text), Vec::<usize>::new(), "{text}");
        }
    }

    #[test]
    fn what_a_mask_may_touch_is() {
        assert_eq!(looked_at("bob@x"), [3]);
        assert_eq!(looked_at("10.1.2.3"), [3, 5, 7]);
        assert_eq!(looked_at("a Bearer"), [4]);
        assert_eq!(looked_at("BASIC dIgEst"), [2, 8]);
        assert_eq!(looked_at("eyJ"), [2]);
        assert_eq!(looked_at("AKIA"), [1]);
        assert_eq!(looked_at("_0123456789abcdef"), [16]);
        assert_eq!(looked_at("4111111111111111"), [12]);
        assert_eq!(looked_at("4111 1111"), [8]);
        assert_eq!(looked_at("-----BEGIN"), [1, 2, 3, 4]);
        assert_eq!(looked_at("hooks/"), [5]);
        assert_eq!(looked_at("glpat-a GOCSPX-a dckr_a"), [5, 14, 21]);
    }

    #[test]
    fn each_byte_is_of_the_same_classes_on_all_processors() {
        for byte in 0..=255u8 {
            for place in 0..64 {
                let mut block = [b' '; 64];
                block[place] = byte;
                assert_eq!(classes(&block), portable(&block), "{byte} at {place}");
            }
        }
    }

    #[test]
    fn ranges_across_words() {
        let mut found = Bitmaps::default();
        let mut body = vec![b'x'; 200];
        body[130] = b'\\';
        found.fill(&body);
        assert!(found.has_odd(0, 200) && found.has_odd(130, 131) && found.has_odd(70, 131));
        assert!(!found.has_odd(0, 130) && !found.has_odd(131, 200) && !found.has_odd(5, 5));
        assert_eq!(found.next_quote(0), None);
    }
}
