//! `image` and everything in it but `type`.

use super::Content::{Elements, Empty, Foreign, Holds};
use super::Occurs::{Any, One, Optional, Several};
use super::State::{Noted, Recorded, Refused, Same, Shapes, Used};
use super::Value::*;
use super::kind::TYPE;
use super::{Element, at, element};
use crate::model::words::{
    ContainerBackend, PackageManager, PackagesType, PatternType, PwdFormat, RepositoryType, SourceType,
    StripType, TargetDistribution,
};

static INCLUDE: Element = element("include", Empty, Same).attributes(&[at("from", Text, Same).required()]);

static CERTIFICATES_CERTIFICATE: Element =
    element("certificate", Empty, Same).attributes(&[at("name", Text, Same).required()]);

static CERTIFICATES: Element = element("certificates", Elements, Shapes("certificates in the tree"))
    .attributes(&[
        at("profiles", Text, Same),
        at("target_distribution", OneOf(TargetDistribution::WORDS), Same).required(),
    ])
    .children(&[(Several, &CERTIFICATES_CERTIFICATE)]);

static DESCRIPTION_AUTHOR: Element = element("author", Holds(Text), Same);

static DESCRIPTION_CONTACT: Element = element("contact", Holds(Text), Same);

static DESCRIPTION_SPECIFICATION: Element = element("specification", Holds(Text), Same);

static DESCRIPTION_LICENSE: Element = element("license", Holds(Text), Same);

static DESCRIPTION: Element = element("description", Elements, Recorded("it tells people what the image is"))
    .attributes(&[at(
        "type",
        Each(&[("boot", Refused("descriptions of custom initrds")), ("system", Same)]),
        Same,
    )
    .required()])
    .children(&[
        (One, &DESCRIPTION_AUTHOR),
        (Several, &DESCRIPTION_CONTACT),
        (One, &DESCRIPTION_SPECIFICATION),
        (Optional, &DESCRIPTION_LICENSE),
    ]);

static BOOTSPLASH_THEME: Element =
    element("bootsplash-theme", Holds(Text), Shapes("a change of configuration in the tree"));

static BOOTLOADER_THEME: Element = element("bootloader-theme", Holds(Text), Same);

static KEYTABLE: Element = element("keytable", Holds(Text), Shapes("a change of configuration in the tree"));

static LOCALE: Element = element("locale", Holds(Locale), Shapes("a change of configuration in the tree"));

static PACKAGEMANAGER: Element =
    element("packagemanager", Holds(OneOf(PackageManager::WORDS)), Recorded("it says who prepares the tree"));

static RELEASE_VERSION: Element = element(
    "release-version",
    Holds(Text),
    Recorded("it goes to the package manager that prepares the tree"),
);

static RPM_LOCALE_FILTERING: Element = element(
    "rpm-locale-filtering",
    Holds(Boolean),
    Recorded("it goes to the package manager that prepares the tree"),
);

static RPM_CHECK_SIGNATURES: Element = element(
    "rpm-check-signatures",
    Holds(Boolean),
    Recorded("it goes to the package manager that prepares the tree"),
);

static RPM_EXCLUDEDOCS: Element = element(
    "rpm-excludedocs",
    Holds(Boolean),
    Recorded("it goes to the package manager that prepares the tree"),
);

static SHOWLICENSE: Element = element("showlicense", Holds(Text), Recorded("only an installer shows it"));

static TIMEZONE: Element = element("timezone", Holds(Text), Shapes("a change of configuration in the tree"));

static VERSION: Element = element("version", Holds(Text), Same);

