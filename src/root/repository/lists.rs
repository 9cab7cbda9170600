//! Files that apt reads: sources (sources.list(5), the deb822 form), pins (apt_preferences(5)), and the Release file of a
//! directory of our own.
//!
//! The image gets what KIWI writes (`repository/apt.py: add_repo`): neither keys nor credentials are in it. The apt of a
//! tree that is being made is shown local directories instead, one for each source, of what was fetched and checked.

use super::location::Location;
use super::source::{Kind, Source};
use sha2::{Digest as _, Sha256};

impl Source {
    /// `/etc/apt/sources.list.d/NAME.sources` of the image.
    pub fn list(&self) -> String {
        let mut text = format!("Types: deb\nURIs: {}\n", uri(&self.location));
        if !self.architectures.is_empty() {
            text.push_str(&format!("Architectures: {}\n", self.architectures.join(" ")));
        }
        text.push_str(&match &self.kind {
            Kind::Suite { suite, components } => {
                format!("Suites: {suite}\nComponents: {}\n", components.join(" "))
            }
            Kind::Flat { directory } if directory.is_empty() => "Suites: ./\n".to_owned(),
            Kind::Flat { directory } => format!("Suites: {directory}/\n"),
        });
        let keyrings: Vec<String> = self.keyrings().map(|(path, _)| path).collect();
        if !keyrings.is_empty() {
            text.push_str(&format!("Signed-By: {}\n", keyrings.join(" ")));
        }
        if !self.check_signature {
            text.push_str("Trusted: yes\nCheck-Valid-Until: no\n");
        }
        text
    }

    /// Where the image has its keys (KIWI NG 11.1.6, `repository/apt.py: import_repository_signing_keys`; all are binary here),
    /// and where they are from.
    pub fn keyrings(&self) -> impl Iterator<Item = (String, &Location)> {
        self.signing_keys().iter().enumerate().map(|(index, key)| {
            let number = if index == 0 { String::new() } else { format!("-{index}") };
            (format!("/usr/share/keyrings/{}-archive-keyring{number}.gpg", self.name), key)
        })
    }

    /// `/etc/apt/preferences.d/NAME.pref` of the image; `None`: nothing is said about its priority.
    pub fn preferences(&self) -> Option<String> {
        let origin = match &self.location {
            Location::Url(url) => url.authority().split(':').next().unwrap_or_default(),
            Location::Path(_) => "",
        };
        self.priority
            .map(|priority| format!("Package: *\nPin: origin \"{origin}\"\nPin-Priority: {priority}\n"))
    }
}

fn uri(location: &Location) -> String {
    match location {
        Location::Url(_) => location.to_string(),
        Location::Path(path) => {
            let path = path.display().to_string();
            let quoted = |c: char| {
                if c.is_whitespace() || c == '%' { format!("%{:02x}", c as u32) } else { c.to_string() }
            };
            format!("file:{}", path.chars().map(quoted).collect::<String>())
        }
    }
}

/// A list of sources for a directory with `Packages` and `Release` in it, absolute in the tree. Its packages count without
/// a signature: that of what it was made from was checked.
pub fn local_list(directory: &str) -> String {
    let uri = uri(&Location::Path(directory.into()));
    format!("Types: deb\nURIs: {uri}\nSuites: ./\nTrusted: yes\n")
}

/// The Release file of such a directory with this `Packages`; its origin, `name`, is what pins know it by.
pub fn local_release(name: &str, packages: &[u8]) -> String {
    let digest: String = Sha256::digest(packages).iter().map(|byte| format!("{byte:02x}")).collect();
    // apt wants a date, and takes any.
    let date = "Thu, 01 Jan 1970 00:00:00 UTC";
    format!(
        "Origin: {name}\nLabel: {name}\nSuite: {name}\nDate: {date}\nSHA256:\n {digest} {} Packages\n",
        packages.len()
    )
}

/// Pins of such directories: name and priority, as [`Source::priority`] or `Release::default_priority` say.
pub fn local_preferences(pins: &[(&str, i64)]) -> String {
    let pin = |(name, priority): &(&str, i64)| {
        format!("Package: *\nPin: release o={name}\nPin-Priority: {priority}\n")
    };
    pins.iter().map(pin).collect::<Vec<String>>().join("\n")
}
