//! What the process runs with: the configuration, where it came from, and what should be known about
//! it. The configuration itself is `halyard_core::conf`'s; files are read here.

use crate::access;
use crate::auth;
use crate::files;
use crate::log;
use crate::process;
use crate::site::Site;
use crate::tls;
use crate::tls::Revoked;
use halyard_core::conf;
use halyard_core::conf::Address;
use halyard_core::conf::AdminConfig;
use halyard_core::conf::Listener;
use halyard_core::conf::ListenerConfig;
use halyard_core::conf::Protocol;
use halyard_core::conf::ServerConfig;
use halyard_core::conf::SocketDomain;
use halyard_core::conf::Source;
use halyard_core::engine;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::fs::DirEntry;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// Characters of the shortest token: a random one of these is not guessed.
const TOKEN_BYTES_MIN: usize = 16;

/// A token of the admin API; never shown.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    pub(crate) const fn new(token: String) -> Self {
        Self(token)
    }

    /// Whether it is `given`, in a time that does not tell where they differ.
    pub(crate) fn is(&self, given: &str) -> bool {
        let (own, given) = (self.0.as_bytes(), given.as_bytes());
        let differs = own.iter().zip(given).fold(0, |differs, (a, b)| differs | (a ^ b));
        std::hint::black_box(differs) == 0 && own.len() == given.len()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Everything that a broker process needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) config: ServerConfig,
    pub(crate) config_file: Option<PathBuf>,
    /// The tokens of the admin API, by the files that hold them.
    tokens: BTreeMap<String, Token>,
    /// The files of each `http_dir`.
    sites: BTreeMap<String, Arc<Site>>,
    /// What is harmless but should be known.
    pub(crate) warnings: Vec<String>,
    /// TLS by listener, its files read; connections keep what they began with.
    tls: Vec<Option<tls::Secured>>,
    /// By listener: the client certificates that its lists revoke.
    revoked: Vec<Option<Arc<Revoked>>>,
    /// Listeners that a reload has removed. Their places stay, for listeners go by their place.
    gone: BTreeSet<usize>,
}

impl Settings {
    /// Settings that come from no file.
    pub(crate) fn local(mut config: ServerConfig) -> Self {
        name_listeners(&mut config);
        Self {
            config,
            config_file: None,
            tokens: BTreeMap::new(),
            sites: BTreeMap::new(),
            warnings: Vec::new(),
            tls: Vec::new(),
            revoked: Vec::new(),
            gone: BTreeSet::new(),
        }
    }

    /// Whether this admin API is served: never without the token that it is to ask for.
    pub(crate) fn serves(&self, admin: &AdminConfig) -> bool {
        admin.enabled && (admin.token_file.is_none() || self.token(admin).is_some())
    }

    /// What requests to this admin API must carry.
    pub(crate) fn token(&self, admin: &AdminConfig) -> Option<&Token> {
        self.tokens.get(admin.token_file.as_ref()?)
    }

    /// The files of the listener's `http_dir`.
    pub(crate) fn site(&self, listener: &Listener) -> Option<&Site> {
        self.sites.get(listener.http_dir.as_ref()?).map(|site| &**site)
    }

    /// TLS of the listener with this index, if it has it.
    pub(crate) fn tls(&self, listener: u16) -> Option<&Arc<rustls::ServerConfig>> {
        Some(&self.tls.get(usize::from(listener))?.as_ref()?.config)
    }

    /// When the certificate of each listener ends, seconds since 1970, for those that have one.
    pub(crate) fn certificate_ends(&self) -> Vec<Option<i64>> {
        self.tls.iter().map(|tls| tls.as_ref().map(|tls| tls.expires)).collect()
    }

    /// The client certificates that the lists of the listener with this index revoke.
    pub(crate) fn revoked(&self, listener: u16) -> Option<&Arc<Revoked>> {
        self.revoked.get(usize::from(listener))?.as_ref()
    }

    /// Whether a reload has removed the listener with this index.
    pub(crate) fn is_gone(&self, listener: usize) -> bool {
        self.gone.contains(&listener)
    }

