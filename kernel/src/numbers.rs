//! JSON numbers that the reference writes as they came.

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// A whole number of at most 18 digits.
    Whole,
    /// A decimal whose shortest form is the text itself.
    Decimal,
}

const MOST_DIGITS: usize = 18;
/// Any decimal of so many digits is the shortest that reads as the same double (IEEE 754).
const EXACT_DIGITS: usize = 15;
/// From 13 digits on the whole part might be a card's number.
const CARD_DIGITS: usize = 13;

/// Return what the number `text` (of the characters `-+.eE0-9`) is; None if it is not certain that it is written so.
pub fn number(text: &[u8]) -> Option<Number> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if whole == 0 || (whole > 1 && digits[0] == b'0') {
        return None;
    }
    if whole == digits.len() {
        // -0 is written 0; a negative number that is long is left to the reference.
        let plain = digits.len() == text.len() || (digits != b"0" && whole < CARD_DIGITS);
        return (plain && whole <= MOST_DIGITS).then_some(Number::Whole);
    }
    let fraction = digits[whole..].strip_prefix(b".")?;
    if fraction.is_empty() || !fraction.iter().all(u8::is_ascii_digit) || whole >= CARD_DIGITS {
        return None;
    }
    if fraction != b"0" && fraction.ends_with(b"0") {
        return None;
    }
    if digits[0] == b'0' && fraction.starts_with(b"000") {
        return None; // written with an exponent
    }
    if whole + fraction.len() > EXACT_DIGITS {
        let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
        if format!("{value:?}").as_bytes() != text {
            return None;
        }
    }
    Some(Number::Decimal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_they_came() {
        for whole in ["0", "7", "-7", "123456789012345678", "1764064811450"] {
            assert_eq!(number(whole.as_bytes()), Some(Number::Whole), "{whole}");
        }
        for decimal in ["0.5", "-0.5", "129.9", "5.0", "0.001", "1764064811.450091", "0.1234567890123456"] {
            assert_eq!(number(decimal.as_bytes()), Some(Number::Decimal), "{decimal}");
        }
        for other in [
            "-0",
            "01",
            "",
            "-",
            "1.",
            ".5",
            "1e5",
            "1.50",
            "0.0001",
            "1234567890123456789",
            "0.12345678901234567890",
            "1234567890123.5",
            "-1234567890123",
            "1.2.3",
            "+1",
        ] {
            assert_eq!(number(other.as_bytes()), None, "{other}");
        }
    }
}
