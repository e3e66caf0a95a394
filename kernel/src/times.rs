//! Times as the reference writes them: `YYYY-MM-DDTHH:MM:SS[.fraction]Z`. What is not certain is left to the reference.

const DAY: i64 = 86_400;
/// The year that the reference's calendar ends with.
const LAST_YEAR: i64 = 9999;
/// A smaller number is no time.
const LEAST_NUMBER: u128 = 100_000_000;
/// Characters of a text that is looked at.
const LONGEST: usize = 128;

/// Offsets from UTC as loggers write them, in minutes; from the reference's table.
pub type Offsets = std::collections::HashMap<Vec<u8>, i64>;

/// Append the time that `text` names to `out`; false, and nothing appended, if it is not in one of the usual forms.
pub fn from_text(text: &[u8], offsets: &Offsets, zone_is_utc: bool, out: &mut Vec<u8>) -> bool {
    if text.iter().all(u8::is_ascii_digit) {
        // Fourteen digits may be a date without its separators.
        let date = text.len() == 14 && (text.starts_with(b"19") || text.starts_with(b"20"));
        return (9..=20).contains(&text.len()) && !date && from_number(text, b"", out);
    }
    if text.len() < 19 || text.len() > LONGEST {
        return false;
    }
    let (date, rest) = text.split_at(19);
    if date[4] != b'-' || date[7] != b'-' || !matches!(date[10], b'T' | b' ') || date[13] != b':' || date[16] != b':' {
        return false;
    }
    let Some(fields) = fields(date) else {
        return false;
    };
    let digits = match rest.first() {
        Some(b'.' | b',') => rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count(),
        _ => 0,
    };
    let (fraction, zone) = if digits > 0 { (&rest[1..=digits], &rest[digits + 1..]) } else { (&rest[..0], rest) };
    let offset = match zone {
        b"Z" => 0,
        b"" if zone_is_utc => 0,
        _ => match offsets.get(zone) {
            Some(&minutes) => minutes,
            None => return false,
        },
    };
    if offset == 0 {
        out.extend_from_slice(&date[..10]);
        out.push(b'T');
        out.extend_from_slice(&date[11..]);
    } else {
        let [year, month, day, hour, minute, second] = fields;
        let seconds = days_of(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset * 60;
        if !put_seconds(seconds, out) {
            return false;
        }
    }
    put_fraction(fraction, out);
    true
}

/// Append the time that a whole number of seconds, milliseconds, microseconds or nanoseconds is, by its size.
/// `fraction`: the digits after its point.
pub fn from_number(whole: &[u8], fraction: &[u8], out: &mut Vec<u8>) -> bool {
    if whole.is_empty() || whole.len() > 20 || !whole.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let number = whole.iter().fold(0u128, |number, digit| number * 10 + u128::from(digit - b'0'));
    if number < LEAST_NUMBER {
        return false;
    }
    let places = match whole.len() - whole.iter().take_while(|&&digit| digit == b'0').count() {
        ..=11 => 0,
        12..=14 => 3,
        15..=17 => 6,
        18..=20 => 9,
        _ => return false,
    };
    let (seconds, rest) = whole.split_at(whole.len() - places);
    let seconds = seconds.iter().fold(0i64, |number, digit| number * 10 + i64::from(digit - b'0'));
    if !put_seconds(seconds, out) {
        return false;
    }
    if !rest.is_empty() || !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(rest);
        out.extend_from_slice(fraction);
    }
    out.push(b'Z');
    true
}

/// Append microseconds since 1970.
pub fn from_micros(micros: u64, out: &mut Vec<u8>) -> bool {
    let Ok(seconds) = i64::try_from(micros / 1_000_000) else {
        return false;
    };
    if !put_seconds(seconds, out) {
        return false;
    }
    put_fraction(format!("{:06}", micros % 1_000_000).as_bytes(), out);
    true
}

/// Append nanoseconds since 1970.
pub fn from_nanos(nanos: u64, out: &mut Vec<u8>) -> bool {
    let Ok(seconds) = i64::try_from(nanos / 1_000_000_000) else {
        return false;
    };
    if !put_seconds(seconds, out) {
        return false;
    }
    let mut text = *b".000000000Z";
    let mut rest = nanos % 1_000_000_000;
    for place in text[1..10].iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&text);
    true
}

