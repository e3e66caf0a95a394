//! The interface to Python.

use std::collections::HashSet;
use std::sync::Mutex;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::digest;
use crate::events::{self, Ask, Outcome, Part, Request, Scratch};
use crate::head;
use crate::layouts::{Item, Layouts, Plan, Role};
use crate::otlp::{Export, Limits};
use crate::table::{Endings, Table, LEVELS, SCALES};
use crate::tokens::Refused;

/// Where the line of an event belongs among the finished ones; where the event starts and ends in the body; what is asked:
/// 0 to read it, 1 also to learn its layout, 2 to mask the next of the unmasked lines, 3 to write its level at the place: start
/// and end are those of its message.
type Handed = (usize, usize, usize, u8);
/// What was counted, by name; what did not occur is not in it.
type Counts<'py> = Bound<'py, PyDict>;
/// Lines, unmasked lines, events handed back, events finished, times and levels missing, levels, and what was masked:
/// e-mail, IPv4 and IPv6 addresses, cards, tokens, secrets.
type Lines<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>, Vec<Handed>, usize, u64, u64, Counts<'py>, Counts<'py>);
/// Whether the first event is a slice, new names, new spellings of levels with their scales, where the next part begins.
type News = (bool, Vec<String>, Vec<(usize, String)>, usize);

/// Also the text of the events that are handed back, and how many records were read, if there are more.
type ExportAnswer<'py> = (Lines<'py>, News, Bound<'py, PyBytes>, Option<usize>);

/// Bytes of a body that is read without letting go of the interpreter's lock: to get it back can take longer.
const AT_ONCE: usize = 32_768;

/// Constants that a plan chooses from.
const VARIANTS: usize = 4;

/// One for each worker: it remembers layouts.
#[pyclass(frozen, module = "logops_kernel")]
struct Kernel {
    table: Table,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    layouts: Layouts,
    scratch: Scratch,
    /// Events of an export, as JSON.
    text: Vec<u8>,
}

fn field<'py, T: for<'a> FromPyObject<'a, 'py>>(table: &Bound<'py, PyDict>, name: &str) -> PyResult<T> {
    let value = table.get_item(name)?.ok_or_else(|| PyValueError::new_err(format!("the table has no {name}")))?;
    value.extract().map_err(|_| PyValueError::new_err(format!("{name} of the table is of the wrong type")))
}

#[pymethods]
impl Kernel {
    /// Make a kernel that knows `table` (`logops_fast.ingest.native.table`).
    #[new]
    fn new(table: &Bound<'_, PyDict>) -> PyResult<Self> {
        let levels: Vec<String> = field(table, "levels")?;
        if levels.len() != LEVELS {
            return Err(PyValueError::new_err(format!("the kernel knows {LEVELS} levels")));
        }
        let by_name = |name: &str| -> PyResult<Vec<(String, usize)>> { field(table, name) };
        let endings: Vec<String> = field(table, "endings")?;
        let cards: Vec<(String, u32)> = field(table, "cards")?;
        let offsets: Vec<(String, i64)> = field(table, "offsets")?;
        let scales: Vec<Vec<Option<usize>>> = field(table, "scales")?;
        let places: Vec<Vec<u8>> = field(table, "places")?;
        let (usual_scale, otel_scale): (usize, usize) = (field(table, "usual_scale")?, field(table, "otel_scale")?);
        if scales.len() != SCALES || usual_scale.max(otel_scale) >= SCALES || places.len() != VARIANTS {
            return Err(PyValueError::new_err(format!("the kernel knows {SCALES} scales and {VARIANTS} places")));
        }
        let bytes = |name: &str| -> PyResult<Vec<u8>> { field(table, name) };
        let units: Vec<String> = field(table, "units")?;
        Ok(Kernel {
            table: Table {
                levels: levels.into_iter().map(String::into_bytes).collect(),
                spellings: by_name("spellings")?.into_iter().map(|(name, level)| (name.into_bytes(), level)).collect(),
                scales,
                usual_scale,
                otel_scale,
                leading: by_name("leading")?.into_iter().map(|(word, level)| (word.into_bytes(), level)).collect(),
                longest_leading: field(table, "longest_leading")?,
                front: field::<Vec<String>>(table, "front")?.into_iter().map(String::into_bytes).collect(),
                default_level: field(table, "default_level")?,
                offsets: offsets.into_iter().map(|(text, minutes)| (text.into_bytes(), minutes)).collect(),
                cards: cards
                    .into_iter()
                    .filter_map(|(first, lengths)| Some((*first.as_bytes().first_chunk::<4>()?, lengths)))
                    .collect(),
                places,
                masks: field(table, "masks")?,
                has_own_names: field(table, "has_own_names")?,
                endings: Endings::of(endings.into_iter().map(String::into_bytes).collect::<HashSet<_>>()),
                plain_before: bytes("plain_before")?,
                suspect: bytes("suspect")?,
                name_ends: bytes("name_ends")?,
                units: units.into_iter().map(String::into_bytes).collect(),
            },
            state: Mutex::default(),
        })
    }

