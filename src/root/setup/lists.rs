//! The lists of what is in an image that KIWI leaves beside it: `NAME.packages` and `NAME.verified` (NG 11.1.6 `setup.py:
//! export_package_list, export_package_verification`).

use crate::root::sandbox::Run;

/// The fields are those of rpm: name, epoch, version, release, architecture, DISTURL, license.
const FIELDS: &str = "${Package}|None|${Version}|None|${Architecture}|None|None\\n";

/// Asks the tree's dpkg for its packages; [`packages`] makes a list of what it says.
pub fn query_packages() -> Run {
    Run { capture: true, ..Run::new("list of packages", ["dpkg-query", "-W", "-f", FIELDS]) }
}

/// The text of `NAME.packages`: the lines of [`query_packages`], sorted.
pub fn packages(said: &str) -> String {
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    lines.join("\n") + "\n"
}

/// Compares the tree's files with what dpkg knows of them; what it says is the text of `NAME.verified`.
pub fn verify_packages() -> Run {
    // It ends with an error where anything differs, as conffiles do that somebody configured.
    let command = ["/bin/sh", "-c", "dpkg -V --verify-format rpm || :"];
    Run { capture: true, ..Run::new("verification of packages", command) }
}

/// Names of a list: `NAME.ARCH-VERSION.packages`.
pub fn file_name(name: &str, machine: &str, version: Option<&str>, ending: &str) -> String {
    let version = version.filter(|version| !version.is_empty()).unwrap_or("unspecified");
    format!("{name}.{machine}-{version}.{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sorted_as_python_sorts_them() {
        let said = "libc6|None|2.36|None|amd64|None|None\nadduser|None|3.1|None|all|None|None\n";
        let list = "adduser|None|3.1|None|all|None|None\nlibc6|None|2.36|None|amd64|None|None\n";
        assert_eq!(packages(said), list);
        assert_eq!(packages(""), "\n");
        assert_eq!(file_name("i", "x86_64", Some("1.0.0"), "packages"), "i.x86_64-1.0.0.packages");
        assert_eq!(file_name("i", "aarch64", None, "verified"), "i.aarch64-unspecified.verified");
    }
}
