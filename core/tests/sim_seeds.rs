//! Thousands of simulated runs: clients of all versions, a network that cuts, delays and stalls, a
//! broker that is restored and restarted; none may break a promise of MQTT. `HALYARD_SEEDS` says
//! how many (default 3000, in builds without optimisation 1000), `HALYARD_SEED` runs one and prints
//! all that happened in it.

use halyard_core::sim;

/// Failing seeds after which a run is given up.
const FAILURES_MAX: usize = 10;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Seeds where nothing else is asked for: what takes some seconds. Without optimisation, which only
/// the folder of the build tells, each takes about ten times as long.
fn default_seeds() -> u64 {
    let program = std::env::current_exe().unwrap_or_default();
    let is_slow = program.components().any(|part| part.as_os_str() == "debug");
    if is_slow { 1_000 } else { 3_000 }
}

/// Runs every second seed from `first` on, so that two of these keep two cores busy.
fn run_every_second(first: u64) {
    let (begin, seeds) = (number("HALYARD_SEEDS_FROM").unwrap_or(0), number("HALYARD_SEEDS"));
    let end = begin + seeds.unwrap_or_else(default_seeds);
    let (mut steps, mut published, mut delivered, mut virtual_us, mut runs) = (0, 0, 0, 0, 0_u64);
    let mut failed = Vec::new();
    for seed in (begin + first..end).step_by(2) {
        match sim::run_seed(seed) {
            Ok(report) => {
                if number("HALYARD_VERBOSE").is_some() {
                    println!("{report:?}");
                }
                runs += 1;
                steps += report.steps;
                published += report.published;
                delivered += report.delivered;
                virtual_us += report.virtual_us;
            }
            Err(failure) => {
                eprintln!(
                    "{failure}\nreproduce: HALYARD_SEED={seed} cargo test -p halyard-core --test \
                     sim_seeds one_seed -- --nocapture"
                );
                failed.push(seed);
            }
        }
        // A broken build fails in every seed; a few are enough to see it.
        assert!(failed.len() < FAILURES_MAX, "{FAILURES_MAX} seeds failed, the first: {failed:?}");
    }
    assert!(
        failed.is_empty(),
        "{} of {} seeds failed: {failed:?}",
        failed.len(),
        failed.len() as u64 + runs
    );
    println!(
        "{runs} seeds: {steps} steps, {published} messages published, {delivered} delivered, {} \
         virtual hours, no violation",
        virtual_us / 3_600_000_000
    );
}

#[test]
fn even_seeds() {
    run_every_second(0);
}

#[test]
fn odd_seeds() {
    run_every_second(1);
}

#[test]
fn one_seed() {
    let Some(seed) = number("HALYARD_SEED") else { return };
    for line in sim::trace_seed(seed) {
        println!("{line}");
    }
    sim::run_seed(seed).unwrap();
}