    /// Read a body, or the part of `size` bytes at `start`; None if the reference has to read all of it.
    ///
    /// `constants`: for each number that a plan has, what follows the event's own members, up to the newline. `receipt`: in
    /// microseconds since 1970, of the first event without a time; each one after it gets a microsecond of its own.
    #[allow(clippy::too_many_arguments)]
    fn read<'py>(
        &self,
        py: Python<'py>,
        body: &[u8],
        by_line: bool,
        constants: Vec<Bound<'py, PyBytes>>,
        zone_is_utc: bool,
        receipt: u64,
        start: usize,
        size: usize,
        may_be_envelope: bool,
    ) -> PyResult<Option<(Lines<'py>, News)>> {
        if constants.len() != VARIANTS {
            return Err(PyValueError::new_err(format!("{VARIANTS} constants are wanted")));
        }
        let constants: Vec<&[u8]> = constants.iter().map(|one| one.as_bytes()).collect();
        let work = || {
            let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let State { layouts, scratch, .. } = &mut *state;
            let request = Request { constants: &constants, zone_is_utc, receipt };
            let part = Part { start, size, by_line, may_be_envelope };
            events::read(body, part, &self.table, layouts, &request, scratch)
        };
        let found = if body.len() <= AT_ONCE { work() } else { py.detach(work) };
        found.ok().map(|out| answer(py, &self.table, out)).transpose()
    }

    /// Read an export of OTLP in protobuf; None if the reference has to read all of it, and spellings of levels to learn.
    ///
    /// The bytes are the events' text in JSON, in which the events that are handed back are. `event_bytes`, `stored_bytes`
    /// and `items` are the limits of the contract. A step passes over `before` records, and ends after `most` bytes of text.
    /// The others are as for `read`.
    #[allow(clippy::too_many_arguments)]
    fn read_export<'py>(
        &self,
        py: Python<'py>,
        body: &[u8],
        constants: Vec<Bound<'py, PyBytes>>,
        zone_is_utc: bool,
        receipt: u64,
        event_bytes: usize,
        stored_bytes: usize,
        items: usize,
        before: usize,
        most: usize,
    ) -> PyResult<(Option<ExportAnswer<'py>>, Vec<(usize, String)>)> {
        if constants.len() != VARIANTS {
            return Err(PyValueError::new_err(format!("{VARIANTS} constants are wanted")));
        }
        let constants: Vec<&[u8]> = constants.iter().map(|one| one.as_bytes()).collect();
        let limits = Limits { event_bytes, stored_bytes, items };
        let mut spellings = Vec::new();
        let found = py.detach(|| {
            let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let State { layouts, scratch, text } = &mut *state;
            text.clear();
            let mut export = Export {
                limits,
                table: &self.table,
                layouts,
                text,
                spellings: &mut spellings,
                before,
                records: 0,
                most,
                is_full: false,
            };
            export.read(body)?;
            let next = export.is_full.then_some(before + export.records);
            let request = Request { constants: &constants, zone_is_utc, receipt };
            let part = Part { start: 0, size: text.len(), by_line: true, may_be_envelope: false };
            let out = events::read(text, part, &self.table, layouts, &request, scratch)?;
            let is_needed = out.handed.iter().any(|one| one.ask != Ask::Mask);
            Ok::<_, Refused>((out, if is_needed { text.clone() } else { Vec::new() }, next))
        });
        let spellings = spellings.into_iter().filter_map(|(scale, text)| Some((scale, String::from_utf8(text).ok()?)));
        let Ok((out, text, next)) = found else {
            return Ok((None, spellings.collect()));
        };
        let (lines, news) = answer(py, &self.table, out)?;
        Ok((Some((lines, news, PyBytes::new(py, &text), next)), spellings.collect()))
    }

    /// Remember what becomes of events whose members have these `names`, in this order.
    ///
    /// `items`: role, member, further number and name of each member that is written; None: the reference reads such
    /// events. Roles: 0 as it came, 1 time, 2 level of a scale, 3 message, 4 text, 5 a level by itself, 6 the level that
    /// the message begins with, 7 time of receipt, 8 as it came and not an object.
    #[pyo3(signature = (names, items, constants, telltale))]
    fn learn(
        &self,
        names: Vec<String>,
        items: Option<Vec<(u8, usize, usize, String)>>,
        constants: usize,
        telltale: bool,
    ) -> PyResult<()> {
        if constants >= VARIANTS {
            return Err(PyValueError::new_err("a plan names what is not there"));
        }
        let mut key = Vec::new();
        for name in &names {
            key.extend_from_slice(name.as_bytes());
            key.push(b'"');
        }
        let plan = match items {
            None => None,
            Some(items) => Some(Plan {
                time: items.iter().find(|item| item.0 == 1).map(|item| item.1),
                items: items
                    .into_iter()
                    .enumerate()
                    .map(|(place, (role, at, more, name))| {
                        let outside = match role {
                            5 => at >= LEVELS,
                            2 => at >= names.len() || more >= self.table.scales.len(),
                            _ => at >= names.len(),
                        };
                        let role = match role {
                            0 => Role::Copy(at),
                            1 => Role::Time(at),
                            2 => Role::Level(at, more),
                            3 => Role::Message(at, more != 0),
                            4 => Role::Text(at),
                            5 => Role::Implied(at),
                            6 => Role::Leading(at, more != 0),
                            7 => Role::Receipt,
                            8 => Role::Flat(at),
                            _ => return Err(PyValueError::new_err("an unknown role")),
                        };
                        let Some(&last) = name.as_bytes().last() else {
                            return Err(PyValueError::new_err("a member without a name"));
                        };
                        if outside {
                            return Err(PyValueError::new_err("a plan names what is not there"));
                        }
                        let begin = if place == 0 { "{" } else { "," };
                        Ok(Item { role, name: format!("{begin}\"{name}\":").into_bytes(), last })
                    })
                    .collect::<PyResult<Vec<Item>>>()?,
                constants,
                telltale,
            }),
        };
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.layouts.learn(key, plan);
        Ok(())
    }

    /// Remember which level a text is, as a value of this scale; None: none, and the reference looks elsewhere.
    fn learn_level(&self, scale: usize, text: String, level: Option<usize>) -> PyResult<()> {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.layouts.learn_spelling(scale, text.into_bytes(), level) {
            Ok(())
        } else {
            Err(PyValueError::new_err("an unknown scale or level"))
        }
    }

    /// Remember whether a nested member of this name is stored as it came.
    fn learn_name(&self, name: String, plain: bool) {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.layouts.learn_name(name.into_bytes(), plain);
    }
}