fn put_fraction(fraction: &[u8], out: &mut Vec<u8>) {
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
    out.push(b'Z');
}

/// Year, month, day, hour, minute and second of `YYYY-MM-DD?HH:MM:SS`; None if no calendar has it.
fn fields(date: &[u8]) -> Option<[i64; 6]> {
    let number = |start: usize, end: usize| {
        let digits = &date[start..end];
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| digits.iter().fold(0i64, |number, digit| number * 10 + i64::from(digit - b'0')))
    };
    let found = [number(0, 4)?, number(5, 7)?, number(8, 10)?, number(11, 13)?, number(14, 16)?, number(17, 19)?];
    let [year, month, day, hour, minute, second] = found;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    (year >= 1 && (1..=longest).contains(&day) && hour < 24 && minute < 60 && second < 60).then_some(found)
}

/// Days since 1970 of a date of the Gregorian calendar (Hinnant, days_from_civil).
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Append seconds since 1970 as `YYYY-MM-DDTHH:MM:SS`; false outside of the years 1 to 9999.
fn put_seconds(seconds: i64, out: &mut Vec<u8>) -> bool {
    let (days, rest) = (seconds.div_euclid(DAY) + 719_468, seconds.rem_euclid(DAY));
    let era = days.div_euclid(146_097);
    let of_era = days - era * 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    if !(1..=LAST_YEAR).contains(&year) {
        return false;
    }
    let mut text = *b"0000-00-00T00:00:00";
    let mut put = |end: usize, digits: usize, mut number: i64| {
        for place in (end - digits..end).rev() {
            text[place] = b'0' + (number % 10) as u8;
            number /= 10;
        }
    };
    put(4, 4, year);
    put(7, 2, month);
    put(10, 2, day);
    put(13, 2, rest / 3600);
    put(16, 2, rest / 60 % 60);
    put(19, 2, rest % 60);
    out.extend_from_slice(&text);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        let offsets = Offsets::from([(b"+02:00".to_vec(), 120), (b"-0530".to_vec(), -330), (b"+00:00".to_vec(), 0)]);
        let mut out = Vec::new();
        from_text(text.as_bytes(), &offsets, true, &mut out).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn texts() {
        assert_eq!(read("2026-11-25T10:00:00Z").as_deref(), Some("2026-11-25T10:00:00Z"));
        assert_eq!(read("2026-11-25 10:00:00,123").as_deref(), Some("2026-11-25T10:00:00.123Z"));
        assert_eq!(read("2026-01-01T01:00:00.5+02:00").as_deref(), Some("2025-12-31T23:00:00.5Z"));
        assert_eq!(read("2024-02-29T23:59:59-0530").as_deref(), Some("2024-03-01T05:29:59Z"));
        for none in ["2026-02-29T10:00:00Z", "2026-11-25T24:00:00Z", "2026-11-25T10:00:60Z", "2026-11-25T10:00:00."] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn numbers() {
        for (whole, fraction, wanted) in [
            ("1764064811", "450091", "2025-11-25T10:00:11.450091Z"),
            ("1764064811450", "", "2025-11-25T10:00:11.450Z"),
            ("1764064811450091", "", "2025-11-25T10:00:11.450091Z"),
            ("1764064811450091007", "", "2025-11-25T10:00:11.450091007Z"),
            ("100000000", "", "1973-03-03T09:46:40Z"),
        ] {
            let mut out = Vec::new();
            assert!(from_number(whole.as_bytes(), fraction.as_bytes(), &mut out));
            assert_eq!(String::from_utf8(out).unwrap(), wanted);
        }
        assert!(!from_number(b"99999999", b"", &mut Vec::new()));
    }

    #[test]
    fn every_day_of_the_calendar() {
        let (mut year, mut month, mut day) = (1i64, 1i64, 1i64);
        let first = days_of(1, 1, 1);
        for at in 0..3_652_059 {
            assert_eq!(days_of(year, month, day), first + at);
            let mut out = Vec::new();
            assert!(put_seconds((first + at) * DAY, &mut out));
            assert_eq!(&out[..10], format!("{year:04}-{month:02}-{day:02}").as_bytes());
            day += 1;
            if fields(format!("{year:04}-{month:02}-{day:02}T00:00:00").as_bytes()).is_none() {
                day = 1;
                month += 1;
                if month > 12 {
                    month = 1;
                    year += 1;
                }
            }
        }
    }
}
