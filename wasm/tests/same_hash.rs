//! The same seed gives the same state here and natively: simulated runs with clients of all
//! versions, cut links and restored engines end with the very hashes that the same build of the
//! core gave outside the browser, just before. `scripts/test-wasm.sh` hands those in.
#![cfg(target_arch = "wasm32")]

use halyard_core::sim;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

/// `seed:hash:hash` of each run, as the example `seed_hashes` of core prints them.
const NATIVE: Option<&str> = option_env!("HALYARD_SEED_HASHES");

#[wasm_bindgen_test]
fn a_seed_gives_the_hash_that_it_gives_natively() {
    let native = NATIVE.expect("no hashes to compare with: run scripts/test-wasm.sh");
    let mut compared = 0;
    for expected in native.split(',') {
        let (seed, _) = expected.split_once(':').expect("seed:hash:hash");
        let seed = seed.parse().expect("a seed is a number");
        let report = sim::run_seed(seed).expect("no promise is broken");
        let here = format!("{seed}:{:016x}:{:016x}", report.state_hash, report.final_hash);
        assert_eq!(here, expected);
        compared += 1;
    }
    assert!(compared >= 20, "only {compared} seeds were compared");
}
