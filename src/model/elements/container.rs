//! `containerconfig`: what a container image says of itself.

use super::{Said, Volumes, element};
use crate::describe::Span;
use crate::model::lexical::{PackageVersion, Port};

element! {
    /// `containerconfig`
    ContainerConfig {
        attributes {
            name: String,
            tag: String,
            additionalnames: String,
            maintainer: String,
            user: String,
            workingdir: String,
        }
        elements {
            entrypoint: Option<Command>,
            subcommand: Option<Command>,
            expose: Option<Expose>,
            volumes: Option<Volumes>,
            stopsignal: Option<Said<String>>,
            environment: Option<Environment>,
            labels: Option<Labels>,
            history: Option<History>,
        }
    }

    /// `entrypoint`, `subcommand`
    Command {
        attributes { execute: String, clear: bool }
        elements { argument: Vec<Argument> }
    }

    /// `argument`
    Argument {
        attributes { name: String }
    }

    /// `expose`
    Expose {
        elements { port: Vec<ExposedPort> }
    }

    /// `port`
    ExposedPort {
        attributes { number: Port }
    }

    /// `environment`
    Environment {
        elements { env: Vec<NamedValue> }
    }

    /// `labels`
    Labels {
        elements { label: Vec<NamedValue> }
    }

    /// `env`, `label`
    NamedValue {
        attributes { name: String, value: String }
    }

    /// `history`
    History {
        attributes {
            created_by: String,
            author: String,
            application_id: String,
            package_version: PackageVersion,
            launcher: String,
        }
        text: String;
    }
}
