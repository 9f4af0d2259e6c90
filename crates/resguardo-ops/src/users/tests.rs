//! Users, sessions and tokens, in a catalog that is gone with the test.

#![allow(clippy::unwrap_used, reason = "test")]

use jiff::SignedDuration;
use jiff::ToSpan as _;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-22T10:00:00Z")
}

fn name(text: &str) -> UserName {
    text.parse().unwrap()
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

fn with_ana() -> Catalog {
    let catalog = Catalog::in_memory().unwrap();
    let password = secret("correct horse battery");
    add(&catalog, &name("ana"), Role::Operator, &password, now()).unwrap();
    catalog
}

#[test]
fn only_the_right_password_of_a_known_user_is_right() {
    let catalog = with_ana();
    let right = secret("correct horse battery");
    assert!(knows(&catalog, &name("ana"), &right).unwrap());
    assert!(!knows(&catalog, &name("ana"), &secret("correct horse batterie")).unwrap());
    assert!(!knows(&catalog, &name("ana"), &secret("")).unwrap());
    assert!(!knows(&catalog, &name("bea"), &right).unwrap());
    assert!(!knows(&catalog, &name("bea"), &secret("nobody has this password")).unwrap());
    let long = secret(&"x".repeat(100_000));
    assert!(!knows(&catalog, &name("ana"), &long).unwrap());
    let row = catalog.user(&name("ana")).unwrap().unwrap();
    assert!(row.password.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert!(!row.password.contains("horse"));
}

#[test]
fn bad_passwords_and_taken_names_are_refused() {
    let catalog = with_ana();
    let refused =
        |text: &str| match add(&catalog, &name("maria"), Role::Viewer, &secret(text), now()) {
            Err(UsersError::NotAPassword(why)) => why,
            other => panic!("{other:?}"),
        };
    assert_eq!(refused("elevenchars"), NotAPassword::Short);
    assert_eq!(refused("aaaaaaaaaaaaaaaaaaa"), NotAPassword::Uniform);
    assert_eq!(refused("Maria-2026-Bogota"), NotAPassword::Name);
    assert_eq!(refused(&"abcdef".repeat(500)), NotAPassword::Long);
    let again = add(
        &catalog,
        &name("Ana"),
        Role::Admin,
        &secret("another good one"),
        now(),
    );
    assert!(matches!(again, Err(UsersError::UserExists(_))));
    assert_eq!(list(&catalog).unwrap()[0].role, Role::Operator);
    let nobody = set_role(&catalog, &name("bea"), Role::Admin, now());
    assert!(matches!(nobody, Err(UsersError::NoSuchUser(_))));
    assert!(matches!(
        remove(&catalog, &name("bea")),
        Err(UsersError::NoSuchUser(_))
    ));
}

#[test]
fn a_session_ends_when_idle_when_old_at_logout_and_with_its_user() {
    let catalog = with_ana();
    let begin = || session::begin(&catalog, &name("ana"), None, now()).unwrap();
    let valid = |secret: &SessionSecret, at: Timestamp| {
        session::find(&catalog, secret, at).unwrap().is_some()
    };
    let kept = begin();
    assert!(valid(&kept, now() + 11.hours()));
    assert!(!valid(&kept, now() + 12.hours()));
    for hour in 0..7 * 24 {
        session::seen(&catalog, &kept, now() + SignedDuration::from_hours(hour)).unwrap();
    }
    assert!(valid(&kept, now() + SignedDuration::from_hours(7 * 24 - 1)));
    assert!(!valid(&kept, now() + SignedDuration::from_hours(7 * 24)));
    // A clock that is set back ends nothing.
    assert!(valid(&kept, now() - 48.hours()));

    let out = begin();
    session::end(&catalog, &out).unwrap();
    assert!(!valid(&out, now()));

    let other = begin();
    set_password(&catalog, &name("ana"), &secret("another good one"), now()).unwrap();
    assert!(!valid(&other, now()));

    let last = begin();
    set_role(&catalog, &name("ana"), Role::Viewer, now()).unwrap();
    let found = session::find(&catalog, &last, now()).unwrap().unwrap();
    assert_eq!(found.role, Role::Viewer);
    remove(&catalog, &name("ana")).unwrap();
    assert!(!valid(&last, now()));
}

#[test]
fn what_is_stored_of_a_session_is_not_what_the_browser_holds() {
    let catalog = with_ana();
    let held = session::begin(&catalog, &name("ana"), None, now()).unwrap();
    let read = SessionSecret::parse(&held.expose()).unwrap();
    assert_eq!(read, held);
    assert_eq!(format!("{held:?}"), "***");
    // The form's token and the stored id are no way in.
    let forged = SessionSecret::parse(&held.form_token()).unwrap();
    assert!(session::find(&catalog, &forged, now()).unwrap().is_none());
    for odd in ["", "x", "00", &"g".repeat(64), &"0".repeat(65)] {
        assert!(SessionSecret::parse(odd).is_none(), "{odd}");
    }
}

#[test]
fn a_user_has_so_many_sessions_and_the_oldest_end() {
    let catalog = with_ana();
    let begin = |minutes: i64| {
        let then = now() + SignedDuration::from_mins(minutes);
        session::begin(&catalog, &name("ana"), None, then).unwrap()
    };
    let all: Vec<SessionSecret> = (0..25).map(begin).collect();
    let valid = all
        .iter()
        .filter(|secret| session::find(&catalog, secret, now()).unwrap().is_some());
    assert_eq!(valid.count(), 20);
    assert!(session::find(&catalog, &all[24], now()).unwrap().is_some());
    assert!(session::find(&catalog, &all[4], now()).unwrap().is_none());
}

#[test]
fn whoever_is_vouched_for_is_no_user_of_ours() {
    let catalog = with_ana();
    let issuer = Some(("https://id.example", Role::Admin));
    let foreign = session::begin(&catalog, &name("ana"), issuer, now()).unwrap();
    let found = session::find(&catalog, &foreign, now()).unwrap().unwrap();
    assert_eq!(found.role, Role::Admin);
    assert_eq!(found.issuer.as_deref(), Some("https://id.example"));
    // Nor does a change of ours end it.
    remove(&catalog, &name("ana")).unwrap();
    assert!(session::find(&catalog, &foreign, now()).unwrap().is_some());
    // Whoever is gone there is gone here before the day is over, however much he does.
    let late = now() + session::VOUCHED_AGE_MAX;
    session::seen(&catalog, &foreign, late - SignedDuration::from_secs(1)).unwrap();
    assert!(session::find(&catalog, &foreign, late).unwrap().is_none());
}

#[test]
fn a_start_ends_the_sessions_of_those_who_are_vouched_for_and_no_others() {
    let catalog = with_ana();
    let issuer = Some(("https://id.example", Role::Admin));
    let foreign = session::begin(&catalog, &name("maria"), issuer, now()).unwrap();
    let own = session::begin(&catalog, &name("ana"), None, now()).unwrap();
    session::end_vouched(&catalog).unwrap();
    assert!(session::find(&catalog, &foreign, now()).unwrap().is_none());
    assert!(session::find(&catalog, &own, now()).unwrap().is_some());
}

#[test]
fn a_token_is_told_once_and_ends() {
    let catalog = with_ana();
    let end = now() + 24.hours();
    let made = token::add(&catalog, &name("ci"), Role::Viewer, Some(end), now()).unwrap();
    assert!(made.expose().starts_with("rsg_"));
    assert_eq!(format!("{made:?}"), "***");
    let find = |shown: &str, at: Timestamp| token::find(&catalog, shown, at).unwrap();
    assert_eq!(find(made.expose(), now()).unwrap().role, Role::Viewer);
    assert_eq!(find(made.expose(), end), None);
    assert_eq!(find("rsg_", now()), None);
    assert_eq!(find(&made.expose()[4..], now()), None);
    assert_eq!(find(&made.expose().to_uppercase(), now()), None);
    token::used(&catalog, &name("ci"), now()).unwrap();
    assert_eq!(token::list(&catalog).unwrap()[0].used_at, Some(now()));
    let again = token::add(&catalog, &name("ci"), Role::Admin, None, now());
    assert!(matches!(again, Err(UsersError::TokenExists(_))));
    token::remove(&catalog, &name("ci")).unwrap();
    assert_eq!(find(made.expose(), now()), None);
    assert!(matches!(
        token::remove(&catalog, &name("ci")),
        Err(UsersError::NoSuchToken(_))
    ));
}
