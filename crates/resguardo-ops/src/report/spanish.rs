//! The built-in checks in Spanish: their names, and the phrases with which they and the other checks say what
//! was expected and found. Pure. What is no phrase of ours stays as it is: values out of a database, and
//! what commands, applications and SQL said.

mod compared;

/// The name of a built-in check.
pub(super) fn check_name(name: &str) -> Option<String> {
    if let Some(script) = name.strip_prefix("provision ") {
        return Some(format!("aprovisionamiento {script}"));
    }
    of_table(&NAMES, name)
}

/// A phrase of ours, said by the check of that name.
pub(super) fn phrase(check: &str, text: &str) -> Option<String> {
    general(text).or_else(|| {
        let is_built_in = check_name(check).is_some();
        is_built_in.then(|| compared::phrase(text)).flatten()
    })
}

/// One that any check may say.
fn general(text: &str) -> Option<String> {
    of_table(&WHOLE, text)
        .or_else(|| with_affix(text))
        .or_else(|| joined(text, "; ", "; "))
        .or_else(|| joined(text, ", ", ", "))
        .or_else(|| joined(text, " and ", " y "))
}

// Names that SQLite and PostgreSQL give stay: integrity_check, foreign_key_check, amcheck.
const NAMES: [(&str, &str); 18] = [
    ("restore", "restauración"),
    ("file digest", "huella del archivo"),
    ("page count", "conteo de páginas"),
    ("row counts", "conteo de filas"),
    ("schema", "esquema"),
    ("migrate", "migración"),
    ("sandbox", "entorno aislado"),
    ("destroy", "destrucción"),
    ("row digests", "huellas de las filas"),
    ("sequences", "secuencias"),
    ("large objects", "objetos grandes"),
    ("extensions", "extensiones"),
    ("roles", "roles"),
    (
        "database settings and grants",
        "ajustes y permisos de la base de datos",
    ),
    ("indexes and constraints", "índices y restricciones"),
    ("materialized views", "vistas materializadas"),
    ("migration version", "versión de las migraciones"),
    (
        "encoding and order of texts",
        "codificación y orden de los textos",
    ),
];

const WHOLE: [(&str, &str); 41] = [
    ("no error", "ningún error"),
    ("an error", "un error"),
    ("no exit code", "sin código de salida"),
    ("damaged data", "datos dañados"),
    ("a private folder", "una carpeta privada"),
    (
        "nothing of the sandbox is left",
        "no queda nada del entorno aislado",
    ),
    ("a match", "una coincidencia"),
    ("no match", "ninguna coincidencia"),
    ("none", "ninguno"),
    ("every index is valid", "todos los índices son válidos"),
    ("as valid as at the source", "tan válidos como en el origen"),
    ("no corruption", "sin corrupción"),
    ("corruption", "corrupción"),
    ("1 sequence", "1 secuencia"),
    ("1 object", "1 objeto"),
    ("1 role", "1 rol"),
    ("1 view", "1 vista"),
    ("1 differs", "1 difiere"),
    (
        "versions are not compared: the server is of another major",
        "las versiones no se comparan: el servidor es de otra versión mayor",
    ),
    ("1 row", "1 fila"),
    ("1 byte", "1 byte"),
    ("1 row without their parent", "1 fila sin su padre"),
    ("1 setting or grant", "1 ajuste o permiso"),
    ("a dump does not hold them", "un volcado no los contiene"),
    (
        "of a dump the digest alone is known, and another major words objects otherwise",
        "de un volcado solo se conoce la huella, y otra versión mayor escribe los objetos de otra forma",
    ),
    (
        "the backup does not say what they were",
        "el respaldo no dice cuáles eran",
    ),
    (
        "the inventory of the backup can be read",
        "el inventario del respaldo se puede leer",
    ),
    ("1 table", "1 tabla"),
    ("it is too small", "es demasiado pequeño"),
    ("it is too great", "es demasiado grande"),
    ("it is no number", "no es un número"),
    ("it does not match", "no coincide"),
    ("one row was expected", "se esperaba una fila"),
    ("another value was expected", "se esperaba otro valor"),
    (
        "another number of rows was expected",
        "se esperaba otro número de filas",
    ),
    ("NULL fulfils nothing", "NULL no cumple nada"),
    ("nothing was restored", "no se restauró nada"),
    (
        "not run, because the migration did not pass",
        "no se ejecutó, porque la migración no se superó",
    ),
    (
        "it is not known when the data was taken",
        "no se sabe de cuándo son los datos",
    ),
    (
        "the drill did not get as far as its checks",
        "el simulacro no llegó a sus comprobaciones",
    ),
    (
        "the backup does not say what was in it: Resguardo did not make it",
        "el respaldo no dice qué contenía: no lo hizo Resguardo",
    ),
];