/// Target, path, fields by lower-case name, Content-Length.
type PlainHead<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>, Bound<'py, PyDict>, Option<u64>);

/// Reads request heads of the plainest form (`head`).
#[pyclass(frozen, module = "logops_kernel")]
struct Heads {
    limits: head::Limits,
    /// Names that are often sent, by their length: each is one object, whose hash is computed once.
    names: Vec<Vec<(Vec<u8>, Py<PyBytes>)>>,
}

#[pymethods]
impl Heads {
    /// `limits`: those of `HttpLimits`; `names`: fields that are often sent, in lower case.
    #[new]
    fn new(
        request_line: usize,
        header_fields: usize,
        header_bytes: usize,
        names: Vec<Bound<'_, PyBytes>>,
    ) -> PyResult<Self> {
        let mut by_length: Vec<Vec<_>> = (0..=head::LONGEST_NAME).map(|_| Vec::new()).collect();
        for name in names {
            let bytes = name.as_bytes().to_vec();
            let place = by_length.get_mut(bytes.len()).ok_or_else(|| PyValueError::new_err("a name is too long"))?;
            place.push((bytes, name.unbind()));
        }
        Ok(Heads { limits: head::Limits { request_line, header_fields, header_bytes }, names: by_length })
    }

    /// Read the head that `data` holds from `start` to `end`; None if the reference has to.
    fn read<'py>(&self, py: Python<'py>, data: &[u8], start: usize, end: usize) -> PyResult<Option<PlainHead<'py>>> {
        let Some(head) = data.get(start..end).and_then(|block| head::read(block, &self.limits)) else {
            return Ok(None);
        };
        let fields = PyDict::new(py);
        for field in &head.fields {
            let name = field.name();
            let value = PyBytes::new(py, field.value);
            match self.names[name.len()].iter().find(|known| known.0 == name) {
                Some(known) => fields.set_item(&known.1, value)?,
                None => fields.set_item(PyBytes::new(py, name), value)?,
            }
        }
        let target = PyBytes::new(py, head.target);
        let path = if head.path.len() == head.target.len() { target.clone() } else { PyBytes::new(py, head.path) };
        Ok(Some((target, path, fields, head.length)))
    }
}

