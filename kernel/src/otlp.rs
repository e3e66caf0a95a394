//! OTLP in protobuf (opentelemetry-proto 1.x, ExportLogsServiceRequest): each record becomes the JSON text of its event, as
//! the reference's parser makes it. What is unusual leaves the whole body to the reference.

use crate::escapes;
use crate::events::MOST_UNKNOWN;
use crate::layouts::Layouts;
use crate::table::{Level, Table};
use crate::times;
use crate::tokens::Refused;
use crate::wire::Wire;

/// Deeper values are left to the reference.
const DEEPEST: usize = 16;
/// Attributes of a resource; more are left to the reference.
const MOST_ATTRIBUTES: usize = 64;

/// What a body may hold.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Of a record with its resource and scope, in bytes.
    pub event_bytes: usize,
    /// Of all records, each with its resource and scope.
    pub stored_bytes: usize,
    /// Records, and resources and scopes.
    pub items: usize,
}

/// Makes events of one body.
pub struct Export<'a> {
    pub limits: Limits,
    pub table: &'a Table,
    pub layouts: &'a Layouts,
    /// Events, one a line.
    pub text: &'a mut Vec<u8>,
    /// Spellings of levels to learn; then the body is left to the reference.
    pub spellings: &'a mut Vec<(usize, Vec<u8>)>,
    /// Records that were read in the steps before.
    pub before: usize,
    /// Records of which `text` holds the events.
    pub records: usize,
    /// Bytes of text after which a step ends.
    pub most: usize,
    /// Whether this step has ended.
    pub is_full: bool,
}

/// What all records of a resource have in common.
#[derive(Default)]
struct Origin {
    /// `"app":...,"host":...,` as they come after the message.
    names: Vec<u8>,
    /// `,"resource":{...}`
    resource: Vec<u8>,
}

