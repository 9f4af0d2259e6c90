//! What programs ask: the same as the pages show and do, as JSON.

use resguardo_model::Role;

use super::answer::{Answer, json_of};
use super::ask::Ask;
use super::route::{
    Field, Handler, Needs, Pooled, Route, Surface, Way, in_body, in_path, in_query,
};

pub(super) mod act;
pub(super) mod look;
mod shape;

const fn get(
    path: &'static str,
    about: &'static str,
    fields: &'static [Field],
    handler: Handler,
) -> Route {
    Route {
        way: Way::Get,
        path,
        surface: Surface::Api,
        needs: Needs::Role(Role::Viewer),
        reads_who: true,
        about,
        fields,
        handler,
    }
}

const fn post(
    role: Role,
    path: &'static str,
    about: &'static str,
    fields: &'static [Field],
    handler: fn(&Ask) -> Answer,
) -> Route {
    Route {
        way: Way::Post,
        needs: Needs::Role(role),
        ..get(
            path,
            about,
            fields,
            Handler::Slow(Pooled::Questions, handler),
        )
    }
}

const fn slow(handler: fn(&Ask) -> Answer) -> Handler {
    Handler::Slow(Pooled::Questions, handler)
}

const NAME: Field = in_path("name", "the source");
const ID: Field = in_path("id", "the backup");
const RUN: Field = in_path("run", "the run");
const SOURCE: Field = in_query("source", "only of this source");
const SKIP: Field = in_query("skip", "how many of the first ones to leave out");
const LIMIT: Field = in_query("limit", "how many at most, up to 1000");

/// The routes of the API.
pub(super) static ROUTES: &[Route] = &[
    get(
        "/api/v1/me",
        "who asks, and what he may do",
        &[],
        Handler::Quick(look::me),
    ),
    get(
        "/api/v1/status",
        "how every source stands, the worst first",
        &[],
        Handler::Quick(look::status),
    ),
    get(
        "/api/v1/plan",
        "what comes, by schedule",
        &[],
        Handler::Quick(look::plan),
    ),
    get(
        "/api/v1/sources/{name}",
        "how one source stands, and what comes",
        &[NAME],
        Handler::Quick(look::source),
    ),
    get(
        "/api/v1/sources/{name}/series",
        "the backups and drills of a source as points, the oldest first",
        &[NAME],
        slow(look::series),
    ),
    get(
        "/api/v1/sources/{name}/year",
        "the last year of a source, day by day",
        &[NAME],
        slow(look::year),
    ),
    get(
        "/api/v1/backups",
        "backups, the newest first",
        &[SOURCE, SKIP, LIMIT],
        slow(look::backups),
    ),
    get(
        "/api/v1/backups/{id}",
        "everything that is known of one backup",
        &[ID],
        slow(look::backup),
    ),
    get(
        "/api/v1/receipts/{run}",
        "the receipt of a run, and the drill that it tells of",
        &[RUN],
        slow(look::receipt),
    ),
    get(
        "/api/v1/runs",
        "runs, the newest first",
        &[
            SOURCE,
            in_query(
                "state",
                "only those that stand so: running, succeeded, failed, interrupted, died",
            ),
            SKIP,
            LIMIT,
        ],
        slow(look::runs),
    ),
    get(
        "/api/v1/runs/{run}",
        "one run, and what it says or said lately",
        &[RUN],
        slow(look::run),
    ),
    get(
        "/api/v1/exceptions",
        "what is open until somebody resolves it",
        &[
            in_query("all", "true: those that were resolved as well"),
            LIMIT,
        ],
        slow(look::exceptions),
    ),
    get(
        "/api/v1/policy/{name}",
        "what a prune of a source would do now, and why",
        &[NAME],
        slow(look::policy),
    ),
    get(
        "/api/v1/access",
        "who can read, write and delete",
        &[],
        slow(look::access),
    ),
    Route {
        needs: Needs::Role(Role::Admin),
        ..get(
            "/api/v1/users",
            "users and tokens, without what they are known by",
            &[],
            slow(look::users),
        )
    },
    Route {
        needs: Needs::Role(Role::Admin),
        ..get(
            "/api/v1/audit",
            "what was done here by whom, the newest first",
            &[LIMIT],
            slow(look::audited),
        )
    },
    post(
        Role::Operator,
        "/api/v1/sources/{name}/backup",
        "take a backup now",
        &[NAME],
        |ask| json_of(&act::backup(ask)?),
    ),
    post(
        Role::Operator,
        "/api/v1/sources/{name}/verify",
        "check what is stored now",
        &[NAME],
        |ask| json_of(&act::verify(ask)?),
    ),
    post(
        Role::Operator,
        "/api/v1/sources/{name}/copy",
        "send copies what they lack, now",
        &[NAME],
        |ask| json_of(&act::copy(ask)?),
    ),
    post(
        Role::Admin,
        "/api/v1/sources/{name}/prune",
        "delete what the retention lets go of, now",
        &[NAME, in_body("confirm", true, "the name of the source")],
        |ask| json_of(&act::prune(ask)?),
    ),
    post(
        Role::Operator,
        "/api/v1/sources/{name}/drill",
        "restore into a sandbox and check, now",
        &[
            NAME,
            in_body(
                "keep",
                false,
                "true: what was restored stays, and its place is told in the receipt",
            ),
        ],
        |ask| json_of(&act::drill(ask)?),
    ),
    post(
        Role::Operator,
        "/api/v1/backups/{id}/drill",
        "restore this backup into a sandbox and check it, now",
        &[
            ID,
            in_body(
                "keep",
                false,
                "true: what was restored stays, and its place is told in the receipt",
            ),
        ],
        |ask| json_of(&act::drill_of(ask)?),
    ),
    post(
        Role::Operator,
        "/api/v1/backups/{id}/restore",
        "restore this backup into a new database on its source's server, or a new file in its folder, now",
        &[
            ID,
            in_body(
                "to",
                true,
                "the name of the database or file; refused if it is there",
            ),
        ],
        |ask| json_of(&act::restore(ask)?),
    ),
    post(
        Role::Operator,
        "/api/v1/backups/{id}/pin",
        "keep a backup, whatever the retention says",
        &[
            ID,
            in_body("reason", true, "why; one line"),
            in_body("until", false, "the last day on which it is kept"),
        ],
        |ask| json_of(&act::pin(ask)?),
    ),
    post(
        Role::Admin,
        "/api/v1/backups/{id}/unpin",
        "take the pin of a backup away",
        &[ID, in_body("confirm", true, "the name of the source")],
        |ask| json_of(&act::unpin(ask)?),
    ),
    post(
        Role::Operator,
        "/api/v1/exceptions/{exception}/resolve",
        "say of an exception what was found, or done",
        &[
            in_path("exception", "the exception"),
            in_body("note", true, "what was found, or done"),
        ],
        |ask| json_of(&act::resolve(ask)?),
    ),
];
