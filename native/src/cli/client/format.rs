//! How `halyard sub` prints a message: payload, `-v`, and the `-F` format with its `%`, `@` and `\`
//! sequences, as in mosquitto_sub. Turns a message into bytes; never decides whether it is printed.

use super::json::Json;
use chrono::{DateTime, Local};
use halyard_core::packet::{Publish, QoS};
use std::fmt::Write;

/// A parsed format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Vec<u8>),
    /// `%` and a letter.
    Field(char, Width),
    /// `@` and a letter for strftime.
    Time(char),
    Nanoseconds,
}

/// Flags and widths between `%` and the letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Width {
    zero: bool,
    left: bool,
    minimum: usize,
    maximum: Option<usize>,
}

/// Letters after `%` that mosquitto_sub knows, but `%%`.
const FIELDS: &str = "ACDEFIJPRSUXjlmpqrtx";

impl Format {
    /// Parses the text of `-F`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                '%' => pieces.push(field(&mut chars)?),
                '@' => pieces.push(match chars.next() {
                    None => return Err("Incomplete format specifier.".to_owned()),
                    Some('@') => Piece::Literal(b"@".to_vec()),
                    Some('N') => Piece::Nanoseconds,
                    Some(letter) => Piece::Time(letter),
                }),
                '\\' => pieces.push(Piece::Literal(vec![escape(chars.next())?])),
                char => {
                    let mut buffer = [0; 4];
                    let bytes = char.encode_utf8(&mut buffer).as_bytes();
                    match pieces.last_mut() {
                        Some(Piece::Literal(literal)) => literal.extend_from_slice(bytes),
                        _ => pieces.push(Piece::Literal(bytes.to_vec())),
                    }
                }
            }
        }
        Ok(Self(pieces))
    }

    /// Appends the message in this format. `Err` is a complaint for standard error.
    pub(super) fn print(
        &self,
        message: &Publish<'_>,
        pretty: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let now = Local::now();
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => out.extend_from_slice(literal),
                Piece::Field(letter, width) => {
                    print_field(*letter, *width, message, now, pretty, out)?;
                }
                Piece::Time(letter) => out.extend_from_slice(time(now, *letter).as_bytes()),
                Piece::Nanoseconds => {
                    out.extend_from_slice(
                        format!("{:09}", now.timestamp_subsec_nanos()).as_bytes(),
                    );
                }
            }
        }
        Ok(())
    }
}

