//! What a server runs with, as plain data: the engine's part of the configuration and what only a
//! process has (sockets, log, user). Nothing here opens, resolves or checks anything.

use super::BrokerConfig;
use super::CertificateName;
use super::ListenerConfig;
use super::ProxyConfig;
use super::TlsConfig;

/// The port of MQTT.
pub const MQTT_PORT: u16 = 1883;
/// The port of HTTP and WebSocket where nothing is configured.
pub const HTTP_PORT: u16 = 9001;

/// Everything that a broker process needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerConfig {
    /// What holds for the broker as a whole.
    pub broker: BrokerConfig,
    /// The listeners, in the order of the configuration; at least one. The index is the listener's
    /// number in the engine.
    pub listeners: Vec<Listener>,
    /// No listener was configured: those of `listeners` are ours, on loopback.
    pub local_only: bool,
    /// How users are verified.
    pub auth: AuthConfig,
    /// The log.
    pub log: LogConfig,
    /// Where and how `broker.persistence` is done.
    pub store: StoreConfig,
    /// Where the process identifier is written; `None` = nowhere.
    pub pid_file: Option<String>,
    /// The user to become when started as root; `None` = `mosquitto` or `nobody`, as Mosquitto does.
    pub user: Option<String>,
    /// `TCP_NODELAY`: output is gathered per turn, so delaying it further gains nothing.
    pub set_tcp_nodelay: bool,
    /// TLS handshakes under way at a time; 0 = no limit.
    pub max_tls_handshakes: u32,
    /// Seconds that a TLS handshake may take; 0 = as long as `connect_timeout` allows.
    pub tls_handshake_timeout_secs: u32,
    /// Shards, each a thread; `None` = as many as suit the machine.
    pub worker_threads: Option<u16>,
    /// The access list for all listeners; to be read into `broker.access`.
    pub acl_file: Option<String>,
    /// The lines about the broker as a whole that somebody may have to name: what a reload does not
    /// take over, and texts that only the system can judge.
    pub said: Vec<Said>,
}

/// A line of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The option.
    pub option: &'static str,
    /// Its value, as it was written.
    pub value: String,
    /// The line: `FILE:LINE`.
    pub place: String,
    /// Whether a reload leaves it as it is: a value that is not the default.
    pub fixed: bool,
}

impl ServerConfig {
    /// Where the option was set to this value; its name if that is not known.
    pub fn place(&self, option: &str, value: &str) -> String {
        let said = self.said.iter().find(|said| said.option == option && said.value == value);
        said.map_or_else(|| option.to_owned(), |said| said.place.clone())
    }
}

/// What the verification of users may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthConfig {
    /// Threads that hash passwords; `None` = half of the processors.
    pub threads: Option<u16>,
    /// Clients that may wait for them.
    pub queue: u32,
    /// Passwords that were found right and are known again without hashing; 0 = none.
    pub cache_entries: u32,
    /// Seconds for which they are, since the last time; 0 = none.
    pub cache_secs: u32,
    /// Failures a minute from one address, until it has to wait; 0 = no limit.
    pub failures_per_address: u32,
    /// Failures a minute of one user from one address, until he has to wait there; 0 = no limit.
    pub failures_per_user: u32,
    /// The claim of a token that is the User Name.
    pub jwt_username_claim: String,
    /// The claim of a token that says what its client may do.
    pub jwt_acl_claim: String,
    /// What the claim `iss` must be.
    pub jwt_issuer: Option<String>,
    /// What the claim `aud` must name.
    pub jwt_audience: Option<String>,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            threads: None,
            queue: 256,
            cache_entries: 100_000,
            cache_secs: 86_400,
            failures_per_address: 100,
            failures_per_user: 10,
            jwt_username_claim: "sub".into(),
            jwt_acl_claim: "acl".into(),
            jwt_issuer: None,
            jwt_audience: None,
        }
    }
}

