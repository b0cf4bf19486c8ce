//! The little HTTP that a broker needs (RFC 9112, RFC 6455 §4): one request is parsed, judged and
//! answered. Pure functions over bytes; never a socket, never MQTT. A body is read of requests to the
//! admin API alone, once it is known who asks.

use super::api;
use super::api::ApiError;
use super::api::Call;
use crate::settings::Token;
use halyard_core::conf::Protocol;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use tungstenite::handshake::derive_accept_key;

/// Bytes of the longest request head.
pub(super) const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Header fields in one request.
const FIELDS_MAX: usize = 64;
/// The subprotocols of MQTT [MQTT-6.0.0-3]; the second is that of 3.1, which old clients still name.
const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// What a request is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    pub(super) protocol: Protocol,
    /// `websockets_origin`; empty = any.
    pub(super) origins: &'a [String],
    /// Whether `http_dir` names files to serve.
    pub(super) has_site: bool,
    /// The admin API, if it is served.
    pub(super) admin: Option<Admin<'a>>,
}

/// Who may use the admin API, and how much he may say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admin<'a> {
    /// What a request must carry; `None`: it must come from this machine's own pages or programs.
    pub(super) token: Option<&'a Token>,
    pub(super) body_bytes_max: u32,
}

/// The outcome of reading a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// More bytes are needed.
    Partial,
    /// The head ends after this many bytes; this is the answer.
    Complete(usize, Answer),
}

/// What a request gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// `101`: these bytes, then WebSocket frames.
    Upgrade(Vec<u8>),
    /// `200` with a page of the program.
    Page { path: String, head_only: bool },
    /// `200` with the state of the broker.
    Health { head_only: bool },
    /// `200`: the broker serves; `503` while its store takes nothing new.
    Ready { head_only: bool },
    /// `200` with the counters.
    Metrics { head_only: bool },
    /// What the admin API is asked.
    Api(Result<Call, ApiError>),
    /// A refusal.
    Refuse(Refusal),
}

/// A refusal: status, header fields, and a text that says what would be right.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: &'static str,
    fields: &'static str,
    pub(super) text: String,
}

/// The request, as far as it matters here.
#[derive(Debug)]
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    fields: &'a [httparse::Header<'a>],
}

impl Refusal {
    fn new(status: &'static str, text: impl Into<String>) -> Self {
        Self { status, fields: "", text: text.into() }
    }

    /// `404 Not Found`.
    pub(super) const fn status(&self) -> &'static str {
        self.status
    }

    /// The whole response.
    pub(super) fn response(&self) -> Vec<u8> {
        let mut head = head(self.status, "text/plain; charset=utf-8", self.text.len() + 1);
        head.insert_str(head.len() - 2, self.fields);
        head.push_str(&self.text);
        head.push('\n');
        head.into_bytes()
    }
}

/// Reads a request head from the beginning of `bytes`.
pub(super) fn parse(bytes: &[u8], rules: Rules<'_>) -> Parsed {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(len)) if len <= HEAD_BYTES_MAX => {
            let (method, target) = (request.method.unwrap_or(""), request.path.unwrap_or(""));
            let path = target.split(['?', '#']).next().unwrap_or("");
            let request = Request { method, path, fields: request.headers };
            if let Some(admin) = rules.admin.filter(|_| path.starts_with(api::ROOT)) {
                return ask_api(&request, target, rules, admin, bytes, len);
            }
            Parsed::Complete(len, judge(&request, rules))
        }
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => Parsed::Partial,
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            let text = format!(
                "The request head is over {HEAD_BYTES_MAX} bytes or {FIELDS_MAX} header fields."
            );
            let status = "431 Request Header Fields Too Large";
            Parsed::Complete(bytes.len(), Answer::Refuse(Refusal::new(status, text)))
        }
        Err(error) => {
            let text = format!("This is no HTTP request: {error}.");
            Parsed::Complete(bytes.len(), Answer::Refuse(Refusal::new("400 Bad Request", text)))
        }
    }
}

