//! The overview.

use resguardo_daemon::web::view::{Overview, Role};
use resguardo_daemon::web::{Language, Section, Theme, overview};
use resguardo_model::Concern;

use crate::fixture::{self, MARKUP};
use crate::html;

fn page(language: Language, view: &Overview) -> String {
    let (say, viewer) = (fixture::say(language), fixture::viewer(Role::Viewer));
    let frame = fixture::frame(&say, Theme::System, &viewer, Section::Overview);
    overview::page(&frame, view).into_string()
}

#[test]
fn the_first_line_says_what_would_not_come_back() {
    let english = page(Language::En, &fixture::overview());
    assert!(english.contains("2 of 14 would not come back in time; 1 was never proven."));
    let spanish = page(Language::Es, &fixture::overview());
    assert!(spanish.contains("2 de 14 no se recuperarían a tiempo; 1 no se ha probado nunca."));
}

#[test]
fn each_row_says_in_words_what_its_colour_says() {
    let text = html::text(&page(Language::En, &fixture::overview()));
    for part in [
        "comercial-electrica postgres, production breached the last drill failed 3 days ago; \
         the newest backup is too old 31 h / 24 h 1 h 30 min / 2 h \
         1 month ago 1 / 2 in 18 hours 2",
        "puranatura-blog sqlite, production never proven no restore ever passed 7 h / 24 h \
         not measured / 2 h never none not scheduled 1",
        "overdue in 9 hours",
        "the restore passes its target in May 2027",
        "drill: comercial-electrica , migrate, 42 %, begun 4 minutes ago",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let text = html::text(&page(Language::Es, &fixture::overview()));
    for part in [
        "incumplido el último simulacro no se superó hace 3 días; el respaldo más nuevo es demasiado viejo",
        "a la copia bogota le falta 1 respaldo",
        "ninguna restauración se ha superado",
        "la restauración pasa su objetivo en may 2027",
        "simulacro: comercial-electrica , migración, 42 %, empezó hace 4 minutos",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn nothing_from_outside_is_markup() {
    let mut view = fixture::odd();
    view.running[0].source = MARKUP.to_owned();
    for language in Language::ALL {
        html::is_clean(&page(language, &view));
    }
}

#[test]
fn two_hundred_sources_are_light() {
    for language in Language::ALL {
        let many = page(language, &fixture::many());
        assert!(many.len() < 100_000, "{} bytes", many.len());
        let broken = page(language, &fixture::all_broken());
        assert!(broken.len() < 130_000, "{} bytes", broken.len());
        html::is_clean(&broken);
    }
}

#[test]
fn without_sources_it_says_how_to_begin() {
    let mut view = fixture::overview();
    view.sources.clear();
    view.running.clear();
    let text = html::text(&page(Language::En, &view));
    assert!(text.contains("There is no source yet."), "{text}");
    assert!(text.contains("resguardo init"), "{text}");
}

#[test]
fn every_concern_has_its_words() {
    let mut view = fixture::overview();
    for concern in [
        Concern::NoBackup,
        Concern::RpoPassed,
        Concern::RpoNear,
        Concern::BackupOverdue,
        Concern::BackupLate,
        Concern::BackupFailed,
        Concern::RtoPassed,
        Concern::RtoNear,
        Concern::RtoForecast,
        Concern::NeverProven,
        Concern::DrillFailed,
        Concern::DrillError,
        Concern::DrillOverdue,
        Concern::DrillLate,
        Concern::CopyBehind,
        Concern::Findings,
    ] {
        view.sources[0].concerns = vec![concern];
        let row = &view.sources[0];
        let said =
            Language::ALL.map(|language| overview::cause(&fixture::say(language), row, concern));
        assert_ne!(said[0], said[1], "{concern:?}");
        assert!(
            !said[0].contains("{}") && !said[1].contains("{}"),
            "{said:?}"
        );
    }
}

#[test]
fn a_vault_that_is_out_of_reach_is_the_first_thing_said() {
    let (say, viewer) = (fixture::say(Language::En), fixture::viewer(Role::Viewer));
    let mut frame = fixture::frame(&say, Theme::System, &viewer, Section::Overview);
    frame.unreachable = Some("connecting to 10.0.0.9:443: no route to host");
    let page = overview::page(&frame, &fixture::overview()).into_string();
    let text = html::text(&page);
    let (warning, summary) = (
        text.find("The vault cannot be reached"),
        text.find("2 of 14"),
    );
    assert!(warning.is_some() && warning < summary, "{text}");
    assert!(text.contains("no route to host"), "{text}");
}