/// A key that requests are signed with (`digest`).
#[pyclass(frozen, module = "logops_kernel")]
struct SigningKey(digest::SigningKey);

#[pymethods]
impl SigningKey {
    #[new]
    fn new(secret: &[u8]) -> Self {
        SigningKey(digest::SigningKey::new(secret))
    }

    /// The base64 text (44 bytes) of the message's HMAC-SHA256.
    fn signature<'py>(&self, py: Python<'py>, message: &[u8]) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.signature(message))
    }
}

/// The SHA-256 of a body in lower-case hexadecimal.
#[pyfunction]
fn sha256_hex<'py>(py: Python<'py>, data: &[u8]) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &digest::hex(data))
}

fn counts<'a, 'py>(py: Python<'py>, counted: impl Iterator<Item = (&'a str, u64)>) -> PyResult<Counts<'py>> {
    let counts = PyDict::new(py);
    for (name, number) in counted {
        if number > 0 {
            counts.set_item(name, number)?;
        }
    }
    Ok(counts)
}

fn answer<'py>(py: Python<'py>, table: &Table, out: Outcome) -> PyResult<(Lines<'py>, News)> {
    let handed = out.handed.iter().map(|one| {
        let ask = match one.ask {
            Ask::Read => 0,
            Ask::Learn => 1,
            Ask::Mask => 2,
            Ask::Level => 3,
        };
        (one.place, one.start, one.end, ask)
    });
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
    let levels = table.levels.iter().map(|name| std::str::from_utf8(name).unwrap_or_default()).zip(out.levels);
    let masked = [
        ("email", out.masked.emails),
        ("ipv4", out.masked.ipv4),
        ("ipv6", out.masked.ipv6),
        ("card", out.masked.cards),
        ("token", out.masked.tokens),
        ("secret", out.masked.secrets),
    ];
    Ok((
        (
            PyBytes::new(py, &out.lines),
            PyBytes::new(py, &out.unmasked),
            handed.collect(),
            out.count,
            out.missing_ts,
            out.missing_level,
            counts(py, levels)?,
            counts(py, masked.into_iter())?,
        ),
        (
            out.first_is_slice,
            out.unknown.into_iter().filter_map(text).collect(),
            out.spellings.into_iter().filter_map(|(scale, spelling)| Some((scale, text(spelling)?))).collect(),
            out.end,
        ),
    ))
}

#[pymodule]
fn logops_kernel(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("DIGEST", crate::DIGEST.trim())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<Kernel>()?;
    module.add_class::<Heads>()?;
    module.add_class::<SigningKey>()?;
    module.add_function(wrap_pyfunction!(sha256_hex, module)?)
}
