//! Names and texts as PostgreSQL reads them back: every name is quoted, so that no case, space, quote or
//! reserved word in it matters.

/// A name in double quotes.
#[must_use]
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table with its schema, each in double quotes.
#[must_use]
pub(super) fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", identifier(schema), identifier(name))
}

/// A text in single quotes, whatever `standard_conforming_strings` says.
#[must_use]
pub(super) fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!(" E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// A setting's name: `app.tenant` is two.
#[must_use]
pub(super) fn parameter(parameter: &str) -> String {
    let parts: Vec<String> = parameter.split('.').map(identifier).collect();
    parts.join(".")
}

/// A setting's value as `pg_db_role_setting` holds it. Lists are stored as they were quoted; as one text they
/// would be one name.
#[must_use]
pub(super) fn value_of(parameter: &str, value: &str) -> String {
    let is_list = matches!(
        parameter.to_ascii_lowercase().as_str(),
        "search_path"
            | "temp_tablespaces"
            | "session_preload_libraries"
            | "local_preload_libraries"
    );
    if is_list && !value.is_empty() {
        value.to_owned()
    } else {
        literal(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!(qualified("a b", "Sel\"ect"), "\"a b\".\"Sel\"\"ect\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), " E'a\\\\''b'");
    }
}