/// A request to the admin API: who asks is judged before a byte of the body is waited for.
fn ask_api(
    request: &Request<'_>,
    target: &str,
    rules: Rules<'_>,
    admin: Admin<'_>,
    bytes: &[u8],
    head: usize,
) -> Parsed {
    let error = |status, text: &str| {
        Parsed::Complete(bytes.len(), Answer::Api(Err(ApiError::new(status, text))))
    };
    if let Err(refusal) = check_origin(request, rules) {
        return Parsed::Complete(bytes.len(), Answer::Refuse(refusal));
    }
    let allowed = match admin.token {
        Some(token) => {
            request.field("Authorization").and_then(|field| field.split_once(' ')).is_some_and(
                |(kind, given)| kind.eq_ignore_ascii_case("bearer") && token.is(given.trim()),
            )
        }
        None => {
            is_loopback(request.field("Host").unwrap_or(""))
                && request.field("Origin").is_none_or(is_loopback_origin)
        }
    };
    if !allowed {
        let text = "this needs the token of admin_token_file: Authorization: Bearer TOKEN; without \
                    that option, a Host of this machine's loopback and no page of another site";
        return error("401 Unauthorized", text);
    }
    if request.field("Transfer-Encoding").is_some() {
        return error("411 Length Required", "say how long the body is: Content-Length");
    }
    let length = match request.field("Content-Length").map(str::parse::<u64>) {
        None => 0,
        Some(Ok(length)) if length <= u64::from(admin.body_bytes_max) => length,
        Some(Ok(_)) => {
            return error("413 Content Too Large", "the body is over admin_max_body_size");
        }
        Some(Err(_)) => return error("400 Bad Request", "Content-Length is no number"),
    };
    let end = head.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
    match bytes.get(head..end) {
        None => Parsed::Partial,
        Some(body) => Parsed::Complete(end, Answer::Api(api::call(request.method, target, body))),
    }
}

/// The head of a response with a body of `length` bytes.
pub(super) fn head(status: &str, content_type: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
         Connection: close\r\nCache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n\r\n"
    )
}

fn judge(request: &Request<'_>, rules: Rules<'_>) -> Answer {
    if let Err(refusal) = check_origin(request, rules) {
        return Answer::Refuse(refusal);
    }
    if request.has_token("Upgrade", "websocket") {
        return match upgrade(request, rules.protocol) {
            Ok(answer) => answer,
            Err(refusal) => Answer::Refuse(refusal),
        };
    }
    let head_only = request.method == "HEAD";
    let pages = rules.protocol != Protocol::Websockets;
    match (request.method, request.path) {
        ("GET" | "HEAD", "/health") if pages => Answer::Health { head_only },
        ("GET" | "HEAD", "/ready") if pages => Answer::Ready { head_only },
        ("GET" | "HEAD", "/metrics") if pages => Answer::Metrics { head_only },
        ("GET" | "HEAD", "/mqtt") if pages => upgrade_required(),
        ("GET" | "HEAD", path) if pages || rules.has_site => {
            Answer::Page { path: path.to_owned(), head_only }
        }
        ("GET" | "HEAD", _) => upgrade_required(),
        _ => {
            let mut refusal =
                Refusal::new("405 Method Not Allowed", "Only GET and HEAD are served here.");
            refusal.fields = "Allow: GET, HEAD\r\n";
            Answer::Refuse(refusal)
        }
    }
}

fn upgrade_required() -> Answer {
    let text = "This address speaks MQTT over WebSocket (subprotocol \"mqtt\"); connect to it with \
                an MQTT client.";
    let mut refusal = Refusal::new("426 Upgrade Required", text);
    refusal.fields = "Upgrade: websocket\r\n";
    Answer::Refuse(refusal)
}

/// The answer when there is nothing at `path`.
pub(super) fn not_found(path: &str) -> Refusal {
    Refusal::new("404 Not Found", format!("There is nothing at {path}."))
}

/// Who may ask at all: on this machine's own site nobody from another site, not by DNS rebinding
/// either; elsewhere whom `websockets_origin` names.
fn check_origin(request: &Request<'_>, rules: Rules<'_>) -> Result<(), Refusal> {
    let origin = request.field("Origin");
    if rules.protocol == Protocol::LocalHttp {
        let host = request.field("Host").unwrap_or("");
        if !is_loopback(host) {
            let text = format!(
                "Host {host:?} is not this machine's loopback address; a broker without a \
                 configuration serves this machine alone. Ask for localhost or 127.0.0.1."
            );
            return Err(Refusal::new("403 Forbidden", text));
        }
        if origin.is_some_and(|origin| !is_loopback_origin(origin)) {
            let text = "A broker without a configuration accepts pages of this machine alone; set \
                        a listener with websockets_origin for others.";
            return Err(Refusal::new("403 Forbidden", text));
        }
    } else if let Some(origin) = origin
        && !rules.origins.is_empty()
        && !rules.origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
    {
        let text = format!("Origin {origin:?} is not one of this listener's websockets_origin.");
        return Err(Refusal::new("403 Forbidden", text));
    }
    Ok(())
}

