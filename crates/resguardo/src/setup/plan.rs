//! What `init` is to do, from flags, the environment and, on a terminal, answers.

use std::path::{Path, PathBuf};

use resguardo_engine::port::Location;
use resguardo_model::{EngineKind, SourceName, WriterId};

use crate::ambient::Ambient;
use crate::config::interpolate::interpolate;
use crate::config::load::FILE_NAME;
use crate::config::location::{POSTGRES_HINT, engine_of, name_for, sqlite_path};
use crate::error::Failure;
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
    /// `--new-vault`
    pub new_vault: bool,
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
    let chosen = chosen(text, url, ambient)?;
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
        None => name_for(chosen.engine.unwrap_or(EngineKind::Sqlite), &chosen.place),
    };
    Ok(ChosenSource {
        name,
        url: as_seen_from(&chosen.written, ambient, folder),
        engine: chosen.engine,
    })
}

/// A URL as it was given, and what is made of it.
struct Chosen {
    /// As it will stand in the config: without a password.
    written: String,
    /// With its variables replaced, where they are set.
    place: String,
    /// Its engine, where that can be told.
    engine: Option<EngineKind>,
}

/// Looks at a URL. One with a password does not go into the config, where everybody could read it: the
/// variable that holds it does.
fn chosen(text: &str, url: &str, ambient: &Ambient) -> Result<Chosen, Failure> {
    let replaced = interpolate(url, |name| ambient.variable(name));
    let Ok((place, variables)) = replaced else {
        return Ok(Chosen {
            written: url.to_owned(),
            place: String::new(),
            engine: None,
        });
    };
    let engine = engine_of(&place).map_err(|scheme| unknown_engine(&scheme))?;
    let is_secret = variables.is_empty() && Location::new(url).to_string() != url;
    let mut written = url.to_owned();
    if is_secret {
        if ambient.variable("DATABASE_URL") != Some(url) {
            let text = Location::new(text);
            return Err(Failure::usage(format!(
                "--source {text}: the password would stand in the config for everybody to read"
            ))
            .hint(
                "leave it out and put it into PGPASSWORD or ~/.pgpass; or put the URL into a variable, like SHOP_URL, and write --source 'shop=${SHOP_URL}'",
            ));
        }
        "${DATABASE_URL}".clone_into(&mut written);
    }
    Ok(Chosen {
        written,
        place,
        engine: Some(engine),
    })
}

/// The chosen sources whose file is not there, with its path. One that a variable names is not looked for.
#[must_use]
pub fn absent_sources(plan: &Plan) -> Vec<(SourceName, PathBuf)> {
    let folder = plan.config.parent().unwrap_or(Path::new(""));
    plan.sources
        .iter()
        .filter(|source| source.engine == Some(EngineKind::Sqlite) && !source.url.contains("${"))
        .map(|source| (source.name.clone(), sqlite_path(&source.url, folder)))
        .filter(|(_, path)| !path.exists())
        .collect()
}

fn unknown_engine(scheme: &str) -> Failure {
    Failure::user(format!(
        "there is no engine {scheme}; this version has postgres and sqlite"
    ))
    .hint(format!(
        "a PostgreSQL database: {POSTGRES_HINT}; a SQLite database: its path"
    ))
}

/// A source that nobody named: `DATABASE_URL`, or the only database in the folder.
fn found_source(
    ambient: &Ambient,
    folder: &Path,
    asks: bool,
) -> Result<Vec<ChosenSource>, Failure> {
    let from_variable = ambient
        .variable("DATABASE_URL")
        .and_then(|url| Some((url, engine_of(url).ok()?)))
        .map(|(url, engine)| ChosenSource {
            name: name_for(engine, url),
            url: "${DATABASE_URL}".to_owned(),
            engine: Some(engine),
        });
    if !asks {
        return Ok(from_variable.into_iter().collect());
    }
    let default = match &from_variable {
        Some(source) => source.url.clone(),
        None => only_database(&ambient.folder).unwrap_or_default(),
    };
    let url = prompt::ask(
        "Which database should be protected (postgresql://USER@HOST/DATABASE, or a SQLite file; empty: none yet)",
        &default,
    )?;
    if url.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(source) = from_variable.filter(|source| source.url == url) {
        return Ok(vec![source]);
    }
    let chosen = chosen(&url, &url, ambient)?;
    let engine = chosen.engine.unwrap_or(EngineKind::Sqlite);
    let suggested = name_for(engine, &chosen.place).to_string();
    let name = prompt::ask("What should it be called", &suggested)?;
    Ok(vec![ChosenSource {
        name: name
            .parse()
            .map_err(|error| Failure::user(format!("{error}")))?,
        url: as_seen_from(&chosen.written, ambient, folder),
        engine: chosen.engine,
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
    use crate::exit::Exit;

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
            "shop=mysql://db/shop",
            "shop=postgres://ana:s3cret@db/shop",
        ] {
            assert!(
                parse_source(bad, &ambient(), Path::new("/srv/shop")).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_password_stays_out_of_the_config() {
        let url = "postgres://ana:s3cret@db/tienda";
        let mut ambient = ambient();
        let parse =
            |text: &str, ambient: &Ambient| parse_source(text, ambient, Path::new("/srv/shop"));
        let failure = parse(&format!("shop={url}"), &ambient).unwrap_err();
        assert!(!failure.in_a_line().contains("s3cret"), "{failure:?}");
        ambient
            .variables
            .insert("DATABASE_URL".to_owned(), url.to_owned());
        for text in [
            format!("tienda={url}"),
            url.to_owned(),
            "tienda=${DATABASE_URL}".to_owned(),
        ] {
            let source = parse(&text, &ambient).unwrap();
            assert_eq!(source.name.as_str(), "tienda");
            assert_eq!(source.url, "${DATABASE_URL}");
            assert_eq!(source.engine, Some(EngineKind::Postgres));
        }
        let without = parse("shop=postgres://ana@db/shop", &ambient).unwrap();
        assert_eq!(without.url, "postgres://ana@db/shop");
        assert_eq!(parse("shop=${NOT_SET}", &ambient).unwrap().engine, None);
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
