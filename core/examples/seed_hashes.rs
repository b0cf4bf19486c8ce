//! Prints the state hashes of the first simulated seeds, `seed:hash:hash` each, for the test that
//! compares them with those of the same seeds in a browser.

use halyard_core::sim;

/// As many as `wasm/tests/same_hash.rs` has patience for.
const SEEDS: u64 = 24;

fn main() {
    let reports = (0..SEEDS).map(|seed| match sim::run_seed(seed) {
        Ok(report) => format!("{seed}:{:016x}:{:016x}", report.state_hash, report.final_hash),
        Err(failure) => panic!("{failure}"),
    });
    println!("{}", reports.collect::<Vec<_>>().join(","));
}
