//! JSON as mosquitto_sub prints it: the fields of a message in its order, and its two layouts, one
//! line or indented by tabs. Only printing; a payload is read by serde_json.

use serde_json::Value;

/// A message to print. Objects are lists, for names may repeat.
#[derive(Clone, Debug)]
pub(super) enum Json {
    Plain(Value),
    Object(Vec<(String, Self)>),
}

impl Json {
    pub(super) fn text(text: &str) -> Self {
        Self::Plain(Value::from(text))
    }

    pub(super) fn number(number: u64) -> Self {
        Self::Plain(Value::from(number))
    }

    /// Appends the text.
    pub(super) fn print(&self, pretty: bool, out: &mut String) {
        let mut printer = Printer { out, pretty };
        printer.json(self, 0);
    }
}

struct Printer<'o> {
    out: &'o mut String,
    pretty: bool,
}

impl Printer<'_> {
    fn json(&mut self, json: &Json, depth: usize) {
        match json {
            Json::Plain(value) => self.value(value, depth),
            Json::Object(entries) => {
                let entries = entries.iter().map(|(name, value)| (name.as_str(), value));
                self.object(entries, depth, |printer, value, depth| printer.json(value, depth));
            }
        }
    }

    fn value(&mut self, value: &Value, depth: usize) {
        match value {
            Value::Object(map) => {
                let entries = map.iter().map(|(name, value)| (name.as_str(), value));
                self.object(entries, depth, |printer, value, depth| printer.value(value, depth));
            }
            Value::Array(values) => {
                self.out.push('[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        self.out.push_str(if self.pretty { ", " } else { "," });
                    }
                    self.value(value, depth + 1);
                }
                self.out.push(']');
            }
            scalar => self.out.push_str(&scalar.to_string()),
        }
    }

    fn object<'v, T: 'v>(
        &mut self,
        entries: impl Iterator<Item = (&'v str, &'v T)>,
        depth: usize,
        print: fn(&mut Self, &T, usize),
    ) {
        self.out.push('{');
        let mut count = 0;
        for (name, value) in entries {
            if count > 0 {
                self.out.push(',');
            }
            count += 1;
            self.new_line(depth + 1);
            self.out.push_str(&Value::from(name).to_string());
            self.out.push_str(if self.pretty { ":\t" } else { ":" });
            print(self, value, depth + 1);
        }
        if count > 0 || self.pretty {
            self.new_line(depth);
        }
        self.out.push('}');
    }

    fn new_line(&mut self, depth: usize) {
        if self.pretty {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n('\t', depth));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_are_mosquittos() {
        let payload = serde_json::from_str(r#"{"x": 1.50,"y":[1,2 , {"z":null}],"u":"\u00e9"}"#);
        let json = Json::Object(vec![
            ("topic".to_owned(), Json::text("a\"b")),
            ("payload".to_owned(), Json::Plain(payload.expect("JSON"))),
        ]);
        let (mut short, mut long) = (String::new(), String::new());
        json.print(false, &mut short);
        json.print(true, &mut long);
        assert_eq!(short, r#"{"topic":"a\"b","payload":{"x":1.5,"y":[1,2,{"z":null}],"u":"é"}}"#);
        let expected = "{\n\t\"topic\":\t\"a\\\"b\",\n\t\"payload\":\t{\n\t\t\"x\":\t1.5,\n\t\t\
                        \"y\":\t[1, 2, {\n\t\t\t\t\"z\":\tnull\n\t\t\t}],\n\t\t\"u\":\t\"é\"\n\t}\n}";
        assert_eq!(long, expected);
    }
}
