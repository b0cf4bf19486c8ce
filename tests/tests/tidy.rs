//! What is true of every source file of the workspace: its size, the size of its functions, its
//! module doc, what it must not mention, and which room of the core may know which. Reads text,
//! compiles nothing; a rule that clippy can express is in `clippy.toml` instead.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES: usize = 1000;
const FUNCTION_LINES: usize = 70;

/// Functions over the limit, with their exact length: the list may shrink, never grow.
const LONG_FUNCTIONS: &[(&str, &str, usize)] = &[];

/// Which rooms of `core/src` each room knows. What is not listed here is a file of its own
/// (`map`, `message`, `rng`, `state`, `time`, `arena`), which everybody may know.
const ROOMS: &[(&str, &[&str])] = &[
    ("packet", &[]),
    ("codec", &["packet"]),
    ("topic", &[]),
    ("access", &["topic"]),
    ("auth", &[]),
    ("conf", &["access", "auth"]),
    ("websocket", &[]),
    // The key of a session and the names of `engine::input`; nothing that acts.
    ("connection", &["auth", "codec", "packet", "engine", "session"]),
    ("session", &["access", "packet"]),
    // `engine`'s words (inputs, effects, events) and `codec::encoded_len`; never bytes.
    (
        "broker",
        &["access", "auth", "codec", "conf", "engine", "journal", "packet", "session", "topic"],
    ),
    ("engine", &["access", "auth", "broker", "codec", "conf", "connection", "journal", "packet"]),
    // `engine::shard_of`, which deals sessions out at a start; nothing that acts.
    ("journal", &["engine", "packet"]),
    ("client", &["codec", "packet"]),
    // What it gives engines as the text of an access list, and what their observers are told of it.
    ("sim", &["access", "auth", "client", "codec", "conf", "engine", "journal", "packet", "topic"]),
];
const COMMON: &[&str] = &["arena", "map", "message", "rng", "state", "time"];

/// What no source file contains. In pieces, so that this file does not contain it either.
const NOWHERE: &[&str] = &[
    concat!("FIX", "ME"),
    concat!("dbg", "!("),
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("#[ign", "ore"),
];

/// What `core/src` never contains in its code: clocks, chance, I/O, differences between targets.
const NOT_IN_CORE: &[&str] = &[
    "std::time::Instant",
    "std::time::SystemTime",
    "std::time::{",
    "rand::",
    "std::fs",
    "std::io",
    "std::env",
    "std::thread",
    "std::process",
    "std::sync::Mutex",
    "std::net::Tcp",
    "std::net::Udp",
    "tokio",
    "js_sys",
    "web_sys",
    "cfg(target",
    "cfg!(target",
    "println!",
    "print!",
    "unsafe",
];

/// Methods of `f32` and `f64` whose last bit differs between targets, or whose cousins' does.
const FLOAT_METHODS: &[&str] = &[
    "acos", "asin", "atan", "atan2", "cbrt", "ceil", "cos", "cosh", "exp", "exp2", "exp_m1",
    "floor", "fract", "hypot", "ln", "ln_1p", "log", "log10", "log2", "mul_add", "powf", "powi",
    "round", "sin", "sin_cos", "sinh", "sqrt", "tan", "tanh", "trunc",
];

/// A Rust file of the workspace.
struct Source {
    /// From the root of the workspace, with `/`.
    path: String,
    text: String,
    /// The text with comments, strings and characters blanked; the lines are the same.
    code: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    for room in ["core", "native", "wasm", "tests", "fuzz"] {
        collect(&root().join(room), &mut paths);
    }
    assert!(paths.len() > 50, "the sources are not where they are expected");
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a readable source file");
        let path = path.strip_prefix(root()).expect("inside the workspace");
        let path = path.to_string_lossy().replace('\\', "/");
        Source { path, code: blank(&text), text }
    };
    paths.into_iter().map(read).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("a folder that can be listed").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let foreign = ["target", "node_modules", "pkg", "corpus", "artifacts"];
        if path.is_dir() && !name.starts_with('.') && !foreign.contains(&name.as_str()) {
            collect(&path, paths);
        } else if name.ends_with(".rs") {
            paths.push(path);
        }
    }
}

/// Blanks comments, strings and characters.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = skip(bytes, at);
        if end == at {
            at += 1;
            continue;
        }
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8(out).expect("whole characters were blanked")
}

/// The end of the comment, string or character that begins here; `at` if none does.
fn skip(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let word_before = at > 0 && is_word(bytes[at - 1]);
    if rest.starts_with(b"//") {
        return at + rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    }
    if rest.starts_with(b"/*") {
        return at + comment(rest);
    }
    match rest[0] {
        b'"' => at + quoted(rest),
        b'\'' => at + character(rest),
        b'r' if !word_before || bytes[at - 1] == b'b' => at + raw(rest),
        _ => at,
    }
}

