//! Whatever the bytes are, the kernel neither panics (that would end the worker) nor reads outside of the body.

use logops_kernel::escapes;
use logops_kernel::events::{read, Ask, Outcome, Part, Request, Scratch};
use logops_kernel::head;
use logops_kernel::layouts::{Item, Layouts, Plan, Role};
use logops_kernel::otlp::{Export, Limits};
use logops_kernel::table::{Endings, Table};
use proptest::prelude::*;

fn table() -> Table {
    let levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
    Table {
        levels: levels.iter().map(|name| name.as_bytes().to_vec()).collect(),
        spellings: levels.iter().enumerate().map(|(level, name)| (name.as_bytes().to_vec(), level)).collect(),
        scales: vec![(0..1000).map(|number| (number < 70).then_some(number / 12)).collect(); 6],
        otel_scale: 2,
        leading: [(b"ERROR:".to_vec(), 4)].into(),
        longest_leading: 14,
        front: [b"err".to_vec()].into(),
        default_level: 2,
        offsets: [(b"+02:00".to_vec(), 120)].into(),
        cards: [(*b"4111", 1 << 13 | 1 << 16 | 1 << 19), (*b"3782", 1 << 15)].into(),
        places: vec![b",\"emitter\":\xf8}\n".to_vec(); 4],
        masks: true,
        endings: Endings::of([b"password".to_vec(), b"authorization".to_vec()].into()),
        plain_before: b"[<|,;@!".to_vec(),
        suspect: b".nNrRsSdDeE:=\"' ".to_vec(),
        name_ends: b"nNsSrRdDeE. >(_-".to_vec(),
        units: vec![b"service".to_vec()],
        ..Table::default()
    }
}

fn layouts() -> Layouts {
    let mut layouts = Layouts::default();
    let item = |role, name: &str| Item { role, name: format!(",\"{name}\":").into_bytes(), last: b'x' };
    let settled = Plan {
        items: vec![
            item(Role::Time(0), "ts"),
            item(Role::Level(1, 0), "level"),
            item(Role::Message(2, true), "msg"),
            item(Role::Copy(3), "a"),
        ],
        time: Some(0),
        constants: 0,
        telltale: false,
    };
    layouts.learn(b"ts\"level\"msg\"a\"".to_vec(), Some(settled));
    let searched = Plan {
        items: vec![
            item(Role::Message(0, false), "msg"),
            item(Role::Receipt, "ts"),
            item(Role::Leading(0, false), "level"),
        ],
        time: None,
        constants: 1,
        telltale: true,
    };
    layouts.learn(b"msg\"".to_vec(), Some(searched));
    layouts.learn_name(b"b".to_vec(), true);
    layouts
}

/// Pieces of JSON, and of what the masks look for.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            "\n",
            " ",
            "\\\"",
            "\\n",
            "\\u00e9",
            "\\ud83d\\ude00",
            "\\u001b[",
            "{\"ts\":\"2026-03-01T00:00:01Z\",\"level\":\"INFO\",\"msg\":\"",
            "\",\"a\":",
            "{\"msg\":\"",
            "\"}",
            "{\"b\":",
            "\"\u{e9}\"",
            "4111 1111 1111 1111",
            "4111111111111111",
            "3782-822463-10005",
            "-",
            "10.1.2.3",
            "=",
            "'",
            "bob@example.com",
            "2001:db8::1",
            "::",
            "Authorization: Bearer ",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJk.c2ln",
            "password",
            "true",
            "null",
            "1764064811450",
            "1.5",
            "1e9",
            "30",
            "@",
            ".",
            "_0123456789abcdef",
            "A",
            "AKIA",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn check(body: &[u8], out: &Outcome) -> Result<(), TestCaseError> {
    let mut at = 0;
    for one in &out.handed {
        prop_assert!(at <= one.place && one.place <= out.lines.len());
        at = one.place;
        let held = if one.ask == Ask::Mask { out.unmasked.len() } else { body.len() };
        prop_assert!(one.start <= one.end && one.end <= held);
    }
    prop_assert!(out.end <= body.len());
    let lines = out.lines.iter().chain(&out.unmasked).filter(|&&byte| byte == b'\n').count();
    prop_assert_eq!(lines, out.count);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bodies(body in text(), by_line: bool, wrapped: bool, start in 0..40usize, size in 1..400usize) {
        let (table, layouts) = (table(), layouts());
        let body = if wrapped { [b"[".as_slice(), &body, b"]"].concat() } else { body };
        let constants = [&b",\"emitter\":\"e\"}\n"[..]; 4];
        let request = Request { constants: &constants, zone_is_utc: true, receipt: 1_764_064_811_000_000 };
        let mut scratch = Scratch::default();
        for part in [Part::whole(&body, by_line), Part { start, size, by_line, may_be_envelope: true }] {
            if let Ok(out) = read(&body, part, &table, &layouts, &request, &mut scratch) {
                check(&body, &out)?;
            }
        }
    }

    #[test]
    fn heads(pieces in prop::collection::vec(prop::sample::select(vec![
        &b"POST "[..], b"/", b" HTTP/1.1", b"\r\n", b"\r\n\r\n", b"Host: x\r\n", b"Content-Length: 12\r\n", b"A", b":", b" ", b"\t", b"\xff", b"\0",
        b"0123456789012345678", b"a-name-that-is-longer-than-any-other-name-of-a-field", b"_",
    ]), 0..20), plain: bool) {
        let start = if plain { &b"POST / HTTP/1.1\r\nHost: x\r\n"[..] } else { b"" };
        let block = [start, &pieces.concat()].concat();
        let limits = head::Limits { request_line: 40, header_fields: 4, header_bytes: 200 };
        if let Some(found) = head::read(&block, &limits) {
            prop_assert!(block.ends_with(b"\r\n\r\n") && found.target.starts_with(found.path) && found.fields.len() <= 4);
        }
    }

    #[test]
    fn exports(body in prop::collection::vec(prop_oneof![
        prop::sample::select(vec![0x0au8, 0x12, 0x1a, 0x2a, 0x32, 0x09, 0x10, 0x18, 0x21, 0x3a, 1, 2, 3, 4, 8]),
        any::<u8>(),
    ], 0..200), before in 0..3usize) {
        let (table, layouts) = (table(), layouts());
        let (mut text, mut spellings) = (Vec::new(), Vec::new());
        let mut export = Export {
            limits: Limits { event_bytes: 100, stored_bytes: 1000, items: 10 },
            table: &table,
            layouts: &layouts,
            text: &mut text,
            spellings: &mut spellings,
            before,
            records: 0,
            most: 50,
            is_full: false,
        };
        if export.read(&body).is_ok() {
            let records = export.records;
            prop_assert_eq!(text.iter().filter(|&&byte| byte == b'\n').count(), records);
        }
    }

    #[test]
    fn escapes_are_written_as_they_were_read(text: String) {
        let (mut written, mut read) = (Vec::new(), Vec::new());
        escapes::encode(text.as_bytes(), &mut written);
        prop_assert!(escapes::decode(&written, &mut read));
        prop_assert_eq!(read, text.into_bytes());
    }
}