/// An AnyValue.
enum Value<'a> {
    Null,
    Text(&'a [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    Array(&'a [u8]),
    List(&'a [u8]),
    Bytes(&'a [u8]),
}

impl Export<'_> {
    /// Read an ExportLogsServiceRequest: resource_logs = 1. Records that were read before are passed over.
    pub fn read(&mut self, body: &[u8]) -> Result<(), Refused> {
        let mut wire = Wire(body);
        while let Some(tag) = wire.tag()? {
            if tag != 0x0a {
                return Err(Refused);
            }
            self.limits.items = self.limits.items.checked_sub(1).ok_or(Refused)?;
            self.resource_logs(wire.bytes()?)?;
            if self.is_full {
                break;
            }
        }
        if self.spellings.is_empty() {
            Ok(())
        } else {
            Err(Refused)
        }
    }

    /// Read a ResourceLogs: resource = 1, scope_logs = 2, schema_url = 3. The resource may come last.
    fn resource_logs(&mut self, body: &[u8]) -> Result<(), Refused> {
        let (mut resource, mut schema_url): (&[u8], &[u8]) = (b"", b"");
        let mut wire = Wire(body);
        while let Some(tag) = wire.tag()? {
            match tag {
                0x0a => resource = wire.bytes()?,
                0x12 => _ = wire.bytes()?,
                0x1a => schema_url = wire.bytes()?,
                _ => return Err(Refused),
            }
        }
        let size = resource.len() + schema_url.len();
        // Only made if a record is left to be read, or to see that it can be.
        let mut origin = None;
        let left = self.before;
        let mut wire = Wire(body);
        while let Some(tag) = wire.tag()? {
            let field = wire.bytes()?;
            if tag == 0x12 && !self.is_full {
                self.limits.items = self.limits.items.checked_sub(1).ok_or(Refused)?;
                self.scope_logs(field, size, &mut || resource_of(resource, schema_url), &mut origin)?;
            }
        }
        if origin.is_none() && self.before == left {
            resource_of(resource, schema_url)?;
        }
        Ok(())
    }

    /// Read a ScopeLogs: scope = 1, log_records = 2, schema_url = 3. `size`: of the resource.
    fn scope_logs(
        &mut self,
        body: &[u8],
        size: usize,
        make: &mut dyn FnMut() -> Result<Origin, Refused>,
        origin: &mut Option<Origin>,
    ) -> Result<(), Refused> {
        let (mut scope, mut schema_url): (&[u8], &[u8]) = (b"", b"");
        let mut wire = Wire(body);
        while let Some(tag) = wire.tag()? {
            match tag {
                0x0a => scope = wire.bytes()?,
                0x12 => _ = wire.bytes()?,
                0x1a => schema_url = wire.bytes()?,
                _ => return Err(Refused),
            }
        }
        let shared = size + scope.len() + schema_url.len();
        let left = self.before;
        let mut is_made = false;
        let mut text = Vec::new();
        let mut wire = Wire(body);
        while let Some(tag) = wire.tag()? {
            let record = wire.bytes()?;
            if tag != 0x12 || self.is_full {
                continue;
            }
            let size = shared + record.len();
            if size > self.limits.event_bytes {
                return Err(Refused);
            }
            self.limits.stored_bytes = self.limits.stored_bytes.checked_sub(size).ok_or(Refused)?;
            if self.before > 0 {
                self.before -= 1;
                continue;
            }
            if self.text.len() >= self.most {
                self.is_full = true;
                continue;
            }
            if !is_made {
                put_scope(scope, schema_url, &mut text)?;
                is_made = true;
            }
            if origin.is_none() {
                *origin = Some(make()?);
            }
            if let Some(origin) = origin.as_ref() {
                self.record(record, origin, &text)?;
                self.records += 1;
            }
        }
        if !is_made && self.before == left && !self.is_full {
            put_scope(scope, schema_url, &mut text)?;
        }
        Ok(())
    }

    /// Write the event of a LogRecord.
    fn record(&mut self, body: &[u8], origin: &Origin, scope: &[u8]) -> Result<(), Refused> {
        let (mut time, mut observed, mut number, mut flags, mut dropped) = (0u64, 0u64, 0u64, 0u32, 0u64);
        let (mut severity, mut trace, mut span, mut name): (&[u8], &[u8], &[u8], &[u8]) = (b"", b"", b"", b"");
        let mut message = Value::Null;
        let mut has_attributes = false;
        let mut wire = Wire(body);
        while let Some(tag) = wire.tag()? {
            match tag {
                0x09 => time = wire.fixed64()?,
                0x10 => number = wire.varint()?,
                0x1a => severity = wire.bytes()?,
                0x2a => message = value(wire.bytes()?)?,
                0x32 => {
                    has_attributes = true;
                    _ = wire.bytes()?;
                }
                0x38 => dropped = wire.varint()?,
                0x45 => flags = wire.fixed32()?,
                0x4a => trace = wire.bytes()?,
                0x52 => span = wire.bytes()?,
                0x59 => observed = wire.fixed64()?,
                0x62 => name = wire.bytes()?,
                _ => return Err(Refused),
            }
        }
        let by_number = usize::try_from(number)
            .ok()
            .and_then(|number| self.table.scales[self.table.otel_scale].get(number).copied().flatten());
        let by_text = self.level(severity)?;
        let level = by_text.or(by_number);
        let text = &mut *self.text;
        text.push(b'{');
        if time != 0 || observed != 0 {
            text.extend_from_slice(b"\"ts\":");
            put_time(if time != 0 { time } else { observed }, text)?;
            text.push(b',');
        }
        if let Some(level) = level {
            text.extend_from_slice(b"\"level\":\"");
            text.extend_from_slice(&self.table.levels[level]);
            text.extend_from_slice(b"\",");
        }
        if by_text.is_none() && !severity.is_empty() {
            text.extend_from_slice(if level.is_none() { b"\"level\":" } else { b"\"level_raw\":" });
            put_text(severity, text)?;
            text.push(b',');
        }
        text.extend_from_slice(b"\"msg\":");
        match message {
            Value::Null => text.extend_from_slice(b"\"\""),
            Value::Text(_) | Value::Bytes(_) => put_value(&message, text, 0)?,
            // The reference makes it a text, in which it looks for a level.
            _ if level.is_none() => return Err(Refused),
            Value::Double(number) if !number.is_finite() => return Err(Refused),
            _ => put_value(&message, text, 0)?,
        }
        text.extend_from_slice(&origin.names);
        for (member, id) in [(b",\"trace_id\":\"".as_slice(), trace), (b",\"span_id\":\"", span)] {
            // One of zeros says that there is none (W3C Trace Context, 3.2.2.3).
            if id.iter().any(|&byte| byte != 0) {
                text.extend_from_slice(member);
                put_hex(id, text);
                text.push(b'"');
            }
        }
        if !name.is_empty() {
            text.extend_from_slice(b",\"event_name\":");
            put_text(name, text)?;
        }
        if number != 0 && (by_number != level || (number - 1) % 4 != 0) {
            put_number(b",\"severity_number\":", number, text);
        }
        if flags != 0 {
            put_number(b",\"trace_flags\":", u64::from(flags), text);
        }
        if time != 0 && observed != 0 && observed != time {
            text.extend_from_slice(b",\"observed_ts\":");
            put_time(observed, text)?;
        }
        if has_attributes {
            text.extend_from_slice(b",\"attributes\":{");
            let mut wire = Wire(body);
            let mut is_first = true;
            while let Some(tag) = wire.tag()? {
                match tag {
                    0x32 => put_member(wire.bytes()?, &mut is_first, text, 0)?,
                    0x09 | 0x59 => _ = wire.fixed64()?,
                    0x10 | 0x38 => _ = wire.varint()?,
                    0x45 => _ = wire.fixed32()?,
                    _ => _ = wire.bytes()?,
                }
            }
            text.push(b'}');
        }
        if dropped != 0 {
            put_number(b",\"dropped_attributes_count\":", dropped, text);
        }
        text.extend_from_slice(&origin.resource);
        text.extend_from_slice(scope);
        text.extend_from_slice(b"}\n");
        Ok(())
    }

    /// The level that a severity's text is; None if it is none.
    fn level(&mut self, text: &[u8]) -> Result<Option<Level>, Refused> {
        if text.is_empty() {
            return Ok(None);
        }
        if let Some(&level) = self.table.spellings.get(text) {
            return Ok(Some(level));
        }
        let scale = self.table.usual_scale;
        if let Some(level) = self.layouts.spelling(scale, text) {
            return Ok(level);
        }
        if !text.is_ascii() || text.len() > 64 || self.spellings.len() == MOST_UNKNOWN {
            return Err(Refused);
        }
        if !self.spellings.iter().any(|one| one.1 == text) {
            self.spellings.push((scale, text.to_vec()));
        }
        Ok(None)
    }
}