static PREFERENCES: Element = element("preferences", Elements, Same)
    .attributes(&[at("profiles", Text, Same), at("arch", Arches, Same)])
    .children(&[
        (Optional, &BOOTSPLASH_THEME),
        (Optional, &BOOTLOADER_THEME),
        (Optional, &KEYTABLE),
        (Optional, &LOCALE),
        (Optional, &PACKAGEMANAGER),
        (Optional, &RELEASE_VERSION),
        (Optional, &RPM_LOCALE_FILTERING),
        (Optional, &RPM_CHECK_SIGNATURES),
        (Optional, &RPM_EXCLUDEDOCS),
        (Any, &SHOWLICENSE),
        (Optional, &TIMEZONE),
        (Any, &TYPE),
        (Optional, &VERSION),
    ]);

static PROFILES_PROFILE_REQUIRES: Element = element("requires", Empty, Same)
    .attributes(&[at("profile", Text, Same).required(), at("arch", Arches, Same)]);

static PROFILES_PROFILE: Element = element("profile", Elements, Same)
    .attributes(&[
        at("name", Text, Same).required(),
        at("description", Text, Recorded("it tells people what the profile is")).required(),
        at("import", Boolean, Same),
        at("arch", Arches, Same),
    ])
    .children(&[(Any, &PROFILES_PROFILE_REQUIRES)]);

static PROFILES: Element = element("profiles", Elements, Same).children(&[(Several, &PROFILES_PROFILE)]);

static USERS_USER: Element = element("user", Empty, Same).attributes(&[
    at("groups", Groups, Same),
    at("home", Text, Same),
    at("id", Number, Same),
    at("name", Text, Same).required(),
    at("password", Text, Same).required(),
    at("pwdformat", OneOf(PwdFormat::WORDS), Same),
    at("realname", Text, Same),
    at("shell", Text, Same),
]);

static USERS: Element = element("users", Elements, Shapes("accounts in the tree"))
    .attributes(&[at("arch", Arches, Same), at("profiles", Text, Same)])
    .children(&[(Several, &USERS_USER)]);

static DRIVERS_FILE: Element = element("file", Empty, Same).attributes(&[
    at("name", Text, Same).required(),
    at("target", Text, Same),
    at("owner", Text, Same),
    at("permissions", Text, Same),
    at("arch", Arches, Same),
]);

static DRIVERS: Element = element("drivers", Elements, Noted("only custom initrds use it"))
    .attributes(&[at("profiles", Text, Same)])
    .children(&[(Several, &DRIVERS_FILE)]);

static STRIP_FILE: Element = element("file", Empty, Same).attributes(&[
    at("name", Text, Same).required(),
    at("target", Text, Same),
    at("owner", Text, Same),
    at("permissions", Text, Same),
    at("arch", Arches, Same),
]);

static STRIP: Element = element("strip", Elements, Noted("only custom initrds use it"))
    .attributes(&[at("type", OneOf(StripType::WORDS), Same).required(), at("profiles", Text, Same)])
    .children(&[(Several, &STRIP_FILE)]);

static REPOSITORY_SOURCE_SIGNING: Element =
    element("signing", Empty, Same).attributes(&[at("key", Uri, Same).required()]);

static REPOSITORY_SOURCE: Element = element("source", Elements, Same)
    .attributes(&[at("path", Text, Same).required()])
    .children(&[(Any, &REPOSITORY_SOURCE_SIGNING)]);

static REPOSITORY: Element = element("repository", Elements, Shapes("a package manager"))
    .attributes(&[
        at("type", OneOf(RepositoryType::WORDS), Same),
        at("profiles", Text, Same),
        at("arch", Arches, Same),
        at("alias", PosixName, Same),
        at("sourcetype", OneOf(SourceType::WORDS), Same),
        at("components", Text, Same),
        at("distribution", Text, Same),
        at("imageinclude", Boolean, Same),
        at("imageonly", Boolean, Same),
        at("repository_gpgcheck", Boolean, Same),
        at("customize", Text, Same),
        at("package_gpgcheck", Boolean, Same),
        at("priority", Integer, Same),
        at("password", Text, Same),
        at("username", Text, Same),
        at("architectures", Arches, Same),
    ])
    .children(&[(One, &REPOSITORY_SOURCE)]);