    /// What the listener with this index is called, if there is one.
    pub(crate) fn listener_name(&self, listener: usize) -> Option<&Arc<str>> {
        let found = self.config.listeners.get(listener).filter(|_| !self.is_gone(listener));
        found.map(|listener| &listener.engine.name)
    }

    /// What holds after `self`: `new`, with every listener in its old place. Gives the places of those
    /// that are to be opened.
    pub(crate) fn followed_by(&self, new: &Self) -> (Self, Vec<usize>) {
        let mut next = new.clone();
        next.config.listeners.clone_from(&self.config.listeners);
        next.gone = (0..self.config.listeners.len()).collect();
        for at in 0..self.config.listeners.len() {
            next.adopt(at, self, at);
        }
        let mut opened = Vec::new();
        for (index, listener) in new.config.listeners.iter().enumerate() {
            let name = &listener.engine.name;
            let found = (0..self.config.listeners.len())
                .find(|at| self.listener_name(*at).is_some_and(|own| own == name));
            let at = found.unwrap_or_else(|| {
                // The place of one that was gone before, and that nobody is in any more for sure.
                let free = self.gone.iter().find(|at| next.gone.contains(*at)).copied();
                free.unwrap_or(next.config.listeners.len())
            });
            if at == next.config.listeners.len() {
                next.config.listeners.push(listener.clone());
            }
            next.adopt(at, new, index);
            next.gone.remove(&at);
            if found.is_none() {
                opened.push(at);
            }
        }
        for at in &next.gone {
            next.tls[*at] = None;
            next.revoked[*at] = None;
        }
        (next, opened)
    }

    /// Takes over from `other` the listener that was its number `index`, as our number `at`.
    fn adopt(&mut self, at: usize, other: &Self, index: usize) {
        self.config.listeners[at] = other.config.listeners[index].clone();
        self.tls.resize(self.config.listeners.len(), None);
        self.tls[at] = other.tls.get(index).cloned().flatten();
        if let Some(path) = &other.config.listeners[index].http_dir
            && let Some(site) = other.sites.get(path)
        {
            self.sites.entry(path.clone()).or_insert_with(|| Arc::clone(site));
        }
        self.revoked.resize(self.config.listeners.len(), None);
        self.revoked[at] = other.revoked.get(index).cloned().flatten();
        let admin = &other.config.listeners[index].admin;
        if let (Some(path), Some(token)) = (&admin.token_file, other.token(admin)) {
            self.tokens.entry(path.clone()).or_insert_with(|| token.clone());
        }
    }

    /// The configuration of the engine of one shard.
    pub(crate) fn engine(&self, shard: engine::ShardId, shards: usize) -> engine::Config {
        let listeners = &self.config.listeners;
        engine::Config {
            broker: self.config.broker.clone(),
            listeners: (0..)
                .zip(listeners)
                .map(|(at, one)| self.engine_listener(at, one))
                .collect(),
            shard,
            shards: u16::try_from(shards).unwrap_or(u16::MAX),
        }
    }

    fn engine_listener(&self, at: usize, listener: &Listener) -> ListenerConfig {
        if !self.is_gone(at) {
            return listener.engine.clone();
        }
        // Nobody finds it by its name, and nobody gets in.
        ListenerConfig {
            name: "".into(),
            allow_anonymous: false,
            accept_v31: false,
            accept_v311: false,
            accept_v5: false,
            ..ListenerConfig::default()
        }
    }

    /// The Unix sockets that are listened on.
    pub(crate) fn unix_sockets(&self) -> impl Iterator<Item = &Path> {
        let open = self.config.listeners.iter().enumerate().filter(|(at, _)| !self.is_gone(*at));
        open.filter_map(|(_, listener)| match &listener.address {
            Address::Unix { path } => Some(Path::new(path)),
            _ => None,
        })
    }
}

/// How a person would write the address of a listener.
pub(crate) fn written(listener: &Listener) -> String {
    match &listener.address {
        Address::Any { port } => format!("port {port}"),
        Address::Loopback { port } => format!("loopback port {port}"),
        Address::Host { host, port } => format!("{host} port {port}"),
        Address::Unix { path } => path.clone(),
    }
}

