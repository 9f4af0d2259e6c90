//! The words of a report in each language.

use resguardo_model::{CheckOutcome, Verdict};

use super::{Language, spanish};

/// One language.
pub(super) struct Words {
    pub(super) tag: &'static str,
    pub(super) drill_of: &'static str,
    pub(super) a_file: &'static str,
    passed: &'static str,
    failed: &'static str,
    error: &'static str,
    means_passed: &'static str,
    means_failed: &'static str,
    means_error: &'static str,
    check_passed: &'static str,
    check_failed: &'static str,
    check_skipped: &'static str,
    check_error: &'static str,
    pub(super) source: &'static str,
    pub(super) environment: &'static str,
    pub(super) backup: &'static str,
    pub(super) file: &'static str,
    pub(super) taken_at: &'static str,
    pub(super) began: &'static str,
    pub(super) ended: &'static str,
    pub(super) host: &'static str,
    pub(super) operator: &'static str,
    pub(super) tools: &'static str,
    pub(super) run: &'static str,
    pub(super) receipt: &'static str,
    pub(super) no_receipt: &'static str,
    pub(super) sandbox: &'static str,
    pub(super) destroyed: &'static str,
    pub(super) kept_at: &'static str,
    pub(super) objectives: &'static str,
    pub(super) objective: &'static str,
    pub(super) measured: &'static str,
    pub(super) promised: &'static str,
    pub(super) verdict: &'static str,
    pub(super) met: &'static str,
    pub(super) missed: &'static str,
    pub(super) not_measured: &'static str,
    pub(super) not_set: &'static str,
    pub(super) phases: &'static str,
    pub(super) phase: &'static str,
    pub(super) time: &'static str,
    pub(super) checks: &'static str,
    pub(super) check: &'static str,
    pub(super) outcome: &'static str,
    pub(super) expected: &'static str,
    pub(super) actual: &'static str,
    pub(super) details: &'static str,
    pub(super) notes: &'static str,
    pub(super) verify_with: &'static str,
    phase_names: [(&'static str, &'static str); 7],
    /// Translates the name of a built-in check.
    check_name: Translate,
    /// Translates a phrase of ours in what the check of a name expected or found, or in why.
    phrase: fn(&str, &str) -> Option<String>,
}

/// None where it is no phrase of ours: values and messages of databases stay as they are.
type Translate = fn(&str) -> Option<String>;

impl Words {
    pub(super) fn verdict_of(&self, verdict: Verdict) -> &'static str {
        match verdict {
            Verdict::Passed => self.passed,
            Verdict::Failed => self.failed,
            Verdict::Error => self.error,
        }
    }

    pub(super) fn meaning_of(&self, verdict: Verdict) -> &'static str {
        match verdict {
            Verdict::Passed => self.means_passed,
            Verdict::Failed => self.means_failed,
            Verdict::Error => self.means_error,
        }
    }

    pub(super) fn outcome_of(&self, outcome: CheckOutcome) -> &'static str {
        match outcome {
            CheckOutcome::Passed => self.check_passed,
            CheckOutcome::Failed => self.check_failed,
            CheckOutcome::Skipped => self.check_skipped,
            CheckOutcome::Error => self.check_error,
        }
    }

    pub(super) fn check_name(&self, name: &str) -> String {
        (self.check_name)(name).unwrap_or_else(|| name.to_owned())
    }

    pub(super) fn phrase(&self, check: &str, text: &str) -> String {
        (self.phrase)(check, text).unwrap_or_else(|| text.to_owned())
    }

    pub(super) fn phase_name<'a>(&self, name: &'a str) -> &'a str {
        let known = self
            .phase_names
            .iter()
            .find(|(english, _)| *english == name);
        known.map_or(name, |(_, ours)| ours)
    }
}

pub(super) fn of(language: Language) -> &'static Words {
    match language {
        Language::En => &EN,
        Language::Es => &ES,
    }
}

static EN: Words = Words {
    tag: "en",
    drill_of: "Drill of",
    a_file: "a file",
    passed: "PASSED",
    failed: "FAILED",
    error: "ERROR",
    means_passed: "The backup was restored, and everything that was checked is as it should be.",
    means_failed: "Something is not as it should be. The backup is not proven.",
    means_error: "Something could not be checked. The backup is not proven.",
    check_passed: "passed",
    check_failed: "failed",
    check_skipped: "skipped",
    check_error: "error",
    source: "Source",
    environment: "Environment",
    backup: "Backup",
    file: "File",
    taken_at: "Data of",
    began: "Began",
    ended: "Ended",
    host: "Host",
    operator: "Operator",
    tools: "Tools",
    run: "Run",
    receipt: "Receipt",
    no_receipt: "none",
    sandbox: "Sandbox",
    destroyed: "destroyed",
    kept_at: "kept at",
    objectives: "Objectives",
    objective: "Objective",
    measured: "Measured",
    promised: "Promised",
    verdict: "Verdict",
    met: "met",
    missed: "missed",
    not_measured: "not measured",
    not_set: "not set",
    phases: "Phases",
    phase: "Phase",
    time: "Time",
    checks: "Checks",
    check: "Check",
    outcome: "Outcome",
    expected: "Expected",
    actual: "Found",
    details: "Details",
    notes: "Notes",
    verify_with: "The signed receipt is the proof; check it with",
    phase_names: [
        ("select", "select"),
        ("restore", "restore"),
        ("compare", "compare with the backup"),
        ("provision", "provision"),
        ("migrate", "migrate"),
        ("checks", "checks"),
        ("destroy", "destroy"),
    ],
    check_name: |_| None,
    phrase: |_, _| None,
};

static ES: Words = Words {
    tag: "es",
    drill_of: "Simulacro de",
    a_file: "un archivo",
    passed: "SUPERADO",
    failed: "NO SUPERADO",
    error: "ERROR",
    means_passed: "El respaldo se restauró y todo lo que se comprobó está como debe.",
    means_failed: "Algo no está como debe. El respaldo no está probado.",
    means_error: "Algo no se pudo comprobar. El respaldo no está probado.",
    check_passed: "superada",
    check_failed: "fallida",
    check_skipped: "omitida",
    check_error: "error",
    source: "Fuente",
    environment: "Entorno",
    backup: "Respaldo",
    file: "Archivo",
    taken_at: "Datos de",
    began: "Comenzó",
    ended: "Terminó",
    host: "Máquina",
    operator: "Operador",
    tools: "Herramientas",
    run: "Ejecución",
    receipt: "Recibo",
    no_receipt: "ninguno",
    sandbox: "Entorno aislado",
    destroyed: "destruido",
    kept_at: "conservado en",
    objectives: "Objetivos",
    objective: "Objetivo",
    measured: "Medido",
    promised: "Prometido",
    verdict: "Veredicto",
    met: "cumplido",
    missed: "incumplido",
    not_measured: "no medido",
    not_set: "sin fijar",
    phases: "Fases",
    phase: "Fase",
    time: "Tiempo",
    checks: "Comprobaciones",
    check: "Comprobación",
    outcome: "Resultado",
    expected: "Esperado",
    actual: "Encontrado",
    details: "Detalles",
    notes: "Notas",
    verify_with: "El recibo firmado es la prueba; se comprueba con",
    phase_names: [
        ("select", "selección"),
        ("restore", "restauración"),
        ("compare", "comparación con el respaldo"),
        ("provision", "aprovisionamiento"),
        ("migrate", "migración"),
        ("checks", "comprobaciones"),
        ("destroy", "destrucción"),
    ],
    check_name: spanish::check_name,
    phrase: spanish::phrase,
};
