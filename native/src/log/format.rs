//! How a line is written: Mosquitto's text, or one JSON object a line (`log_format`). What clients
//! send can forge neither a line nor a field.

use crate::clock;
use chrono::format::StrftimeItems;
use halyard_core::conf::LogConfig;
use halyard_core::conf::LogFormat;
use halyard_core::conf::LogType;
use std::fmt;
use std::fmt::Write as _;

/// What a line is about, for JSON: name and value.
pub(crate) type Field<'a> = (&'static str, &'a dyn fmt::Display);

/// The way lines are written, with the time as text for the current second.
#[derive(Default)]
pub(super) struct Style {
    json: bool,
    stamped: bool,
    format: Option<String>,
    second: u64,
    text: String,
}

/// A line's kind in a word.
pub(super) const fn word(kind: LogType) -> &'static str {
    match kind {
        LogType::Error => "error",
        LogType::Warning => "warning",
        LogType::Notice => "notice",
        LogType::Information => "information",
        LogType::Debug => "debug",
        LogType::Subscribe => "subscribe",
        LogType::Unsubscribe => "unsubscribe",
        LogType::Websockets => "websockets",
    }
}

const fn prefix(kind: LogType) -> &'static str {
    match kind {
        LogType::Error => "Error: ",
        LogType::Warning => "Warning: ",
        _ => "",
    }
}

impl Style {
    pub(super) fn new(settings: &LogConfig) -> Self {
        let format = settings.timestamp_format.clone();
        let json = settings.format == LogFormat::Json;
        Self { json, stamped: settings.timestamp, format, ..Self::default() }
    }

    /// Writes a line without its end; gives the length of the time before a line of text, which
    /// some destinations leave out.
    pub(super) fn write(
        &mut self,
        out: &mut String,
        kind: LogType,
        text: fmt::Arguments<'_>,
        fields: &[Field<'_>],
    ) -> usize {
        let start = out.len();
        // Writing to a String cannot fail.
        if self.json {
            let _ = self.write_json(out, kind, text, fields);
            return 0;
        }
        self.write_stamp(out, "", ": ");
        let stamp = out.len() - start;
        let _ = write!(Escaped(out), "{}{text}", prefix(kind));
        stamp
    }

    fn write_json(
        &mut self,
        out: &mut String,
        kind: LogType,
        text: fmt::Arguments<'_>,
        fields: &[Field<'_>],
    ) -> fmt::Result {
        out.push('{');
        self.write_stamp(out, "\"time\":\"", "\",");
        write!(out, "\"type\":\"{}\"", word(kind))?;
        for (name, value) in fields {
            write!(out, ",\"{name}\":\"")?;
            write!(JsonText(out), "{value}")?;
            out.push('"');
        }
        out.push_str(",\"message\":\"");
        write!(JsonText(out), "{text}")?;
        out.push_str("\"}");
        Ok(())
    }

    fn write_stamp(&mut self, out: &mut String, before: &str, after: &str) {
        if !self.stamped {
            return;
        }
        let second = clock::since_epoch().as_secs();
        if second != self.second || self.text.is_empty() {
            self.second = second;
            self.text.clear();
            let _ = match &self.format {
                None if self.json => write!(
                    self.text,
                    "{}",
                    chrono::Utc::now().format_with_items(StrftimeItems::new("%Y-%m-%dT%H:%M:%SZ"))
                ),
                None => write!(self.text, "{second}"),
                Some(format) => {
                    let now = chrono::Local::now();
                    write!(self.text, "{}", now.format_with_items(StrftimeItems::new(format)))
                }
            };
        }
        out.push_str(before);
        if self.json {
            let _ = JsonText(out).write_str(&self.text);
        } else {
            out.push_str(&self.text);
        }
        out.push_str(after);
    }
}

/// Keeps what clients send (names, topics) from forging lines or terminal commands.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !text.chars().any(char::is_control) {
            self.0.push_str(text);
            return Ok(());
        }
        for character in text.chars() {
            if character.is_control() {
                self.0.extend(character.escape_default());
            } else {
                self.0.push(character);
            }
        }
        Ok(())
    }
}

/// The inside of a JSON string (RFC 8259 §7).
struct JsonText<'a>(&'a mut String);

impl fmt::Write for JsonText<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '"' | '\\' => {
                    self.0.push('\\');
                    self.0.push(character);
                }
                _ if character.is_control() => write!(self.0, "\\u{:04x}", u32::from(character))?,
                _ => self.0.push(character),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(settings: &LogConfig, kind: LogType, text: &str, fields: &[Field<'_>]) -> String {
        let mut out = String::new();
        let stamp = Style::new(settings).write(&mut out, kind, format_args!("{text}"), fields);
        assert!(stamp <= out.len());
        out
    }

    #[test]
    fn a_line_cannot_be_forged_by_what_a_client_sends() {
        let settings = LogConfig { timestamp: false, ..LogConfig::default() };
        let text = "Client a\n17: Error: b\u{1b}[2J gone";
        let forged = line(&settings, LogType::Notice, text, &[]);
        assert_eq!(forged, "Client a\\n17: Error: b\\u{1b}[2J gone");
    }

    #[test]
    fn lines_are_stamped_as_configured() {
        let format = Some("%Y-%m-%d".to_owned());
        let settings = LogConfig { timestamp_format: format, ..LogConfig::default() };
        let text = line(&settings, LogType::Error, "no", &[]);
        let (date, rest) = text.split_at(10);
        assert!(date.chars().all(|c| c.is_ascii_digit() || c == '-'), "{date}");
        assert_eq!(rest, ": Error: no");
    }

    #[test]
    fn a_line_of_json_is_json_whatever_is_in_it() {
        let settings =
            LogConfig { format: LogFormat::Json, timestamp: false, ..LogConfig::default() };
        let fields: [Field<'_>; 1] = [("client", &"\"},\n\u{7f}\\")];
        let text = line(&settings, LogType::Warning, "tab\there", &fields);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["client"], "\"},\n\u{7f}\\");
        assert_eq!((&value["type"], &value["message"]), (&"warning".into(), &"tab\there".into()));
        let settings = LogConfig { timestamp: true, ..settings };
        let text = line(&settings, LogType::Notice, "", &[]);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let time = value["time"].as_str().unwrap();
        assert!(time.len() == 20 && time.ends_with('Z') && time.contains('T'), "{time}");
    }
}
