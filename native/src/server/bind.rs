//! Opening listening sockets, before the process becomes a daemon or another user, so that every
//! failure reaches the terminal. They are bound then, for which the process may need the rights that
//! it gives up, and listen when the store is recovered: until then a client is refused, and knows.
//! Accepts nothing. Without a store there is nothing to wait for.

use crate::settings;
use halyard_core::conf::Address;
use halyard_core::conf::Listener;
use halyard_core::conf::Protocol;
use halyard_core::conf::ServerConfig;
use halyard_core::conf::SocketDomain;
use nix::ifaddrs::getifaddrs;
use socket2::Domain;
use socket2::SockRef;
use socket2::Socket;
use socket2::Type;
use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::ToSocketAddrs;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Connections that wait to be accepted; the system may allow fewer.
const BACKLOG: i32 = 4096;

/// An open listening socket of the listener with this index.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) index: u16,
    pub(crate) socket: BoundSocket,
    /// For people and for scripts: `mqtt://127.0.0.1:1883`.
    pub(crate) url: String,
    /// `ipv4` or `unix`.
    pub(crate) kind: &'static str,
    /// `port 1883`, as Mosquitto says it.
    pub(crate) place: String,
}

#[derive(Debug)]
pub(crate) enum BoundSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl BoundSocket {
    /// The same socket once more, for another shard.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(socket) => Self::Tcp(socket.try_clone()?),
            Self::Unix(socket) => Self::Unix(socket.try_clone()?),
        })
    }
}

/// Why a listener could not be opened.
#[derive(Debug)]
pub(crate) struct BindError {
    address: String,
    place: String,
    error: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, place, error } = self;
        write!(f, "cannot listen on {address} ({place}): {error}")?;
        match error.kind() {
            io::ErrorKind::AddrInUse => f.write_str(
                "; another program listens there: stop it, or choose another port (-p PORT, or \
                 the listener's line)",
            ),
            io::ErrorKind::PermissionDenied => {
                f.write_str("; ports below 1024 and foreign folders need the right to use them")
            }
            // Errors of the system have a number; others are words of ours.
            io::ErrorKind::AddrNotAvailable if error.raw_os_error().is_some() => {
                f.write_str("; this machine has no such address")
            }
            _ => Ok(()),
        }
    }
}

/// Opens the sockets of all listeners, and says which addresses were left out and why.
pub(crate) fn bind_all(config: &ServerConfig) -> Result<(Vec<Bound>, Vec<String>), BindError> {
    let mut all = Vec::new();
    let mut notes = Vec::new();
    for index in 0..config.listeners.len() {
        bind_listener(config, index, &mut all, &mut notes)?;
    }
    if !config.broker.persistence {
        // There is nothing to wait for.
        for one in &all {
            let error =
                |error| BindError { address: one.url.clone(), place: one.place.clone(), error };
            one.listen_now().map_err(error)?;
        }
    }
    Ok((all, notes))
}

/// Opens the sockets of the listener with this index.
pub(super) fn bind_listener(
    config: &ServerConfig,
    index: usize,
    all: &mut Vec<Bound>,
    notes: &mut Vec<String>,
) -> Result<(), BindError> {
    let listener = &config.listeners[index];
    let index = u16::try_from(index).unwrap_or(u16::MAX);
    bind_one(listener, index, config.set_tcp_nodelay, all, notes).map_err(|(address, error)| {
        let place = listener.place.clone();
        BindError { address, place, error }
    })
}

fn bind_one(
    listener: &Listener,
    index: u16,
    nodelay: bool,
    all: &mut Vec<Bound>,
    notes: &mut Vec<String>,
) -> Result<(), (String, io::Error)> {
    if let Address::Unix { path } = &listener.address {
        let socket = bind_unix(Path::new(path)).map_err(|error| (path.clone(), error))?;
        let url = format!("{}{path}", scheme(listener, true));
        let (kind, place) = ("unix", format!("path {path}"));
        all.push(Bound { index, socket: BoundSocket::Unix(socket), url, kind, place });
        return Ok(());
    }
    let addresses = addresses(listener).map_err(|error| (settings::written(listener), error))?;
    let optional = addresses.len() > 1;
    let before = all.len();
    let mut failure = None;
    for address in addresses {
        match bind_tcp(address, nodelay) {
            Ok(socket) => {
                let local = socket.local_addr().map_err(|error| (address.to_string(), error))?;
                all.push(Bound::tcp(listener, index, socket, local));
            }
            // A machine without IPv6 (or IPv4) is no reason not to serve the other.
            Err(error) if optional && is_missing_family(&error) => {
                notes.push(format!("Not listening on {address}: {error}"));
                failure = Some((address.to_string(), error));
            }
            Err(error) => return Err((address.to_string(), error)),
        }
    }
    match failure {
        Some(failure) if all.len() == before => Err(failure),
        _ => Ok(()),
    }
}

