//! The words of the pages, in each language: one file a language, and the compiler sees to it that both
//! have every one.

mod en;
mod es;

use super::language::Language;

/// The words of a language.
#[must_use]
pub fn of(language: Language) -> &'static Words {
    match language {
        Language::En => &en::WORDS,
        Language::Es => &es::WORDS,
    }
}

/// Declares the texts of a language, and what lists them for the tests.
macro_rules! words {
    ($($name:ident)*) => {
        /// One language.
        pub struct Words {
            $(pub(in crate::web) $name: &'static str,)*
            /// Short names of the months.
            pub(in crate::web) months: [&'static str; 12],
            /// Year, month, day, hour, minute and second, each as one and as many.
            pub(in crate::web) units: [[&'static str; 2]; 6],
            /// Sources in all, those that would not come back, and those that were never proven.
            pub(in crate::web) summary: fn(u64, u64, u64) -> String,
            /// Names of phases.
            pub(in crate::web) phases: &'static [(&'static str, &'static str)],
            /// Names of what is done.
            pub(in crate::web) verbs: &'static [(&'static str, &'static str)],
            /// Names of reasons for a backup.
            pub(in crate::web) reasons: &'static [(&'static str, &'static str)],
        }

        impl Words {
            /// Every text with its name.
            #[cfg(test)]
            fn texts(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

words! {
    // Around every page.
    product skip navigation overview runs exceptions policy access log_in log_out logged_in_as
    role_viewer role_operator role_admin language theme theme_system theme_light theme_dark
    times_in looked_at unreachable unreachable_means vault lost
    // Relative times.
    ago in_time this_minute never
    // Standings.
    ok at_risk never_proven breached
    // Overview.
    no_sources_hint sources_caption source standing rpo_head rto_head proven_head copies_head next_drill_head
    exceptions_head running_now begun nothing_runs open_exceptions_one open_exceptions_many of_findings
    not_measured no_target no_copies not_scheduled overdue
    // Causes.
    why_no_backup why_too_old why_nearly_too_old why_backup_overdue why_backup_late why_backup_failed
    why_too_slow why_nearly_too_slow why_will_be_too_slow why_never_proven why_drill_failed why_drill_error
    why_drill_overdue why_drill_late why_copy_behind_some why_copy_behind_one why_copy_behind_many why_findings
    // Outcomes.
    passed failed error check_passed check_failed check_skipped state_running state_succeeded state_failed
    state_interrupted state_died
    // What can be done.
    actions do_backup means_backup do_drill means_drill means_drill_this do_verify means_verify do_pin
    means_pin pin_until do_unpin means_unpin do_copy means_copy do_prune means_prune do_restore means_restore
    means_restore_file restore_database restore_file do_sandbox means_sandbox do_resolve type_to_confirm same_as
    may_only_look may_not_all commands
    // One source, one backup.
    sources backup backups backups_caption backup_of no_backups newest_backup next_backup last_drill_failed
    last_took space space_more copy_whole copy_lacks year_title year_backup year_passed year_failed
    year_failed_run year_nothing count_days count_backups count_passed count_failed count_errors count_failed_runs not_carried_out drill_error
    drill_times rto_target trend_words no_drills last_drills forecast_between forecast_after growth
    growth_words runs_of_source data_of data_of_small reason proven proven_before not_proven size added
    frees pinned trusted untrusted untrusted_means finished note commit migration database signed_by places
    places_caption place address is_there is_not_there kept_by only_policy pinned_by until until_unpinned
    until_lifted locked receipts receipts_caption receipt no_receipt no_receipts check_receipts files
    files_caption files_closed count_files path first_page previous_page next_page last_page page_of
    pages_of
    // Drills and runs.
    drill_word drill_of means_passed means_failed means_error rto_means rpo_means of_target phases_title
    phases_caption phase time share checks_title checks_caption check expected actual outcome notes facts
    log lines_dropped no_lines lines_gone lines_in through bytes_of began asked_by environment engine host operator sandbox
    kept_at destroyed tools what when who message all show no_runs runs_caption
    // Exceptions.
    exceptions_mean only_of show_all no_exceptions open opened happened over over_means resolved
    resolved_word more_resolved note_means note_refused see_drill see_run kind_drill_failed kind_drill_error kind_drill_overdue
    kind_run_failed kind_rpo_breached kind_rto_breached kind_copy_behind kind_verify_findings
    kind_backup_overdue told_drill_failed told_drill_error told_drill_overdue told_run_failed told_rpo
    told_rto told_copy told_findings told_backup_overdue
    // The policy.
    policy_means no_policy would next_prune every_backup policy_caption more_backups decision stays goes why
    frees_alone
    // Access.
    reviewed review_next review_overdue never_reviewed review_with who_reads who_reads_means this_host_reads
    this_host_reads_not who_writes writers_caption writer own_writer retired last_signed store_says
    store_caption store_silent store_in_vain subject says more_than_should accounts accounts_caption name role last_login
    change_with tokens tokens_caption no_tokens scope expires last_used audit audit_caption no_audit refused
    // The login, and what went wrong.
    password nobody_yet log_in_with login_wrong login_wait login_ended login_stale login_elsewhere login_unreachable
    login_no_role login_not_verified not_there
    not_there_means not_allowed not_allowed_means stale stale_means impossible too_much starting
    starting_means broken back
}

/// A word of ours in a table, or itself where it is none.
#[must_use]
pub(in crate::web) fn in_table<'a>(
    table: &[(&'static str, &'static str)],
    word: &'a str,
) -> &'a str {
    let known = table.iter().find(|(english, _)| *english == word);
    known.map_or(word, |(_, ours)| ours)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Words that both languages write alike.
    const ALIKE: [&str; 5] = ["product", "error", "bytes_of", "host", "told_run_failed"];

    #[test]
    fn every_text_is_said_in_both_languages() {
        let (en, es) = (of(Language::En).texts(), of(Language::Es).texts());
        for ((name, english), (_, spanish)) in en.iter().zip(&es) {
            assert!(
                !english.trim().is_empty() && !spanish.trim().is_empty(),
                "{name} is empty"
            );
            if !ALIKE.contains(name) {
                assert_ne!(english, spanish, "{name} is not translated");
            }
            let gaps = |text: &str| text.matches("{}").count();
            assert_eq!(gaps(english), gaps(spanish), "{name} has other gaps");
        }
    }

    #[test]
    fn tables_name_the_same_in_both_languages() {
        let (en, es) = (of(Language::En), of(Language::Es));
        let names = |table: &[(&'static str, _)]| {
            table.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>()
        };
        for (english, spanish) in [
            (en.phases, es.phases),
            (en.verbs, es.verbs),
            (en.reasons, es.reasons),
        ] {
            assert_eq!(names(english), names(spanish));
        }
    }

    #[test]
    fn the_summary_counts_in_sentences() {
        for (numbers, english, spanish) in [
            (
                (0, 0, 0),
                "There is no source yet.",
                "Todavía no hay ninguna fuente.",
            ),
            (
                (1, 0, 0),
                "The source would come back.",
                "La fuente se recuperaría.",
            ),
            (
                (14, 0, 0),
                "All 14 would come back in time.",
                "Las 14 se recuperarían a tiempo.",
            ),
            (
                (14, 2, 1),
                "2 of 14 would not come back in time; 1 was never proven.",
                "2 de 14 no se recuperarían a tiempo; 1 no se ha probado nunca.",
            ),
            (
                (14, 1, 0),
                "1 of 14 would not come back in time.",
                "1 de 14 no se recuperaría a tiempo.",
            ),
            (
                (14, 0, 3),
                "3 of 14 were never proven.",
                "3 de 14 no se han probado nunca.",
            ),
        ] {
            let (all, breached, never) = numbers;
            assert_eq!((of(Language::En).summary)(all, breached, never), english);
            assert_eq!((of(Language::Es).summary)(all, breached, never), spanish);
        }
    }
}
