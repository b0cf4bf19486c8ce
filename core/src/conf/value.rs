//! Values: the rest of a line as what its option's type says, or why it is none and what would be
//! right. Knows types, no options.

use super::Network;
use super::diagnose::Problem;
use super::diagnose::quoted;
use super::options::Kind;
use std::borrow::Cow;

/// A value of an option, checked against its type and range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Bool(bool),
    Int(i64),
    Listener { port: u16, address: Option<String> },
    LogDestination { word: &'static str, path: String },
    Network(Network),
    Text(String),
    Word(&'static str),
    Words(Vec<&'static str>),
}

impl Value {
    pub(super) fn bool(&self) -> bool {
        matches!(self, Self::Bool(true))
    }

    pub(super) fn u8(&self) -> u8 {
        self.number()
    }

    pub(super) fn u16(&self) -> u16 {
        self.number()
    }

    pub(super) fn u32(&self) -> u32 {
        self.number()
    }

    pub(super) fn u64(&self) -> u64 {
        self.number()
    }

    /// A limit, where 0 and -1 stand for none.
    pub(super) fn limit(&self) -> Option<u32> {
        Some(self.u32()).filter(|limit| *limit > 0)
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            _ => String::new(),
        }
    }

    pub(super) const fn network(&self) -> Option<Network> {
        match self {
            Self::Network(network) => Some(*network),
            _ => None,
        }
    }

    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Word(word) => word,
            _ => "",
        }
    }

    pub(super) fn has(&self, word: &str) -> bool {
        matches!(self, Self::Words(words) if words.contains(&word))
    }

    /// The number, which the option's range has made to fit; below 0 means "no limit", our 0.
    fn number<T: TryFrom<i64> + Default>(&self) -> T {
        match self {
            Self::Int(number) => T::try_from((*number).max(0)).unwrap_or_default(),
            _ => T::default(),
        }
    }
}

/// A value, and what stood behind it and means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading<'a> {
    pub(super) value: Value,
    pub(super) ignored: &'a str,
}

/// Reads `rest`, all of a line behind its name.
pub(super) fn parse(kind: Kind, rest: &str) -> Result<Reading<'_>, Problem> {
    let rest = trim(rest);
    if rest.is_empty() {
        return Err(Problem::new("the value is missing", expected(kind)));
    }
    if let Some(character) = rest.chars().find(|&c| c.is_control() && c != '\t') {
        let what = format!("the value has the control character U+{:04X}", u32::from(character));
        return Err(Problem::new(what, "remove it"));
    }
    if rest == "=" || rest.starts_with("= ") {
        return Err(Problem::new("there is a `=` before the value", "write `NAME VALUE`"));
    }
    match kind {
        Kind::Listener => listener(rest),
        Kind::LogDestination => log_destination(rest),
        Kind::Path => text(rest, u16::MAX.into()),
        Kind::Text(max) => text(rest, max),
        Kind::TimeFormat => time_format(rest),
        Kind::TopicPrefix => topic_prefix(rest),
        Kind::Words(words) => some_of(words, rest).map(|value| Reading { value, ignored: "" }),
        Kind::Bool | Kind::Duration | Kind::Int { .. } | Kind::Network | Kind::Word(_) => {
            let (word, ignored) = first_word(rest);
            one_word(kind, word).map(|value| Reading { value, ignored })
        }
    }
}

