//! The configuration reader over arbitrary files: no panic, the same answer each time, bounded and
//! printable words, and a configuration to run with wherever there is no error.

#![no_main]

use halyard_core::conf::{Parsed, Source, options, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&form, bytes)) = input.split_first() else { return };
    let text = if form & 1 == 0 { bytes.to_vec() } else { with_names(bytes) };
    // What is behind the first NUL is a file that `include_dir` gives.
    let mut files = text.splitn(2, |&byte| byte == 0);
    let main = files.next().unwrap_or_default();
    let included = files.next().unwrap_or_default();
    let parsed = read(main, included);
    assert_eq!(parsed, read(main, included));
    check(&parsed);
});

/// Bytes that are no ASCII stand for names of options, so that mutations find them.
fn with_names(bytes: &[u8]) -> Vec<u8> {
    let names: Vec<&str> = options().map(|option| option.name).collect();
    let mut text = Vec::new();
    let mut bytes = bytes.iter();
    while let Some(&byte) = bytes.next() {
        if byte.is_ascii() {
            text.push(byte);
            continue;
        }
        let index = usize::from(byte - 0x80) * 2 + usize::from(bytes.len() % 2 == 1);
        text.push(b'\n');
        text.extend_from_slice(names[index % names.len()].as_bytes());
        text.push(b' ');
    }
    text
}

fn read(main: &[u8], included: &[u8]) -> Parsed {
    parse(&Source::new("main", main), &mut |folder| match folder.len() % 4 {
        0 => Err("there is no such folder".into()),
        _ => Ok(vec![Source::new("included", included)]),
    })
}

fn check(parsed: &Parsed) {
    assert!(parsed.diagnostics.len() <= 501);
    assert!(!parsed.config.listeners.is_empty() && parsed.config.listeners.len() <= 1024);
    for diagnostic in &parsed.diagnostics {
        let text = diagnostic.to_string();
        assert!(diagnostic.line > 0 && !diagnostic.what.is_empty() && text.len() < 2000, "{text}");
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
    if parsed.is_valid() {
        let broker = &parsed.config.broker;
        assert!(broker.output_low_water < broker.output_high_water);
        assert!(broker.auto_id_prefix.len() <= 50);
    }
}
