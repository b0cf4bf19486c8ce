//! Support for tests that run the real binary: start it on ports of the system's choice, talk to it
//! in raw bytes or packets, wait for what is to come. Nothing here sleeps for a fixed time, and
//! every wait has an end.

mod binary;
mod broker;
mod client;
mod http;
mod kill;
mod station;
mod wait;

pub use binary::binary;
pub use broker::Broker;
pub use broker::Outcome;
pub use broker::Setup;
pub use broker::run;
pub use client::Client;
pub use client::Received;
pub use client::Stream;
pub use client::connect;
pub use http::Frame;
pub use http::Response;
pub use http::WebSocket;
pub use http::frame;
pub use http::handshake;
pub use http::request;
pub use kill::Tally;
pub use kill::kill;
pub use station::Heard;
pub use station::Station;
pub use wait::PATIENCE;
pub use wait::clock_now;
pub use wait::wait_until;
