//! What stores say of who may do what, in Spanish. Pure. What is no phrase of theirs stays English: `None`.

/// What a store speaks of.
#[must_use]
pub fn subject(text: &str) -> Option<&'static str> {
    const SUBJECTS: [(&str, &str); 17] = [
        ("owner", "propietario"),
        ("mode", "modo"),
        ("group", "grupo"),
        ("everybody else", "todos los demás"),
        ("bucket", "bucket"),
        ("container", "contenedor"),
        ("public access", "acceso público"),
        ("public access block", "bloqueo del acceso público"),
        ("public access prevention", "prevención del acceso público"),
        ("access control list", "lista de control de acceso"),
        ("bucket policy", "política del bucket"),
        ("versioning", "versiones"),
        ("object lock", "bloqueo de objetos"),
        ("encryption at rest", "cifrado en reposo"),
        ("retention policy", "política de retención"),
        ("immutability policy", "política de inmutabilidad"),
        ("legal hold", "retención legal"),
    ];
    of_table(&SUBJECTS, text)
}

/// What it says of it. Modes, algorithms and numbers say the same in both languages.
#[must_use]
pub fn says(text: &str) -> Option<String> {
    const WHOLE: [(&str, &str); 20] = [
        ("may write and delete", "puede escribir y borrar"),
        ("may read", "puede leer"),
        ("may do nothing", "no puede hacer nada"),
        (
            "not told to these credentials",
            "no se dice a estas credenciales",
        ),
        (
            "not told to these credentials (storage.buckets.get)",
            "no se dice a estas credenciales (storage.buckets.get)",
        ),
        ("on", "sí"),
        ("off", "no"),
        ("none", "ninguna"),
        ("enforced", "impuesta"),
        ("inherited", "heredada"),
        ("unspecified", "sin especificar"),
        ("not set on the bucket", "no está fijado en el bucket"),
        ("grants rights to everybody", "da derechos a todo el mundo"),
        ("the owner alone", "solo el propietario"),
        ("lets everybody in", "deja entrar a todo el mundo"),
        (
            "lets nobody in from outside",
            "no deja entrar a nadie de fuera",
        ),
        (
            "on: what is deleted or replaced is kept as an older version",
            "sí: lo que se borra o reemplaza queda como versión anterior",
        ),
        (
            "off: what is deleted is gone",
            "no: lo que se borra se pierde",
        ),
        (
            "off: whoever may delete can delete backups",
            "no: quien puede borrar puede borrar respaldos",
        ),
        (
            "on, without a default retention",
            "sí, sin una retención por defecto",
        ),
    ];
    let is_value = !text.contains(' ');
    of_table(&WHOLE, text)
        .map(str::to_owned)
        .or_else(|| around(text))
        .or_else(|| is_value.then(|| text.to_owned()))
}

fn around(text: &str) -> Option<String> {
    if let Some(user) = text.strip_prefix("user ") {
        return Some(format!("usuario {user}"));
    }
    if let Some(group) = text.strip_prefix("group ") {
        let (number, may) = group.split_once(' ')?;
        return Some(format!("grupo {number} {}", says(may)?));
    }
    if let Some(level) = text.strip_prefix("on, for every ") {
        return Some(format!("sí, para cada {}", subject(level).unwrap_or(level)));
    }
    if let Some(flags) = text.strip_prefix("off: ") {
        return Some(format!("no: {flags}"));
    }
    if let Some(count) = text.strip_suffix(" grants, none to everybody") {
        return Some(format!("{count} permisos, ninguno a todo el mundo"));
    }
    if let Some(span) = text.strip_prefix("every object for ") {
        return Some(format!("cada objeto durante {}", span_of(span)));
    }
    let (span, mode) = text
        .strip_prefix("on, every new object for ")?
        .split_once(" (")?;
    Some(format!(
        "sí, cada objeto nuevo durante {} ({mode}",
        span_of(span)
    ))
}

fn span_of(text: &str) -> String {
    match text.split_once(' ') {
        Some((count, "days")) => format!("{count} días"),
        Some((count, "years")) => format!("{count} años"),
        _ if text == "a time" => "un tiempo".to_owned(),
        _ => text.to_owned(),
    }
}

fn of_table(table: &[(&'static str, &'static str)], text: &str) -> Option<&'static str> {
    let known = table.iter().find(|(english, _)| *english == text);
    known.map(|(_, spanish)| *spanish)
}

#[cfg(test)]
mod tests {
    use super::{says, subject};

    #[test]
    fn what_stores_say_is_said_in_spanish() {
        for (english, spanish) in [
            ("user 1000", "usuario 1000"),
            ("0750", "0750"),
            ("group 100 may read", "grupo 100 puede leer"),
            (
                "group 0 may write and delete",
                "grupo 0 puede escribir y borrar",
            ),
            ("may do nothing", "no puede hacer nada"),
            ("on, for every container", "sí, para cada contenedor"),
            ("on, for every blob", "sí, para cada blob"),
            (
                "off: BlockPublicAcls, BlockPublicPolicy",
                "no: BlockPublicAcls, BlockPublicPolicy",
            ),
            (
                "2 grants, none to everybody",
                "2 permisos, ninguno a todo el mundo",
            ),
            ("every object for 30 days", "cada objeto durante 30 días"),
            (
                "on, every new object for 1 years (compliance)",
                "sí, cada objeto nuevo durante 1 años (compliance)",
            ),
            (
                "on, every new object for a time ()",
                "sí, cada objeto nuevo durante un tiempo ()",
            ),
            ("AES256", "AES256"),
            ("enforced", "impuesta"),
        ] {
            assert_eq!(says(english).as_deref(), Some(spanish), "{english}");
        }
        assert_eq!(says("something new"), None);
        assert_eq!(
            subject("public access block"),
            Some("bloqueo del acceso público")
        );
        assert_eq!(subject("arn:aws:iam::123456789012:user/x"), None);
    }
}
