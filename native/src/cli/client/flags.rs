//! The flags of `halyard pub` and `halyard sub`: one table of names, values and effects, with the
//! names and meanings of mosquitto_pub and mosquitto_sub. Refuses by name what is not supported.

use super::args::{Args, Verb};
use super::properties::Command;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Who takes a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    Both,
    Pub,
    Sub,
}

/// What a flag takes and does.
#[derive(Clone, Copy)]
enum Effect {
    /// Nothing follows.
    Plain(fn(&mut Args)),
    /// One value follows, named for the error when it is missing.
    Value(&'static str, fn(&mut Args, &OsStr) -> Result<(), String>),
    /// Not supported: what follows it, if anything, and why.
    Refused(Option<&'static str>, &'static str),
    /// `-D command identifier [name] value`.
    Property,
}

struct Flag {
    short: &'static str,
    long: &'static str,
    verb: For,
    effect: Effect,
}

const ENGINE: &str = "OpenSSL engines are not supported; keys are PEM files";
const KEYLOG: &str = "the keys of TLS sessions are written nowhere";
const PSK: &str = "TLS-PSK is not supported";
const PROXY: &str = "SOCKS proxies are not supported";
const SRV: &str = "SRV lookups are not supported; name the host with -h";

const fn flag(short: &'static str, long: &'static str, verb: For, effect: Effect) -> Flag {
    Flag { short, long, verb, effect }
}

use Effect::{Plain, Refused, Value};
use For::{Both, Pub, Sub};

#[rustfmt::skip]
const FLAGS: &[Flag] = &[
    flag("-A", "--bind", Both, Value("address", |a, v| text(v).map(|v| a.bind = Some(v)))),
    flag("-c", "--disable-clean-session", Both, Plain(|a| a.clean = false)),
    flag("-C", "", Sub, Value("count", Args::set_count)),
    flag("-d", "--debug", Both, Plain(|a| a.debug = true)),
    flag("-D", "--property", Both, Effect::Property),
    flag("-E", "", Sub, Plain(|a| a.exit_after_subscribe = true)),
    flag("-f", "--file", Pub, Value("file", Args::set_file)),
    flag("-F", "", Sub, Value("format", Args::set_format)),
    flag("-h", "--host", Both, Value("host", |a, v| text(v).map(|v| a.host = Some(v)))),
    flag("-i", "--id", Both, Value("id", Args::set_id)),
    flag("-I", "--id-prefix", Both, Value("id prefix", Args::set_id_prefix)),
    flag("-k", "--keepalive", Both, Value("keepalive", Args::set_keep_alive)),
    flag("-l", "--stdin-line", Pub, Plain(|a| a.add_source(super::args::Source::Lines))),
    flag("-L", "--url", Both, Value("URL", Args::set_url)),
    flag("-m", "--message", Pub, Value("message", |a, v| {
        a.add_source(super::args::Source::Message(v.as_bytes().to_vec()));
        Ok(())
    })),
    flag("-M", "", Both, Value("max_inflight", Args::set_max_inflight)),
    flag("-n", "--null-message", Pub, Plain(|a| a.add_source(super::args::Source::Null))),
    flag("-N", "", Sub, Plain(|a| a.end_of_line = false)),
    flag("-p", "--port", Both, Value("port", Args::set_port)),
    flag("-P", "--pw", Both, Value("password", |a, v| {
        a.password = Some(v.as_bytes().to_vec());
        Ok(())
    })),
    flag("-q", "--qos", Both, Value("QoS", Args::set_qos)),
    flag("-r", "--retain", Pub, Plain(|a| a.retain = true)),
    flag("-R", "", Sub, Plain(|a| a.skip_retained = true)),
    flag("-s", "--stdin-file", Pub, Plain(|a| a.add_source(super::args::Source::Stdin))),
    flag("-S", "", Both, Refused(None, SRV)),
    flag("-t", "--topic", Both, Value("topic", Args::add_topic)),
    flag("-T", "--filter-out", Sub, Value("topic filter", Args::add_filter_out)),
    flag("-u", "--username", Both, Value("username", |a, v| text(v).map(|v| a.username = Some(v)))),
    flag("-U", "--unsubscribe", Sub, Value("unsubscribe topic", Args::add_unsubscribe)),
    flag("-v", "--verbose", Sub, Plain(|a| a.verbose = true)),
    flag("-V", "--protocol-version", Both, Value("version", Args::set_version)),
    flag("-w", "--watch", Sub, Plain(|a| a.watch = true)),
    flag("-W", "", Sub, Value("timeout", Args::set_timeout)),
    flag("-x", "", Both, Value("session expiry interval", Args::set_session_expiry)),
    flag("", "--message-rate", Sub, Plain(|a| a.message_rate = true)),
    flag("", "--nodelay", Both, Plain(|a| a.nodelay = true)),
    flag("", "--no-tls", Both, Plain(|a| a.no_tls = true)),
    flag("", "--pretty", Sub, Plain(|a| a.pretty = true)),
    flag("", "--quiet", Both, Plain(|a| a.quiet = true)),
    flag("", "--random-filter", Sub, Value("chance", Args::set_random_filter)),
    flag("", "--remove-retained", Sub, Plain(|a| a.remove_retained = true)),
    flag("", "--repeat", Pub, Value("count", Args::set_repeat)),
    flag("", "--repeat-delay", Pub, Value("time", Args::set_repeat_delay)),
    flag("", "--retain-as-published", Sub, Plain(|a| a.retain_as_published = true)),
    flag("", "--retain-handling", Sub, Value("mode", Args::set_retain_handling)),
    flag("", "--retained-only", Sub, Plain(|a| a.retained_only = true)),
    flag("", "--unix", Both, Value("socket path", |a, v| {
        a.unix = Some(v.into());
        Ok(())
    })),
    flag("", "--will-payload", Both, Value("will payload", |a, v| {
        a.will.payload = Some(v.as_bytes().to_vec());
        Ok(())
    })),
    flag("", "--will-qos", Both, Value("will QoS", Args::set_will_qos)),
    flag("", "--will-retain", Both, Plain(|a| a.will.retain = true)),
    flag("", "--will-topic", Both, Value("will topic", Args::set_will_topic)),
    flag("", "--ws", Both, Plain(|a| a.ws = true)),
    flag("", "--ws-path", Both, Value("path", |a, v| text(v).map(|v| a.ws_path = v))),
    flag("", "--cafile", Both, Value("file", |a, v| text(v).map(|v| a.tls.cafile = Some(v)))),
    flag("", "--capath", Both, Value("directory", |a, v| text(v).map(|v| a.tls.capath = Some(v)))),
    flag("", "--cert", Both, Value("file", |a, v| text(v).map(|v| a.tls.cert = Some(v)))),
    flag("", "--ciphers", Both, Value("ciphers", |a, v| text(v).map(|v| a.tls.ciphers = Some(v)))),
    flag("", "--insecure", Both, Plain(|a| a.tls.insecure = true)),
    flag("", "--key", Both, Value("file", |a, v| text(v).map(|v| a.tls.key = Some(v)))),
    flag("", "--keyform", Both, Value("keyform", Args::set_keyform)),
    flag("", "--tls-alpn", Both, Value("protocol", |a, v| text(v).map(|v| a.tls.alpn = Some(v)))),
    flag("", "--tls-engine", Both, Refused(Some("engine_id"), ENGINE)),
    flag("", "--tls-engine-kpass-sha1", Both, Refused(Some("kpass sha1"), ENGINE)),
    flag("", "--tls-keylog", Both, Refused(Some("file"), KEYLOG)),
    flag("", "--tls-use-os-certs", Both, Plain(|a| a.tls.use_os_certs = true)),
    flag("", "--tls-version", Both, Value("version", Args::set_tls_version)),
    flag("", "--psk", Both, Refused(Some("key"), PSK)),
    flag("", "--psk-identity", Both, Refused(Some("identity"), PSK)),
    flag("", "--proxy", Both, Refused(Some("proxy url"), PROXY)),
];

/// Applies the arguments to `args`, in order.
pub(super) fn apply(args: &mut Args, words: &[std::ffi::OsString]) -> Result<(), String> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let name = word.to_string_lossy();
        let found = FLAGS.iter().find(|flag| {
            let named = !name.is_empty() && (flag.short == name || flag.long == name);
            named
                && matches!((flag.verb, args.verb), (Both, _) | (Pub, Verb::Pub) | (Sub, Verb::Sub))
        });
        let Some(flag) = found else { return Err(format!("Unknown option '{name}'.")) };
        flag.apply(args, &mut words)?;
    }
    Ok(())
}