/// Read a Resource: attributes = 1, dropped_attributes_count = 2.
fn resource_of(body: &[u8], schema_url: &[u8]) -> Result<Origin, Refused> {
    let mut members: Vec<(&[u8], &[u8])> = Vec::new();
    let mut dropped = 0;
    let mut wire = Wire(body);
    while let Some(tag) = wire.tag()? {
        match tag {
            0x0a => {
                let (key, value) = key_value(wire.bytes()?)?;
                // Of two equal keys the last wins; the reference knows what that means here.
                if members.len() == MOST_ATTRIBUTES || members.iter().any(|member| member.0 == key) {
                    return Err(Refused);
                }
                members.push((key, value));
            }
            0x10 => dropped = wire.varint()?,
            _ => return Err(Refused),
        }
    }
    let mut origin = Origin::default();
    for (key, member) in [(b"service.name".as_slice(), b",\"app\":".as_slice()), (b"host.name", b",\"host\":")] {
        let Some(place) = members.iter().position(|one| one.0 == key) else {
            continue;
        };
        match value(members[place].1)? {
            Value::Text(text @ [_, ..]) => {
                origin.names.extend_from_slice(member);
                put_text(text, &mut origin.names)?;
                members.remove(place);
            }
            // Become text, too.
            Value::Bytes(_) => return Err(Refused),
            Value::Double(number) if !number.is_finite() => return Err(Refused),
            _ => {}
        }
    }
    let resource = &mut origin.resource;
    let has = |name: &[u8]| members.iter().any(|member| member.0 == name);
    let mut is_first = true;
    for (key, body) in &members {
        begin(&mut is_first, resource, b",\"resource\":{");
        put_text(key, resource)?;
        resource.push(b':');
        put_value(&value(body)?, resource, 1)?;
    }
    if !schema_url.is_empty() && !has(b"schema_url") {
        begin(&mut is_first, resource, b",\"resource\":{");
        put_schema(schema_url, resource)?;
    }
    if dropped != 0 && !has(b"dropped_attributes_count") {
        begin(&mut is_first, resource, b",\"resource\":{");
        put_number(b"\"dropped_attributes_count\":", dropped, resource);
    }
    if !is_first {
        resource.push(b'}');
    }
    Ok(origin)
}

