//! The matching rule (§4.7.1 to §4.7.3), slow and obvious: the oracle that `tree.rs` and
//! `topic_map.rs` are tested against. Must never be made clever.

/// Whether `name` matches `filter` (without `$share/…/`), both valid. Case-sensitive; an empty
/// level is a level; `a/#` matches `a`; a filter that begins with a wildcard matches no name that
/// begins with `$` [MQTT-4.7.2-1].
///
/// ```
/// use halyard_core::topic::matches;
/// assert!(matches("sensors/#", "sensors"));
/// assert!(matches("+/+", "/finance"));
/// assert!(!matches("#", "$SYS/uptime"));
/// ```
pub fn matches(filter: &str, name: &str) -> bool {
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut wanted, mut given) = (filter.split('/'), name.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (Some("#"), _) => return true,
            (Some("+"), Some(_)) => {}
            (Some(literal), Some(level)) if literal == level => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn the_standards_examples() {
        let tennis = "sport/tennis/player1/#";
        assert!(matches(tennis, "sport/tennis/player1"));
        assert!(matches(tennis, "sport/tennis/player1/ranking"));
        assert!(matches(tennis, "sport/tennis/player1/score/wimbledon"));
        assert!(matches("sport/#", "sport"));
        assert!(matches("sport/tennis/+", "sport/tennis/player1"));
        assert!(!matches("sport/tennis/+", "sport/tennis/player1/ranking"));
        assert!(!matches("sport/+", "sport"));
        assert!(matches("sport/+", "sport/"));
        assert!(matches("+/+", "/finance"));
        assert!(matches("/+", "/finance"));
        assert!(!matches("+", "/finance"));
    }

    #[test]
    fn dollar_topics() {
        assert!(!matches("#", "$SYS"));
        assert!(!matches("+/monitor/Clients", "$SYS/monitor/Clients"));
        assert!(matches("$SYS/#", "$SYS/monitor/Clients"));
        assert!(matches("$SYS/#", "$SYS"));
        assert!(matches("$SYS/monitor/+", "$SYS/monitor/Clients"));
        assert!(matches("a/+", "a/$b"));
        assert!(matches("#", "a/$b"));
    }

    #[test]
    fn levels_are_exact() {
        assert!(!matches("ACCOUNTS", "Accounts"));
        assert!(!matches("a", "/a"));
        assert!(!matches("a/", "a"));
        assert!(matches("a//b", "a//b"));
        assert!(matches("a/+/b", "a//b"));
        assert!(!matches("é", "e\u{301}"), "no normalisation [MQTT-4.7.3-4]");
        assert!(matches("+/#", "a"));
        assert!(!matches("+/+/#", "a"));
    }
}
