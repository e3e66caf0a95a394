//! JSON's escapes (RFC 8259, 7): read, and written as the reference writes them.

/// Append what a JSON string holds to `out`; false if it is no JSON, or the reference has rules of its own for it.
///
/// A control character must be escaped, and half of a surrogate pair is left to the reference.
pub fn decode(text: &[u8], out: &mut Vec<u8>) -> bool {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if byte < 0x20 {
            return false;
        }
        if byte != b'\\' {
            out.push(byte);
            at += 1;
            continue;
        }
        let letter = match text.get(at + 1) {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(&same @ (b'"' | b'\\' | b'/')) => same,
            Some(b'u') => {
                let Some((letter, length)) = unit(text, at) else {
                    return false;
                };
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                at += length;
                continue;
            }
            _ => return false,
        };
        out.push(letter);
        at += 2;
    }
    true
}

/// The character of the `\uXXXX` at `at`, or of the pair of them, and its length in the text.
fn unit(text: &[u8], at: usize) -> Option<(char, usize)> {
    let high = hex(text, at)?;
    if !(0xd800..0xdc00).contains(&high) {
        return Some((char::from_u32(high)?, 6));
    }
    let low = hex(text, at + 6)?;
    if !(0xdc00..0xe000).contains(&low) {
        return None;
    }
    Some((char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))?, 12))
}

fn hex(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |number, &digit| Some(number * 16 + char::from(digit).to_digit(16)?))
}

/// Append text as orjson writes it in a string, without the quotes.
pub fn encode(text: &[u8], out: &mut Vec<u8>) {
    // Most texts hold none, and looking at all bytes is fast.
    if !text.iter().fold(false, |found, &byte| found | is_special(byte)) {
        out.extend_from_slice(text);
        return;
    }
    let mut from = 0;
    for (at, &byte) in text.iter().enumerate() {
        if !is_special(byte) {
            continue;
        }
        out.extend_from_slice(&text[from..at]);
        from = at + 1;
        let letter = match byte {
            b'\n' => b'n',
            b'\t' => b't',
            b'\r' => b'r',
            0x08 => b'b',
            0x0c => b'f',
            b'"' | b'\\' => byte,
            _ => {
                out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', letter]);
    }
    out.extend_from_slice(&text[from..]);
}

/// Whether decoded text may hold something encoded once more: JSON text in a string, a terminal's colour.
pub fn may_be_encoded(text: &[u8]) -> bool {
    text.iter().enumerate().any(|(at, &byte)| match byte {
        b'\\' => match text.get(at + 1) {
            Some(b'u' | b'x') => text.get(at + 2).is_some_and(u8::is_ascii_hexdigit),
            Some(b'b' | b'f' | b'n' | b'r' | b't' | b'/' | b'"' | b'\\') => true,
            _ => false,
        },
        0x1b => true,
        _ => false,
    })
}

/// Whether a byte of decoded text is written as an escape.
pub fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str) -> Option<String> {
        let (mut plain, mut out) = (Vec::new(), Vec::new());
        decode(text.as_bytes(), &mut plain).then(|| {
            encode(&plain, &mut out);
            String::from_utf8(out).unwrap()
        })
    }

    #[test]
    fn as_orjson_writes_them() {
        for (text, wanted) in [
            (r#"a\"b\\c\nd\te\rf\bg\f"#, r#"a\"b\\c\nd\te\rf\bg\f"#),
            (r"\/\u002f\u0041", "//A"),
            (r"\u000a\u0000\u001B\u007f", "\\n\\u0000\\u001b\u{7f}"),
            (r"\u0022\u005c", r#"\"\\"#),
            (r"\u00e9\ud83d\ude00", "\u{e9}\u{1f600}"),
        ] {
            assert_eq!(again(text).as_deref(), Some(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_left_to_the_reference() {
        for text in ["\n", r"\x41", r"\ud800", r"\ud800\u0041", r"\udc00", r"\u12", r"\u12g4", r"\u+123", "\\"] {
            assert_eq!(again(text), None, "{text}");
        }
    }

    #[test]
    fn encoded_twice() {
        for text in [r"\u0041", r"\x41", r#"\""#, r"\\", r"\n", "\u{1b}[1m"] {
            assert!(may_be_encoded(text.as_bytes()), "{text}");
        }
        for text in [r"C:\Users\x", "a\nb\"c", "\\"] {
            assert!(!may_be_encoded(text.as_bytes()), "{text}");
        }
    }
}
