//! Lines of a configuration file: numbers, names and the rest. A line is `NAME VALUE`; it is a
//! comment if its very first character is `#`. Knows no options.

use super::diagnose::Problem;
use super::value::first_word;

/// A configuration file that the caller has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// How messages name the file.
    pub name: String,
    /// What is in it.
    pub text: Vec<u8>,
}

impl Source {
    /// A file with this text.
    pub fn new(name: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), text: text.into() }
    }
}

/// A line that sets something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) number: u32,
    pub(super) name: &'a str,
    pub(super) rest: &'a str,
}

/// Bytes of the longest line, as long as the longest value of Mosquitto and a name.
const LINE_BYTES_MAX: usize = 66_000;

/// The lines that set something, and those that are none.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = Result<Line<'_>, (u32, Problem)>> {
    // Some editors put a byte order mark before the first line.
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    (1..).zip(text.split(|&byte| byte == b'\n')).filter_map(|(number, bytes)| {
        if bytes.first() == Some(&b'#') {
            return None;
        }
        match line(number, bytes) {
            Ok(line) if line.name.is_empty() => None,
            Ok(line) => Some(Ok(line)),
            Err(problem) => Some(Err((number, problem))),
        }
    })
}

fn line(number: u32, bytes: &[u8]) -> Result<Line<'_>, Problem> {
    if bytes.len() > LINE_BYTES_MAX {
        let what = format!("the line has {} bytes", bytes.len());
        return Err(Problem::new(what, format!("write at most {LINE_BYTES_MAX}")));
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(Problem::new("the line is not UTF-8", "save the file as UTF-8"));
    };
    let text = text.trim_end_matches('\r').trim_matches([' ', '\t']);
    let (name, rest) = first_word(text);
    Ok(Line { number, name, rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<(u32, String, String)> {
        lines(text)
            .map(|line| match line {
                Ok(line) => (line.number, line.name.to_owned(), line.rest.to_owned()),
                Err((number, problem)) => (number, "error".into(), problem.what.into_owned()),
            })
            .collect()
    }

    fn expect(expected: &[(u32, &str, &str)]) -> Vec<(u32, String, String)> {
        expected.iter().map(|&(number, name, rest)| (number, name.into(), rest.into())).collect()
    }

    #[test]
    fn a_line_is_a_name_and_the_rest() {
        let text =
            b"\xEF\xBB\xBF# a comment\r\nlistener 1883  ::1 \r\n\r\n  \t \nuser\npid_file\t/a b\n";
        let expected = [(2, "listener", "1883  ::1"), (5, "user", ""), (6, "pid_file", "/a b")];
        assert_eq!(read(text), expect(&expected));
    }

    #[test]
    fn only_the_first_column_makes_a_comment() {
        assert_eq!(read(b" # no"), expect(&[(1, "#", "no")]));
        assert_eq!(read(b"user root # no"), expect(&[(1, "user", "root # no")]));
    }

    #[test]
    fn a_comment_may_be_anything_and_a_line_must_be_text() {
        assert_eq!(
            read(b"# \xFF\xFE\nuser \xFF"),
            expect(&[(2, "error", "the line is not UTF-8")])
        );
        let long = [b"user ".as_slice(), &[b'x'; LINE_BYTES_MAX]].concat();
        assert_eq!(read(&long).len(), 1);
        assert_eq!(read(&long)[0].1, "error");
    }
}
