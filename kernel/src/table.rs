//! What the reference knows and the kernel relies on, as Python hands it over at the start.

use std::collections::{HashMap, HashSet};

use crate::times::Offsets;

/// A level by its place in the reference's list; `COUNT` of them.
pub type Level = usize;
pub const LEVELS: usize = 6;
/// Scales of numbers.
pub const SCALES: usize = 6;

/// Numbers that a scale may hold: level by number.
pub type Scale = Vec<Option<Level>>;

#[derive(Default)]
pub struct Table {
    /// The levels' names, in order.
    pub levels: Vec<Vec<u8>>,
    /// Each spelling of a level.
    pub spellings: HashMap<Vec<u8>, Level>,
    /// Levels by number, for each scale.
    pub scales: Vec<Scale>,
    /// The scales of most senders, and of OpenTelemetry.
    pub usual_scale: usize,
    pub otel_scale: usize,
    /// What a message may begin with, up to its first blank, and its level.
    pub leading: HashMap<Vec<u8>, Level>,
    pub longest_leading: usize,
    /// The first three letters of the words for a level.
    pub front: HashSet<Vec<u8>>,
    /// The level of an event that names none.
    pub default_level: Level,
    pub offsets: Offsets,
    /// The lengths of card numbers by their first four digits, a bit each.
    pub cards: HashMap<[u8; 4], u32>,
    /// How a line ends that is still to be masked, for each `Plan::constants`.
    pub places: Vec<Vec<u8>>,
    /// Whether anything is masked at all.
    pub masks: bool,
    pub endings: Endings,
    /// Whether the settings name fields to mask or to keep; in JSON text within a string they count, too.
    pub has_own_names: bool,
    /// Characters right before an address that make it one for certain, and those that may make it a version.
    pub plain_before: Vec<u8>,
    pub suspect: Vec<u8>,
    pub name_ends: Vec<u8>,
    /// Beginnings of labels that are no domain's: systemd's units.
    pub units: Vec<Vec<u8>>,
}

/// How names end whose values are secrets: small letters, every digit `0`, without what parts words.
#[derive(Default)]
pub struct Endings {
    by_last: HashMap<u8, Vec<Vec<u8>>>,
    longest: usize,
}

impl Endings {
    pub fn of(names: HashSet<Vec<u8>>) -> Self {
        let longest = names.iter().map(Vec::len).max().unwrap_or(0);
        let mut by_last: HashMap<u8, Vec<Vec<u8>>> = HashMap::new();
        for name in names {
            if let Some(&last) = name.last() {
                by_last.entry(last).or_default().push(name);
            }
        }
        Endings { by_last, longest }
    }

    /// Whether the text before a separator may end in one of the names.
    ///
    /// Everything but letters and digits is passed over: quotes, blanks and brackets before the separator, and what
    /// parts the words of a name.
    pub fn may_end(&self, text: &[u8]) -> bool {
        let mut tail = [0u8; 32];
        let wanted = self.longest.min(tail.len());
        let mut have = 0;
        for &byte in text.iter().rev().take(128) {
            let letter = match byte {
                b'0'..=b'9' => b'0',
                _ if byte.is_ascii_alphabetic() => byte | 0x20,
                _ => continue,
            };
            tail[tail.len() - 1 - have] = letter;
            have += 1;
            if have == 1 && !self.by_last.contains_key(&letter) {
                return false;
            }
            if have == wanted {
                break;
            }
        }
        let tail = &tail[tail.len() - have..];
        let Some(last) = tail.last() else {
            return false;
        };
        self.by_last.get(last).is_some_and(|names| names.iter().any(|name| tail.ends_with(name)))
    }
}

/// Whether a network issues numbers of these digits, and they pass Luhn (ISO/IEC 7812-1, annex B).
pub fn is_card(cards: &HashMap<[u8; 4], u32>, digits: &[u8]) -> bool {
    let Some(first) = digits.first_chunk::<4>() else {
        return false;
    };
    let lengths = cards.get(first).copied().unwrap_or(0);
    if digits.len() > 31 || lengths & (1 << digits.len()) == 0 {
        return false;
    }
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let value = u32::from(digit - b'0') << (place % 2);
            value / 10 + value % 10
        })
        .sum();
    sum % 10 == 0
}
