//! Every page, as it is looked at.

use resguardo_daemon::web::view::Role;
use resguardo_daemon::web::view::{LoginPage, LoginTrouble, RunPage, RunState};
use resguardo_daemon::web::{
    Frame, Language, Notice, Refusal, Section, Theme, access, backup, drill, exceptions, login,
    overview, policy, refusal, runs, source,
};
use resguardo_model::Verdict;

use crate::fixture;

/// Every page by its name.
pub(crate) fn all(language: Language, theme: Theme) -> Vec<(&'static str, String)> {
    let say = fixture::say(language);
    let admin = fixture::viewer(Role::Admin);
    let frame = |section: Section| fixture::frame(&say, theme, &admin, section);
    let mut pages = Vec::new();
    let mut add =
        |name, markup: resguardo_daemon::web::Page| pages.push((name, markup.into_string()));
    let home = frame(Section::Overview);
    add("overview", overview::page(&home, &fixture::overview()));
    let unreachable = Frame {
        unreachable: Some(
            "listing s3://acme-respaldos/principal: connecting to 10.0.0.9:443: no route to host",
        ),
        ..frame(Section::Overview)
    };
    add(
        "overview-odd",
        overview::page(&unreachable, &fixture::odd()),
    );
    let mut nothing = fixture::overview();
    nothing.sources.clear();
    nothing.running.clear();
    nothing.exceptions = 0;
    add("overview-empty", overview::page(&home, &nothing));
    add("source", source::page(&home, &fixture::source(5_000, 1)));
    add("source-new", source::page(&home, &fixture::new_source()));
    add("backup", backup::page(&home, &fixture::backup()));
    add(
        "drill-failed",
        drill::page(&home, &fixture::drill(Verdict::Failed)),
    );
    add(
        "drill",
        drill::page(&home, &fixture::drill(Verdict::Passed)),
    );
    let in_runs = frame(Section::Runs);
    add("runs", runs::page(&in_runs, &fixture::runs()));
    add("run-live", runs::run(&in_runs, &fixture::live_run()));
    let message = "connecting to db.comercial.example:5432: connection refused (os error 111)";
    let failed = RunPage {
        run: fixture::run(
            RunState::Failed,
            "backup",
            "comercial-electrica",
            7,
            message,
        ),
        log: None,
    };
    add("run-failed", runs::run(&in_runs, &failed));
    let done = Notice {
        good: true,
        text: "resguardo exceptions resolve 01kaztk3s0".to_owned(),
    };
    let noticed = Frame {
        notice: Some(&done),
        ..frame(Section::Exceptions)
    };
    add(
        "exceptions",
        exceptions::page(&noticed, &fixture::exceptions()),
    );
    add(
        "policy",
        policy::page(&frame(Section::Policy), &fixture::policy()),
    );
    add(
        "access",
        access::page(&frame(Section::Access), &fixture::access()),
    );
    let outside = Frame {
        viewer: None,
        ..frame(Section::Outside)
    };
    let wrong = LoginPage {
        name: "ana".to_owned(),
        trouble: Some(LoginTrouble::Wrong),
        other: Some(("Acme".to_owned(), "/login/oidc".to_owned())),
        ..LoginPage::default()
    };
    add("login", login::page(&outside, &wrong));
    let refused = Refusal::NotAllowed {
        role: Role::Operator,
        command: "resguardo drill shop".to_owned(),
    };
    add("refused", refusal::page(&home, &refused));
    add("starting", refusal::page(&outside, &Refusal::Starting));
    pages
}
