//! Request heads in their plainest form, the one that every reader of HTTP reads alike.
//!
//! The reference is `logops_fast/http/head.py`, with llhttp. What has any other form is handed back to it, right or wrong:
//! another method or version, a name that is repeated or holds `_`, white space or bytes that are rare, and each field that
//! changes the framing, other than Content-Length.

/// Names that are longer are handed back.
pub const LONGEST_NAME: usize = 40;
const LONGEST_LENGTH: usize = 18; // digits: below 2^63

/// As `HttpLimits`.
pub struct Limits {
    pub request_line: usize,
    pub header_fields: usize,
    pub header_bytes: usize,
}

pub struct Field<'a> {
    name: [u8; LONGEST_NAME],
    size: usize,
    pub value: &'a [u8],
}

impl Field<'_> {
    /// In lower case.
    pub fn name(&self) -> &[u8] {
        &self.name[..self.size]
    }
}

pub struct Head<'a> {
    pub target: &'a [u8],
    /// The target up to its `?`.
    pub path: &'a [u8],
    pub length: Option<u64>,
    pub fields: Vec<Field<'a>>,
}

/// Read a head, from its first byte to the empty line included; None if it has another form.
pub fn read<'a>(block: &'a [u8], limits: &Limits) -> Option<Head<'a>> {
    let rest = block.strip_prefix(b"POST ")?;
    let (target, rest) = rest.split_at(rest.iter().position(|&byte| CLASS[byte as usize] & TARGET == 0)?);
    let mut rest = rest.strip_prefix(b" HTTP/1.1\r\n")?;
    let line = block.len() - rest.len() - 2;
    if target.first() != Some(&b'/') || line > limits.request_line || rest.len() > limits.header_bytes {
        return None;
    }
    let query = target.iter().position(|&byte| byte == b'?').unwrap_or(target.len());
    let mut head = Head { target, path: &target[..query], length: None, fields: Vec::with_capacity(16) };
    let mut has_host = false;
    while rest != b"\r\n" {
        let (field, after) = field(rest)?;
        match field.name() {
            b"host" => {
                has_host = field.value.iter().all(|&byte| CLASS[byte as usize] & HOST != 0);
                if !has_host {
                    return None;
                }
            }
            b"content-length" => head.length = Some(number(field.value)?),
            b"connection" if field.value != b"keep-alive" => return None,
            b"transfer-encoding" | b"upgrade" | b"expect" | b"proxy-connection" => return None,
            _ => {}
        }
        if head.fields.len() >= limits.header_fields || head.fields.iter().any(|other| other.name() == field.name()) {
            return None;
        }
        head.fields.push(field);
        rest = after;
    }
    has_host.then_some(head)
}

fn field(line: &[u8]) -> Option<(Field<'_>, &[u8])> {
    let size = line.iter().position(|&byte| CLASS[byte as usize] & NAME == 0)?;
    if line[size] != b':' || size == 0 || size > LONGEST_NAME {
        return None;
    }
    let mut name = [0; LONGEST_NAME];
    name[..size].copy_from_slice(&line[..size]);
    name[..size].make_ascii_lowercase();
    let rest = &line[size + 1..];
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let (value, rest) = rest.split_at(rest.iter().position(|&byte| !(b' '..=b'~').contains(&byte))?);
    if value.first().is_none_or(|&byte| byte == b' ') || value.last() == Some(&b' ') {
        return None;
    }
    Some((Field { name, size, value }, rest.strip_prefix(b"\r\n")?))
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.len() > LONGEST_LENGTH || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

const TARGET: u8 = 1;
const NAME: u8 = 2;
const HOST: u8 = 4;
/// What a byte may be part of.
const CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        if (byte as u8).is_ascii_alphanumeric() {
            classes[byte] = TARGET | NAME | HOST;
        }
        byte += 1;
    }
    mark(mark(mark(classes, b"-._~:/?@!$&'()*+,;=%", TARGET), b"!#$%&'*+-.^`|~", NAME), b"-._~:[]", HOST)
}

const fn mark(mut classes: [u8; 256], bytes: &[u8], class: u8) -> [u8; 256] {
    let mut at = 0;
    while at < bytes.len() {
        classes[bytes[at] as usize] |= class;
        at += 1;
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { request_line: 30, header_fields: 4, header_bytes: 80 };

    fn names(text: &str) -> Option<Vec<String>> {
        let head = read(text.as_bytes(), &LIMITS)?;
        Some(head.fields.iter().map(|field| String::from_utf8_lossy(field.name()).into_owned()).collect())
    }

    #[test]
    fn a_plain_head_is_read() {
        let text = b"POST /a/b?c=/d HTTP/1.1\r\nHOST: x:1\r\nContent-Length: 0012\r\nA:b c\r\n\r\n";
        let head = read(text, &LIMITS).unwrap();
        assert_eq!((head.target, head.path, head.length), (&b"/a/b?c=/d"[..], &b"/a/b"[..], Some(12)));
        let fields: Vec<_> = head.fields.iter().map(|field| (field.name(), field.value)).collect();
        assert_eq!(fields, [(&b"host"[..], &b"x:1"[..]), (b"content-length", b"0012"), (b"a", b"b c")]);
    }

    #[test]
    fn every_other_form_is_handed_back() {
        for text in [
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST / HTTP/1.0\r\nHost: x\r\n\r\n",
            "POST x HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST /# HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST  / HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST / HTTP/1.1\nHost: x\r\n\r\n",
            "POST / HTTP/1.1\r\nA: x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x y\r\n\r\n",
            "POST / HTTP/1.1\r\nHost : x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nhost: x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nA_B: x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nA:  x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nA: x \r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nA: \r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nA: x\r\n y\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nA: x\ry\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nA: x\ny\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nA: \u{e9}\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\n: x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1234567890123456789\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\n",
            "POST / HTTP/1.1\r\n\r\n",
            "",
        ] {
            assert_eq!(names(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_limits_are_the_references() {
        let with = |target: usize, value: usize, fields: usize| {
            let more: String = (0..fields).map(|number| format!("A{number}: b\r\n")).collect();
            names(&format!("POST /{} HTTP/1.1\r\nHost: {}\r\n{more}\r\n", "t".repeat(target), "x".repeat(value)))
        };
        assert!(with(15, 1, 0).is_some() && with(16, 1, 0).is_none());
        assert!(with(1, 70, 0).is_some() && with(1, 71, 0).is_none());
        assert!(with(1, 1, 3).is_some() && with(1, 1, 4).is_none());
    }
}