/// What stands before and after a value.
type Around = (&'static str, &'static str);

/// The same in both languages.
const AROUND: [(Around, Around); 21] = [
    (("", " steps as expected"), ("", " pasos como se esperaba")),
    (("at least ", " rows"), ("al menos ", " filas")),
    (
        ("at most ", " rows without their parent"),
        ("como máximo ", " filas sin su padre"),
    ),
    (
        ("at most ", " row without their parent"),
        ("como máximo ", " fila sin su padre"),
    ),
    (("more than ", " rows"), ("más de ", " filas")),
    (("at least ", ""), ("al menos ", "")),
    (("at most ", ""), ("como máximo ", "")),
    (("exit code ", ""), ("código de salida ", "")),
    (("signal ", ""), ("señal ", "")),
    (("status ", ""), ("estado ", "")),
    (
        ("", " rows without their parent"),
        ("", " filas sin su padre"),
    ),
    (("", " settings and grants"), ("", " ajustes y permisos")),
    (("", " sequences"), ("", " secuencias")),
    (("", " objects"), ("", " objetos")),
    (
        ("", " objects by type and name"),
        ("", " objetos por tipo y nombre"),
    ),
    (("", " roles"), ("", " roles")),
    (("", " views"), ("", " vistas")),
    (("", " differ"), ("", " difieren")),
    (("", " tables"), ("", " tablas")),
    (("", " rows"), ("", " filas")),
    (("", " bytes"), ("", " bytes")),
];

fn of_table(table: &[(&str, &str)], text: &str) -> Option<String> {
    let (_, spanish) = table.iter().find(|(english, _)| *english == text)?;
    Some((*spanish).to_owned())
}

fn with_affix(text: &str) -> Option<String> {
    // `0.38 s`, a length of time as checks measure it.
    if let Some((whole, part)) = text
        .strip_suffix(" s")
        .and_then(|text| text.split_once('.'))
        && is_number(whole)
        && is_number(part)
    {
        return Some(format!("{whole},{part} s"));
    }
    let numbers = |after: &str, by: &str| {
        let (one, other) = text.strip_suffix(after)?.split_once(by)?;
        (is_number(one) && is_number(other)).then_some((one, other))
    };
    if let Some(what) = text.strip_suffix(" comes back") {
        return Some(format!("vuelve {}", of_time(what)));
    }
    if let Some((some, "1")) = numbers(" table differ", " of ") {
        return Some(format!("{some} de 1 tabla difiere"));
    }
    if let Some((some, all)) = numbers(" tables differ", " of ") {
        return Some(format!("{some} de {all} tablas difieren"));
    }
    if let Some((pages, bytes)) = numbers(" bytes", " pages of ") {
        return Some(format!("{pages} páginas de {bytes} bytes"));
    }
    if let Some(pattern) = text.strip_prefix("a match of ") {
        let is_pattern = pattern.len() >= 2 && pattern.starts_with('/') && pattern.ends_with('/');
        return is_pattern.then(|| format!("una coincidencia con {pattern}"));
    }
    AROUND.iter().find_map(|((before, after), ours)| {
        let value = text.strip_prefix(before)?.strip_suffix(after)?;
        // A number, or a length of time like 24h.
        let is_value = value.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        (is_value && !value.contains(' ')).then(|| format!("{}{value}{}", ours.0, ours.1))
    })
}

