//! Where the binary under test is: `HALYARD_BIN`, or built now, with the profile of the tests. So a
//! test never runs against a binary older than the sources.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The path of `halyard`.
///
/// # Panics
/// If it cannot be built.
pub fn binary() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| env::var_os("HALYARD_BIN").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    // target/PROFILE/deps/TEST
    let test = env::current_exe().expect("the test knows where it is");
    let profile_dir = test.ancestors().nth(2).expect("a test lies in target/PROFILE/deps");
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let target = profile_dir.parent().expect("a profile lies in target");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--package", "halyard", "--bin", "halyard"])
        .args(["--profile", profile, "--target-dir"])
        .arg(target)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status();
    assert!(status.is_ok_and(|status| status.success()), "halyard cannot be built");
    profile_dir.join("halyard")
}
