//! The same seed is the same run on every target: the state hashes of a list of seeds are kept
//! beside this test, and run again wherever it runs. Whoever changes what an engine keeps or does
//! writes the list anew: `HALYARD_BLESS=1 cargo test -p halyard-core --test sim_hashes`.

use halyard_core::sim;

const SEEDS: u64 = 40;
const KEPT: &str = include_str!("sim_hashes.txt");

fn line(seed: u64) -> String {
    match sim::run_seed(seed) {
        Ok(report) => format!("{seed} {:016x} {:016x}", report.state_hash, report.final_hash),
        Err(failure) => panic!("{failure}"),
    }
}

#[test]
fn the_same_seed_gives_the_same_state_everywhere() {
    let lines: Vec<String> = (0..SEEDS).map(line).collect();
    if std::env::var_os("HALYARD_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sim_hashes.txt");
        std::fs::write(path, lines.join("\n") + "\n").unwrap();
        return;
    }
    let kept: Vec<&str> = KEPT.lines().collect();
    assert_eq!(
        lines, kept,
        "if an engine is meant to keep or do something else now: HALYARD_BLESS=1 cargo test -p \
         halyard-core --test sim_hashes"
    );
}

#[test]
fn an_engine_restored_from_a_snapshot_goes_on_as_if_nothing_had_happened() {
    for seed in 0..SEEDS {
        let (never, often) = (sim::run_seed_restoring(seed, 0), sim::run_seed_restoring(seed, 500));
        assert_eq!(never, often, "seed {seed}");
    }
}

#[test]
fn a_run_can_be_repeated() {
    for seed in 0..SEEDS {
        assert_eq!(sim::run_seed(seed), sim::run_seed(seed));
    }
}