/// What a value of this type looks like, as advice.
pub(super) fn expected(kind: Kind) -> Cow<'static, str> {
    match kind {
        Kind::Bool => "write true or false".into(),
        Kind::Duration => "write a number and a unit, s h d w m or y: `14d`".into(),
        Kind::Int { min, max, unlimited: false } => {
            format!("write a number from {min} to {max}").into()
        }
        Kind::Int { max, .. } => {
            format!("write a number from 0 to {max}, or -1 for no limit").into()
        }
        Kind::Listener => {
            "write `listener PORT`, `listener PORT ADDRESS` or `listener 0 /PATH`".into()
        }
        Kind::LogDestination => "write stdout, stderr, syslog, `file PATH` or none".into(),
        Kind::Network => "write a network (`10.0.0.0/8`, `2001:db8::/32`) or an IP address".into(),
        Kind::Path => "write a path".into(),
        Kind::Text(_) => "write a text".into(),
        Kind::TimeFormat => "write a format of strftime: `%Y-%m-%dT%H:%M:%S`".into(),
        Kind::TopicPrefix => "write the beginning of a topic: `site/`".into(),
        Kind::Word(words) => format!("write {}", any_of(words)).into(),
        Kind::Words(words) => format!("write some of {}", words.join(", ")).into(),
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// The first word, and what is behind it.
pub(super) fn first_word(text: &str) -> (&str, &str) {
    match text.split_once([' ', '\t']) {
        Some((word, rest)) => (word, trim(rest)),
        None => (text, ""),
    }
}

fn any_of(words: &[&str]) -> String {
    match words {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => words.concat(),
    }
}

fn one_word(kind: Kind, word: &str) -> Result<Value, Problem> {
    match kind {
        Kind::Bool => match word {
            "true" | "1" => Ok(Value::Bool(true)),
            "false" | "0" => Ok(Value::Bool(false)),
            _ => {
                Err(Problem::new(format!("{} is not true or false", quoted(word)), expected(kind)))
            }
        },
        Kind::Duration => duration(word),
        Kind::Int { min, max, unlimited } => {
            let number = number(word).map_err(|what| Problem::new(what, expected(kind)))?;
            if (min..=max).contains(&number) {
                Ok(Value::Int(number))
            } else if unlimited && number < 0 {
                Ok(Value::Int(-1))
            } else {
                let what = format!("{} is out of range", quoted(word));
                Err(Problem::new(what, expected(kind)))
            }
        }
        Kind::Network => word
            .parse()
            .map(Value::Network)
            .map_err(|()| Problem::new(format!("{} is no network", quoted(word)), expected(kind))),
        Kind::Word(words) => word_of(words, word).map(Value::Word),
        _ => Err(Problem::new("the value is missing", expected(kind))),
    }
}

/// A whole number as Mosquitto reads it: decimal or `0x` and hexadecimal. What C takes for octal is
/// refused, because nobody means it.
fn number(word: &str) -> Result<i64, String> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (digits, radix) = hex.map_or((digits, 10), |digits| (digits, 16));
    let all_digits = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    if !all_digits {
        return Err(format!("{} is not a whole number", quoted(word)));
    }
    if radix == 10 && digits.len() > 1 && digits.starts_with('0') {
        return Err(format!("{} begins with 0, which would make it octal", quoted(word)));
    }
    let number = i64::from_str_radix(digits, radix).unwrap_or(i64::MAX);
    Ok(if negative { -number } else { number })
}

fn duration(word: &str) -> Result<Value, Problem> {
    let wrong = |what: String| Problem::new(what, expected(Kind::Duration));
    let unit = match word.as_bytes().last() {
        Some(b's') => 1,
        Some(b'h') => 3_600,
        Some(b'd') => 86_400,
        Some(b'w') => 7 * 86_400,
        Some(b'm') => 30 * 86_400,
        Some(b'y') => 365 * 86_400,
        _ => return Err(wrong(format!("{} has no unit", quoted(word)))),
    };
    let count = number(&word[..word.len() - 1]).map_err(wrong)?;
    match count.checked_mul(unit) {
        Some(seconds) if count > 0 && seconds <= 1_000 * 365 * 86_400 => Ok(Value::Int(seconds)),
        _ => Err(wrong(format!("{} is out of range", quoted(word)))),
    }
}

