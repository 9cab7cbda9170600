//! `image` and everything in it but `type`.

use super::{Said, element};
use crate::describe::Span;
use crate::model::lexical::{Groups, Locales, Location, Machines, PosixName, ProfileNames};
use crate::model::words::{
    ContainerBackend, DescriptionType, PackageManager, PackagesType, PatternType, PwdFormat, RepositoryType,
    SourceType, StripType, TargetDistribution,
};

element! {
    /// `image`
    Image {
        attributes {
            name: PosixName,
            displayname: String,
            id: String,
            schemaversion: String,
        }
        elements {
            certificates: Option<Certificates>,
            description: Option<Description>,
            profiles: Vec<Profiles>,
            users: Vec<Users>,
            drivers: Vec<Drivers>,
            strip: Vec<Strip>,
            repository: Vec<Repository>,
            containers: Vec<Containers>,
            packages: Vec<Packages>,
        }
        elsewhere { "include", "preferences", "extension" }
    }

    /// `certificates`
    Certificates {
        attributes { profiles: ProfileNames, target_distribution: TargetDistribution }
        elements { certificate: Vec<Certificate> }
    }

    /// `certificate`
    Certificate {
        attributes { name: String }
    }

    /// `description`: what the image is, for people.
    Description {
        attributes { kind = "type": DescriptionType }
        elements {
            author: Option<Said<String>>,
            contact: Vec<Said<String>>,
            specification: Option<Said<String>>,
            license: Option<Said<String>>,
        }
    }

    /// `preferences`
    Preferences {
        attributes { profiles: ProfileNames, arch: Machines }
        elements {
            bootsplash_theme = "bootsplash-theme": Option<Said<String>>,
            bootloader_theme = "bootloader-theme": Option<Said<String>>,
            keytable: Option<Said<String>>,
            locale: Option<Said<Locales>>,
            packagemanager: Option<Said<PackageManager>>,
            release_version = "release-version": Option<Said<String>>,
            rpm_locale_filtering = "rpm-locale-filtering": Option<Said<bool>>,
            rpm_check_signatures = "rpm-check-signatures": Option<Said<bool>>,
            rpm_excludedocs = "rpm-excludedocs": Option<Said<bool>>,
            showlicense: Vec<Said<String>>,
            timezone: Option<Said<String>>,
            version: Option<Said<String>>,
        }
        elsewhere { "type" }
    }

    /// `profiles`
    Profiles {
        elements { profile: Vec<Profile> }
    }

    /// `profile`
    Profile {
        attributes { name: String, description: String, import: bool, arch: Machines }
        elements { requires: Vec<Requires> }
    }

    /// `requires`: a profile that another one pulls in.
    Requires {
        attributes { profile: String, arch: Machines }
    }

    /// `users`
    Users {
        attributes { arch: Machines, profiles: ProfileNames }
        elements { user: Vec<User> }
    }

    /// `user`
    User {
        attributes {
            groups: Groups,
            home: String,
            id: u64,
            name: String,
            password: String,
            pwdformat: PwdFormat,
            realname: String,
            shell: String,
        }
    }

    /// `drivers`
    Drivers {
        attributes { profiles: ProfileNames }
        elements { file: Vec<File> }
    }

    /// `strip`
    Strip {
        attributes { kind = "type": StripType, profiles: ProfileNames }
        elements { file: Vec<File> }
    }

    /// `file`: of packages one beside the description, else one in the tree.
    File {
        attributes { name: String, target: String, owner: String, permissions: String, arch: Machines }
    }

    /// `repository`
    Repository {
        attributes {
            kind = "type": RepositoryType,
            profiles: ProfileNames,
            arch: Machines,
            alias: PosixName,
            sourcetype: SourceType,
            components: String,
            distribution: String,
            imageinclude: bool,
            imageonly: bool,
            repository_gpgcheck: bool,
            customize: String,
            package_gpgcheck: bool,
            priority: i64,
            password: String,
            username: String,
            architectures: Machines,
        }
        elements { source: Option<Source> }
    }

    /// `source`
    Source {
        attributes { path: String }
        elements { signing: Vec<Signing> }
    }

    /// `signing`: a key.
    Signing {
        attributes { key: Location }
    }

    /// `containers`
    Containers {
        attributes { profiles: ProfileNames, arch: Machines, source: String, backend: ContainerBackend }
        elements { container: Vec<Container> }
    }

    /// `container`
    Container {
        attributes { name: String, arch: Machines, path: String, tag: String, fetch_only: bool }
    }

    /// `packages`
    Packages {
        attributes {
            kind = "type": PackagesType,
            profiles: ProfileNames,
            pattern_type = "patternType": PatternType,
            bootstrap_package: String,
        }
        elements {
            archive: Vec<Archive>,
            file: Vec<File>,
            ignore: Vec<NamedPackage>,
            named_collection = "namedCollection": Vec<NamedPackage>,
            collection_module = "collectionModule": Vec<CollectionModule>,
            product: Vec<NamedPackage>,
            package: Vec<Package>,
        }
    }

    /// `archive`: a tar beside the description.
    Archive {
        attributes { name: String, bootinclude: bool, target_dir: String }
    }

    /// `ignore`, `namedCollection`, `product`
    NamedPackage {
        attributes { name: String, arch: Machines }
    }

    /// `collectionModule`
    CollectionModule {
        attributes { name: PosixName, enable: bool, stream: PosixName, arch: Machines }
    }

    /// `package`
    Package {
        attributes { name: String, arch: Machines, bootdelete: bool, bootinclude: bool }
    }
}