impl Bound {
    /// Lets clients connect.
    pub(super) fn listen(&self) -> io::Result<()> {
        let listened = self.listen_now();
        let text = |error| format!("cannot listen on {} ({}): {error}", self.url, self.place);
        listened.map_err(|error| io::Error::new(error.kind(), text(error)))
    }

    fn listen_now(&self) -> io::Result<()> {
        match &self.socket {
            BoundSocket::Tcp(socket) => SockRef::from(socket).listen(BACKLOG),
            BoundSocket::Unix(socket) => SockRef::from(socket).listen(BACKLOG),
        }
    }

    fn tcp(listener: &Listener, index: u16, socket: TcpListener, local: SocketAddr) -> Self {
        let kind = if local.is_ipv4() { "ipv4" } else { "ipv6" };
        let path = match listener.protocol {
            Protocol::LocalHttp => "/mqtt",
            Protocol::HttpApi => "/",
            _ => "",
        };
        let url = format!("{}{local}{path}", scheme(listener, false));
        let place = format!("port {}", local.port());
        Self { index, socket: BoundSocket::Tcp(socket), url, kind, place }
    }
}

impl Bound {
    /// The address for a browser, where it is another than that for MQTT.
    pub(crate) fn page(&self) -> Option<String> {
        let (host, scheme) = match self.url.strip_prefix("wss://") {
            Some(host) => (host, "https"),
            None => (self.url.strip_prefix("ws://")?, "http"),
        };
        Some(format!("{scheme}://{}/", host.strip_suffix("/mqtt")?))
    }
}

const fn scheme(listener: &Listener, unix: bool) -> &'static str {
    match (listener.protocol, listener.tls.is_some(), unix) {
        (Protocol::Mqtt, false, false) => "mqtt://",
        (Protocol::Mqtt, false, true) => "mqtt+unix://",
        (Protocol::Mqtt, true, false) => "mqtts://",
        (Protocol::Mqtt, true, true) => "mqtts+unix://",
        (Protocol::HttpApi, false, false) => "http://",
        (Protocol::HttpApi, false, true) => "http+unix://",
        (Protocol::HttpApi, true, false) => "https://",
        (Protocol::HttpApi, true, true) => "https+unix://",
        (_, false, false) => "ws://",
        (_, false, true) => "ws+unix://",
        (_, true, false) => "wss://",
        (_, true, true) => "wss+unix://",
    }
}

/// The addresses that a listener is to be bound to, never none.
fn addresses(listener: &Listener) -> io::Result<Vec<SocketAddr>> {
    let port = listener.address.port();
    let candidates: Vec<IpAddr> = match (&listener.bind_interface, &listener.address) {
        (Some(interface), _) => interface_addresses(interface)?,
        (None, Address::Any { .. }) => {
            vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]
        }
        (None, Address::Loopback { .. }) => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        (None, Address::Host { host, .. }) => {
            (host.as_str(), port).to_socket_addrs()?.map(|address| address.ip()).collect()
        }
        (None, Address::Unix { .. }) => Vec::new(),
    };
    let fits = |address: &IpAddr| match listener.socket_domain {
        None => true,
        Some(SocketDomain::Ipv4) => address.is_ipv4(),
        Some(SocketDomain::Ipv6) => address.is_ipv6(),
    };
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in candidates.into_iter().filter(fits) {
        let address = SocketAddr::new(address, port);
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        let text = "it has no address of the family that socket_domain asks for";
        return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, text));
    }
    Ok(addresses)
}

/// The addresses of a network interface (`bind_interface`).
fn interface_addresses(interface: &str) -> io::Result<Vec<IpAddr>> {
    let mut known = false;
    let mut addresses = Vec::new();
    for entry in getifaddrs().map_err(io::Error::from)? {
        if entry.interface_name != interface {
            continue;
        }
        known = true;
        let Some(address) = entry.address else { continue };
        if let Some(v4) = address.as_sockaddr_in() {
            addresses.push(IpAddr::V4(v4.ip()));
        } else if let Some(v6) = address.as_sockaddr_in6()
            && !v6.ip().is_unicast_link_local()
        {
            addresses.push(IpAddr::V6(v6.ip()));
        }
    }
    if addresses.is_empty() {
        let what = if known { "has no address" } else { "does not exist" };
        let text = format!("interface {interface} {what}");
        return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, text));
    }
    Ok(addresses)
}