fn word_of(words: &[&'static str], word: &str) -> Result<&'static str, Problem> {
    words.iter().copied().find(|known| *known == word).ok_or_else(|| {
        let right = format!("write {}", any_of(words));
        Problem::new(format!("{} is not known here", quoted(word)), right)
    })
}

fn some_of(words: &'static [&'static str], rest: &str) -> Result<Value, Problem> {
    let mut found = Vec::new();
    for word in rest.split([' ', '\t', ',']).filter(|word| !word.is_empty()) {
        let word = word_of(words, word)
            .map_err(|problem| Problem::new(problem.what, expected(Kind::Words(words))))?;
        if !found.contains(&word) {
            found.push(word);
        }
    }
    if found.is_empty() {
        return Err(Problem::new("the value is missing", expected(Kind::Words(words))));
    }
    Ok(Value::Words(found))
}

fn text(rest: &str, max: u32) -> Result<Reading<'_>, Problem> {
    if rest.len() as u64 > u64::from(max) {
        let what = format!("the value has {} bytes", rest.len());
        return Err(Problem::new(what, format!("write at most {max} bytes")));
    }
    Ok(Reading { value: Value::Text(rest.to_owned()), ignored: "" })
}

fn topic_prefix(rest: &str) -> Result<Reading<'_>, Problem> {
    if let Some(wildcard) = rest.chars().find(|c| matches!(c, '+' | '#')) {
        let what = format!("the topic has the wildcard `{wildcard}`");
        return Err(Problem::new(what, expected(Kind::TopicPrefix)));
    }
    text(rest, 32_767)
}

/// Conversions of strftime that every platform writes alike, `%-d` and its kind included.
fn time_format(rest: &str) -> Result<Reading<'_>, Problem> {
    const KNOWN: &str = "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUvVwWxXyYzZ%";
    let mut characters = rest.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            continue;
        }
        let mut conversion = characters.next();
        if matches!(conversion, Some('-' | '_' | '0')) {
            conversion = characters.next();
        }
        match conversion {
            Some(conversion) if KNOWN.contains(conversion) => {}
            Some(unknown) => {
                let what = format!("`%{}` is no conversion of strftime", unknown.escape_default());
                return Err(Problem::new(what, expected(Kind::TimeFormat)));
            }
            None => {
                let what = "a `%` stands alone at the end";
                return Err(Problem::new(what, expected(Kind::TimeFormat)));
            }
        }
    }
    text(rest, 256)
}

fn log_destination(rest: &str) -> Result<Reading<'_>, Problem> {
    const WORDS: &[&str] = &["stdout", "stderr", "syslog", "topic", "file", "none"];
    let (word, behind) = first_word(rest);
    let system = match word {
        "dlt" => Some("the DLT daemon of cars needs a library of its own"),
        "android" => Some("Android's log exists on Android alone"),
        _ => None,
    };
    if let Some(why) = system {
        let what = format!("log_dest {word} is not supported: {why}");
        return Err(Problem::new(what, expected(Kind::LogDestination)));
    }
    let word = word_of(WORDS, word)
        .map_err(|problem| Problem::new(problem.what, expected(Kind::LogDestination)))?;
    let (path, ignored) = match word {
        "file" if behind.is_empty() => {
            return Err(Problem::new("the file's path is missing", "write `log_dest file PATH`"));
        }
        "file" => (behind.to_owned(), ""),
        // Lines are never held back, so this says nothing new.
        "stdout" if behind == "unbuffered" => (String::new(), ""),
        _ => (String::new(), behind),
    };
    Ok(Reading { value: Value::LogDestination { word, path }, ignored })
}

