//! Whatever a file holds, reading it ends, in bounded time and with bounded words, and says the same
//! each time; and a configuration without an error is one that a broker can run with.

use halyard_core::conf::Parsed;
use halyard_core::conf::Severity;
use halyard_core::conf::Source;
use halyard_core::conf::options;
use halyard_core::conf::parse;
use proptest::prelude::*;

fn read(main: &[u8], included: &[u8]) -> Parsed {
    parse(&Source::new("main", main), &mut |_| Ok(vec![Source::new("included", included)]))
}

fn check(main: &[u8], included: &[u8]) {
    let parsed = read(main, included);
    assert_eq!(parsed, read(main, included));
    assert!(parsed.diagnostics.len() <= 501);
    assert!(!parsed.config.listeners.is_empty());
    for diagnostic in &parsed.diagnostics {
        let lines = match diagnostic.file.as_str() {
            "main" => main,
            _ => included,
        };
        let count = lines.split(|&byte| byte == b'\n').count() as u64;
        assert!((1..=count).contains(&u64::from(diagnostic.line)), "{diagnostic}");
        assert!(!diagnostic.to_string().chars().any(char::is_control), "{diagnostic:?}");
        assert!(diagnostic.to_string().len() < 2000, "{diagnostic}");
        assert!(!diagnostic.what.is_empty());
    }
    let errors = parsed.diagnostics.iter().any(|found| found.severity == Severity::Error);
    assert_eq!(parsed.is_valid(), !errors);
    if parsed.is_valid() {
        let broker = &parsed.config.broker;
        assert!(broker.output_low_water < broker.output_high_water);
        assert!(broker.auto_id_prefix.len() <= 50);
        assert!(parsed.config.listeners.len() <= 1024);
    }
}

/// A line that looks like one: a name of the table, perhaps misspelt, and a value of some type.
fn line() -> impl Strategy<Value = String> {
    let names: Vec<&'static str> = options().map(|option| option.name).collect();
    let value = prop_oneof![
        Just("true".to_owned()),
        Just("false".to_owned()),
        (-2_i64..70_000).prop_map(|number| number.to_string()),
        "[0-9]{1,3}[shdwmy]",
        "(mqtt|websockets|http_api|3, 5|ipv6|file /a b|none|all)",
        "[0-9]{1,5} (/a|::1|a\\.b|#)",
        "[ -~\t]{0,20}",
    ];
    (prop::sample::select(names), value, 0_u8..20).prop_map(|(name, value, form)| match form {
        0 => name.to_owned(),
        1 => format!("#{name} {value}"),
        2 => format!("{name}x {value}"),
        3 => format!("  {name}\t{value} "),
        _ => format!("{name} {value}"),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read(main in prop::collection::vec(any::<u8>(), 0..400)) {
        check(&main, &main);
    }

    #[test]
    fn any_text_is_read(main in "(?s).{0,200}", included in "(?s).{0,80}") {
        check(main.as_bytes(), included.as_bytes());
    }

    #[test]
    fn any_lines_are_read(
        main in prop::collection::vec(line(), 0..40),
        included in prop::collection::vec(line(), 0..6),
    ) {
        check(main.join("\n").as_bytes(), included.join("\r\n").as_bytes());
    }

    #[test]
    fn a_supported_line_is_read_alike_anywhere(
        number in 0_u16..600,
        before in prop::collection::vec("#[ -~]{0,30}|[ \t]{0,3}", 0..10),
    ) {
        let text = format!("{}\nmax_keepalive {number}", before.join("\n"));
        let parsed = read(text.as_bytes(), b"");
        prop_assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
        prop_assert_eq!(parsed.config.broker.max_keepalive, number);
    }
}
