//! What `init` is to do, from flags, the environment and, on a terminal, answers.

use std::path::{Path, PathBuf};

use resguardo_model::{SourceName, WriterId};

use crate::ambient::Ambient;
use crate::config::load::FILE_NAME;
use crate::config::location::{engine_of, name_for, sqlite_path};
use crate::error::Failure;
use crate::exit::Exit;
use crate::prompt;
use crate::template::ChosenSource;

/// What is asked for on the command line.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// `--vault`
    pub vault: Option<String>,
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--source NAME=URL`
    pub sources: Vec<String>,
    /// `--recipient`
    pub recipients: Vec<String>,
    /// `--write-only`
    pub write_only: bool,
    /// `--identity`
    pub identity: Option<PathBuf>,
    /// `--trust`
    pub trust: Vec<WriterId>,
    /// `--yes`
    pub yes: bool,
}

/// What will be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The config file.
    pub config: PathBuf,
    /// It is there already and stays as it is.
    pub existing: bool,
    /// The vault as it will stand in the config.
    pub vault: String,
    /// The sources of the config.
    pub sources: Vec<ChosenSource>,
}

/// Makes the plan, where there is no config file yet.
///
/// # Errors
/// If a wish makes no sense, or a question cannot be asked.
pub fn make(ambient: &Ambient, wishes: &Wishes) -> Result<Plan, Failure> {
    let config = wishes.config.as_deref().map_or_else(
        || ambient.folder.join(FILE_NAME),
        |path| ambient.absolute(path),
    );
    let folder = config.parent().unwrap_or(&ambient.folder).to_path_buf();
    let asks = ambient.asks && !wishes.yes;
    if !asks && !wishes.yes && wishes.vault.is_none() {
        return Err(
            Failure::usage("questions cannot be asked here, and --vault is not given")
                .hint("resguardo init --vault URL --source NAME=PATH --yes"),
        );
    }
    let vault = match (&wishes.vault, ambient.variable("BACKUP_DIR")) {
        (Some(url), _) => url.clone(),
        (None, Some(folder)) => folder.to_owned(),
        (None, None) if asks => prompt::ask(
            "Where should backups be stored (a folder, or s3://bucket/prefix)",
            "./vault",
        )?,
        (None, None) => "./vault".to_owned(),
    };
    let mut sources: Vec<ChosenSource> = wishes
        .sources
        .iter()
        .map(|text| parse_source(text, ambient, &folder))
        .collect::<Result<_, _>>()?;
    if sources.is_empty() {
        sources = found_source(ambient, &folder, asks)?;
    }
    for (position, source) in sources.iter().enumerate() {
        if sources[..position]
            .iter()
            .any(|other| other.name == source.name)
        {
            return Err(Failure::usage(format!(
                "two sources are called {}",
                source.name
            )));
        }
    }
    Ok(Plan {
        vault: as_seen_from(&vault, ambient, &folder),
        config,
        existing: false,
        sources,
    })
}

/// `NAME=URL`, or a path, whose name the source gets.
fn parse_source(text: &str, ambient: &Ambient, folder: &Path) -> Result<ChosenSource, Failure> {
    let (name, url) = match text.split_once('=') {
        Some((name, url)) => (Some(name), url),
        None => (None, text),
    };
    if url.is_empty() {
        return Err(Failure::usage(format!("--source {text}: there is no URL"))
            .hint("write it like --source shop=./shop.db"));
    }
    check_engine(url)?;
    if name.is_none()
        && !url.contains(['/', '.', ':'])
        && !ambient.absolute(Path::new(url)).exists()
    {
        return Err(
            Failure::usage(format!("--source {text}: there is no file {text} here")).hint(format!(
                "a name needs its database, like --source {text}=./{text}.db"
            )),
        );
    }
    let name = match name {
        Some(name) => name
            .parse::<SourceName>()
            .map_err(|error| Failure::usage(format!("--source {text}: {error}")))?,
        None => name_for(&sqlite_path(url, folder)),
    };
    Ok(ChosenSource {
        name,
        url: as_seen_from(url, ambient, folder),
    })
}

/// The chosen sources whose file is not there, with its path. One that a variable names is not looked for.
#[must_use]
pub fn absent_sources(plan: &Plan) -> Vec<(SourceName, PathBuf)> {
    let folder = plan.config.parent().unwrap_or(Path::new(""));
    plan.sources
        .iter()
        .filter(|source| !source.url.contains("${"))
        .map(|source| (source.name.clone(), sqlite_path(&source.url, folder)))
        .filter(|(_, path)| !path.exists())
        .collect()
}

fn check_engine(url: &str) -> Result<(), Failure> {
    engine_of(url).map(drop).map_err(|scheme| {
        Failure::new(
            Exit::User,
            format!("{scheme} is not supported yet; this version has sqlite"),
        )
        .hint("name a SQLite database: --source shop=./shop.db")
    })
}

/// A source that nobody named: `DATABASE_URL`, or the only database in the folder.
fn found_source(
    ambient: &Ambient,
    folder: &Path,
    asks: bool,
) -> Result<Vec<ChosenSource>, Failure> {
    let from_variable = ambient
        .variable("DATABASE_URL")
        .filter(|url| engine_of(url).is_ok())
        .map(|url| ChosenSource {
            name: name_for(&sqlite_path(url, folder)),
            url: "${DATABASE_URL}".to_owned(),
        });
    if !asks {
        return Ok(from_variable.into_iter().collect());
    }
    let default = match &from_variable {
        Some(source) => source.url.clone(),
        None => only_database(&ambient.folder).unwrap_or_default(),
    };
    let url = prompt::ask(
        "Which SQLite database should be protected (a path; empty: none yet)",
        &default,
    )?;
    if url.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(source) = from_variable.filter(|source| source.url == url) {
        return Ok(vec![source]);
    }
    check_engine(&url)?;
    let suggested = name_for(&sqlite_path(&url, folder)).to_string();
    let name = prompt::ask("What should it be called", &suggested)?;
    Ok(vec![ChosenSource {
        name: name
            .parse()
            .map_err(|error| Failure::user(format!("{error}")))?,
        url: as_seen_from(&url, ambient, folder),
    }])
}

/// The one file in `folder` that looks like a database.
fn only_database(folder: &Path) -> Option<String> {
    let mut found = std::fs::read_dir(folder)
        .ok()?
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| {
            [".db", ".sqlite", ".sqlite3"]
                .iter()
                .any(|ending| name.ends_with(ending))
        });
    let first = found.next()?;
    found.next().is_none().then(|| format!("./{first}"))
}

/// A place that was named from here, as the config has to name it from its own folder.
fn as_seen_from(url: &str, ambient: &Ambient, folder: &Path) -> String {
    let relative_path = !url.contains("://")
        && !url.contains(':')
        && !url.starts_with('$')
        && Path::new(url).is_relative();
    if relative_path && (folder != ambient.folder || url.starts_with("~/")) {
        ambient.absolute(Path::new(url)).display().to_string()
    } else {
        url.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ambient() -> Ambient {
        Ambient {
            folder: "/srv/shop".into(),
            ..Ambient::default()
        }
    }

    #[test]
    fn sources_as_they_may_be_named() {
        for (text, name, url) in [
            ("shop=./shop.db", "shop", "./shop.db"),
            ("shop=sqlite:/a=b.db", "shop", "sqlite:/a=b.db"),
            ("data/Kunden.sqlite", "kunden", "data/Kunden.sqlite"),
        ] {
            let source = parse_source(text, &ambient(), Path::new("/srv/shop")).unwrap();
            assert_eq!(
                (source.name.as_str(), source.url.as_str()),
                (name, url),
                "{text}"
            );
        }
        for bad in [
            "shop",
            "shop=",
            "Shop=x.db",
            "=x.db",
            "shop=postgres://db/shop",
        ] {
            assert!(
                parse_source(bad, &ambient(), Path::new("/srv/shop")).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_config_elsewhere_gets_absolute_paths() {
        let source =
            parse_source("shop=./shop.db", &ambient(), Path::new("/etc/resguardo")).unwrap();
        assert_eq!(source.url, "/srv/shop/./shop.db");
    }

    #[test]
    fn without_a_terminal_the_vault_has_to_be_named() {
        let failure = make(&ambient(), &Wishes::default()).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        let plan = make(
            &ambient(),
            &Wishes {
                yes: true,
                ..Wishes::default()
            },
        )
        .unwrap();
        assert_eq!(plan.vault, "./vault");
        assert!(plan.sources.is_empty());
    }
}
