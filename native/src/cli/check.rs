//! `halyard check FILE`: what the start would say of a configuration, what then holds on each
//! listener, and which line of which access list would decide a question. Opens no socket and
//! changes nothing.

use super::EXIT_FAILURE;
use super::EXIT_USAGE;
use super::effective;
use super::print;
use crate::settings;
use crate::settings::Settings;
use halyard_core::access::Access;
use halyard_core::access::Decision;
use halyard_core::access::Subject;
use halyard_core::access::is_reserved;
use halyard_core::conf::Listener;
use halyard_core::topic::ParsedFilter;
use halyard_core::topic::TopicLimits;
use halyard_core::topic::validate_name;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
halyard check reads a configuration as the broker does at its start (--test-config) and at a reload.

Usage: halyard check FILE [--topic TOPIC [--user NAME] [--clientid ID] [--access ACCESS]]

It prints every option with the value that holds, for the broker and for each listener; files are
named, their secrets never shown. With --topic it prints who decides, and how: the file and the line
of the access list.

      --topic TOPIC      a topic, or for subscribe a filter, as the client writes it
      --user NAME        the User Name; without it the client has none
      --clientid ID      the Client Identifier
      --access ACCESS    read, write or subscribe; without it all three
  -h, --help             show this help

Exit codes: 0 fine, 1 the access asked for is denied on some listener, 3 wrong options or
configuration.
";

/// What the command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Options {
    file: PathBuf,
    topic: Option<String>,
    user: Option<String>,
    client_id: String,
    access: Option<Access>,
}

pub(crate) fn run(args: &[OsString]) -> ExitCode {
    let outcome = match parse(args) {
        Ok(None) => {
            print(HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Some(options)) => check(&options),
        Err(text) => Err(format!("halyard check: {text}; see halyard check --help")),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILURE),
        Err(text) => {
            eprintln!("{text}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn parse(args: &[OsString]) -> Result<Option<Options>, String> {
    use lexopt::prelude::*;
    let mut options = Options::default();
    let mut file = None;
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        match arg {
            Long("topic") => options.topic = Some(text(&mut parser)?),
            Long("user") => options.user = Some(text(&mut parser)?),
            Long("clientid") => options.client_id = text(&mut parser)?,
            Long("access") => options.access = Some(access(&text(&mut parser)?)?),
            Short('h') | Long("help") => return Ok(None),
            Value(path) if file.is_none() => file = Some(PathBuf::from(path)),
            other => return Err(other.unexpected().to_string()),
        }
    }
    options.file = file.ok_or("a configuration FILE is missing")?;
    if options.topic.is_none() && (options.user.is_some() || options.access.is_some()) {
        return Err("--user and --access ask about a topic: add --topic".into());
    }
    Ok(Some(options))
}

fn text(parser: &mut lexopt::Parser) -> Result<String, String> {
    let value = parser.value().map_err(|error| error.to_string())?;
    value.into_string().map_err(|value| format!("{value:?} is not UTF-8"))
}

fn access(word: &str) -> Result<Access, String> {
    [Access::Read, Access::Write, Access::Subscribe]
        .into_iter()
        .find(|access| access.to_string() == word)
        .ok_or_else(|| format!("{word:?} is no access; write read, write or subscribe"))
}

/// Says everything; `false` if the access asked for is denied somewhere.
fn check(options: &Options) -> Result<bool, String> {
    let settings = settings::from_file(&options.file, &[])?;
    for warning in &settings.warnings {
        eprintln!("{warning}");
    }
    let mut text = String::from("Configuration file is OK.\n");
    describe(&mut text, "broker", &effective::broker(&settings));
    let mut is_allowed = true;
    for listener in &settings.config.listeners {
        let headline = format!("listener {} ({})", settings::written(listener), listener.place);
        describe(&mut text, &headline, &effective::listener(&settings, listener));
        if let Some(topic) = &options.topic {
            is_allowed &= answer(&mut text, options, topic, &settings, listener)?;
        }
    }
    print(&text);
    Ok(is_allowed || options.access.is_none())
}

/// A headline and a line for each option.
fn describe(text: &mut String, headline: &str, rows: &[effective::Row]) {
    // Writing to a String cannot fail.
    _ = writeln!(text, "\n{headline}");
    for (name, value) in rows {
        _ = writeln!(text, "  {name} {value}");
    }
}

/// Says who decides; `false` if something was denied.
fn answer(
    text: &mut String,
    options: &Options,
    topic: &str,
    settings: &Settings,
    listener: &Listener,
) -> Result<bool, String> {
    let all = [Access::Read, Access::Write, Access::Subscribe];
    let limits = TopicLimits::default();
    let is_name = validate_name(topic, &limits).is_ok();
    let mut is_allowed = true;
    for access in all.into_iter().filter(|one| options.access.is_none_or(|asked| asked == *one)) {
        if access != Access::Subscribe && !is_name {
            if options.access.is_some() {
                return Err(format!("halyard check: {topic:?} is no topic to {access}"));
            }
            continue;
        }
        let decision = decide(options, access, topic, settings, listener)?;
        is_allowed &= decision.is_allowed();
        _ = writeln!(text, "  {access} {topic}: {decision}");
    }
    Ok(is_allowed)
}

fn decide<'a>(
    options: &Options,
    access: Access,
    topic: &str,
    settings: &'a Settings,
    listener: &'a Listener,
) -> Result<Decision<'a>, String> {
    let list = effective::access_list(settings, listener);
    if access == Access::Write && is_reserved(topic, list.is_some()) {
        return Ok(Decision::RESERVED);
    }
    let Some(list) = list else { return Ok(Decision::NO_LIST) };
    let subject = Subject { client_id: &options.client_id, username: options.user.as_deref() };
    let mount = listener.engine.mount_point.as_deref().unwrap_or("");
    if access != Access::Subscribe {
        return Ok(list.decide(subject, access, &[mount, topic].concat()));
    }
    let parsed = ParsedFilter::parse(topic, &TopicLimits::default())
        .map_err(|error| format!("halyard check: the filter {topic:?} {error}"))?;
    let filter = [mount, parsed.filter.as_str()].concat();
    Ok(list.decide_subscribe(subject, &filter, settings.config.broker.acl_check_subscribe))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Result<Option<Options>, String> {
        parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_question_is_read() {
        let options = command("a.conf --user u --clientid c --topic t --access write").unwrap();
        let expected = Options {
            file: "a.conf".into(),
            topic: Some("t".into()),
            user: Some("u".into()),
            client_id: "c".into(),
            access: Some(Access::Write),
        };
        assert_eq!(options, Some(expected));
        assert_eq!(command("--help"), Ok(None));
    }

    #[test]
    fn a_wrong_question_says_what_would_be_right() {
        for (line, expected) in [
            ("", "FILE is missing"),
            ("a b", "b"),
            ("a --access fly --topic t", "read, write or subscribe"),
            ("a --user u", "add --topic"),
        ] {
            let error = command(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
