//! What a built image has of owners, modes, devices and attributes, read back by debugfs.

use super::*;

/// Gives a file an access list as setfacl does (linux/posix_acl_xattr.h, version 2: tag, permissions, id): `u::rw-`, `u:33:r--`,
/// `g::r--`, `m::r--`, `o::---`; and a directory one that new files in it get.
const SETFACL: &str = r#"perl -e '
my $list = pack("V (vvV)5", 2, 1, 6, 0xffffffff, 2, 4, 33, 4, 4, 0xffffffff, 0x10, 4, 0xffffffff, 0x20, 0, 0xffffffff);
for (["/var/lib/greeting/listed", "access"], ["/var/lib/greeting/parent", "default"]) {
    my ($path, $name) = ($_->[0], "system.posix_acl_$_->[1]");
    syscall(188, $path, $name, $list, length($list), 0) == 0 or die "setxattr: $!";
}'"#;

#[test]
fn the_image_has_owners_special_bits_devices_and_attributes() {
    let test = "the_image_has_owners_special_bits_devices_and_attributes";
    let (Some(house), Some(debugfs), Some(e2fsck)) =
        (house(test), oracle(test, "debugfs"), oracle(test, "e2fsck"))
    else {
        return;
    };
    let case = house.case("image");
    let script = format!(
        "set -e\ncd /var/lib/greeting\ntouch listed\nmkdir parent\n{SETFACL}\ntouch parent/child\nchown 101:102 parent/child\n\
         chmod 2751 parent\nln listed /srv/one; ln listed /srv/two\nmkfifo -m 0620 pipe\nmkdir -m 1777 /srv/sticky\n\
         chown -h 33:33 /srv/one; ln -s listed link; chown -h 7:8 link; cp /bin/true /srv/both; chmod 6711 /srv/both"
    );
    case.describe(&Description::whole(house).config(&script));
    bounded(case.command(&["build", "d", "-o", "out"])).ends(0);
    let name = listing(&case.at.join("out")).into_iter().find(|name| name.ends_with(".ext4")).unwrap();
    let image = case.at.join("out").join(name);
    let image = image.to_str().unwrap();
    let checked = tool(e2fsck, ["-fn", image]);
    assert!(checked.contains("Pass 5") && !checked.contains("Fix?"), "{checked}");
    let ask = |request: &str| tool(&debugfs, ["-R", request, image]);
    let stat = |path: &str| ask(&format!("stat {path}"));
    let wrong: Vec<_> = ROWS.iter().filter(|(path, said)| facts(&stat(path)) != *said).collect();
    let wrong: Vec<_> =
        wrong.iter().map(|(path, said)| format!("{path}: {} and not {said}", facts(&stat(path)))).collect();
    assert_eq!(wrong, Vec::<String>::new());
    for (path, name, value) in ATTRIBUTES {
        let line = format!("  {name} ({}) = {value} \n", value.split(' ').count());
        let listed = ask(&format!("ea_list {path}"));
        assert!(listed.contains(&line), "{path}: {line}not in {listed}");
    }
    // One file under three names, and two that packages have.
    let inode = |path: &str| stat(path).split_whitespace().nth(1).map(str::to_owned);
    for (one, other) in [
        ("/var/lib/greeting/listed", "/srv/one"),
        ("/srv/one", "/srv/two"),
        ("/usr/bin/perl", "/usr/bin/perl5.36.0"),
    ] {
        assert_eq!(inode(one), inode(other), "{one} and {other} are one file");
    }
    let target = stat("/var/lib/greeting/link");
    assert!(target.contains("Fast link dest: \"listed\""), "{target}");
    case.clear_away("");
}

/// Kind, mode, owner, group, links, and device, if it is one.
fn facts(stat: &str) -> String {
    let after = |name: &str| {
        let rest = stat.split_once(name).map_or("", |(_, rest)| rest).trim_start();
        rest.split_whitespace().next().unwrap_or_default().to_owned()
    };
    let device = stat.lines().find_map(|line| line.strip_prefix("Device major/minor number: "));
    let device =
        device.and_then(|rest| rest.split(' ').next()).map_or(String::new(), |numbers| format!(" {numbers}"));
    let [kind, mode, user, group, links] = ["Type:", "Mode:", "User:", "Group:", "Links:"].map(after);
    format!("{kind} {mode} {user}:{group} {links}{device}")
}

const ROWS: &[(&str, &str)] = &[
    ("/usr/bin/passwd", "regular 04755 0:0 1"),
    ("/usr/bin/chage", "regular 02755 0:42 1"),
    ("/srv/both", "regular 06711 0:0 1"),
    ("/srv/sticky", "directory 01777 0:0 2"),
    ("/var/mail", "directory 02775 0:8 2"),
    ("/var/lib/greeting", "directory 0755 33:42 3"),
    ("/var/lib/greeting/parent", "directory 02751 0:0 2"),
    ("/var/lib/greeting/parent/child", "regular 0640 101:102 1"),
    ("/var/lib/greeting/listed", "regular 0640 33:33 3"),
    ("/var/lib/greeting/pipe", "FIFO 0620 0:0 1"),
    ("/var/lib/greeting/link", "symlink 0777 7:8 1"),
    ("/srv/data/archived", "regular 0640 33:33 1"),
    ("/home/alice", "directory 0755 1234:50 2"),
    ("/dev/null", "character 0666 0:0 1 01:03"),
    ("/dev/console", "character 0600 0:0 1 05:01"),
    ("/dev/urandom", "character 0666 0:0 1 01:09"),
];

/// `VFS_CAP_REVISION_2` with `CAP_NET_RAW`, and access lists as ext4 keeps them (fs/ext4/acl.h, version 1: tag, permissions, and
/// an id where the tag has one).
const ATTRIBUTES: &[(&str, &str, &str)] = &[
    ("/usr/bin/greet", "security.capability", "01 00 00 02 00 20 00 00 00 00 00 00 00 00 00 00 00 00 00 00"),
    ("/var/lib/greeting/listed", "system.posix_acl_access", LIST),
    ("/var/lib/greeting/parent", "system.posix_acl_default", LIST),
    ("/var/lib/greeting/parent/child", "system.posix_acl_access", LIST),
];
const LIST: &str = "01 00 00 00 01 00 06 00 02 00 04 00 21 00 00 00 04 00 04 00 10 00 04 00 20 00 00 00";