/// The length of a block comment, which may hold others.
fn comment(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at + 1 < rest.len() {
        match &rest[at..at + 2] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn quoted(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != b'"' {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The length of a character; 0 for a lifetime.
fn character(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        let close = rest[3..].iter().position(|&byte| byte == b'\'');
        return close.map_or(0, |close| close + 4);
    }
    // One character of up to four bytes, then the quote.
    let close = rest.iter().skip(2).take(4).position(|&byte| byte == b'\'');
    let Some(close) = close.map(|close| close + 2) else { return 0 };
    let one = std::str::from_utf8(&rest[1..close]).is_ok_and(|text| text.chars().count() == 1);
    if one { close + 1 } else { 0 }
}

/// The length of a raw string; 0 if it is none.
fn raw(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|&&byte| byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let start = 2 + hashes;
    let close = rest[start..].windows(end.len()).position(|window| window == end.as_bytes());
    close.map_or(rest.len(), |close| start + close + end.len())
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Where `word` begins in `code`, not as part of a longer word.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    let starts = word.bytes().next().is_some_and(is_word);
    let ends = word.bytes().last().is_some_and(is_word);
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = starts && at > 0 && is_word(bytes[at - 1]);
        let after = ends && bytes.get(at + word.len()).copied().is_some_and(is_word);
        !before && !after
    })
}

/// The number of the line at this byte, from 1.
fn line(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Name, first line and number of lines of each function with a body.
fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for at in words(code, "fn") {
        let after = code[at + 2..].trim_start();
        let name: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        // A type such as `fn(u8)` has no name.
        if let Some(end) = body_end(code.as_bytes(), at).filter(|_| !name.is_empty()) {
            let first = line(code, at);
            found.push((name, first, line(code, end) - first + 1));
        }
    }
    found
}

/// Where the body of the function at `at` ends; `None` if it has none.
fn body_end(code: &[u8], at: usize) -> Option<usize> {
    let mut brackets = 0_i32;
    let mut braces = 0_i32;
    for (offset, &byte) in code[at..].iter().enumerate() {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets -= 1,
            b';' if brackets == 0 && braces == 0 => return None,
            b'{' => braces += 1,
            b'}' => {
                braces -= 1;
                if braces == 0 && brackets == 0 {
                    return Some(at + offset);
                }
            }
            _ => {}
        }
    }
    None
}

/// Fails with all that was found.
fn none_of(problems: &[String]) {
    let mut text = String::new();
    for problem in problems {
        // Writing to a string does not fail.
        _ = writeln!(text, "  {problem}");
    }
    assert!(problems.is_empty(), "\n{text}");
}

#[test]
fn functions_are_short() {
    let mut problems = Vec::new();
    let mut known: BTreeSet<_> = LONG_FUNCTIONS.iter().copied().collect();
    for source in sources() {
        for (name, first, lines) in functions(&source.code) {
            if lines <= FUNCTION_LINES {
                continue;
            }
            let entry = (source.path.as_str(), name.as_str(), lines);
            let listed = known.iter().find(|known| **known == entry).copied();
            if listed.is_none_or(|listed| !known.remove(&listed)) {
                let place = format!("{}:{first}", source.path);
                problems
                    .push(format!("{place}: `{name}` has {lines} lines, over {FUNCTION_LINES}"));
            }
        }
    }
    for (path, name, lines) in known {
        problems.push(format!("{path}: `{name}` no longer has {lines} lines: correct the list"));
    }
    none_of(&problems);
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    let mut problems = Vec::new();
    for Source { path, text, .. } in sources() {
        let lines = text.lines().count();
        if lines > FILE_LINES {
            problems.push(format!("{path}: {lines} lines, over {FILE_LINES}"));
        }
        if !text.starts_with("//! ") {
            problems.push(format!("{path}: does not begin with a module doc"));
        }
    }
    none_of(&problems);
}

#[test]
fn nothing_unfinished_is_left() {
    let mut problems = Vec::new();
    for Source { path, text, .. } in sources() {
        for word in NOWHERE {
            for (at, _) in text.match_indices(word) {
                problems.push(format!("{path}:{}: {word}", line(&text, at)));
            }
        }
    }
    none_of(&problems);
}

#[test]
fn only_the_command_line_prints() {
    let may_print = |path: &str| {
        path.starts_with("native/src/cli/")
            || ["native/src/main.rs", "native/build.rs"].contains(&path)
            || path.split('/').any(|part| ["examples", "tests", "benches"].contains(&part))
    };
    let mut problems = Vec::new();
    for Source { path, code, .. } in sources().into_iter().filter(|source| !may_print(&source.path))
    {
        for word in ["println!", "print!"] {
            for at in words(&code, word) {
                problems.push(format!("{path}:{}: {word}", line(&code, at)));
            }
        }
    }
    none_of(&problems);
}