/// A backup in words, `shop 01jd8kq2v3 of 2026-11-22T02:00:00Z`; a file's name stays.
fn of_time(what: &str) -> String {
    match what.rsplit_once(" of ") {
        Some((backup, time)) if time.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("{backup} del {time}")
        }
        _ => what.to_owned(),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Phrases that are joined; all of them must be ours.
fn joined(text: &str, by: &str, ours: &str) -> Option<String> {
    let parts: Vec<&str> = text.split(by).collect();
    if parts.len() < 2 {
        return None;
    }
    let translated: Option<Vec<String>> = parts
        .iter()
        .map(|part| of_table(&WHOLE, part).or_else(|| with_affix(part)))
        .collect();
    Some(translated?.join(ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_of_ours_are_translated_around_their_values() {
        for (english, spanish) in [
            ("no error", "ningún error"),
            ("exit code 2", "código de salida 2"),
            ("signal 9", "señal 9"),
            ("status 200", "estado 200"),
            ("2 steps as expected", "2 pasos como se esperaba"),
            (
                "status 500 and no match",
                "estado 500 y ninguna coincidencia",
            ),
            (
                "status 200 and a match of /ok/",
                "estado 200 y una coincidencia con /ok/",
            ),
            ("at most 3", "como máximo 3"),
            ("0.38 s", "0,38 s"),
            ("at most 1d", "como máximo 1d"),
            ("at least 1 and at most 9.5", "al menos 1 y como máximo 9.5"),
            ("at least 2 rows", "al menos 2 filas"),
            ("1 row", "1 fila"),
            ("1 byte", "1 byte"),
            ("1 row without their parent", "1 fila sin su padre"),
            ("1 setting or grant", "1 ajuste o permiso"),
            ("a dump does not hold them", "un volcado no los contiene"),
            (
                "of a dump the digest alone is known, and another major words objects otherwise",
                "de un volcado solo se conoce la huella, y otra versión mayor escribe los objetos de otra forma",
            ),
            (
                "the backup does not say what they were",
                "el respaldo no dice cuáles eran",
            ),
            (
                "the inventory of the backup can be read",
                "el inventario del respaldo se puede leer",
            ),
            ("0 rows without their parent", "0 filas sin su padre"),
            (
                "at most 3 rows without their parent",
                "como máximo 3 filas sin su padre",
            ),
            ("2 tables, 12288 bytes", "2 tablas, 12288 bytes"),
            ("2 tables, 340 rows", "2 tablas, 340 filas"),
            ("12 sequences", "12 secuencias"),
            ("1 table, 0 rows", "1 tabla, 0 filas"),
            (
                "19 objects by type and name",
                "19 objetos por tipo y nombre",
            ),
            ("1 of 3 tables differ", "1 de 3 tablas difieren"),
            (
                "3 pages of 4096 bytes, 12288 bytes",
                "3 páginas de 4096 bytes, 12288 bytes",
            ),
            ("it is too great", "es demasiado grande"),
            (
                "shop 01jd8kq2v3m4n5p6q7r8s9t0vx of 2026-11-22T02:00:00Z comes back",
                "vuelve shop 01jd8kq2v3m4n5p6q7r8s9t0vx del 2026-11-22T02:00:00Z",
            ),
        ] {
            assert_eq!(general(english).as_deref(), Some(spanish), "{english}");
        }
    }

    #[test]
    fn what_is_no_phrase_of_ours_stays_as_it_is() {
        for text in [
            "",
            "ok",
            "5",
            "Ana and Berta",
            "status of the order",
            "exit code unknown",
            "tables and rows",
            "no such table: tenant",
            "at most, and no more",
            "0.38 sales",
            "1.2.3 s",
            "v0.38 s",
            "parcels: missing",
        ] {
            assert_eq!(phrase("active tenants", text), None, "{text}");
        }
        assert_eq!(check_name("active tenants"), None);
        let named = phrase("row counts", "parcels: missing");
        assert_eq!(named.as_deref(), Some("parcels: falta"));
    }
}