/// Write an InstrumentationScope: name = 1, version = 2, attributes = 3, dropped_attributes_count = 4.
fn put_scope(body: &[u8], schema_url: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
    const BEGIN: &[u8] = b",\"scope\":{";
    let (mut name, mut version): (&[u8], &[u8]) = (b"", b"");
    let mut attributes = Vec::new();
    let mut no_attributes = true;
    let mut dropped = 0;
    let mut wire = Wire(body);
    while let Some(tag) = wire.tag()? {
        match tag {
            0x0a => name = wire.bytes()?,
            0x12 => version = wire.bytes()?,
            0x1a => put_member(wire.bytes()?, &mut no_attributes, &mut attributes, 1)?,
            0x20 => dropped = wire.varint()?,
            _ => return Err(Refused),
        }
    }
    let mut is_first = true;
    for (member, text) in [(b"\"name\":".as_slice(), name), (b"\"version\":", version)] {
        if !text.is_empty() {
            begin(&mut is_first, out, BEGIN);
            out.extend_from_slice(member);
            put_text(text, out)?;
        }
    }
    if !no_attributes {
        begin(&mut is_first, out, BEGIN);
        out.extend_from_slice(b"\"attributes\":{");
        out.extend_from_slice(&attributes);
        out.push(b'}');
    }
    if !schema_url.is_empty() {
        begin(&mut is_first, out, BEGIN);
        put_schema(schema_url, out)?;
    }
    if dropped != 0 {
        begin(&mut is_first, out, BEGIN);
        put_number(b"\"dropped_attributes_count\":", dropped, out);
    }
    if !is_first {
        out.push(b'}');
    }
    Ok(())
}

/// Begin an object, or its next member.
fn begin(is_first: &mut bool, out: &mut Vec<u8>, first: &[u8]) {
    out.extend_from_slice(if *is_first { first } else { b"," });
    *is_first = false;
}

/// The reference counts the characters of a schema's URL.
fn put_schema(url: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
    if !url.is_ascii() {
        return Err(Refused);
    }
    out.extend_from_slice(b"\"schema_url\":");
    put_text(url, out)
}

/// Read a KeyValue: key = 1, value = 2.
fn key_value(body: &[u8]) -> Result<(&[u8], &[u8]), Refused> {
    let (mut key, mut value): (&[u8], &[u8]) = (b"", b"");
    let mut wire = Wire(body);
    while let Some(tag) = wire.tag()? {
        match tag {
            0x0a => key = wire.bytes()?,
            // Of two the last counts, but both are read.
            0x12 if value.is_empty() => value = wire.bytes()?,
            _ => return Err(Refused),
        }
    }
    Ok((key, value))
}

