//! The broker is killed (SIGKILL) at random while real clients use it, and must keep what it
//! acknowledged. `scripts/kill.sh` does the same a thousand times.

use halyard_tests::kill;

fn number(variable: &str) -> Option<u32> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn nothing_acknowledged_is_lost_doubled_or_resurrected_by_kills() {
    let kills = number("HALYARD_KILLS").unwrap_or(20);
    let seed = number("HALYARD_SEED").unwrap_or(1);
    let tally = kill(kills, seed.into());
    println!("{tally:?}");
    assert_eq!(tally.kills, kills);
    assert!(tally.acknowledged > u64::from(kills), "{tally:?}: nearly nothing was published");
    assert!(tally.received >= tally.acknowledged, "{tally:?}");
}
