//! The level that a message names.

use std::collections::HashSet;

use crate::table::{Level, Table};

/// What a message says of its level.
#[derive(Debug, PartialEq, Eq)]
pub enum Leading {
    Level(Level),
    /// Certainly none anywhere.
    None,
    /// The reference has to search.
    Unknown,
}

/// The level that `text`, decoded and not empty, begins with.
pub fn leading(text: &[u8], table: &Table) -> Leading {
    if !text.is_ascii() {
        return Leading::Unknown;
    }
    let head = &text[..text.len().min(table.longest_leading)];
    let word = head.split(|&byte| byte == b' ').next().unwrap_or(head);
    match table.leading.get(word) {
        Some(&level) => Leading::Level(level),
        None if may_name_level(text, &table.front) => Leading::Unknown,
        None => Leading::None,
    }
}

/// As `may_name_level` of the reference, for ASCII: whether a search of a message for a level can find one.
fn may_name_level(text: &[u8], front: &HashSet<Vec<u8>>) -> bool {
    let has = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
    let has_small = |word: &[u8]| text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    let begins = &text[..text.len().min(3)];
    if !text[..text.len().min(2)].iter().all(u8::is_ascii_alphabetic)
        || front.contains(&begins.to_ascii_lowercase())
        || text.iter().any(|byte| matches!(byte, b'[' | b'=' | b'|' | b'<' | b'\t'))
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
