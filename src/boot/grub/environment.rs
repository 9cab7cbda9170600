//! The environment block `grubenv`: what GRUB remembers from one start to the next (GRUB manual, "Environment block";
//! `include/grub/lib/envblk.h`, `grub-core/lib/envblk.c`).

use super::refused;
use diskwright_formats::fault::{Refusal, RefusalKind};

/// Bytes of a block.
const LENGTH: usize = 1024;
/// Its first line.
const HEAD: &str = "# GRUB Environment Block\n";

/// The variables of a block; none where it is no block.
pub fn variables(block: &[u8]) -> Vec<(String, String)> {
    let Some(text) = block.strip_prefix(HEAD.as_bytes()) else { return Vec::new() };
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.replace("\\\\", "\\"))).collect()
}

/// Variables, and what others are set to behind them: a name keeps its place, as with `grub-editenv set`.
pub fn set(mut variables: Vec<(String, String)>, others: &[(String, String)]) -> Vec<(String, String)> {
    for (name, value) in others {
        match variables.iter_mut().find(|(there, _)| there == name) {
            Some((_, there)) => there.clone_from(value),
            None => variables.push((name.clone(), value.clone())),
        }
    }
    variables
}

/// The environment block `grubenv` with these variables, 1024 bytes. Refused: what does not fit, and names or values with
/// a line break or `=` in the name.
pub fn grubenv(variables: &[(String, String)]) -> Result<Vec<u8>, Refusal> {
    let mut text = String::from(HEAD);
    for (name, value) in variables {
        let is_name = !name.is_empty() && !name.contains(|sign: char| sign == '=' || sign.is_control());
        if !is_name || value.contains(|sign: char| sign.is_control()) {
            let reason = format!("no name or no value of a variable of GRUB's: {name:?}, {value:?}");
            return Err(refused(RefusalKind::Invalid, "grubenv", reason));
        }
        text.push_str(&format!("{name}={}\n", value.replace('\\', "\\\\")));
    }
    if text.len() > LENGTH {
        let reason = format!("{} bytes of variables, of at most {LENGTH}", text.len());
        return Err(refused(RefusalKind::Limit, "grubenv", reason));
    }
    let mut bytes = text.into_bytes();
    bytes.resize(LENGTH, b'#');
    Ok(bytes)
}