fn listener(rest: &str) -> Result<Reading<'_>, Problem> {
    let (port, behind) = first_word(rest);
    let (address, mut ignored) = first_word(behind);
    let advice = || expected(Kind::Listener);
    let port_number = number(port).map_err(|what| Problem::new(what, advice()))?;
    let Ok(port_number) = u16::try_from(port_number) else {
        let what = format!("{} is not a port", quoted(port));
        return Err(Problem::new(what, "write a port from 1 to 65535"));
    };
    let address = if address.is_empty() {
        None
    } else if address.starts_with('#') {
        ignored = behind;
        None
    } else {
        Some(address.to_owned())
    };
    Ok(Reading { value: Value::Listener { port: port_number, address }, ignored })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(kind: Kind, rest: &str) -> Result<Value, String> {
        parse(kind, rest).map(|reading| reading.value).map_err(|problem| problem.what.into_owned())
    }

    #[test]
    fn numbers_are_decimal_or_hexadecimal_and_never_octal() {
        let kind = Kind::Int { min: 0, max: 100, unlimited: true };
        for (text, expected) in
            [("7", 7), ("+7", 7), ("0x10", 16), ("0", 0), ("100", 100), ("-1", -1), ("-99", -1)]
        {
            assert_eq!(value(kind, text), Ok(Value::Int(expected)), "{text}");
        }
        for text in ["", "ten", "1.5", "010", "101", "--1", "+-1", "0x", "99999999999999999999"] {
            assert!(value(kind, text).is_err(), "{text}");
        }
        assert!(value(Kind::Int { min: 0, max: 100, unlimited: false }, "-1").is_err());
    }

    #[test]
    fn booleans_are_words_or_digits() {
        for (text, expected) in [("true", true), ("1", true), ("false", false), ("0", false)] {
            assert_eq!(value(Kind::Bool, text), Ok(Value::Bool(expected)));
        }
        for text in ["yes", "True", "on", "2", "", "="] {
            assert!(value(Kind::Bool, text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_have_a_unit() {
        for (text, expected) in
            [("1s", 1), ("2h", 7_200), ("14d", 1_209_600), ("2m", 5_184_000), ("1y", 31_536_000)]
        {
            assert_eq!(value(Kind::Duration, text), Ok(Value::Int(expected)), "{text}");
        }
        for text in ["14", "d", "0d", "-1d", "1.5d", "99999y", "1 d", "1\u{e9}"] {
            assert!(value(Kind::Duration, text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_stands_behind_a_word_is_reported() {
        let reading = parse(Kind::Bool, " true  # yes").map(|reading| reading.ignored.to_owned());
        assert_eq!(reading, Ok("# yes".to_owned()));
    }

    #[test]
    fn a_text_is_the_whole_rest_without_blanks_at_its_ends() {
        assert_eq!(value(Kind::Path, "  /a b/c \t"), Ok(Value::Text("/a b/c".into())));
        assert!(value(Kind::Text(3), "four").is_err());
        assert!(value(Kind::Path, "/a\u{0}b").is_err());
        assert!(value(Kind::Path, "= /a").is_err());
    }

    #[test]
    fn words_are_separated_by_spaces_or_commas() {
        let kind = Kind::Words(&["3", "4", "5"]);
        assert_eq!(value(kind, "4, 5"), Ok(Value::Words(vec!["4", "5"])));
        assert_eq!(value(kind, "5 4,5"), Ok(Value::Words(vec!["5", "4"])));
        assert!(value(kind, "4,6").is_err());
        assert!(value(kind, ",").is_err());
    }

    #[test]
    fn formats_of_time_are_checked() {
        for text in ["%Y-%m-%dT%H:%M:%S", "%-d. %b", "100 %%", "plain"] {
            assert!(value(Kind::TimeFormat, text).is_ok(), "{text}");
        }
        for text in ["%", "%Q", "%-", "%E"] {
            assert!(value(Kind::TimeFormat, text).is_err(), "{text}");
        }
    }

    #[test]
    fn listeners_have_a_port_and_perhaps_an_address() {
        let listener = |port, address: Option<&str>| {
            Ok(Value::Listener { port, address: address.map(Into::into) })
        };
        assert_eq!(value(Kind::Listener, "1883"), listener(1883, None));
        assert_eq!(value(Kind::Listener, "1883 ::1"), listener(1883, Some("::1")));
        assert_eq!(value(Kind::Listener, "0 /run/m.sock"), listener(0, Some("/run/m.sock")));
        assert_eq!(value(Kind::Listener, "1883 # all"), listener(1883, None));
        for text in ["", "65536", "-1", "mqtt", "localhost 1883"] {
            assert!(value(Kind::Listener, text).is_err(), "{text}");
        }
    }
}
