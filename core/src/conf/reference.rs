//! The reference page `docs/configuration.md`, made from the table, so that it cannot go stale. It
//! adds nothing that the table does not know but the rules of the file as a whole.

use super::options::Kind;
use super::options::OptionSpec;
use super::options::Repeat;
use super::options::Scope;
use super::options::Status;
use super::options::sections;

const INTRO: &str = "\
# Configuration

<!-- Made from the table in core/src/conf/options by core/tests/conf_reference.rs. Change the table,
then run: HALYARD_WRITE_DOCS=1 cargo test -p halyard-core --test conf_reference -->

`halyard -c FILE` reads the syntax of `mosquitto.conf`. `halyard --test-config -c FILE` reads it,
says everything that is wrong with it, and ends.

- A line is `NAME VALUE`. Blanks around the value do not count.
- A comment is a line whose very first character is `#`. Behind a value, `#` is no comment: where the
  value is one word, the rest means nothing and the start warns; where it is a text or a path, the
  rest is part of it.
- `true` and `1`, `false` and `0` are the same. Numbers are decimal, or hexadecimal with `0x`.
- If a line is repeated, the later one holds and the start warns, unless the table says otherwise.
- `listener` begins a listener; its options follow it. In a file that `include_dir` reads, they need a
  `listener` line in that same file.
- An unknown option, a wrong value, or an option that is not supported stops the start, with its file,
  its line, and what would be right. An option that has no effect and does no harm warns.

Without a file, the broker serves this machine alone, without passwords: MQTT on port 1883, and on
port 9001 HTTP with WebSocket at `/mqtt`. With a file that has no listener it is MQTT on port 1883
alone. With a listener, `allow_anonymous` is false unless a line says otherwise.

The tables say what an option *applies to*, whether a *reload* may change it, and, where it is not
simply supported, what the broker makes of it.
";

/// The page, in Markdown.
pub fn reference() -> String {
    let mut page = String::from(INTRO);
    for section in sections() {
        page.push_str(&format!("\n## {}\n\n{}\n\n", section.title, section.intro));
        if section.options.iter().all(is_refused) {
            page.push_str("| option | what it is |\n|---|---|\n");
            section.options.iter().for_each(|option| page.push_str(&brief_row(option)));
            continue;
        }
        page.push_str("| option | value | default | applies to | reload | what it does |\n");
        page.push_str("|---|---|---|---|---|---|\n");
        section.options.iter().for_each(|option| page.push_str(&row(option)));
    }
    page
}

fn is_refused(option: &OptionSpec) -> bool {
    matches!(option.status, Status::Refused(_))
}

fn brief_row(option: &OptionSpec) -> String {
    format!("| {} | {} |\n", names(option), option.help)
}

fn names(option: &OptionSpec) -> String {
    let mut names = code(option.name);
    for alias in option.aliases {
        names.push_str(&format!(", {}", code(alias)));
    }
    names
}

fn row(option: &OptionSpec) -> String {
    let default = if option.default.is_empty() { String::new() } else { code(option.default) };
    let reload = if option.reload { "yes" } else { "no" };
    let mut help = option.help.to_owned();
    for more in [repeat(option), &status(option)].into_iter().filter(|more| !more.is_empty()) {
        help.push_str(&format!(" {more}"));
    }
    let cells = [&names(option), &value(option), &default, applies_to(option), reload, &help];
    format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn value(option: &OptionSpec) -> String {
    let text = match option.kind {
        Kind::Bool => "`true` or `false`".to_owned(),
        Kind::Int { min, max, unlimited: false } => format!("{min} to {max}"),
        Kind::Int { max, .. } => format!("0 to {max}, or -1"),
        Kind::Duration => "number with `s` `h` `d` `w` `m` `y`".to_owned(),
        Kind::Word(words) => words.iter().map(|word| code(word)).collect::<Vec<_>>().join(" "),
        Kind::Words(words) => {
            let words: Vec<String> = words.iter().map(|word| code(word)).collect();
            format!("some of {}", words.join(" "))
        }
        Kind::Text(_) => "text".to_owned(),
        Kind::Network => "network".to_owned(),
        Kind::Path => "path".to_owned(),
        Kind::TopicPrefix => "beginning of a topic".to_owned(),
        Kind::TimeFormat => "format of strftime".to_owned(),
        Kind::Listener => "port, address".to_owned(),
        Kind::LogDestination => "destination".to_owned(),
    };
    if option.unit.is_empty() { text } else { format!("{text} {}", option.unit) }
}

fn applies_to(option: &OptionSpec) -> &'static str {
    match option.scope {
        Scope::General => "broker",
        Scope::Security => "broker or listener",
        Scope::Listener | Scope::OwnListener => "listener",
        Scope::Bridge => "bridge",
        Scope::Plugin => "plug-in",
    }
}

fn repeat(option: &OptionSpec) -> &'static str {
    match option.repeat {
        Repeat::Last => "",
        Repeat::Once => "One line only.",
        Repeat::Every => "Every line counts.",
    }
}

fn status(option: &OptionSpec) -> String {
    match option.status {
        Status::Supported => String::new(),
        Status::Harmless(why) => format!("**No effect:** {why}."),
        Status::NotYet(instead) => format!("**Not yet:** {instead}."),
        Status::Refused(why) => format!("**Refused:** {why}."),
    }
}
