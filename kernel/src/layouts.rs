//! What becomes of the members of an event, by their names: decided by the reference, remembered here.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::table::{Level, LEVELS, SCALES};

/// One member of the line that is written.
#[derive(Clone, Debug)]
pub struct Item {
    pub role: Role,
    /// `{"name":` for the first member, `,"name":` for others.
    pub name: Vec<u8>,
    /// The last byte of the name.
    pub last: u8,
}

/// Where a member comes from: the place among the event's members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// As it came, its strings masked.
    Copy(usize),
    /// The same, and not an object: what is below it could be another field's.
    Flat(usize),
    Time(usize),
    /// The time of receipt.
    Receipt,
    /// A word, or a number of the scale with this place in the table.
    Level(usize, usize),
    /// Not empty; `true`: without the newline that ends it.
    Message(usize, bool),
    /// Text that is not empty: `app` and `source`.
    Text(usize),
    /// Implied by the layout.
    Implied(Level),
    /// What the message begins with, or none if it certainly names none.
    Leading(usize, bool),
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub items: Vec<Item>,
    /// Which member is the time.
    pub time: Option<usize>,
    /// Which of the request's constant members follow.
    pub constants: usize,
    /// If the first event has these members, the body may be an envelope.
    pub telltale: bool,
}

/// A multiplicative hash: names are short, and there are at most `MOST_LAYOUTS` of them in the table.
#[derive(Default)]
pub struct Quick(u64);

const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.write_u64(word.try_into().map_or(0, u64::from_le_bytes));
        }
        let rest = words.remainder();
        let mut last = [0u8; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.write_u64(u64::from_le_bytes(last));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(MULTIPLIER);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
}

type Map<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;

pub const MOST_LAYOUTS: usize = 1024;
pub const MOST_NAMES: usize = 8192;
pub const MOST_SPELLINGS: usize = 4096;

/// Layouts and names that the reference has looked at.
#[derive(Default)]
pub struct Layouts {
    plans: Map<Vec<u8>, Option<Plan>>,
    /// Names of nested members that are stored as they came, whatever is under them.
    names: Map<Vec<u8>, bool>,
    /// Levels by their spelling, for each scale; None: the reference knows none, and looks elsewhere.
    spellings: [Map<Vec<u8>, Option<Level>>; SCALES],
}

impl Layouts {
    /// The plan for the members whose names, each followed by a quote, are `names`; None if it was never learnt.
    pub fn plan(&self, names: &[u8]) -> Option<Option<&Plan>> {
        self.plans.get(names).map(Option::as_ref)
    }

    /// Remember a plan; None: events with these names always go to the reference.
    pub fn learn(&mut self, names: Vec<u8>, plan: Option<Plan>) {
        if self.plans.len() >= MOST_LAYOUTS {
            self.plans.clear();
        }
        self.plans.insert(names, plan);
    }

    /// Whether a nested member of this name is stored as it came; None if it was never learnt.
    pub fn is_plain(&self, name: &[u8]) -> Option<bool> {
        self.names.get(name).copied()
    }

    /// The level that a text is, beside those that the table has; None if it was never learnt.
    pub fn spelling(&self, scale: usize, text: &[u8]) -> Option<Option<Level>> {
        self.spellings[scale].get(text).copied()
    }

    /// Remember what a text is as a level; false if there is no such scale or level.
    pub fn learn_spelling(&mut self, scale: usize, text: Vec<u8>, level: Option<Level>) -> bool {
        let Some(spellings) = self.spellings.get_mut(scale) else {
            return false;
        };
        if level.is_some_and(|level| level >= LEVELS) {
            return false;
        }
        if spellings.len() >= MOST_SPELLINGS {
            spellings.clear();
        }
        spellings.insert(text, level);
        true
    }

    pub fn learn_name(&mut self, name: Vec<u8>, plain: bool) {
        if self.names.len() >= MOST_NAMES {
            self.names.clear();
        }
        self.names.insert(name, plain);
    }
}