static CONTAINERS_CONTAINER: Element = element("container", Empty, Same).attributes(&[
    at("name", Text, Same).required(),
    at("arch", Arches, Same),
    at("path", Text, Same),
    at("tag", Text, Same),
    at("fetch_only", Boolean, Same),
]);

static CONTAINERS: Element = element("containers", Elements, Shapes("containers in the tree"))
    .attributes(&[
        at("profiles", Text, Same),
        at("arch", Arches, Same),
        at("source", Text, Same).required(),
        at("backend", OneOf(ContainerBackend::WORDS), Same).required(),
    ])
    .children(&[(Several, &CONTAINERS_CONTAINER)]);

static PACKAGES_ARCHIVE: Element = element("archive", Empty, Same).attributes(&[
    at("name", Text, Same).required(),
    at("bootinclude", Boolean, Same),
    at("target_dir", Text, Same),
]);

static PACKAGES_FILE: Element = element("file", Empty, Same).attributes(&[
    at("name", Text, Same).required(),
    at("target", Text, Same),
    at("owner", Text, Same),
    at("permissions", Text, Same),
    at("arch", Arches, Same),
]);

static PACKAGES_IGNORE: Element =
    element("ignore", Empty, Same).attributes(&[at("name", Text, Same).required(), at("arch", Arches, Same)]);

static PACKAGES_NAMEDCOLLECTION: Element = element("namedCollection", Empty, Same)
    .attributes(&[at("name", Text, Same).required(), at("arch", Arches, Same)]);

static PACKAGES_COLLECTIONMODULE: Element = element("collectionModule", Empty, Same).attributes(&[
    at("name", PosixName, Same).required(),
    at("enable", Boolean, Same).required(),
    at("stream", PosixName, Same),
    at("arch", Arches, Same),
]);

static PACKAGES_PRODUCT: Element = element("product", Empty, Same)
    .attributes(&[at("name", Text, Same).required(), at("arch", Arches, Same)]);

static PACKAGES_PACKAGE: Element = element("package", Empty, Same).attributes(&[
    at("name", Text, Same).required(),
    at("arch", Arches, Same),
    at("bootdelete", Boolean, Same),
    at("bootinclude", Boolean, Same),
]);

static PACKAGES: Element = element("packages", Elements, Shapes("a package manager"))
    .attributes(&[
        at("type", OneOf(PackagesType::WORDS), Same).required(),
        at("profiles", Text, Same),
        at("patternType", OneOf(PatternType::WORDS), Same),
        at("bootstrap_package", Text, Same),
    ])
    .children(&[
        (Any, &PACKAGES_ARCHIVE),
        (Any, &PACKAGES_FILE),
        (Any, &PACKAGES_IGNORE),
        (Any, &PACKAGES_NAMEDCOLLECTION),
        (Any, &PACKAGES_COLLECTIONMODULE),
        (Any, &PACKAGES_PRODUCT),
        (Any, &PACKAGES_PACKAGE),
    ]);

static EXTENSION: Element = element("extension", Foreign, Recorded("data of others"));

pub(in super::super) static IMAGE: Element = element("image", Elements, Used)
    .attributes(&[
        at("name", PosixName, Same).required(),
        at("displayname", Text, Same),
        at("id", Text, Shapes("/etc/ImageID in the tree")),
        at("schemaversion", Text, Recorded("it says how the description is upgraded")).required(),
        at("xsi:noNamespaceSchemaLocation", Text, Recorded("a hint for editors")),
        at("xsi:schemaLocation", Text, Recorded("a hint for editors")),
    ])
    .children(&[
        (Any, &INCLUDE),
        (Optional, &CERTIFICATES),
        (One, &DESCRIPTION),
        (Several, &PREFERENCES),
        (Any, &PROFILES),
        (Any, &USERS),
        (Any, &DRIVERS),
        (Any, &STRIP),
        (Any, &REPOSITORY),
        (Any, &CONTAINERS),
        (Any, &PACKAGES),
        (Optional, &EXTENSION),
    ]);