/// Gives every listener the name by which saved state and the next configuration find it: what of its
/// lines makes it that one.
fn name_listeners(config: &mut ServerConfig) {
    let mut taken = BTreeMap::new();
    for listener in &mut config.listeners {
        let mut name = written(listener);
        name.push_str(match listener.protocol {
            Protocol::Mqtt => "",
            Protocol::Websockets => " websockets",
            Protocol::HttpApi | Protocol::LocalHttp => " http",
        });
        name.push_str(match listener.socket_domain {
            None => "",
            Some(SocketDomain::Ipv4) => " ipv4",
            Some(SocketDomain::Ipv6) => " ipv6",
        });
        if let Some(interface) = &listener.bind_interface {
            name.push(' ');
            name.push_str(interface);
        }
        // Only those whose port the system chooses can be as like as that.
        let before = taken.entry(name.clone()).or_insert(0);
        *before += 1;
        if *before > 1 {
            name = format!("{name} #{before}");
        }
        listener.engine.name = name.into();
    }
}

/// The settings of a configuration file, with these MQTT ports of loopback besides. The error has a
/// line for each thing that is wrong.
pub(crate) fn from_file(path: &Path, ports: &[u16]) -> Result<Settings, String> {
    let main = read_main(path).map_err(|error| {
        format!("halyard: error: cannot read the configuration {}: {error}", path.display())
    })?;
    let parsed = conf::parse(&main, &mut |folder| read_folder(Path::new(folder)));
    let mut lines: Vec<String> = parsed.diagnostics.iter().map(ToString::to_string).collect();
    if let Some(format) = &parsed.config.log.timestamp_format
        && !log::is_timestamp_format(format)
    {
        lines.push(format!(
            "{}: error: log_timestamp_format: {format:?} is no format of strftime; write one like \
             %Y-%m-%dT%H:%M:%S",
            main.name
        ));
        return Err(lines.join("\n"));
    }
    if !parsed.is_valid() {
        return Err(lines.join("\n"));
    }
    let mut config = parsed.config;
    let tokens = read_tokens(&config, &mut lines)?;
    let sites = read_sites(&config)?;
    add_ports(&mut config, ports);
    // All files are read before anything is switched: a bad one changes nothing.
    match read_named_files(&mut config) {
        Ok(warnings) => lines.extend(warnings),
        Err(errors) => {
            lines.extend(errors);
            return Err(lines.join("\n"));
        }
    }
    let wrong = process::check(&config);
    if !wrong.is_empty() {
        lines.extend(wrong);
        return Err(lines.join("\n"));
    }
    let (tls, revoked) = read_tls(&config, &mut lines)?;
    Ok(Settings {
        config_file: Some(path.to_owned()),
        tokens,
        sites,
        warnings: lines,
        tls,
        revoked,
        ..Settings::local(config)
    })
}

/// The tokens of the admin API: as secret as passwords, and their files are judged as those are.
fn read_tokens(
    config: &ServerConfig,
    lines: &mut Vec<String>,
) -> Result<BTreeMap<String, Token>, String> {
    let mut tokens = BTreeMap::new();
    for listener in config.listeners.iter().filter(|listener| listener.admin.enabled) {
        let Some(path) = &listener.admin.token_file else { continue };
        if tokens.contains_key(path) {
            continue;
        }
        let wrong =
            |what: String| format!("{}: error: admin_token_file: {path}: {what}", listener.place);
        let (text, mode) = auth::read_secret(path).map_err(|error| wrong(error.to_string()))?;
        lines.extend(auth::judge_mode(path, mode)?);
        let text = String::from_utf8(text).map_err(|_| wrong("it is no text".into()))?;
        let token = text.lines().next().unwrap_or("").trim();
        if token.len() < TOKEN_BYTES_MIN {
            let what =
                format!("the token has {} characters; take {TOKEN_BYTES_MIN} or more", token.len());
            return Err(wrong(what));
        }
        tokens.insert(path.clone(), Token::new(token.into()));
    }
    Ok(tokens)
}