/// RFC 6455 §4.2.1: judges the handshake and writes the answer.
fn upgrade(request: &Request<'_>, protocol: Protocol) -> Result<Answer, Refusal> {
    let served = match protocol {
        Protocol::Websockets => true,
        Protocol::LocalHttp => matches!(request.path, "/" | "/mqtt"),
        Protocol::HttpApi => request.path == "/mqtt",
        Protocol::Mqtt => false,
    };
    if !served {
        return Err(not_found(request.path));
    }
    let bad = |text: &str| Refusal::new("400 Bad Request", text);
    if request.method != "GET" || !request.has_token("Connection", "upgrade") {
        return Err(bad("A WebSocket handshake is a GET with \"Connection: Upgrade\"."));
    }
    if request.field("Sec-WebSocket-Version") != Some("13") {
        let text = "WebSocket version 13 is spoken here.";
        let mut refusal = Refusal::new("426 Upgrade Required", text);
        refusal.fields = "Sec-WebSocket-Version: 13\r\n";
        return Err(refusal);
    }
    let Some(key) = request.field("Sec-WebSocket-Key").filter(|key| is_key(key)) else {
        return Err(bad("Sec-WebSocket-Key is missing or is not 16 bytes in base64."));
    };
    let offered = request.all("Sec-WebSocket-Protocol").flat_map(|value| value.split(','));
    let Some(protocol) = offered.map(str::trim).find(|offer| SUBPROTOCOLS.contains(offer)) else {
        return Err(bad(
            "No subprotocol of MQTT was offered: Sec-WebSocket-Protocol must name \"mqtt\" \
             [MQTT-6.0.0-3].",
        ));
    };
    let mut response = String::with_capacity(192);
    // Writing to a String cannot fail.
    let _ = write!(
        response,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n",
        derive_accept_key(key.as_bytes()),
    );
    Ok(Answer::Upgrade(response.into_bytes()))
}

/// 16 bytes in base64.
fn is_key(key: &str) -> bool {
    let Some(digits) = key.strip_suffix("==") else { return false };
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    digits.len() == 22 && digits.bytes().all(digit)
}

fn is_loopback_origin(origin: &str) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(is_loopback)
}

/// Whether `authority` (`host` or `host:port`) names this machine's loopback.
fn is_loopback(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) => (host, port),
            None => return false,
        },
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port_is_fine = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let bracketed = authority.starts_with('[');
    let host_is_fine = if bracketed {
        host == "::1"
    } else {
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
    };
    port_is_fine && host_is_fine
}

