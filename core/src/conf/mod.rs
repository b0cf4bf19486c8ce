//! `mosquitto.conf`: text to a configuration and diagnostics. Opens no file, resolves no name, reads
//! no environment; the caller does, and hands text in.
//!
//! ```text
//!  text --lexer--> lines --apply, by the table in options--> draft --finish--> ServerConfig
//!                            each value by its type (value)               + Diagnostics (report)
//! ```
//!
//! Everything known about an option is one row of [`sections`]: what reads it, what is said when it
//! is wrong, and its line on the reference page ([`reference()`]).

mod apply;
mod diagnose;
mod draft;
mod finish;
mod lexer;
mod network;
mod options;
mod reference;
mod report;
mod server;
mod tls;
mod types;
mod value;

pub use apply::Parsed;
pub use apply::include_order;
pub use apply::is_included;
pub use apply::parse;
pub use diagnose::Diagnostic;
pub use diagnose::Severity;
pub use lexer::Source;
pub use network::Network;
pub use options::Kind;
pub use options::OptionSpec;
pub use options::Repeat;
pub use options::Scope;
pub use options::Section;
pub use options::Status;
pub use options::find as find_option;
pub use options::options;
pub use options::sections;
pub use reference::reference;
pub use server::*;
pub use tls::CertificateName;
pub use tls::ProxyConfig;
pub use tls::TlsConfig;
pub use types::*;
