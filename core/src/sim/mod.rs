//! The simulator: a virtual network and clock, clients, engines and an oracle that knows what MQTT
//! promises. It runs the engine and the client that everything else runs, drives them by the same
//! contract as the server does, and is as deterministic as they are: a seed is a whole run.
//!
//! ```text
//! World     clock + nodes (engine and driver) + wires + stations (client and application)
//! Oracle    a slow and obvious model of the broker; blames whatever differs from it
//! scenario  a seed -> configuration, clients, faults, and what must hold at the end
//! ```
//! It opens no socket, reads no clock and panics only where a test misuses it.

mod clock;
mod describe;
mod difference;
mod disk;
mod model;
mod network;
mod oracle;
mod power_loss;
mod rights;
mod scenario;
mod station;
mod turn;
mod vocabulary;
mod watch;
mod wire;
mod world;

pub use describe::describe;
use difference::describe_difference;
pub use disk::{Keep, SimDisk, SimFile};
pub use network::Conditions;
pub use power_loss::{BrokenPromise, Sabotage, sweep};
pub use scenario::{Failure, Report, run_seed, run_seed_durable, run_seed_restoring, trace_seed};
pub use station::{Outgoing, Received};
pub use vocabulary::{ClientHandle, RawHandle};
pub use wire::Cut;
pub use world::World;

use crate::conf::{BrokerConfig, ListenerConfig};
use crate::engine::Config;

/// One engine of default configuration with one listener and without `$SYS`.
pub fn default_config() -> Config {
    let broker = BrokerConfig { sys_interval_secs: 0, ..BrokerConfig::default() };
    Config::single(broker, vec![ListenerConfig::default()])
}