/// Read an AnyValue. One with several fields is left to the reference.
fn value(body: &[u8]) -> Result<Value<'_>, Refused> {
    let mut wire = Wire(body);
    let value = match wire.tag()? {
        None => return Ok(Value::Null),
        Some(0x0a) => Value::Text(wire.bytes()?),
        Some(0x10) => Value::Bool(wire.varint()? != 0),
        Some(0x18) => Value::Int(i64::from_le_bytes(wire.varint()?.to_le_bytes())),
        Some(0x21) => Value::Double(f64::from_bits(wire.fixed64()?)),
        Some(0x2a) => Value::Array(wire.bytes()?),
        Some(0x32) => Value::List(wire.bytes()?),
        Some(0x3a) => Value::Bytes(wire.bytes()?),
        Some(_) => return Err(Refused),
    };
    if wire.0.is_empty() {
        Ok(value)
    } else {
        Err(Refused)
    }
}

fn put_value(value: &Value<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), Refused> {
    if depth > DEEPEST {
        return Err(Refused);
    }
    match *value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Text(text) => put_text(text, out)?,
        Value::Bool(yes) => out.extend_from_slice(if yes { b"true" } else { b"false" }),
        Value::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Double(number) if number.is_nan() => out.extend_from_slice(b"\"NaN\""),
        Value::Double(f64::INFINITY) => out.extend_from_slice(b"\"Infinity\""),
        Value::Double(f64::NEG_INFINITY) => out.extend_from_slice(b"\"-Infinity\""),
        Value::Double(number) => out.extend_from_slice(format!("{number:?}").as_bytes()),
        Value::Array(body) => {
            // ArrayValue: values = 1.
            out.push(b'[');
            let mut is_first = true;
            let mut wire = Wire(body);
            while let Some(tag) = wire.tag()? {
                if tag != 0x0a {
                    return Err(Refused);
                }
                begin(&mut is_first, out, b"");
                put_value(&self::value(wire.bytes()?)?, out, depth + 1)?;
            }
            out.push(b']');
        }
        Value::List(body) => {
            // KeyValueList: values = 1.
            out.push(b'{');
            let mut is_first = true;
            let mut wire = Wire(body);
            while let Some(tag) = wire.tag()? {
                if tag != 0x0a {
                    return Err(Refused);
                }
                put_member(wire.bytes()?, &mut is_first, out, depth)?;
            }
            out.push(b'}');
        }
        Value::Bytes(bytes) => {
            out.push(b'"');
            put_base64(bytes, out);
            out.push(b'"');
        }
    }
    Ok(())
}

/// Write a KeyValue as a member. Of two equal keys the last wins when the text is read.
fn put_member(body: &[u8], is_first: &mut bool, out: &mut Vec<u8>, depth: usize) -> Result<(), Refused> {
    let (key, body) = key_value(body)?;
    begin(is_first, out, b"");
    put_text(key, out)?;
    out.push(b':');
    put_value(&value(body)?, out, depth + 1)
}

/// The reference replaces what is no UTF-8.
fn put_text(text: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
    if std::str::from_utf8(text).is_err() {
        return Err(Refused);
    }
    out.push(b'"');
    escapes::encode(text, out);
    out.push(b'"');
    Ok(())
}

fn put_time(nanos: u64, out: &mut Vec<u8>) -> Result<(), Refused> {
    out.push(b'"');
    if !times::from_nanos(nanos, out) {
        return Err(Refused);
    }
    out.push(b'"');
    Ok(())
}

fn put_number(member: &[u8], number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(member);
    out.extend_from_slice(number.to_string().as_bytes());
}

