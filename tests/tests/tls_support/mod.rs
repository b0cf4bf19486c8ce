//! A certificate authority in a folder of its own, and a client that speaks TLS byte by byte.
#![allow(dead_code, unreachable_pub)]

use halyard_tests::{Client, PATIENCE, wait_until};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    DnValue, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// An authority with its certificates in files.
pub struct Pki {
    pub folder: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

impl Pki {
    /// An authority (`ca.pem`) with a certificate for 127.0.0.1 and localhost (`server.pem`).
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("halyard-pki-{}-{count}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, format!("Authority {count}"));
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let pki = Self { folder, issuer };
        pki.write("ca.pem", &pki.issuer.pem());
        pki.server("server", |_| {});
        pki
    }

    /// A file's path.
    pub fn path(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    pub fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// A certificate for a listener, `NAME.pem` and `NAME.key`.
    pub fn server(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "localhost");
        change(&mut params);
        self.issue(name, &params);
    }

    /// A certificate for a client, `NAME.pem` and `NAME.key`.
    pub fn client(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(serial(name));
        change(&mut params);
        self.issue(name, &params);
    }

    fn issue(&self, name: &str, params: &CertificateParams) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.write(&format!("{name}.pem"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    /// The list of those that are revoked, `crl.pem`.
    pub fn revoke(&self, names: &[&str]) {
        self.revoke_until(names, 2090);
    }

    pub fn revoke_until(&self, names: &[&str], year: i32) {
        let revoked = names.iter().map(|name| RevokedCertParams {
            serial_number: serial(name),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        self.write("crl.pem", &params.signed_by(&self.issuer).unwrap().pem().unwrap());
    }

    /// The lines of a TLS listener.
    pub fn listener(&self, more: &str) -> String {
        let (cert, key) = (self.path("server.pem"), self.path("server.key"));
        format!("listener 0 127.0.0.1\ncertfile {cert}\nkeyfile {key}\n{more}\n")
    }

    /// The lines of a TLS listener that wants certificates of this authority.
    pub fn strict(&self, more: &str) -> String {
        let ca = self.path("ca.pem");
        self.listener(&format!("cafile {ca}\nrequire_certificate true\n{more}"))
    }

    /// What a client that trusts this authority needs; `own` is the name of its certificate.
    pub fn config(&self, own: Option<&str>) -> ClientConfig {
        let versions = &[&rustls::version::TLS13, &rustls::version::TLS12];
        self.config_with(own, versions)
    }

    pub fn config_with(
        &self,
        own: Option<&str>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(self.path("ca.pem")).unwrap();
        roots.add(ca).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        match own {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain = CertificateDer::pem_file_iter(self.path(&format!("{name}.pem")));
                let chain = chain.unwrap().collect::<Result<_, _>>().unwrap();
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        }
    }
}

impl Drop for Pki {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.folder);
    }
}

fn serial(name: &str) -> SerialNumber {
    let mut bytes = name.as_bytes().to_vec();
    bytes.insert(0, 1);
    bytes.truncate(20);
    SerialNumber::from(bytes)
}

/// A subject that says one thing twice.
pub fn second_common_name(params: &mut CertificateParams, name: &str) {
    params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 3]), name);
}

pub fn common_name(params: &mut CertificateParams, value: DnValue) {
    params.distinguished_name.push(DnType::CommonName, value);
}

/// A TLS connection to `address`; nothing has been sent.
pub fn dial(address: SocketAddr, config: ClientConfig) -> TlsStream {
    over(tcp(address), config)
}

pub fn tcp(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

pub fn over(socket: TcpStream, config: ClientConfig) -> TlsStream {
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket)
}

/// An MQTT client over TLS.
pub fn client(address: SocketAddr, config: ClientConfig) -> Client<TlsStream> {
    Client::new(dial(address, config))
}

/// Debian's mosquitto, ended with the test.
pub struct Theirs(Child);

impl Theirs {
    pub fn start(pki: &Pki, port: u16, lines: &str) -> Self {
        let config = format!("listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n{lines}");
        pki.write("mosquitto.conf", &config);
        let mut command = Command::new("/usr/sbin/mosquitto");
        command.args(["-c", &pki.path("mosquitto.conf")]).stderr(Stdio::null());
        let child = command.spawn().expect("mosquitto is installed");
        wait_until("mosquitto to listen", || TcpStream::connect(("127.0.0.1", port)).ok());
        Self(child)
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

pub fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("an address").port()
}
