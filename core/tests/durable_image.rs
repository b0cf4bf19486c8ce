//! The records of an engine amount to what it would have to remember: checked at random points of
//! the simulated runs, with frames withheld until a store that takes its time has answered.

use halyard_core::sim;

fn run(first: u64) {
    let seeds = std::env::var("HALYARD_SEEDS").ok().and_then(|text| text.parse().ok());
    for seed in (first..seeds.unwrap_or(150)).step_by(2) {
        if let Err(failure) = sim::run_seed_durable(seed) {
            panic!("{failure}");
        }
    }
}

#[test]
fn records_amount_to_what_engines_remember_in_even_seeds() {
    run(0);
}

#[test]
fn records_amount_to_what_engines_remember_in_odd_seeds() {
    run(1);
}