/// What follows a `%`.
fn field(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Piece, String> {
    let mut width = Width::default();
    match chars.peek() {
        Some('%') => {
            chars.next();
            return Ok(Piece::Literal(b"%".to_vec()));
        }
        Some('-') => width.left = chars.next().is_some(),
        _ => {}
    }
    if chars.peek() == Some(&'0') {
        width.zero = chars.next().is_some();
    }
    width.minimum = digits(chars).unwrap_or(0);
    if chars.peek() == Some(&'.') {
        chars.next();
        width.maximum = Some(digits(chars).unwrap_or(0));
    }
    match chars.next() {
        None => Err("Incomplete format specifier.".to_owned()),
        Some(letter) if FIELDS.contains(letter) => Ok(Piece::Field(letter, width)),
        Some(letter) => Err(format!("Invalid format specifier '{letter}'.")),
    }
}

fn digits(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut number = None;
    while let Some(digit) = chars.peek().and_then(|char| char.to_digit(10)) {
        chars.next();
        // Wider than any screen is as good as that.
        number = Some((number.unwrap_or(0) * 10 + digit as usize).min(100_000));
    }
    number
}

fn escape(char: Option<char>) -> Result<u8, String> {
    Ok(match char {
        Some('\\') => b'\\',
        Some('0') => 0,
        Some('a') => 0x07,
        Some('e') => 0x1B,
        Some('n') => b'\n',
        Some('r') => b'\r',
        Some('t') => b'\t',
        Some('v') => 0x0B,
        None => return Err("Incomplete escape specifier.".to_owned()),
        Some(other) => return Err(format!("Invalid escape specifier '{other}'.")),
    })
}

fn print_field(
    letter: char,
    width: Width,
    message: &Publish<'_>,
    now: DateTime<Local>,
    pretty: bool,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let properties = &message.properties;
    match letter {
        'A' => number(properties.topic_alias.map(|alias| u32::from(alias.get())), width, out),
        'C' => text(properties.content_type.unwrap_or_default(), width, out),
        'D' => out.extend_from_slice(properties.correlation_data.unwrap_or_default()),
        'E' => number(properties.message_expiry_interval, width, out),
        'F' => number(properties.payload_format_utf8.map(u32::from), width, out),
        'I' => text(&now.format("%Y-%m-%dT%H:%M:%S%z").to_string(), width, out),
        'j' => json(message, false, now, pretty, out)?,
        'J' => json(message, true, now, pretty, out)?,
        'l' => number(u32::try_from(message.payload.len()).ok(), width, out),
        'm' => number(Some(message.packet_id.map_or(0, |id| u32::from(id.get()))), width, out),
        'p' => payload(message.payload, width, out),
        'P' => {
            let pairs = properties.user_properties.iter();
            let pairs: Vec<_> = pairs.map(|(name, value)| format!("{name}:{value}")).collect();
            out.extend_from_slice(pairs.join(" ").as_bytes());
        }
        'q' => out.push(b'0' + message.qos.bits()),
        'r' => out.push(b'0' + u8::from(message.retain)),
        // Absent, it is not padded either.
        'R' => _ = properties.response_topic.map(|topic| text(topic, width, out)),
        'S' => number(properties.subscription_identifiers.first().copied(), width, out),
        't' => text(message.topic, width, out),
        'U' => {
            let (seconds, nanos) = (now.timestamp(), now.timestamp_subsec_nanos());
            out.extend_from_slice(format!("{seconds}.{nanos:09}").as_bytes());
        }
        'x' => hex(message.payload, b"0123456789abcdef", width, out),
        'X' => hex(message.payload, b"0123456789ABCDEF", width, out),
        _ => {}
    }
    Ok(())
}

/// Text is cut to the maximum and padded with blanks.
fn text(text: &str, width: Width, out: &mut Vec<u8>) {
    let cut = &text.as_bytes()[..text.len().min(width.maximum.unwrap_or(usize::MAX))];
    pad(cut, Width { zero: false, ..width }, out);
}

/// An absent number is empty, or padding alone.
fn number(number: Option<u32>, width: Width, out: &mut Vec<u8>) {
    let digits = number.map_or(String::new(), |number| number.to_string());
    pad(digits.as_bytes(), Width { zero: width.zero && !width.left, ..width }, out);
}

/// A payload is cut to its field.
fn payload(bytes: &[u8], width: Width, out: &mut Vec<u8>) {
    let length = if width.minimum > 0 { width.minimum.min(bytes.len()) } else { bytes.len() };
    pad(&bytes[..length], width, out);
}

fn hex(bytes: &[u8], letters: &[u8; 16], width: Width, out: &mut Vec<u8>) {
    let fits = if width.minimum > 0 { width.minimum / 2 } else { bytes.len() };
    let shown = bytes.iter().take(fits);
    let pair = |byte: &u8| [letters[usize::from(byte >> 4)], letters[usize::from(byte & 15)]];
    let digits: Vec<u8> = shown.flat_map(pair).collect();
    pad(&digits, width, out);
}

fn pad(bytes: &[u8], width: Width, out: &mut Vec<u8>) {
    let missing = width.minimum.saturating_sub(bytes.len());
    if width.left {
        out.extend_from_slice(bytes);
        out.extend(std::iter::repeat_n(b' ', missing));
    } else {
        out.extend(std::iter::repeat_n(if width.zero { b'0' } else { b' ' }, missing));
        out.extend_from_slice(bytes);
    }
}

/// strftime with one letter; a letter that it does not know stands as it is.
fn time(now: DateTime<Local>, letter: char) -> String {
    let mut text = String::new();
    if write!(text, "{}", now.format(&format!("%{letter}"))).is_err() {
        return format!("%{letter}");
    }
    text
}

fn json(
    message: &Publish<'_>,
    payload_is_json: bool,
    now: DateTime<Local>,
    pretty: bool,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let payload = if message.payload.is_empty() {
        Json::Plain(serde_json::Value::Null)
    } else if payload_is_json {
        Json::Plain(serde_json::from_slice(message.payload).map_err(|_| {
            format!("Message payload is not valid JSON on topic {}.", message.topic)
        })?)
    } else {
        Json::text(&String::from_utf8_lossy(message.payload))
    };
    let mut fields = vec![
        ("tst", Json::text(&now.format("%Y-%m-%dT%H:%M:%S%.6fZ%z").to_string())),
        ("topic", Json::text(message.topic)),
        ("qos", Json::number(u64::from(message.qos.bits()))),
        ("retain", Json::number(u64::from(message.retain))),
        ("payloadlen", Json::number(message.payload.len() as u64)),
    ];
    if let Some(id) = message.packet_id.filter(|_| message.qos != QoS::AtMostOnce) {
        fields.push(("mid", Json::number(u64::from(id.get()))));
    }
    let properties = json_properties(message);
    if !properties.is_empty() {
        fields.push(("properties", Json::Object(properties)));
    }
    fields.push(("payload", payload));
    let object = Json::Object(own(fields));
    let mut text = String::new();
    object.print(pretty, &mut text);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn own(fields: Vec<(&str, Json)>) -> Vec<(String, Json)> {
    fields.into_iter().map(|(name, json)| (name.to_owned(), json)).collect()
}

fn json_properties(message: &Publish<'_>) -> Vec<(String, Json)> {
    let properties = &message.properties;
    let mut fields = Vec::new();
    if let Some(utf8) = properties.payload_format_utf8 {
        fields.push(("payload-format-indicator", Json::number(u64::from(utf8))));
    }
    if let Some(seconds) = properties.message_expiry_interval {
        fields.push(("message-expiry-interval", Json::number(u64::from(seconds))));
    }
    if let Some(alias) = properties.topic_alias {
        fields.push(("topic-alias", Json::number(u64::from(alias.get()))));
    }
    if let Some(topic) = properties.response_topic {
        fields.push(("response-topic", Json::text(topic)));
    }
    if let Some(data) = properties.correlation_data {
        fields.push(("correlation-data", Json::text(&String::from_utf8_lossy(data))));
    }
    if let Some(id) = properties.subscription_identifiers.first() {
        fields.push(("subscription-identifier", Json::number(u64::from(*id))));
    }
    if let Some(content_type) = properties.content_type {
        fields.push(("content-type", Json::text(content_type)));
    }
    if !properties.user_properties.is_empty() {
        let pairs = properties.user_properties.iter();
        let pairs = pairs.map(|(name, value)| (name.to_owned(), Json::text(value)));
        fields.push(("user-properties", Json::Object(pairs.collect())));
    }
    own(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use halyard_core::packet::PublishProperties;

    fn print(format: &str, payload: &[u8]) -> String {
        let message = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: true,
            topic: "a/b",
            packet_id: None,
            properties: PublishProperties::default(),
            payload,
        };
        let mut out = Vec::new();
        Format::parse(format).and_then(|f| f.print(&message, false, &mut out)).expect("right");
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn widths_are_those_of_mosquitto_sub() {
        assert_eq!(print("%t|%6t|%-6t|%.2t|%06t", b""), "a/b|   a/b|a/b   |a/|   a/b");
        assert_eq!(print("%l|%5l|%05l|%-5l|%r%q", b"xyz"), "3|    3|00003|3    |10");
        assert_eq!(
            print("%x|%X|%8x|%-8x|%4x|%08X", b"\xab\xcd"),
            "abcd|ABCD|    abcd|abcd    |abcd|0000ABCD"
        );
        assert_eq!(print("%2p|%5p|%-5p", b"abc"), "ab|  abc|abc  ");
        assert_eq!(print("%A|%5A|%05E|%C", b""), "|     |00000|");
        assert_eq!(print("%% @@ \\\\\\t", b""), "% @ \\\t");
    }

    #[test]
    fn a_wrong_format_is_refused() {
        for (format, expected) in [
            ("%", "Incomplete format"),
            ("%y", "specifier 'y'"),
            ("%5", "Incomplete format"),
            ("@", "Incomplete format"),
            ("\\", "Incomplete escape"),
            ("\\q", "specifier 'q'"),
            ("%0-5l", "specifier '-'"),
        ] {
            let error = Format::parse(format).expect_err("wrong");
            assert!(error.contains(expected), "{format}: {error}");
        }
    }

    #[test]
    fn times_have_their_shape() {
        let stamp = print("%U", b"");
        assert_eq!(stamp.split('.').map(str::len).collect::<Vec<_>>(), [10, 9]);
        assert_eq!(print("%I", b"").len(), 24);
        assert_eq!(print("@Y@!", b"").len(), 6);
        let json = print("%j", b"x");
        assert!(json.contains(r#""topic":"a/b","qos":0,"retain":1,"payloadlen":1,"payload":"x"}"#));
    }
}
