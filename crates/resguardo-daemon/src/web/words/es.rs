//! Spanish.

use super::Words;

pub(super) static WORDS: Words = Words {
    product: "Resguardo",
    skip: "Ir al contenido",
    navigation: "Páginas",
    overview: "Resumen",
    runs: "Ejecuciones",
    exceptions: "Excepciones",
    policy: "Retención",
    access: "Accesos",
    log_in: "Entrar",
    log_out: "Salir",
    logged_in_as: "Sesión de",
    role_viewer: "consulta",
    role_operator: "operación",
    role_admin: "administración",
    language: "Idioma",
    theme: "Tema",
    theme_system: "como el sistema",
    theme_light: "claro",
    theme_dark: "oscuro",
    times_in: "Las horas son las de",
    looked_at: "Visto",
    unreachable: "No se llega a la bóveda",
    unreachable_means: "Se muestra lo último que se supo.",
    vault: "Bóveda",
    lost: "Se perdió la conexión con el servidor: lo que se ve puede ser viejo.",

    ago: "hace {}",
    in_time: "dentro de {}",
    this_minute: "este minuto",
    never: "nunca",
    none: "ninguno",

    ok: "bien",
    at_risk: "en riesgo",
    never_proven: "nunca probada",
    breached: "incumplido",

    no_sources_hint: "Nombre una en resguardo.toml, o empiece con",
    sources_caption: "Fuentes, la peor primero",
    source: "Fuente",
    standing: "Estado",
    rpo_head: "RPO ahora / objetivo",
    rto_head: "RTO probado / objetivo",
    proven_head: "Última restauración probada",
    copies_head: "Copias",
    next_drill_head: "Próximo simulacro",
    exceptions_head: "Excepciones",
    running_now: "En ejecución",
    begun: "empezó",
    nothing_runs: "Ahora mismo no se ejecuta nada.",
    open_exceptions_one: "1 excepción abierta",
    open_exceptions_many: "{} excepciones abiertas",
    of_findings: "Algo de lo guardado en la bóveda no está como debe",
    not_measured: "sin medir",
    no_target: "sin objetivo",
    no_copies: "ninguna",
    not_scheduled: "sin horario",
    overdue: "atrasado",

    why_drill_failed: "el último simulacro no se superó",
    why_backup_failed: "el último respaldo falló",
    why_no_backup: "no hay ningún respaldo",
    why_too_old: "el respaldo más nuevo es demasiado viejo",
    why_too_slow: "la restauración tarda demasiado",
    why_drill_overdue: "el simulacro está atrasado",
    why_backup_overdue: "el respaldo está atrasado",
    why_never_proven: "ninguna restauración se ha superado",
    why_copy_behind_one: "a la copia {} le falta 1 respaldo",
    why_copy_behind_many: "a la copia {} le faltan {} respaldos",
    why_nearly_too_old: "el respaldo más nuevo es casi demasiado viejo",
    why_nearly_too_slow: "la restauración casi tarda demasiado",
    why_will_be_too_slow: "la restauración pasa su objetivo en {}",
    why_backup_late: "el respaldo se retrasa",
    why_drill_error: "el último simulacro no se pudo hacer",
    why_drill_late: "el simulacro se retrasa",
    why_copy_behind_some: "a una copia le faltan respaldos",
    why_findings: "algo de lo guardado no está como debe",

    passed: "superado",
    failed: "no superado",
    error: "no se pudo comprobar",
    check_passed: "superada",
    check_failed: "fallida",
    check_skipped: "omitida",
    state_running: "en curso",
    state_succeeded: "hecho",
    state_failed: "falló",
    state_interrupted: "interrumpido",
    state_died: "murió",

    months: [
        "ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sep", "oct", "nov", "dic",
    ],
    units: [
        ["año", "años"],
        ["mes", "meses"],
        ["día", "días"],
        ["hora", "horas"],
        ["minuto", "minutos"],
        ["segundo", "segundos"],
    ],
    summary,
    phases: &[
        ("select", "selección"),
        ("capture", "captura"),
        ("commit", "confirmación"),
        ("restore", "restauración"),
        ("compare", "comparación con el respaldo"),
        ("provision", "aprovisionamiento"),
        ("migrate", "migración"),
        ("checks", "comprobaciones"),
        ("destroy", "destrucción"),
    ],
    verbs: &[
        ("backup", "respaldo"),
        ("verify", "verificación"),
        ("restore", "restauración"),
        ("drill", "simulacro"),
        ("access", "revisión de accesos"),
        ("prune", "depuración"),
        ("pin", "fijación"),
        ("copy", "copia"),
        ("keys", "claves"),
        ("sweep", "limpieza"),
        ("ping", "señal"),
    ],
    reasons: &[
        ("manual", "manual"),
        ("scheduled", "programado"),
        ("safety", "de seguridad"),
        ("daily", "diario"),
        ("pre-migration", "antes de migrar"),
        ("pre-update", "antes de actualizar"),
    ],
};

fn summary(all: u64, breached: u64, never: u64) -> String {
    let have = |count| if count == 1 { "se ha" } else { "se han" };
    let would = |count| {
        if count == 1 {
            "se recuperaría"
        } else {
            "se recuperarían"
        }
    };
    match (all, breached, never) {
        (0, _, _) => "Todavía no hay ninguna fuente.".to_owned(),
        (1, 0, 0) => "La fuente se recuperaría.".to_owned(),
        (_, 0, 0) => format!("Las {all} se recuperarían a tiempo."),
        (_, _, 0) => format!("{breached} de {all} no {} a tiempo.", would(breached)),
        (_, 0, _) => format!("{never} de {all} no {} probado nunca.", have(never)),
        _ => format!(
            "{breached} de {all} no {} a tiempo; {never} no {} probado nunca.",
            would(breached),
            have(never)
        ),
    }
}
