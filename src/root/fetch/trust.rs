//! Certificate authorities: the host's and those that the caller names.

use super::Trust;
use super::error::{FetchError, FetchErrorKind};
use std::path::Path;
use ureq::tls::{Certificate, PemItem, parse_pem};

/// Where hosts keep the certificates that they trust; the first that is there counts. In this order: Debian, Arch, Alpine
/// and Gentoo; Fedora and RHEL; openSUSE and SLE; BSDs.
const HOST: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/var/lib/ca-certificates/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// The longest file of certificates in bytes.
const LEN_MAX: u64 = 16 << 20;

/// All certificates that count.
pub(super) fn certificates(trust: &Trust) -> Result<Vec<Certificate<'static>>, FetchError> {
    let host = HOST.iter().map(Path::new).find(|path| path.is_file());
    // A variable that is set to nothing counts as none.
    let instead = trust.instead.as_deref().filter(|path| !path.as_os_str().is_empty());
    let first = instead.or(host);
    let files = first.into_iter().chain(trust.also.iter().map(|path| path.as_path()));
    let mut all = Vec::new();
    for path in files {
        all.extend(read(path)?);
    }
    if all.is_empty() {
        let reason = "the host has no file of trusted certificates, without which https cannot be used";
        return Err(FetchError::new(FetchErrorKind::Tls, "", reason)
            .hint("install ca-certificates, or name a file of certificates (SSL_CERT_FILE)"));
    }
    Ok(all)
}

fn read(path: &Path) -> Result<Vec<Certificate<'static>>, FetchError> {
    let wrong = |reason: String| {
        FetchError::new(FetchErrorKind::Tls, path.display(), reason).hint("name a file of PEM certificates")
    };
    let len = fs_err::metadata(path).map_err(|error| FetchError::disk("", &error))?.len();
    if len > LEN_MAX {
        return Err(wrong(format!("{len} bytes of certificates: {LEN_MAX} are the limit")));
    }
    let bytes = fs_err::read(path).map_err(|error| FetchError::disk("", &error))?;
    let mut found = Vec::new();
    for item in parse_pem(&bytes) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| wrong(error.to_string()))? {
            found.push(certificate);
        }
    }
    if found.is_empty() { Err(wrong("no certificates".to_owned())) } else { Ok(found) }
}