impl Flag {
    fn label(&self) -> &'static str {
        match self.short {
            "" => self.long,
            "-D" => "--property",
            "-V" => "--protocol-version",
            short => short,
        }
    }

    fn apply<'w>(
        &self,
        args: &mut Args,
        words: &mut impl Iterator<Item = &'w std::ffi::OsString>,
    ) -> Result<(), String> {
        let label = self.label();
        let mut value = |what: &str| {
            let missing = || format!("{label} argument given but no {what} specified.");
            words.next().ok_or_else(missing)
        };
        match self.effect {
            Plain(set) => set(args),
            Value(what, set) => set(args, value(what)?)?,
            Refused(what, why) => {
                what.map(value).transpose()?;
                return Err(format!("{label}: {why}."));
            }
            Effect::Property => property(args, words)?,
        }
        Ok(())
    }
}

fn property<'w>(
    args: &mut Args,
    words: &mut impl Iterator<Item = &'w std::ffi::OsString>,
) -> Result<(), String> {
    let mut next = || {
        let missing = "--property argument given but not enough arguments specified.";
        words.next().map(|word| text(word)).transpose()?.ok_or_else(|| missing.to_owned())
    };
    let (command, name, value) = (next()?, next()?, next()?);
    let second = if name == "user-property" { Some(next()?) } else { None };
    args.version = halyard_core::packet::Version::V5;
    let command = Command::parse(&command)?;
    args.properties.set(command, &name, &value, second.as_deref())
}