impl<'a> Request<'a> {
    fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = self.fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.filter_map(|field| std::str::from_utf8(field.value).ok()).map(str::trim)
    }

    /// The value of a field that may come once: a repeated one counts as absent where it decides.
    fn field(&self, name: &str) -> Option<&'a str> {
        let mut all = self.all(name);
        let first = all.next()?;
        // Two different answers to one question: take none of them, but do not take it as absent.
        if all.next().is_some() { Some("") } else { Some(first) }
    }

    fn has_token(&self, name: &str, token: &str) -> bool {
        let mut tokens = self.all(name).flat_map(|value| value.split(','));
        tokens.any(|value| value.trim().eq_ignore_ascii_case(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    fn ask(protocol: Protocol, origins: &[&str], request: &str) -> Answer {
        let origins: Vec<String> = origins.iter().map(|origin| (*origin).to_owned()).collect();
        match parse(
            request.as_bytes(),
            Rules { protocol, origins: &origins, has_site: false, admin: None },
        ) {
            Parsed::Complete(len, answer) => {
                assert_eq!(len, request.len());
                answer
            }
            Parsed::Partial => panic!("partial: {request}"),
        }
    }

    fn handshake(path: &str, more: &str) -> String {
        format!(
            "GET {path} HTTP/1.1\r\nHost: localhost:9001\r\nUpgrade: WebSocket\r\n\
             Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n{KEY}{more}\r\n"
        )
    }

    fn status(answer: Answer) -> String {
        let bytes = match answer {
            Answer::Upgrade(bytes) => bytes,
            Answer::Refuse(refusal) => refusal.response(),
            Answer::Page { .. } => return "page".into(),
            Answer::Health { .. } => return "health".into(),
            Answer::Api(_) => return "api".into(),
            Answer::Ready { .. } => return "ready".into(),
            Answer::Metrics { .. } => return "metrics".into(),
        };
        String::from_utf8(bytes).unwrap().split(' ').nth(1).unwrap().to_owned()
    }

    const MQTT: &str = "Sec-WebSocket-Protocol: foo, mqtt\r\n";

    #[test]
    fn a_handshake_is_answered_as_the_standard_shows() {
        let Answer::Upgrade(bytes) = ask(Protocol::Websockets, &[], &handshake("/any", MQTT))
        else {
            panic!("refused");
        };
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
        assert!(text.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(text.ends_with("\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"));
    }

    #[test]
    fn a_handshake_that_is_wrong_is_refused() {
        let whole = handshake("/mqtt", MQTT);
        let without = |what: &str| whole.replace(what, "");
        let cases = [
            (without(MQTT), "400"),
            (without(KEY), "400"),
            (without("Connection: keep-alive, Upgrade\r\n"), "400"),
            (whole.replace("Version: 13", "Version: 8"), "426"),
            (whole.replace("GET", "POST"), "400"),
            (whole.replace("ub25jZQ==", "x=="), "400"),
            (handshake("/mqtt", "Sec-WebSocket-Protocol: mqttish\r\n"), "400"),
            (handshake("/mqtt", "Sec-WebSocket-Protocol: mqttv3.1\r\n"), "101"),
        ];
        for (request, expected) in cases {
            assert_eq!(status(ask(Protocol::Websockets, &[], &request)), expected, "{request}");
        }
    }

    #[test]
    fn each_site_serves_what_it_should() {
        use Protocol::HttpApi as Pages;
        use Protocol::LocalHttp as Local;
        use Protocol::Websockets as WebSocket;
        let cases = [
            (Local, "GET", "/", "page"),
            (Local, "HEAD", "/app.js?x=1", "page"),
            (Local, "GET", "/mqtt", "426"),
            (Local, "GET", "/health", "health"),
            (Local, "GET", "/metrics", "metrics"),
            (Pages, "HEAD", "/ready", "ready"),
            (Local, "POST", "/", "405"),
            (Pages, "GET", "/mqtt", "426"),
            (Pages, "GET", "/metrics", "metrics"),
            (WebSocket, "GET", "/metrics", "426"),
            (WebSocket, "GET", "/", "426"),
            (WebSocket, "DELETE", "/", "405"),
        ];
        for (protocol, method, path, expected) in cases {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
            assert_eq!(
                status(ask(protocol, &[], &request)),
                expected,
                "{protocol:?} {method} {path}"
            );
        }
        for (protocol, path, expected) in [
            (Local, "/", "101"),
            (Local, "/mqtt", "101"),
            (Local, "/x", "404"),
            (Pages, "/mqtt", "101"),
            (Pages, "/", "404"),
        ] {
            let answer = ask(protocol, &[], &handshake(path, MQTT));
            assert_eq!(status(answer), expected, "{protocol:?} {path}");
        }
    }

    #[test]
    fn without_a_configuration_only_this_machine_is_served() {
        let hosts = [
            ("localhost", true),
            ("LOCALHOST:9001", true),
            ("127.0.0.1:9001", true),
            ("127.9.8.7", true),
            ("[::1]:9001", true),
            ("[::1]", true),
            ("", false),
            ("::1", false),
            ("[::2]", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("localhost:80@evil.example", false),
            ("10.0.0.1", false),
        ];
        for (host, fine) in hosts {
            assert_eq!(is_loopback(host), fine, "{host}");
            let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let expected = if fine { "page" } else { "403" };
            assert_eq!(status(ask(Protocol::LocalHttp, &[], &request)), expected, "{host}");
            if !host.is_empty() {
                let origin = format!("{MQTT}Origin: http://{host}\r\n");
                let expected = if fine { "101" } else { "403" };
                assert_eq!(
                    status(ask(Protocol::LocalHttp, &[], &handshake("/mqtt", &origin))),
                    expected
                );
            }
        }
        let refused = ["Origin: null\r\n", "Origin: file://\r\n", "Host: evil.example\r\n"];
        for more in refused {
            let request = handshake("/mqtt", &format!("{MQTT}{more}"));
            assert_eq!(status(ask(Protocol::LocalHttp, &[], &request)), "403", "{more}");
        }
    }

    #[test]
    fn websockets_origin_is_a_list_of_who_may() {
        let origins = ["https://a.example", "https://b.example"];
        let cases = [
            ("Origin: https://b.example\r\n", "101"),
            ("", "101"),
            ("Origin: https://c.example\r\n", "403"),
            ("Origin: https://a.example.evil\r\n", "403"),
        ];
        for (origin, expected) in cases {
            let request = handshake("/", &format!("{MQTT}{origin}"));
            assert_eq!(status(ask(Protocol::Websockets, &origins, &request)), expected, "{origin}");
        }
    }

    #[test]
    fn the_admin_api_is_for_who_has_the_token_or_for_this_machine() {
        let token = Token::new("a-token-of-24-characters".into());
        let ask = |token: Option<&Token>, text: &str| {
            let admin = Some(Admin { token, body_bytes_max: 10 });
            let rules = Rules { protocol: Protocol::HttpApi, origins: &[], has_site: false, admin };
            match parse(text.as_bytes(), rules) {
                Parsed::Partial => "partial".to_owned(),
                Parsed::Complete(_, Answer::Api(Err(error))) => error.status[..3].to_owned(),
                Parsed::Complete(_, Answer::Api(Ok(_))) => "200".to_owned(),
                Parsed::Complete(_, other) => status(other),
            }
        };
        let bearer = "Authorization: Bearer a-token-of-24-characters\r\n";
        let get = |fields: &str| format!("GET /api/v1/stats HTTP/1.1\r\n{fields}\r\n");
        let wrong = "Authorization: Bearer a-token-of-24-character\r\n";
        for (fields, expected) in [("", "401"), (bearer, "200"), (wrong, "401")] {
            assert_eq!(ask(Some(&token), &get(fields)), expected, "{fields}");
        }
        for (fields, expected) in [
            ("Host: localhost:9001\r\n", "200"),
            ("", "401"),
            ("Host: rebound.example\r\n", "401"),
            ("Host: localhost\r\nOrigin: https://evil.example\r\n", "401"),
        ] {
            assert_eq!(ask(None, &get(fields)), expected, "{fields}");
        }
        let post = |length: &str, body: &str| {
            let head = "POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\n";
            format!("{head}{length}\r\n\r\n{body}")
        };
        for (length, body, expected) in [
            ("Content-Length: 2", "{}", "400"),
            ("Content-Length: 2", "{", "partial"),
            ("Content-Length: 11", "", "413"),
            ("Content-Length: -1", "", "400"),
            ("Transfer-Encoding: chunked", "", "411"),
        ] {
            assert_eq!(ask(None, &post(length, body)), expected, "{length} {body}");
        }
    }

    #[test]
    fn a_request_may_come_in_pieces_but_not_grow_without_end() {
        let rules =
            Rules { protocol: Protocol::Websockets, origins: &[], has_site: false, admin: None };
        let whole = handshake("/mqtt", MQTT);
        for end in 0..whole.len() {
            assert_eq!(parse(&whole.as_bytes()[..end], rules), Parsed::Partial, "{end}");
        }
        let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(HEAD_BYTES_MAX));
        let Parsed::Complete(_, answer) = parse(long.as_bytes(), rules) else { panic!("partial") };
        assert_eq!(status(answer), "431");
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(FIELDS_MAX + 1));
        assert_eq!(status(ask(Protocol::Websockets, &[], &many)), "431");
        let Parsed::Complete(_, answer) = parse(b"\x10\x0c\x00\x04MQTT\x04", rules) else {
            panic!("partial")
        };
        assert_eq!(status(answer), "400");
    }
}
