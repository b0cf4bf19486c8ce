//! Power loss at every operation of the disk: see `sim::sweep`. `HALYARD_POINTS` says how many
//! crashes (default 12,000), `HALYARD_SEEDS_FROM` where to begin; a failure names its seed.

use halyard_core::sim::{Sabotage, sweep};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Sweeps every second seed, so that two of these keep two cores busy.
fn sweep_every_second(first: u64) {
    let from = number("HALYARD_SEEDS_FROM").unwrap_or(0);
    let wanted = number("HALYARD_POINTS").unwrap_or(12_000) / 2;
    let (mut points, mut worlds) = (0, 0);
    for seed in (from + first..).step_by(2) {
        match sweep(seed, None) {
            Ok(crashes) => points += crashes,
            Err(broken) => panic!("{broken}"),
        }
        worlds += 1;
        if points >= wanted {
            break;
        }
    }
    println!("{points} crashes in {worlds} worlds, no violation");
}

#[test]
fn no_promise_is_broken_in_even_seeds() {
    sweep_every_second(0);
}

#[test]
fn no_promise_is_broken_in_odd_seeds() {
    sweep_every_second(1);
}

/// Worlds in which a broken promise was seen, by a broker or by a ledger that was wrong.
#[test]
fn no_promise_is_broken_where_one_once_was() {
    for seed in [104_181] {
        if let Err(broken) = sweep(seed, None) {
            panic!("{broken}");
        }
    }
}

#[test]
fn every_sabotage_is_found() {
    for sabotage in Sabotage::ALL {
        let found = (0..200).find_map(|seed| sweep(seed, Some(sabotage)).err());
        match found {
            Some(broken) => println!("{sabotage:?}: {broken}"),
            None => panic!("{sabotage:?} breaks no promise that the sweep knows of"),
        }
    }
}
