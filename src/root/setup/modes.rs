//! Permissions as chmod(1) takes them.

/// The mode of a file after `chmod CHANGE`: octal digits, or clauses like `u+rwx,go-w,+t`; `None` where it is none of them.
/// Without a letter in front of the sign all are meant, less what the mask 022 keeps back.
pub(super) fn changed_mode(mode: u32, change: &str) -> Option<u32> {
    if !change.is_empty() && change.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) {
        return u32::from_str_radix(change, 8).ok().filter(|mode| *mode <= 0o7777);
    }
    change.split(',').try_fold(mode, clause)
}

fn clause(mut mode: u32, clause: &str) -> Option<u32> {
    let start = clause.find(['+', '-', '='])?;
    let (who, mut actions) = clause.split_at(start);
    let mask = match who {
        "" => 0o755,
        _ => 0o777,
    };
    let of = |letter| match letter {
        'u' => Some(0o4700),
        'g' => Some(0o2070),
        'o' => Some(0o1007),
        'a' => Some(0o7777),
        _ => None,
    };
    let whose = match who {
        "" => 0o7777,
        who => who.chars().try_fold(0, |all, letter| Some(all | of(letter)?))?,
    };
    while let Some(sign) = actions.chars().next() {
        let rest = &actions[1..];
        let end = rest.find(['+', '-', '=']).unwrap_or(rest.len());
        let bits = rest[..end].chars().try_fold(0, |all, letter| Some(all | bits(mode, letter)?))?;
        let bits = bits & whose & (mask | 0o7000);
        mode = match sign {
            '+' => mode | bits,
            '-' => mode & !bits,
            _ => mode & !(whose & 0o777) & !(whose & bits_cleared(who)) | bits,
        };
        actions = &rest[end..];
    }
    Some(mode)
}

/// `=` takes special bits away of those who are named.
fn bits_cleared(who: &str) -> u32 {
    let of = |letter, bit| if who.contains(letter) || who.contains('a') { bit } else { 0 };
    of('u', 0o4000) | of('g', 0o2000) | if who.is_empty() || who.contains('a') { 0o7000 } else { 0 }
}

fn bits(mode: u32, letter: char) -> Option<u32> {
    Some(match letter {
        'r' => 0o444,
        'w' => 0o222,
        'x' => 0o111,
        'X' if mode & 0o111 != 0 => 0o111,
        'X' => 0,
        's' => 0o6000,
        't' => 0o1000,
        // Those of the owner, the group, the others.
        'u' => (mode >> 6 & 7) * 0o111,
        'g' => (mode >> 3 & 7) * 0o111,
        'o' => (mode & 7) * 0o111,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::changed_mode;

    /// Results of GNU chmod 9.1 with umask 022.
    #[test]
    fn as_chmod() {
        let table = [
            (0o644, "755", Some(0o755)),
            (0o644, "4755", Some(0o4755)),
            (0o644, "u+x", Some(0o744)),
            (0o644, "+x", Some(0o755)),
            (0o644, "a+x,o-r", Some(0o751)),
            (0o644, "go=", Some(0o600)),
            (0o640, "o=g", Some(0o644)),
            (0o644, "u=rwx,go=rx", Some(0o755)),
            (0o644, "u+s", Some(0o4644)),
            (0o4755, "u=rwx", Some(0o755)),
            (0o2755, "g=rx", Some(0o755)),
            (0o755, "+t", Some(0o1755)),
            (0o644, "a+X", Some(0o644)),
            (0o744, "a+X", Some(0o755)),
            (0o644, "+w", Some(0o644)),
            (0o777, "u-w+s", Some(0o4577)),
            (0o644, "", None),
            (0o644, "u", None),
            (0o644, "rwxr-xr-x", None),
            (0o644, "77777", None),
            (0o644, "689", None),
            (0o644, "u+q", None),
        ];
        for (mode, change, expected) in table {
            assert_eq!(changed_mode(mode, change), expected, "{mode:o} {change}");
        }
    }
}