/// An argument that must be UTF-8.
pub(super) fn text(value: &OsStr) -> Result<String, String> {
    let error = || format!("'{}' is not UTF-8.", value.to_string_lossy());
    value.to_str().map(ToOwned::to_owned).ok_or_else(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_unique_and_each_flag_has_one() {
        for (index, flag) in FLAGS.iter().enumerate() {
            assert!(!flag.label().is_empty());
            for other in &FLAGS[index + 1..] {
                assert!(flag.short.is_empty() || flag.short != other.short, "{}", flag.short);
                assert!(flag.long.is_empty() || flag.long != other.long, "{}", flag.long);
            }
        }
    }

    #[test]
    fn the_help_has_every_flag() {
        let texts = [include_str!("help_pub.txt"), include_str!("help_sub.txt")];
        for (help, other) in texts.into_iter().zip([Sub, Pub]) {
            let words: Vec<_> =
                help.split(|c: char| c.is_whitespace() || matches!(c, ',' | '.' | ';')).collect();
            for flag in FLAGS.iter().filter(|flag| flag.verb != other) {
                for name in [flag.short, flag.long].iter().filter(|name| !name.is_empty()) {
                    assert!(words.contains(name), "{name} is not in:\n{help}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (words, name) in [
            (&["--tls-engine", "x"] as &[&str], "--tls-engine"),
            (&["--psk", "00"], "--psk"),
            (&["--proxy", "socks5h://h"], "--proxy"),
            (&["-S"], "-S"),
        ] {
            let words: Vec<_> = words.iter().map(std::ffi::OsString::from).collect();
            let error = apply(&mut Args::new(Verb::Sub), &words).expect_err("refused");
            assert!(error.starts_with(name), "{error}");
        }
    }
}