/// One listener; it may open several sockets.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// What the engine knows of it.
    pub engine: ListenerConfig,
    /// The file of its users.
    pub password_file: Option<String>,
    /// The file of the keys that tokens in the place of a password are signed with.
    pub jwt_key_file: Option<String>,
    /// Where it was configured, for messages: `mosquitto.conf:12`.
    pub place: String,
    /// Where it listens.
    pub address: Address,
    /// What it speaks.
    pub protocol: Protocol,
    /// The only address family; `None` = both.
    pub socket_domain: Option<SocketDomain>,
    /// The network interface to bind to; `None` = all.
    pub bind_interface: Option<String>,
    /// Connections at a time; `None` = no limit.
    pub max_connections: Option<u32>,
    /// The admin API.
    pub admin: AdminConfig,
    /// A folder of files to serve over HTTP.
    pub http_dir: Option<String>,
    /// The values of `Origin` that a WebSocket may have; empty = any.
    pub websockets_origin: Vec<String>,
    /// Its own access list (`per_listener_settings`); to be read into `engine.access`.
    pub acl_file: Option<String>,
    /// TLS; `None` = in the clear.
    pub tls: Option<TlsConfig>,
    /// What of a client's certificate is its User Name; `None` = nothing.
    pub certificate_name: Option<CertificateName>,
    /// The PROXY protocol; `None` = connections come from the clients themselves.
    pub proxy: Option<ProxyConfig>,
}

/// The admin API of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// Whether it is served.
    pub enabled: bool,
    /// The file with the token that requests must carry; `None` = none is needed.
    pub token_file: Option<String>,
    /// Bytes of the largest body of a request.
    pub body_bytes_max: u32,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { enabled: false, token_file: None, body_bytes_max: 65_536 }
    }
}

/// Where a listener listens. Port 0 lets the system choose one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// All addresses of this machine.
    Any {
        /// The TCP port.
        port: u16,
    },
    /// 127.0.0.1 and ::1.
    Loopback {
        /// The TCP port.
        port: u16,
    },
    /// A host name or an IP address (without brackets).
    Host {
        /// The name or address.
        host: String,
        /// The TCP port.
        port: u16,
    },
    /// A Unix socket.
    Unix {
        /// Its path.
        path: String,
    },
}

impl Address {
    /// Whether only this machine can reach it, as it is written.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Any { .. } => false,
            Self::Loopback { .. } | Self::Unix { .. } => true,
            Self::Host { host, .. } => {
                let ip = host.parse::<core::net::IpAddr>();
                host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
            }
        }
    }

    /// The TCP port; 0 for a Unix socket, too.
    pub fn port(&self) -> u16 {
        match self {
            Self::Any { port } | Self::Loopback { port } | Self::Host { port, .. } => *port,
            Self::Unix { .. } => 0,
        }
    }
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// MQTT over a byte stream.
    Mqtt,
    /// MQTT over WebSocket, at any path.
    Websockets,
    /// The page, `/metrics` and `/health`, and WebSocket at `/mqtt`.
    HttpApi,
    /// The same for this machine alone, where nothing is configured: WebSocket at `/mqtt` and `/`,
    /// and only a loopback `Host` and an absent or loopback `Origin`.
    LocalHttp,
}

/// `socket_domain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketDomain {
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

/// The store of a broker with persistence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// The folder that it makes its own in; `None` = where the process was started.
    pub location: Option<String>,
    /// What an acknowledgement waits for.
    pub sync: SyncMode,
    /// Milliseconds after which the disk has what was written, in the mode `interval`.
    pub sync_interval_millis: u32,
    /// Bytes of a segment.
    pub segment_size: u64,
    /// Whether others than the owner may have rights to its files.
    pub allow_shared: bool,
}

/// `persistence_sync`: what must have happened to a record before its acknowledgement goes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncMode {
    /// The disk has it: it survives a loss of power.
    #[default]
    Always,
    /// The system has it: it survives the end of the process. The disk gets it after a time.
    Interval,
    /// The system has it, and the disk gets it when the system likes.
    Never,
}