fn bind_tcp(address: SocketAddr, nodelay: bool) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Accepted sockets inherit it, so that it costs no system call per connection.
    socket.set_tcp_nodelay(nodelay)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Opens a Unix socket; one that a dead process left behind is replaced, one that is in use is not.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            let text = "there is a file by that name which is no socket";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        Ok(_) => fs::remove_file(path)?,
        Err(_) => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    Ok(socket.into())
}

fn is_missing_family(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let missing = [Errno::EAFNOSUPPORT, Errno::EADDRNOTAVAIL, Errno::EPROTONOSUPPORT];
    error.raw_os_error().is_some_and(|code| missing.contains(&Errno::from_raw(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_is_named_with_its_line() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let mut config = ServerConfig::port_only(port);
        config.listeners[0].place = "a.conf:7".into();
        let error = bind_all(&config).unwrap_err().to_string();
        assert!(error.contains(&format!("127.0.0.1:{port}")), "{error}");
        assert!(error.contains("a.conf:7") && error.contains("another program"), "{error}");
    }

    #[test]
    fn a_client_is_refused_until_the_broker_listens() {
        let path = std::env::temp_dir().join(format!("halyard-listen-{}", std::process::id()));
        let mut config = ServerConfig::port_only(0);
        config.listeners[0].address = Address::Host { host: "127.0.0.1".into(), port: 0 };
        let mut unix = config.listeners[0].clone();
        unix.address = Address::Unix { path: path.display().to_string() };
        config.listeners.push(unix);
        config.broker.persistence = true;
        let (bound, _) = bind_all(&config).unwrap();
        let BoundSocket::Tcp(socket) = &bound[0].socket else { panic!("not TCP") };
        let address = socket.local_addr().unwrap();
        let tcp = || std::net::TcpStream::connect(address).map_err(|error| error.kind());
        let local = || UnixStream::connect(&path).map_err(|error| error.kind());
        assert_eq!(tcp().unwrap_err(), io::ErrorKind::ConnectionRefused);
        assert_eq!(local().unwrap_err(), io::ErrorKind::ConnectionRefused);
        bound.iter().for_each(|one| one.listen().unwrap());
        assert!(tcp().is_ok() && local().is_ok());
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn set_tcp_nodelay_holds_for_the_connections_of_a_listener() {
        for nodelay in [true, false] {
            let listener = bind_tcp("127.0.0.1:0".parse().unwrap(), nodelay).unwrap();
            listener.set_nonblocking(false).unwrap();
            SockRef::from(&listener).listen(1).unwrap();
            let address = listener.local_addr().unwrap();
            let _client = std::net::TcpStream::connect(address).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            assert_eq!(accepted.nodelay().unwrap(), nodelay, "set_tcp_nodelay {nodelay}");
        }
    }

    #[test]
    fn socket_domain_and_interface_choose_the_addresses() {
        let mut listener = ServerConfig::port_only(7).listeners.remove(0);
        listener.address = Address::Any { port: 7 };
        assert_eq!(addresses(&listener).unwrap().len(), 2);
        listener.socket_domain = Some(SocketDomain::Ipv6);
        assert_eq!(addresses(&listener).unwrap(), ["[::]:7".parse().unwrap()]);
        listener.socket_domain = Some(SocketDomain::Ipv4);
        listener.bind_interface = Some("lo".into());
        assert_eq!(addresses(&listener).unwrap(), ["127.0.0.1:7".parse().unwrap()]);
        listener.bind_interface = Some("no-such-interface".into());
        let error = addresses(&listener).unwrap_err().to_string();
        assert!(error.contains("no-such-interface does not exist"), "{error}");
    }

    #[test]
    fn a_stale_unix_socket_is_replaced_and_a_living_one_is_not() {
        let path = std::env::temp_dir().join(format!("halyard-bind-{}", std::process::id()));
        drop(UnixListener::bind(&path).unwrap());
        let living = bind_unix(&path).unwrap();
        SockRef::from(&living).listen(1).unwrap();
        assert_eq!(bind_unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(living);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        assert_eq!(bind_unix(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_file(&path).unwrap();
    }
}
