//! The server: listening sockets, and the shards that drive engines over them.

mod addresses;
mod api;
mod arena;
mod asks;
mod bind;
mod conn;
mod entrance;
mod greet;
mod http;
mod intake;
mod io;
mod lifecycle;
mod listener;
mod mailbox;
mod notify;
mod pages;
mod reload;
mod restore;
mod run;
mod shard;
mod table;
mod takeover;
mod timer;
mod tls;
mod verify;
mod wake;

pub(crate) use bind::Bound;
pub(crate) use bind::bind_all;
pub(crate) use run::Server;
