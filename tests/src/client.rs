//! A client that does exactly what a test says: raw bytes or packets, one at a time, no state kept,
//! nothing answered by itself.

use crate::wait::PATIENCE;
use halyard_core::codec;
use halyard_core::codec::Decoder;
use halyard_core::codec::Limits;
use halyard_core::codec::Role;
use halyard_core::packet::Connack;
use halyard_core::packet::Connect;
use halyard_core::packet::ConnectProperties;
use halyard_core::packet::Disconnect;
use halyard_core::packet::Packet;
use halyard_core::packet::PacketId;
use halyard_core::packet::Publish;
use halyard_core::packet::PublishProperties;
use halyard_core::packet::QoS;
use halyard_core::packet::ReasonCode;
use halyard_core::packet::Subscribe;
use halyard_core::packet::SubscribeFilter;
use halyard_core::packet::SubscriptionOptions;
use halyard_core::packet::UserProperties;
use halyard_core::packet::Version;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A stream to the broker, with time-outs.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

impl Stream {
    /// Connects over TCP.
    ///
    /// # Panics
    /// If nobody listens.
    pub fn tcp(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the broker listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        stream.set_write_timeout(Some(PATIENCE)).expect("a time-out");
        stream.set_nodelay(true).expect("an option");
        Self::Tcp(stream)
    }

    /// Connects over TCP from this address of the machine.
    ///
    /// # Panics
    /// If nobody listens.
    pub fn tcp_from(from: IpAddr, address: SocketAddr) -> Self {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::new(from, 0).into()).expect("an address of this machine");
        socket.connect(&address.into()).expect("the broker listens");
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        stream.set_write_timeout(Some(PATIENCE)).expect("a time-out");
        Self::Tcp(stream)
    }

    /// Connects over a Unix socket.
    ///
    /// # Panics
    /// If nobody listens.
    pub fn unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("the broker listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        Self::Unix(stream)
    }

    /// Says that nothing more will be sent.
    ///
    /// # Panics
    /// If the connection is gone.
    pub fn finish(&self) {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
        .expect("the connection is open");
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A client over a stream.
#[derive(Debug)]
pub struct Client<S = Stream> {
    stream: S,
    version: Version,
    /// Received and not yet looked at.
    received: Vec<u8>,
}

/// A packet that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    bytes: Vec<u8>,
    version: Version,
}

impl Received {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The packet.
    ///
    /// # Panics
    /// Never: it was decoded before.
    pub fn with<T>(&self, look: impl FnOnce(&Packet<'_>) -> T) -> T {
        let mut decoder = Decoder::new(Role::Client);
        decoder.set_version(self.version);
        let (_, frame) = decoder.decode(&self.bytes, &Limits::default()).expect("decoded before");
        look(&frame.expect("a whole packet").packet)
    }
}

impl<S: Read + Write> Client<S> {
    /// A client that has sent nothing yet, and will speak 3.1.1 unless it connects with another.
    pub const fn new(stream: S) -> Self {
        Self { stream, version: Version::V4, received: Vec::new() }
    }

    /// The stream.
    pub const fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// If the connection is gone.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the connection is open");
    }

    /// Sends a packet.
    pub fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        codec::encode(packet, self.version, &mut bytes);
        self.send_bytes(&bytes);
    }

    /// Sends CONNECT, whole and in the version that it names.
    pub fn send_connect(&mut self, connect: &Connect<'_>) {
        self.version = connect.version;
        self.send(&Packet::Connect(connect.clone()));
    }

    /// Sends CONNECT to a broker that may have closed already.
    pub fn send_connect_if_open(&mut self, connect: &Connect<'_>) {
        self.version = connect.version;
        let mut bytes = Vec::new();
        codec::encode(&Packet::Connect(connect.clone()), self.version, &mut bytes);
        // What comes back, or does not, tells.
        _ = self.stream.write_all(&bytes);
    }

    /// Connects with a clean Session, and without Keep Alive.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn connect(&mut self, client_id: &str, version: Version) {
        self.send_connect(&connect(client_id, version));
        self.receive().with(|packet| {
            let Packet::Connack(Connack { reason, .. }) = packet else { panic!("{packet:?}") };
            assert!(!reason.is_error(), "{reason:?}");
        });
    }

    /// Subscribes at QoS `qos` and waits until it holds.
    pub fn subscribe(&mut self, filter: &str, qos: QoS) {
        let subscribe = Subscribe {
            packet_id: PacketId::new(1).expect("not zero"),
            subscription_identifier: None,
            user_properties: UserProperties::EMPTY,
            filters: vec![SubscribeFilter { filter, options: SubscriptionOptions::new(qos) }],
        };
        self.send(&Packet::Subscribe(subscribe));
        self.receive().with(|packet| assert!(matches!(packet, Packet::Suback(_)), "{packet:?}"));
    }

    /// Publishes at QoS 0.
    pub fn publish(&mut self, topic: &str, payload: &[u8]) {
        self.send(&Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic,
            packet_id: None,
            properties: PublishProperties::default(),
            payload,
        }));
    }

    /// Waits until the broker has handled all that was sent before.
    ///
    /// # Panics
    /// If something else than the answer comes.
    pub fn ping(&mut self) {
        self.send(&Packet::Pingreq);
        self.receive().with(|packet| assert!(matches!(packet, Packet::Pingresp), "{packet:?}"));
    }

    /// Disconnects in good order.
    pub fn disconnect(&mut self) {
        self.send(&Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
    }

    /// The next packet.
    ///
    /// # Panics
    /// If the connection ends before, or what comes is no packet.
    pub fn receive(&mut self) -> Received {
        self.try_receive().expect("a packet before the end")
    }

    /// The next packet, or `None` at the end of the connection.
    ///
    /// # Panics
    /// If none comes in time, or what comes is no packet.
    pub fn try_receive(&mut self) -> Option<Received> {
        loop {
            let mut decoder = Decoder::new(Role::Client);
            decoder.set_version(self.version);
            let decoded = decoder.decode(&self.received, &Limits::default());
            let (len, frame) = decoded.expect("the broker sends MQTT");
            if frame.is_some() {
                let bytes = self.received.drain(..len).collect();
                return Some(Received { bytes, version: self.version });
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(len) => self.received.extend_from_slice(&buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    /// Waits for the end of the connection; gives the packets before it.
    pub fn until_closed(&mut self) -> Vec<Received> {
        std::iter::from_fn(|| self.try_receive()).collect()
    }
}

/// A CONNECT with a clean Session, and without Keep Alive.
pub fn connect(client_id: &str, version: Version) -> Connect<'_> {
    Connect {
        version,
        clean_start: true,
        keep_alive: 0,
        client_id,
        will: None,
        username: None,
        password: None,
        properties: ConnectProperties::default(),
        bridge: false,
    }
}
