//! The causes of a prune's decisions in Spanish. Pure. What is no phrase of ours stays as it is: reasons of
//! pins, and names of reasons.

/// A cause as `resguardo prune` gives it.
#[must_use]
pub fn in_spanish(cause: &str) -> String {
    whole(cause)
        .or_else(|| served(cause))
        .or_else(|| around(cause))
        .or_else(|| unit_of(cause))
        .unwrap_or_else(|| cause.to_owned())
}

fn whole(cause: &str) -> Option<String> {
    let spanish = match cause {
        "no retention is set" => "no se ha fijado ninguna retención",
        "the last proven backup" => "el último respaldo probado",
        "the last backup" => "el último respaldo",
        "taken at a time that is still to come" => "de una hora que aún no ha llegado",
        "its writer is not trusted here" => "aquí no se confía en su escritor",
        "the policy keeps none but the last" => "la política no conserva más que los últimos",
        "pinned meanwhile" => "fijado mientras tanto",
        "the store refuses to delete it" => "el almacenamiento se niega a borrarlo",
        _ => return None,
    };
    Some(spanish.to_owned())
}

/// `daily 2026-11-19 is kept by 01...`, `daily 2026-11-19 is beyond the newest 3 days`.
fn served(cause: &str) -> Option<String> {
    if let Some((unit, by)) = cause.split_once(" is kept by ") {
        return Some(format!("{}: se queda {by}", unit_of(unit)?));
    }
    let (unit, newest) = cause.split_once(" is beyond the newest ")?;
    let (count, name) = newest.split_once(' ').unwrap_or(("1", newest));
    let names = match name.trim_end_matches('s') {
        "hour" => ["la última hora", "las últimas {} horas"],
        "day" => ["el último día", "los últimos {} días"],
        "week" => ["la última semana", "las últimas {} semanas"],
        "month" => ["el último mes", "los últimos {} meses"],
        "year" => ["el último año", "los últimos {} años"],
        _ => return None,
    };
    let newest = if count == "1" {
        names[0].to_owned()
    } else {
        names[1].replace("{}", count)
    };
    Some(format!("{}: ya no está entre {newest}", unit_of(unit)?))
}

/// `daily 2026-11-19`: a unit of the policy.
fn unit_of(text: &str) -> Option<String> {
    let (tier, unit) = text.split_once(' ')?;
    let name = match tier {
        "hourly" => "hora",
        "daily" => "día",
        "weekly" => "semana",
        "monthly" => "mes",
        "yearly" => "año",
        _ => return None,
    };
    Some(format!("{name} {unit}"))
}

fn around(cause: &str) -> Option<String> {
    const AROUND: [(&str, &str, &str, &str); 7] = [
        ("not of the last ", "", "no es de los últimos ", ""),
        (
            "one of the last ",
            " backups",
            "uno de los últimos ",
            " respaldos",
        ),
        ("last ", "", "de los últimos ", ""),
        ("within ", "", "de menos de ", ""),
        ("older than ", "", "de más de ", ""),
        (
            "the store keeps it until ",
            "",
            "el almacenamiento lo retiene hasta ",
            "",
        ),
        ("pinned until ", "", "fijado hasta ", ""),
    ];
    if let Some(reason) = cause.strip_prefix("pinned: ") {
        return Some(format!("fijado: {reason}"));
    }
    for (before, after, ours_before, ours_after) in AROUND {
        if let Some(value) = cause
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
        {
            return Some(format!("{ours_before}{value}{ours_after}"));
        }
    }
    let (reason, span) = cause.split_once(" kept ")?;
    Some(match span.strip_suffix(", it is older") {
        Some(span) => format!("{reason} se queda {span}, y es más viejo"),
        None => format!("{reason} se queda {span}"),
    })
}

#[cfg(test)]
mod tests {
    use resguardo_model::retention::Kept;

    use super::in_spanish;

    #[test]
    fn causes_are_told_around_their_values() {
        for (cause, spanish) in [
            ("daily 2026-11-20", "día 2026-11-20"),
            (
                "monthly 2026-11 is kept by 01kannw1c8",
                "mes 2026-11: se queda 01kannw1c8",
            ),
            (
                "daily 2026-11-19 is beyond the newest 3 days",
                "día 2026-11-19: ya no está entre los últimos 3 días",
            ),
            (
                "weekly 2026-W47 is beyond the newest week",
                "semana 2026-W47: ya no está entre la última semana",
            ),
            ("not of the last 7", "no es de los últimos 7"),
            (
                "one of the last 2 backups",
                "uno de los últimos 2 respaldos",
            ),
            ("pre-migration kept 90d", "pre-migration se queda 90d"),
            (
                "pre-migration kept 90d, it is older",
                "pre-migration se queda 90d, y es más viejo",
            ),
            (
                "pinned until 2032-12-31: closing",
                "fijado hasta 2032-12-31: closing",
            ),
            ("something new", "something new"),
        ] {
            assert_eq!(in_spanish(cause), spanish, "{cause}");
        }
        for cause in [
            Kept::NoPolicy,
            Kept::LastProven,
            Kept::Successful(1),
            Kept::Future,
            Kept::Untrusted,
        ] {
            let english = cause.to_string();
            assert_ne!(in_spanish(&english), english, "{english}");
        }
    }
}
