//! What the built-in checks of databases say of two sides that they compared, in Spanish: sentences around
//! values, and lists of named things with what became of each. Pure. Of no other check: theirs are other people's words.

/// A sentence around values, English and Spanish.
type Sentence = (&'static [&'static str], &'static [&'static str]);

/// Each begins with its first part, and has the others in this order.
const SENTENCES: [Sentence; 9] = [
    (
        &[
            "not to be had on this server: the source has ",
            "; this has ",
        ],
        &[
            "no se puede tener en este servidor: el origen tiene ",
            "; este tiene ",
        ],
    ),
    (
        &[
            "the source has ",
            ", which is not to be had here; this has ",
        ],
        &[
            "el origen tiene ",
            ", que aquí no se puede tener; este tiene ",
        ],
    ),
    (
        &["not valid at the source: "],
        &["no válidos en el origen: "],
    ),
    (
        &["rows lie in other hash partitions than at the source, all of them: "],
        &["las filas están, todas, en otras particiones hash que en el origen: "],
    ),
    (
        &[
            "the text of objects is not compared: ",
            " words that of ",
            " otherwise",
        ],
        &[
            "el texto de los objetos no se compara: ",
            " escribe el de ",
            " de otra forma",
        ],
    ),
    (
        &["", " differ; the first ", " are named"],
        &["", " difieren; se nombran los primeros "],
    ),
    (
        &["", "; tables that the backup does not have: "],
        &["", "; tablas que el respaldo no tiene: "],
    ),
    (&["", " of ", " applied"], &["", " de ", " aplicadas"]),
    (&["", " bytes, xxh3sum:"], &["", " bytes, xxh3sum:"]),
];

/// What stands behind the name of a thing.
const ENDS: [(&str, &str); 11] = [
    (": missing", ": falta"),
    (": there", ": está"),
    (": lacks a column", ": le falta una columna"),
    (": no such table", ": no existe esa tabla"),
    (": not populated", ": sin datos"),
    (": populated", ": con datos"),
    (" not given out", " sin entregar"),
    (" is missing", " falta"),
    (" is new", " es nuevo"),
    (" differs", " difiere"),
    (" objects", " objetos"),
];

/// In Spanish; `None` where it is no phrase of theirs.
pub(super) fn phrase(text: &str) -> Option<String> {
    SENTENCES
        .iter()
        .find_map(|sentence| around(sentence, text))
        .or_else(|| list(text))
}

/// A sentence with its values, each of which may be a list.
fn around((english, spanish): &Sentence, text: &str) -> Option<String> {
    let mut rest = text.strip_prefix(english[0])?;
    let mut words = spanish[0].to_owned();
    let mut add = |value: &str, after: &str| {
        words.push_str(&value_of(value));
        words.push_str(after);
    };
    for (position, part) in english.iter().enumerate().skip(1) {
        let (value, after) = rest.split_once(part)?;
        add(value, spanish.get(position).unwrap_or(&""));
        rest = after;
    }
    add(rest, "");
    Some(words)
}

fn value_of(value: &str) -> String {
    super::general(value)
        .or_else(|| list(value))
        .unwrap_or_else(|| value.to_owned())
}

/// Named things; those of which nothing is said stay.
fn list(text: &str) -> Option<String> {
    let (things, more) = match text.rsplit_once(" and ") {
        Some((things, more)) if more.ends_with(" more") => (things, Some(more)),
        _ => (text, None),
    };
    let mut is_ours = more.is_some();
    let things: Vec<String> = things
        .split(", ")
        .map(|thing| {
            let known = ENDS.iter().find_map(|(english, spanish)| {
                Some(format!("{}{spanish}", thing.strip_suffix(english)?))
            });
            is_ours |= known.is_some();
            known.unwrap_or_else(|| thing.to_owned())
        })
        .collect();
    let more = more.and_then(|more| more.strip_suffix(" more"));
    let more = more.map_or_else(String::new, |more| format!(" y {more} más"));
    is_ours.then(|| format!("{}{more}", things.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_each_check_are_translated_around_their_values() {
        for (english, spanish) in [
            (
                "public.orders: 166, public.seen: missing",
                "public.orders: 166, public.seen: falta",
            ),
            (
                "\"public\".\"free\": 5 not given out",
                "\"public\".\"free\": 5 sin entregar",
            ),
            (
                "INDEX public.orders_of is missing, TABLE public.orders differs and 3 more",
                "INDEX public.orders_of falta, TABLE public.orders difiere y 3 más",
            ),
            (
                "\"public\".\"totals\": not populated",
                "\"public\".\"totals\": sin datos",
            ),
            (
                "20261115 of public.schema_migrations, 2 applied",
                "20261115 de public.schema_migrations, 2 aplicadas",
            ),
            (
                "3 objects, 600002 bytes, xxh3sum:00ff",
                "3 objetos, 600002 bytes, xxh3sum:00ff",
            ),
            (
                "3 tables, 9 rows; tables that the backup does not have: \"public\".\"x\"",
                "3 tablas, 9 filas; tablas que el respaldo no tiene: \"public\".\"x\"",
            ),
            (
                "12 differ; the first 8 are named",
                "12 difieren; se nombran los primeros 8",
            ),
            (
                "the source has ICU de, collate C, ctype C, which is not to be had here; this has libc, collate C, ctype C",
                "el origen tiene ICU de, collate C, ctype C, que aquí no se puede tener; este tiene libc, collate C, ctype C",
            ),
            (
                "the text of objects is not compared: pg_dump 18 words that of 15 otherwise",
                "el texto de los objetos no se compara: pg_dump 18 escribe el de 15 de otra forma",
            ),
            (
                "not valid at the source: constraint public.orders.c",
                "no válidos en el origen: constraint public.orders.c",
            ),
        ] {
            assert_eq!(phrase(english).as_deref(), Some(spanish), "{english}");
        }
        assert_eq!(phrase("UTF8, libc, collate C, ctype C"), None);
    }
}
