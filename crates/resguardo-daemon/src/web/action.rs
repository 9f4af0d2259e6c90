//! Forms that do something: what they do, the command that does the same, and the name that has to be typed
//! where something could be lost.

use maud::{Markup, html};

use super::frame::Frame;
use super::view::Role;

/// Something that can be done.
#[derive(Clone, Debug)]
pub struct Action<'a> {
    /// Where it is posted to.
    pub path: String,
    /// Its word on the button.
    pub name: &'a str,
    /// What it does, in a sentence.
    pub means: &'a str,
    /// The command that does the same.
    pub command: String,
    /// Whoever may.
    pub role: Role,
    /// The name that has to be typed first, in the field `confirm`.
    pub confirm: Option<&'a str>,
    /// Whether something could be lost by it.
    pub is_danger: bool,
    /// Fields of its own.
    pub fields: Markup,
}

/// The actions that whoever looks may do, or who may.
#[must_use]
pub fn actions(frame: &Frame<'_>, actions: &[Action<'_>]) -> Markup {
    let words = frame.say.words();
    let allowed: Vec<_> = actions
        .iter()
        .filter(|action| frame.may(action.role))
        .collect();
    html! {
        div.actions {
            @for action in &allowed { (form(frame, action)) }
        }
        @if allowed.len() < actions.len() {
            p.dim {
                @if allowed.is_empty() { (words.may_only_look) } @else { (words.may_not_all) }
            }
            details {
                summary { (words.commands) }
                ul { @for action in actions.iter().filter(|action| !frame.may(action.role)) {
                    li { (action.name) ": " code { (action.command) } }
                } }
            }
        }
    }
}

fn form(frame: &Frame<'_>, action: &Action<'_>) -> Markup {
    let words = frame.say.words();
    html! {
        form.action method="post" action=(action.path) {
            input type="hidden" name="csrf" value=(frame.csrf);
            p { (action.means) }
            (action.fields)
            @if let Some(name) = action.confirm {
                label {
                    (words.type_to_confirm) " " code { (name) }
                    input type="text" name="confirm" required autocomplete="off" autocapitalize="none" spellcheck="false";
                }
            }
            p { button.danger[action.is_danger] { (action.name) } }
            p.cli { (words.same_as) " " code { (action.command) } }
        }
    }
}