fn read_sites(config: &ServerConfig) -> Result<BTreeMap<String, Arc<Site>>, String> {
    let mut sites = BTreeMap::new();
    for listener in &config.listeners {
        let Some(path) = &listener.http_dir else { continue };
        let site = Site::read(Path::new(path));
        let site = site.map_err(|what| format!("{}: error: http_dir: {what}", listener.place))?;
        sites.insert(path.clone(), Arc::new(site));
    }
    Ok(sites)
}

/// Reads and checks the files that the configuration names, into it. Both answers are for people:
/// warnings, or everything that is wrong.
fn read_named_files(config: &mut ServerConfig) -> Result<Vec<String>, Vec<String>> {
    let mut lines = Vec::new();
    let mut is_valid = true;
    for outcome in [auth::load_users(config), access::load(config)] {
        is_valid &= outcome.is_ok();
        match outcome {
            Ok(found) | Err(found) => lines.extend(found),
        }
    }
    if is_valid { Ok(lines) } else { Err(lines) }
}

/// TLS by listener, and what its lists revoke.
type ReadTls = (Vec<Option<tls::Secured>>, Vec<Option<Arc<Revoked>>>);

/// Reads the certificates and keys of all listeners.
fn read_tls(config: &ServerConfig, lines: &mut Vec<String>) -> Result<ReadTls, String> {
    let (mut all, mut revoked) = (Vec::new(), Vec::new());
    let mut failed = false;
    for listener in &config.listeners {
        let mut warnings = Vec::new();
        let made = listener.tls.as_ref().map(|config| {
            revoked.push(tls::revoked(config)?.map(Arc::new));
            tls::listener(config, &mut warnings)
        });
        if made.is_none() {
            revoked.push(None);
        }
        lines.extend(warnings.iter().map(|text| format!("{}: warning: {text}", listener.place)));
        all.push(match made.transpose() {
            Ok(made) => made,
            Err(text) => {
                lines.push(format!("{}: error: {text}", listener.place));
                failed = true;
                None
            }
        });
    }
    if failed { Err(lines.join("\n")) } else { Ok((all, revoked)) }
}

/// `-p` beside `-c`: instead of our own listener, or besides those of the file and as strict.
fn add_ports(config: &mut ServerConfig, ports: &[u16]) {
    let mut strict = Listener::local(0, Protocol::Mqtt).engine;
    strict.allow_anonymous = config.listeners.iter().all(|other| other.engine.allow_anonymous);
    let jwt_key_file = config.listeners.iter().find_map(|other| other.jwt_key_file.clone());
    let password_file = config.listeners.iter().find_map(|other| other.password_file.clone());
    let acl_file = config.listeners.iter().find_map(|other| other.acl_file.clone());
    if config.local_only && !ports.is_empty() {
        config.listeners.clear();
    }
    for port in ports {
        let local = Listener::local(*port, Protocol::Mqtt);
        let (engine, place) = (strict.clone(), format!("-p {port}"));
        let files = (password_file.clone(), jwt_key_file.clone(), acl_file.clone());
        let (password_file, jwt_key_file, acl_file) = files;
        config.listeners.push(Listener {
            engine,
            password_file,
            jwt_key_file,
            acl_file,
            place,
            ..local
        });
    }
}

fn read(path: &Path) -> io::Result<Source> {
    let (bytes, _) = files::read(path, files::FILE_BYTES_MAX)?;
    Ok(Source::new(path.to_string_lossy(), bytes))
}

/// The main file may be a pipe: `halyard -c <(make-it)`.
fn read_main(path: &Path) -> io::Result<Source> {
    let mut bytes = Vec::new();
    File::open(path)?.take(files::FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(Source::new(path.to_string_lossy(), bytes))
}

/// The files that an `include_dir` means, in order.
fn read_folder(folder: &Path) -> Result<Vec<Source>, String> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<DirEntry>>>);
    let mut names: Vec<String> = entries
        .map_err(|error| format!("cannot read the folder: {error}"))?
        .into_iter()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| conf::is_included(name))
        .collect();
    names.sort_by(|a, b| conf::include_order(a, b));
    let sources = names.iter().map(|name| {
        read(&folder.join(name)).map_err(|error| format!("cannot read {name}: {error}"))
    });
    sources.collect()
}