#[test]
fn the_core_is_pure() {
    let mut problems = Vec::new();
    for Source { path, code, .. } in sources() {
        if !path.starts_with("core/src/") {
            continue;
        }
        // Its own doc forbids it.
        let code = code.replace("#![forbid(unsafe_code)]", "");
        for word in NOT_IN_CORE {
            for at in words(&code, word) {
                problems.push(format!("{path}:{}: {word}", line(&code, at)));
            }
        }
        for method in FLOAT_METHODS {
            for call in [format!(".{method}("), format!("f32::{method}"), format!("f64::{method}")]
            {
                for at in words(&code, &call) {
                    problems.push(format!("{path}:{}: {call} of a float", line(&code, at)));
                }
            }
        }
    }
    none_of(&problems);
}

#[test]
fn rooms_of_the_core_know_only_their_neighbours() {
    let mut problems = Vec::new();
    for Source { path, code, .. } in sources() {
        let Some(inner) = path.strip_prefix("core/src/") else { continue };
        let Some((room, _)) = inner.split_once('/') else { continue };
        let Some((_, neighbours)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            problems.push(format!("{path}: the room `{room}` is in no list of neighbours"));
            continue;
        };
        for at in words(&code, "crate::") {
            let rest = &code[at + "crate::".len()..];
            let other: String =
                rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let known = other == room
                || neighbours.contains(&other.as_str())
                || COMMON.contains(&other.as_str());
            if !known {
                let place = format!("{path}:{}", line(&code, at));
                problems.push(format!("{place}: `{room}` must not know `crate::{other}`"));
            }
        }
    }
    none_of(&problems);
}

#[test]
fn every_statement_that_is_mentioned_exists() {
    let mut known = BTreeSet::new();
    for list in ["mqtt-v3.1.1-ids.txt", "mqtt-v5.0-ids.txt"] {
        let ids = fs::read_to_string(root().join("tests/data").join(list)).expect("a list of ids");
        known.extend(ids.lines().map(str::to_owned));
    }
    assert!(known.len() > 200, "the lists of statements are too short: {}", known.len());
    let mut problems = Vec::new();
    for Source { path, text, .. } in sources() {
        for (at, _) in text.match_indices("[MQTT-") {
            let inside = &text[at + 1..];
            let inside = &inside[..inside.find(']').unwrap_or(0)];
            for id in statements(inside) {
                if !known.contains(&id) {
                    problems.push(format!("{path}:{}: there is no [{id}]", line(&text, at)));
                }
            }
        }
    }
    none_of(&problems);
}

/// The statements in `MQTT-4.8.2-4, -5`. A bare section (`MQTT-4.6`) is none.
fn statements(inside: &str) -> Vec<String> {
    let mut section = "";
    let mut found = Vec::new();
    for part in inside.split([',', ' ', '\n']).filter(|part| !part.is_empty()) {
        let (before, number) = part.rsplit_once('-').unwrap_or((part, ""));
        if before.starts_with("MQTT-") {
            section = before;
        } else if !before.is_empty() {
            continue;
        }
        if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
            found.push(format!("{section}-{number}"));
        }
    }
    found
}

#[test]
fn the_map_shows_places_that_exist() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the map is readable");
    let rooms = ["core/", "native/", "wasm/", "www/", "tests/", "docs/"];
    let mut problems = Vec::new();
    let quoted = map.split('`').skip(1).step_by(2);
    let linked = map.split("](").skip(1).filter_map(|text| text.split(')').next());
    let mut paths = 0;
    for path in quoted.chain(linked).filter(|path| rooms.iter().any(|room| path.starts_with(room)))
    {
        paths += 1;
        if !root().join(path).exists() {
            problems.push(format!("ARCHITECTURE.md: there is no {path}"));
        }
    }
    assert!(paths > 10, "only {paths} places were found in the map");
    for (room, _) in ROOMS {
        if !map.contains(&format!("**`{room}`**")) {
            problems.push(format!("ARCHITECTURE.md: nothing on the room `{room}`"));
        }
    }
    none_of(&problems);
}

#[test]
fn this_file_reads_rust_well_enough() {
    let code = blank("a \"{\\\"\" 'b' '\\'' '{' r#\"}\"# // {\n/* { /* } */ */ fn f<'a>() {}");
    assert_eq!(code.matches(['{', '}']).count(), 2, "{code}");
    let code =
        "fn a() -> [u8; 2] {\n\n}\ntrait T {\n fn b();\n}\nfn c(x: fn(u8)) where T: U { { }\n}";
    let expected = [("a".to_owned(), 1, 3), ("c".to_owned(), 7, 2)];
    assert_eq!(functions(code), expected);
    assert_eq!(words("eprintln! println! xrand::", "println!").collect::<Vec<_>>(), [10]);
    assert_eq!(statements("MQTT-4.8.2-4, -5"), ["MQTT-4.8.2-4", "MQTT-4.8.2-5"]);
    assert!(statements("MQTT-4.6").is_empty());
}
