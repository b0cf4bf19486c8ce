//! `docs/configuration.md` is made from the table of options, and names every option. To rewrite it:
//! `HALYARD_WRITE_DOCS=1 cargo test -p halyard-core --test conf_reference`.

use halyard_core::conf::options;
use halyard_core::conf::reference;

const WRITTEN: &str = include_str!("../../docs/configuration.md");

#[test]
fn the_page_is_what_the_table_says() {
    let page = reference();
    if std::env::var_os("HALYARD_WRITE_DOCS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let written = std::fs::write(path, &page);
        assert!(written.is_ok(), "{path}: {written:?}");
        return;
    }
    for (number, (written, made)) in (1..).zip(WRITTEN.lines().zip(page.lines())) {
        assert_eq!(
            written, made,
            "docs/configuration.md:{number} is stale; HALYARD_WRITE_DOCS=1 rewrites it"
        );
    }
    assert_eq!(WRITTEN.lines().count(), page.lines().count(), "docs/configuration.md is stale");
}

#[test]
fn the_page_names_every_option() {
    for option in options() {
        assert!(WRITTEN.contains(&format!("| `{}`", option.name)), "{}", option.name);
    }
}
