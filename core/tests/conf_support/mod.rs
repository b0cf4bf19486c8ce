//! What the tests of the configuration share: reading a text as `a.conf`, and saying briefly what
//! came of it.
#![allow(dead_code, reason = "each test file uses a part of it")]

use halyard_core::conf::Parsed;
use halyard_core::conf::ServerConfig;
use halyard_core::conf::Source;
use halyard_core::conf::parse;

/// Reads a text without includes.
pub(crate) fn read(text: impl AsRef<[u8]>) -> Parsed {
    parse(&Source::new("a.conf", text.as_ref()), &mut |folder| {
        Err(format!("no {folder} in a test"))
    })
}

/// Reads a text whose `include_dir` gives these files.
pub(crate) fn read_with(text: &str, files: &[(&str, &str)]) -> Parsed {
    let sources: Vec<Source> = files.iter().map(|(name, text)| Source::new(*name, *text)).collect();
    parse(&Source::new("a.conf", text), &mut |_| Ok(sources.clone()))
}

/// The diagnostics as a person sees them.
pub(crate) fn said(parsed: &Parsed) -> Vec<String> {
    parsed.diagnostics.iter().map(ToString::to_string).collect()
}

/// The configuration of a text about which there is nothing to say.
#[track_caller]
pub(crate) fn quiet(text: &str) -> ServerConfig {
    let parsed = read(text);
    assert_eq!(said(&parsed), Vec::<String>::new(), "{text}");
    // What a line says counts here, not where it stands.
    ServerConfig { said: Vec::new(), ..parsed.config }
}
