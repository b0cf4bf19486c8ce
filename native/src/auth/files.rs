//! Reads the files of passwords and keys that a configuration names, each once, and gives every listener its own.
//! A file that anybody may write is refused; one that others may read is warned of, as Mosquitto
//! does.

use super::token;
use crate::files;
use crate::process;
use halyard_core::auth;
use halyard_core::auth::Authority;
use halyard_core::auth::TokenKind;
use halyard_core::auth::TokenRules;
use halyard_core::auth::Users;
use halyard_core::conf::AuthConfig;
use halyard_core::conf::ServerConfig;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

/// Reads the files into the listeners. Gives warnings, or all that is wrong.
pub(crate) fn load_users(config: &mut ServerConfig) -> Result<Vec<String>, Vec<String>> {
    let mut users: BTreeMap<String, Option<Arc<Users>>> = BTreeMap::new();
    let mut tokens: BTreeMap<String, Option<Arc<TokenRules>>> = BTreeMap::new();
    let (mut warnings, mut errors) = (Vec::new(), Vec::new());
    for listener in &mut config.listeners {
        let mut authority = Authority::default();
        if let Some(path) = &listener.password_file {
            let read = || load(path, &mut warnings, &mut errors).map(Arc::new);
            authority.users = users.entry(path.clone()).or_insert_with(read).clone();
        }
        if let Some(path) = &listener.jwt_key_file {
            let read = || load_keys(path, &config.auth, &mut warnings, &mut errors).map(Arc::new);
            authority.tokens = tokens.entry(path.clone()).or_insert_with(read).clone();
        }
        let knows_some = authority.users.is_some() || authority.tokens.is_some();
        listener.engine.authority = knows_some.then(|| Arc::new(authority));
    }
    if errors.is_empty() {
        return Ok(warnings);
    }
    warnings.append(&mut errors);
    Err(warnings)
}

fn load_keys(
    path: &str,
    config: &AuthConfig,
    warnings: &mut Vec<String>,
    errors: &mut Vec<String>,
) -> Option<TokenRules> {
    let wrong = |what: &str| format!("{path}: error: jwt_key_file: {what}");
    let (file, mode) = match read_secret(path) {
        Ok(found) => found,
        Err(error) => {
            errors.push(wrong(&format!("cannot read it: {}", process::unreadable(path, &error))));
            return None;
        }
    };
    let keys = match token::keys(&file) {
        Ok(keys) => keys,
        Err(what) => {
            errors.push(wrong(what));
            return None;
        }
    };
    match judge_mode(path, mode) {
        Err(error) => errors.push(error),
        // Public keys may be read by all.
        Ok(Some(warning)) if keys.iter().any(|key| matches!(key.kind, TokenKind::Hs256(_))) => {
            warnings.push(warning);
        }
        Ok(_) => {}
    }
    let text = |text: &Option<String>| text.as_deref().map(Into::into);
    Some(TokenRules {
        keys,
        acl_claim: config.jwt_acl_claim.as_str().into(),
        username_claim: config.jwt_username_claim.as_str().into(),
        issuer: text(&config.jwt_issuer),
        audience: text(&config.jwt_audience),
    })
}

fn load(path: &str, warnings: &mut Vec<String>, errors: &mut Vec<String>) -> Option<Users> {
    let (text, mode) = match read_secret(path) {
        Ok(found) => found,
        Err(error) => {
            let why = process::unreadable(path, &error);
            errors.push(format!("{path}: error: password_file: cannot read it: {why}"));
            return None;
        }
    };
    match judge_mode(path, mode) {
        Ok(None) => {}
        Ok(Some(warning)) => warnings.push(warning),
        Err(error) => errors.push(error),
    }
    let parsed = auth::parse(path, &text);
    for fault in &parsed.faults {
        let list = if fault.is_error { &mut *errors } else { &mut *warnings };
        list.push(fault.to_string());
    }
    if parsed.users.is_empty() && parsed.is_valid() {
        warnings.push(format!("{path}:1: warning: password_file: there is no user in it"));
    }
    parsed.is_valid().then_some(parsed.users)
}

/// A secret file, with its mode. Symbolic links are followed: certificates and secrets are often mounted
/// by them.
pub(crate) fn read_secret(path: &str) -> io::Result<(Vec<u8>, u32)> {
    let (text, about) = files::read(path, files::FILE_BYTES_MAX)?;
    Ok((text, about.permissions().mode()))
}

/// What to say about a secret file of these permissions: a warning, or why it is refused.
pub(crate) fn judge_mode(path: &str, mode: u32) -> Result<Option<String>, String> {
    let shown = mode & 0o777;
    if mode & 0o002 != 0 {
        return Err(format!(
            "{path}: error: anybody may write the file (mode {shown:o}); run chmod 0600 {path}"
        ));
    }
    Ok((mode & 0o077 != 0).then(|| {
        format!(
            "{path}: warning: others may read or write the file (mode {shown:o}); run chmod 0600 \
             {path}"
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_decide_what_is_said() {
        assert_eq!(judge_mode("p", 0o100_600), Ok(None));
        assert!(judge_mode("p", 0o100_640).unwrap().unwrap().contains("chmod 0600"));
        assert!(judge_mode("p", 0o100_604).unwrap().unwrap().contains("604"));
        assert!(judge_mode("p", 0o100_666).unwrap_err().contains("anybody"));
    }
}
