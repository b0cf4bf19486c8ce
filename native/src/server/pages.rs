//! The pages that are part of the program: what `make page` built into `www/dist`, or a word on how
//! to get it.

// `FILES`: path and bytes of each file, made by build.rs.
include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// What `/` shows when the page was not built in.
const NO_PAGE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
<title>Halyard</title><body style=\"font:1.1em/1.5 system-ui;max-width:40em;margin:4em auto\">\
<h1>Halyard is running</h1><p>MQTT over WebSocket is served here at <code>/mqtt</code> (subprotocol \
<code>mqtt</code>); see also <a href=\"/health\">/health</a> and <a href=\"/metrics\">/metrics</a>.</p>\
<p>This build has no page in it. To get the page, run <code>make run</code> in the project's \
folder.</p></body></html>\n";

/// A file to serve.
#[derive(Debug)]
pub(super) struct Asset {
    pub(super) content_type: &'static str,
    pub(super) bytes: &'static [u8],
}

/// The file at the path of a request.
pub(super) fn find(path: &str) -> Option<Asset> {
    let path = if path == "/" { "/index.html" } else { path };
    if let Some((name, bytes)) = FILES.iter().find(|(name, _)| *name == path) {
        return Some(Asset { content_type: content_type(name), bytes });
    }
    (path == "/index.html")
        .then(|| Asset { content_type: content_type(path), bytes: NO_PAGE.as_bytes() })
}

/// What a file is, by the end of its name.
pub(super) fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "ico" => "image/x-icon",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_page_and_nothing_beside_the_files() {
        let page = find("/").unwrap();
        assert!(page.content_type.starts_with("text/html"));
        assert!(find("/../Cargo.toml").is_none() && find("/no-such-file").is_none());
    }
}
