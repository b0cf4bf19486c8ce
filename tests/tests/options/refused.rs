//! Options that are not honoured: those that are refused stop the start with file, line and name;
//! those without effect are said at the start, and the broker runs.

use super::OPEN;
use halyard_core::conf::Kind;
use halyard_core::conf::OptionSpec;
use halyard_core::conf::Scope;
use halyard_core::conf::Status;
use halyard_core::conf::options;
use halyard_core::packet::Version;
use halyard_tests::Broker;
use halyard_tests::Outcome;
use halyard_tests::Setup;

/// A value that the option's type takes and that is not its default.
fn another_value(option: &OptionSpec) -> String {
    match option.kind {
        Kind::Bool => (option.default != "true").to_string(),
        Kind::Int { min, max, .. } => max.min(min + 2).to_string(),
        Kind::Word(words) => {
            (*words.iter().find(|word| **word != option.default).unwrap_or(&"")).into()
        }
        _ => "/some/text".into(),
    }
}

/// Its name, with something in the place of a star.
fn name(option: &OptionSpec) -> String {
    option.name.replace('*', "x")
}

fn test(config: &str) -> Outcome {
    Setup::default().config(config).args(&["--test-config"]).run()
}

#[test]
fn what_is_refused_stops_the_start_with_file_line_and_name() {
    let is_refused =
        |option: &&OptionSpec| matches!(option.status, Status::Refused(_) | Status::NotYet(_));
    let mut refused = 0;
    for option in options().filter(is_refused) {
        let name = name(option);
        let outcome = test(&format!("{OPEN}{name} {}\n", another_value(option)));
        assert_eq!(outcome.code, Some(3), "{name}: {outcome:?}");
        let place = format!("halyard.conf:3: error: {name}: ");
        assert!(outcome.stderr.contains(&place), "{outcome:?}");
        assert!(outcome.stderr.contains("not supported"), "{outcome:?}");
        refused += 1;
    }
    assert!(refused > 50, "bridges and plug-ins alone are as many");
}

#[test]
fn bridges_plug_ins_and_pre_shared_keys_are_refused_as_they_are_written() {
    for (block, line, name, why) in [
        ("connection cloud\naddress example.org\ntopic # both 1\n", 3, "connection", "bridges"),
        ("plugin /usr/lib/mosquitto_dynamic_security.so\n", 3, "plugin", "plug-ins"),
        (
            "plugin /usr/lib/mosquitto_dynamic_security.so\n\
             plugin_opt_config_file /var/lib/mosquitto/dynamic-security.json\n",
            3,
            "plugin",
            "plug-ins",
        ),
        (
            "auth_plugin /usr/lib/go-auth.so\nauth_opt_backends files\n",
            3,
            "auth_plugin",
            "plug-ins",
        ),
        ("psk_file /etc/mosquitto/psk\n", 3, "psk_file", "pre-shared keys"),
        ("psk_hint hint\n", 3, "psk_hint", "pre-shared keys"),
    ] {
        let outcome = test(&format!("{OPEN}{block}"));
        assert_eq!(outcome.code, Some(3), "{block}: {outcome:?}");
        let place = format!("halyard.conf:{line}: error: {name}: ");
        let said = outcome.stderr.lines().find(|said| said.contains(&place));
        assert!(said.is_some_and(|said| said.contains(why)), "{block}: {outcome:?}");
        let errors = outcome.stderr.matches("error: ").count();
        assert_eq!(errors, 1, "a block is refused once: {outcome:?}");
    }
}

#[test]
fn a_refused_option_with_the_value_that_holds_anyway_is_no_error() {
    let lines: String = options()
        .filter(|option| matches!(option.status, Status::Refused(_) | Status::NotYet(_)))
        .filter(|option| !option.default.is_empty())
        .filter(|option| !matches!(option.scope, Scope::Bridge | Scope::Plugin))
        .map(|option| format!("{} {}\n", option.name, option.default))
        .collect();
    assert!(lines.contains("enable_control_api false"), "{lines}");
    let outcome = test(&format!("{OPEN}{lines}"));
    assert_eq!(outcome.code, Some(0), "{lines}{outcome:?}");
}

#[test]
fn what_has_no_effect_is_said_and_the_broker_runs() {
    let without_effect: Vec<&OptionSpec> =
        options().filter(|option| matches!(option.status, Status::Harmless(_))).collect();
    let lines: String = without_effect
        .iter()
        .map(|option| format!("{} {}\n", option.name, another_value(option)))
        .collect();
    let broker = Broker::spawn(&format!("{OPEN}{lines}"));
    for option in without_effect {
        let Status::Harmless(why) = option.status else { continue };
        broker.wait_for_line(&["halyard.conf:", option.name, "it has no effect", why]);
    }
    broker.connect().connect("c", Version::V4);
}

#[test]
fn what_stands_or_falls_with_them_says_so() {
    for (line, why) in [
        ("enable_control_api true", "dynamic security"),
        ("tls_engine pkcs11", "plug-in of OpenSSL"),
        ("tls_engine_kpass_sha1 00", "plug-in of OpenSSL"),
        ("tls_keyform engine", "plug-in of OpenSSL"),
        ("log_dest dlt", "DLT"),
        ("log_dest android", "Android"),
    ] {
        let outcome = test(&format!("{OPEN}{line}\n"));
        assert_eq!(outcome.code, Some(3), "{line}: {outcome:?}");
        let (name, _) = line.split_once(' ').expect("a value");
        let place = format!("halyard.conf:3: error: {name}: ");
        let said = outcome.stderr.lines().find(|said| said.contains(&place));
        let said = said.unwrap_or_else(|| panic!("{line}: {outcome:?}"));
        assert!(said.contains("not supported") && said.contains(why), "{said}");
    }
}