/// What the log writes, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// Every `log_dest`; empty = no log.
    pub destinations: Vec<LogDestination>,
    /// Every `log_type`.
    pub types: LogTypes,
    /// How a line is written.
    pub format: LogFormat,
    /// Syslog's facility local0 to local7; `None` = daemon.
    pub facility: Option<u8>,
    /// Whether lines begin with the time.
    pub timestamp: bool,
    /// The time in the manner of strftime; `None` = seconds since 1970.
    pub timestamp_format: Option<String>,
    /// Whether clients that come and go are logged.
    pub connection_messages: bool,
}

/// `log_format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Mosquitto's lines.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `log_dest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogDestination {
    /// A file, appended to.
    File(String),
    /// The standard error output.
    Stderr,
    /// The standard output.
    Stdout,
    /// The system's log.
    Syslog,
    /// Topics below `$SYS/broker/log`.
    Topic,
}

/// A kind of log line, as `log_type` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum LogType {
    /// `error`
    Error = 1,
    /// `warning`
    Warning = 2,
    /// `notice`
    Notice = 4,
    /// `information`
    Information = 8,
    /// `debug`
    Debug = 16,
    /// `subscribe`
    Subscribe = 32,
    /// `unsubscribe`
    Unsubscribe = 64,
    /// `websockets`
    Websockets = 128,
}

/// A set of [`LogType`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogTypes(u16);

impl LogTypes {
    /// No line at all.
    pub const NONE: Self = Self(0);
    /// Every line (`-v`).
    pub const ALL: Self = Self(0xFF);
    /// Errors, warnings, notices and information.
    pub const DEFAULT: Self = Self(0x0F);

    /// These, and `kind`.
    #[must_use]
    pub const fn with(self, kind: LogType) -> Self {
        Self(self.0 | kind as u16)
    }

    /// Whether `kind` is one of them.
    pub const fn has(self, kind: LogType) -> bool {
        self.0 & kind as u16 != 0
    }
}

impl ServerConfig {
    /// A broker without a configuration: MQTT on 1883, HTTP with WebSocket on 9001, for this machine
    /// alone and anonymous.
    pub fn no_arguments() -> Self {
        let mut config = Self::port_only(MQTT_PORT);
        config.listeners.push(Listener::local(HTTP_PORT, Protocol::LocalHttp));
        config
    }

    /// A broker with a port and no configuration (`-p`): MQTT for this machine alone, anonymous.
    pub fn port_only(port: u16) -> Self {
        Self {
            broker: BrokerConfig::default(),
            listeners: vec![Listener::local(port, Protocol::Mqtt)],
            local_only: true,
            auth: AuthConfig::default(),
            log: LogConfig::default(),
            store: StoreConfig::default(),
            pid_file: None,
            user: None,
            set_tcp_nodelay: true,
            said: Vec::new(),
            max_tls_handshakes: 1000,
            tls_handshake_timeout_secs: 0,
            worker_threads: None,
            acl_file: None,
        }
    }
}

impl Listener {
    /// A listener on loopback for anonymous clients.
    pub fn local(port: u16, protocol: Protocol) -> Self {
        Self {
            engine: ListenerConfig::default(),
            password_file: None,
            jwt_key_file: None,
            place: "no configuration".into(),
            address: Address::Loopback { port },
            protocol,
            socket_domain: None,
            bind_interface: None,
            max_connections: None,
            admin: AdminConfig::default(),
            http_dir: None,
            websockets_origin: Vec::new(),
            acl_file: None,
            tls: None,
            certificate_name: None,
            proxy: None,
        }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            location: None,
            sync: SyncMode::Always,
            sync_interval_millis: 1000,
            segment_size: 64 << 20,
            allow_shared: false,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            destinations: vec![LogDestination::Stderr],
            types: LogTypes::DEFAULT,
            format: LogFormat::Text,
            facility: None,
            timestamp: true,
            timestamp_format: None,
            connection_messages: true,
        }
    }
}