fn put_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// RFC 4648, 4.
fn put_base64(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for three in bytes.chunks(3) {
        let bits =
            three.iter().enumerate().fold(0u32, |bits, (place, &byte)| bits | u32::from(byte) << (16 - 8 * place));
        for place in 0..4 {
            out.push(if place <= three.len() { DIGITS[(bits >> (18 - 6 * place)) as usize & 63] } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(tag: u8, value: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        assert!(value.len() < 0x4000);
        if value.len() > 0x7f {
            out.push(value.len() as u8 | 0x80);
            out.push((value.len() >> 7) as u8);
        } else {
            out.push(value.len() as u8);
        }
        out.extend_from_slice(value);
        out
    }

    fn attribute(tag: u8, key: &str, value: &[u8]) -> Vec<u8> {
        field(tag, &[field(0x0a, key.as_bytes()), field(0x12, value)].concat())
    }

    fn events(record: &[u8], resource: &[u8], scope: &[u8]) -> Option<String> {
        let table = Table {
            levels: vec![b"TRACE".to_vec(), b"DEBUG".to_vec(), b"INFO".to_vec()],
            spellings: [(b"info".to_vec(), 2)].into(),
            scales: vec![Vec::new(), Vec::new(), vec![None, Some(0), Some(0), Some(0), Some(0), Some(1), Some(1)]],
            otel_scale: 2,
            ..Table::default()
        };
        let scope_logs = [field(0x0a, scope), field(0x12, record)].concat();
        let body = field(0x0a, &[field(0x12, &scope_logs), field(0x0a, resource)].concat());
        let (mut text, mut spellings) = (Vec::new(), Vec::new());
        let limits = Limits { event_bytes: 1000, stored_bytes: 10_000, items: 10 };
        let mut export = Export {
            limits,
            table: &table,
            layouts: &Layouts::default(),
            text: &mut text,
            spellings: &mut spellings,
            before: 0,
            records: 0,
            most: 1 << 20,
            is_full: false,
        };
        export.read(&body).ok().map(|()| String::from_utf8(text).unwrap())
    }

    #[test]
    fn a_record() {
        let record = [
            [0x09].to_vec(),
            1_772_323_200_000_000_001u64.to_le_bytes().to_vec(),
            vec![0x10, 6],
            field(0x2a, &field(0x0a, b"say \"a\"")),
            attribute(0x32, "n", &[0x18, 5]),
            attribute(0x32, "b", &field(0x3a, b"ab")),
            field(0x4a, &[0xab; 2]),
            field(0x52, &[0; 8]),
        ]
        .concat();
        let resource = [
            attribute(0x0a, "service.name", &field(0x0a, b"shop")),
            attribute(0x0a, "x", &field(0x2a, &field(0x0a, &[0x10, 1]))),
        ]
        .concat();
        assert_eq!(
            events(&record, &resource, &field(0x0a, b"s")).as_deref(),
            Some(
                "{\"ts\":\"2026-03-01T00:00:00.000000001Z\",\"level\":\"DEBUG\",\"msg\":\"say \\\"a\\\"\",\"app\":\"shop\",\
                 \"trace_id\":\"abab\",\"severity_number\":6,\"attributes\":{\"n\":5,\"b\":\"YWI=\"},\
                 \"resource\":{\"x\":[true]},\"scope\":{\"name\":\"s\"}}\n"
            )
        );
    }

    #[test]
    fn what_is_left_to_the_reference() {
        for record in [
            b"\x22\x01a".to_vec(),                                  // a field that was removed
            field(0x1a, b"unheard"),                                // a spelling to learn
            field(0x2a, &field(0x0a, b"\xff")),                     // no UTF-8
            field(0x2a, &[0x18, 5]),                                // a number as the message, and no level
            field(0x2a, &[0x18, 5, 0x18, 6]),                       // two values
            attribute(0x32, "n", &[0x18]),                          // cut off
            field(0x2a, &field(0x0a, "x".repeat(1000).as_bytes())), // over the limit
        ] {
            assert_eq!(events(&record, b"", b""), None);
        }
    }
}
